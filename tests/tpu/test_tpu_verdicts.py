"""The table of verdicts in tpu/README.md, and the command that writes it."""

import pytest

from simclr_tf import files
from simclr_tf.errors import UserError
from tests.bench import measuring, verdicts
from tests.official import stand_ins
from tpu import compiler

SLICE = "v5e:2x2"
FLAGS = """
--dataset=digits
--resnet_depth=10
--width_multiplier=0.25
--train_batch_size=64
"""


@pytest.fixture
def kept(tmp_path, monkeypatch):
    monkeypatch.setattr(verdicts, "KEPT", tmp_path / "verdicts.json")
    monkeypatch.setattr(
        compiler, "check_installed", lambda: {"libtpu": "0.0.1"}
    )
    return tmp_path


@pytest.fixture
def compiled():
    """The modules that were compiled."""
    return []


def judge(kept, compiled, name, flags, reason="No such step."):
    path = kept / f"{name}.flags"
    path.write_text(flags)

    def compile_module(module, topology):
        compiled.append(module)
        return compiler.Compiled(reason, used_bytes=1.0)

    verdicts.judge(path, SLICE, kept, compile_module)
    return files.read_json(str(verdicts.KEPT))[name][SLICE]


@pytest.mark.soak
def test_a_program_is_compiled_once(kept, compiled):
    pytest.importorskip("jax", reason="no jax here: make preflight")
    first = judge(kept, compiled, "first", f"{FLAGS}--train_steps=600")
    assert first["verdict"] == "does not compile"
    longer = judge(kept, compiled, "longer", f"{FLAGS}--train_steps=900")
    assert longer == first
    assert len(compiled) == 1
    wider = judge(kept, compiled, "wider", f"{FLAGS}--width_multiplier=0.5\n")
    assert wider["program"] != first["program"]
    assert len(compiled) == 2


@pytest.mark.soak
def test_no_smaller_batch_is_looked_for(kept, compiled):
    pytest.importorskip("jax", reason="no jax here: make preflight")
    found = judge(kept, compiled, "large", FLAGS, "Ran out of memory.")
    assert found["verdict"] == "does not fit"
    assert len(compiled) == 1


def test_what_cannot_be_asked_leaves_no_trace(kept, compiled):
    with pytest.raises(UserError, match="nothing"):
        judge(kept, compiled, "nothing", "--dataset=nothing")
    assert not verdicts.KEPT.exists()
    assert not compiled


def test_a_checkpoint_says_the_architecture_by_its_name(tmp_path):
    path = tmp_path / "some.flags"
    path.write_text(
        "--train_mode=finetune\n--dataset=imagenet2012\n"
        "--checkpoint=gs://simclr-checkpoints/simclrv2/pretrained/r50_1x_sk1\n"
    )
    model = verdicts.resolve(path, SLICE, tmp_path)[0].model
    assert (model.resnet_depth, model.sk_ratio) == (50, 0.0625)
    assert model.num_proj_layers == 3


def test_every_checkpoint_that_is_named_has_a_stand_in():
    found = set()
    for name in verdicts.shipped():
        flags = [f"--flagfile={verdicts.ROOT}/flags/{name}.flags"]
        config, _ = measuring.resolve([*flags, "--mode=preflight"])
        found.add(config.job.checkpoint)
    found.remove(None)
    assert len(found) >= 3
    for checkpoint in found:
        assert stand_ins.shapes(checkpoint)


def test_the_page_has_what_is_kept():
    page = verdicts.PAGE.read_text(encoding="utf-8")
    assert verdicts.table() in page


def test_a_cell_says_what_a_reader_asks():
    fits = {
        "verdict": "fits",
        "memory_bytes": 2**31,
        "step_seconds": 0.01234,
    }
    assert verdicts.cell(fits) == "fits, 2.00 GiB, 12.3 ms"
    assert verdicts.cell({"verdict": "does not fit"}) == "does not fit"
    assert verdicts.cell(None) == "not asked"
