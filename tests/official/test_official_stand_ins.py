"""Stand-ins for released checkpoints have the variables of the real ones."""

import ast

import pytest

from simclr_tf.errors import UserError
from simclr_tf.official import reading
from tests.official import stand_ins
from tests.official.test_official_reading import PLACE, needs_files

V1 = "gs://simclr-checkpoints-tf2/simclrv1/pretrain"
V2 = "gs://simclr-checkpoints/simclrv2/finetuned_1pct"


@needs_files
@pytest.mark.parametrize(
    ("path", "listed"),
    [
        (f"{V1}/1x", "v1_r50_1x_224"),
        (f"{V1}/4x", "v1_r50_4x_224"),
        (f"{V2}/r152_2x_sk0", "v2_r152_2x_sk0_224"),
        (f"{V2}/r152_3x_sk1", "v2_r152_3x_sk1_224"),
    ],
)
def test_the_variables_are_those_of_the_official_code(path, listed):
    rows = (PLACE / "names" / f"{listed}.txt").read_text().splitlines()
    fields = [row.split("\t") for row in rows]
    names = {name: tuple(ast.literal_eval(s)) for name, s, *_ in fields}
    del names["global_step"]
    assert stand_ins.shapes(path) == names


def test_what_is_written_is_recognised(tmp_path):
    found = reading.contents(stand_ins.write(f"{V1}/1x", tmp_path))
    encoder = found.network.encoder
    assert (encoder.depth, encoder.width, encoder.sk_ratio) == (50, 1, 0)
    assert found.network.proj_head_mode == "none"
    assert found.network.selectors == (0,)


@pytest.mark.parametrize(
    "path", ["/somewhere", f"{V2}/r50", f"{V1}/r50_1x_sk0"]
)
def test_a_path_that_says_no_network_is_refused(path):
    with pytest.raises(UserError, match="doesn't say which network"):
        stand_ins.shapes(path)
