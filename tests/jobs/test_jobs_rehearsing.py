"""How large a rehearsal is, what it says, and that it finds what is wrong."""

import pytest

from simclr_tf.build.rehearsal import Rehearsal
from simclr_tf.config import resolve
from simclr_tf.jobs import rehearsing
from simclr_tf.jobs.rehearsing import Size
from tests import planted
from tpu import rehearsal

MODEST = {"num_replicas": 4, "per_replica_batch_size": 64}


@pytest.mark.parametrize(
    ("flops_per_example", "expected"),
    [
        (1.0, Size(4, 64, True)),
        (1000.0 / 256, Size(4, 64, True)),
        (1000.0 / 128, Size(4, 32, False)),
        (1000.0 / 16, Size(4, 4, False)),
        (1000.0 / 8, Size(2, 4, False)),
        (1e9, Size(2, 4, False)),
    ],
)
def test_what_two_cores_can_carry(flops_per_example, expected):
    found = rehearsing.size(
        **MODEST, flops_per_example=flops_per_example, most=1000.0
    )
    assert found == expected


def test_many_replicas_become_fewer():
    job = {"per_replica_batch_size": 2, "flops_per_example": 1.0}
    assert rehearsing.size(num_replicas=64, **job) == Size(16, 2, False)
    large = rehearsing.size(num_replicas=16, num_weights=10**8, **job)
    assert large.num_replicas == 4


def test_one_replica_stays_one():
    job = {"per_replica_batch_size": 8, "flops_per_example": 1e30}
    assert rehearsing.size(num_replicas=1, **job) == Size(1, 4, False)
