"""--mode=export through run.py, from a run in bfloat16."""

import json
import socket

import pytest

import run

SMALL = (
    "--train_steps=2",
    "--train_batch_size=16",
    "--warmup_epochs=0",
    "--keep_hub_module_max=0",
)


# Keras 3.15 reads TensorFlow's variables in a way that NumPy 2 deprecates.
@pytest.mark.filterwarnings("ignore:__array__ implementation")
@pytest.mark.slow
def test_a_run_and_its_classifier_are_exported(tmp_path, capsys):
    source, tuned = tmp_path / "source", tmp_path / "tuned"
    pretrain = (
        "--image_size=16",
        "--resnet_depth=10",
        "--width_multiplier=0.25",
        "--mixed_precision=bfloat16",
        f"--model_dir={source}",
    )
    assert run.main(["run.py", *SMALL, *pretrain]) == 0
    finetune = (
        "--train_mode=finetune",
        f"--checkpoint={source}",
        f"--model_dir={tuned}",
    )
    assert run.main(["run.py", *SMALL, *finetune]) == 0
    export = ["run.py", "--mode=export"]
    for checkpoint, name, classes in (
        (source, "torch", 0),
        (tuned, "torch", 10),
        (tuned, "keras", 10),
        (source, "saved_model", 0),
    ):
        flags = (f"--checkpoint={checkpoint}", f"--format={name}")
        for _ in range(2):  # the second replaces the first
            assert run.main([*export, *flags, "--licence=cc0-1.0"]) == 0
        folder = checkpoint / "exports" / f"{name}_2"
        record = json.loads((folder / "export.json").read_text())
        assert record["num_classes"] == classes
        assert len(record["class_names"]) == classes
        assert (folder / "class_names.json").exists() is bool(classes)
        if name != "torch":
            errors = next(iter(record["check"]["errors"].values()))
            assert max(errors.values()) <= 1e-5
        assert 'license: "cc0-1.0"' in (folder / "README.md").read_text()
        for path in folder.rglob("*"):
            if path.is_file():
                content = path.read_bytes()
                assert str(tmp_path).encode() not in content, path
                host = socket.gethostname()
                assert len(host) < 6 or host.encode() not in content, path
    capsys.readouterr()
    # What was exported is a checkpoint again.
    again = f"--checkpoint={source}/exports/saved_model_2"
    assert run.main([*export, again, f"--model_dir={tmp_path}/again"]) == 0
    capsys.readouterr()
    assert run.main([*export, f"--checkpoint={source}", "--format=timm"]) == 2
    assert "its depths are 50, 101 and 152" in capsys.readouterr().err
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("x")
    taken = (f"--checkpoint={source}", f"--model_dir={tmp_path}/full")
    assert run.main([*export, *taken]) == 2
    assert "holds other files" in capsys.readouterr().err
