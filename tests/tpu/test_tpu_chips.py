"""Names of slices."""

import pytest

from tpu import chips


@pytest.mark.parametrize(
    ("name", "num_chips", "cores_per_chip"),
    [("v5e:4x4", 16, 1), ("v4:2x2x4", 16, 2), ("v5p:2x2x1", 4, 1)],
)
def test_topology_counts(name, num_chips, cores_per_chip):
    topology = chips.parse_topology(name)
    assert topology.num_chips == num_chips
    assert topology.num_cores == num_chips * cores_per_chip
    cores_together = topology.num_cores * topology.hbm_bytes_per_core
    assert cores_together == num_chips * topology.chip.hbm_bytes
    assert str(num_chips) in topology.describe()


@pytest.mark.parametrize(
    ("name", "num_hosts", "vcpus"),
    [
        ("v5e:1x1", 1, 24),
        ("v5e:2x2", 1, 112),
        ("v5e:2x4", 1, 224),
        ("v5e:4x4", 4, 112),
        ("v4:2x2x4", 4, 240),
        ("v3:1x1", 1, 96),
    ],
)
def test_the_machines_of_a_slice(name, num_hosts, vcpus):
    topology = chips.parse_topology(name)
    assert (topology.num_hosts, topology.host_vcpus) == (num_hosts, vcpus)


@pytest.mark.parametrize("name", ["v5e", "v9:2x2", "v5e:4", "v5e:0x4", "4x4"])
def test_a_wrong_topology_is_one_clear_line(name):
    with pytest.raises(ValueError, match=f"--topology .*Received: {name}"):
        chips.parse_topology(name)


def test_every_chip_says_where_its_figures_are_from():
    for name, chip in chips.CHIPS.items():
        assert chip.name == name
        assert chip.source.startswith("docs.cloud.google.com/tpu/docs/" + name)
