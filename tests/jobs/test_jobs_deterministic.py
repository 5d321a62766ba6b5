"""--deterministic, in processes of their own: it cannot be turned off again."""

import pytest

from tests import processes


@pytest.mark.slow
def test_the_same_bits_twice_and_no_clock_in_the_graph(tmp_path):
    processes.write_textures(tmp_path / "tfds")
    ends = []
    for name in ("first", "second"):
        folder = tmp_path / name
        said = processes.run(
            processes.command(tmp_path / "tfds", folder, "--deterministic")
        )
        # TensorFlow has no clock then; what is not measured is not shown.
        assert "images/s" in said and "input wait" not in said
        assert "input_wait_share" not in processes.logged(folder)[-1]
        ends.append(processes.state(folder, 5))
    processes.assert_same_bits(*ends)
