"""--protocol=own_head: a checkpoint's linear head, scored as it is."""

import json

import numpy as np
import pytest

import run
from tests.official import tf1_files as tf1

HEAD = tf1.linear()
SCOPE = "head_supervised/linear_layer/dense"
EXACT = "--mixed_precision=none"
FEW = "test[:100]"


def go(*arguments):
    return run.main(["run.py", *arguments])


def scored(source, folder, *more):
    flags = (f"--checkpoint={source}", f"--model_dir={folder}", EXACT)
    how = ("--mode=evaluate", "--protocol=own_head", f"--eval_split={FEW}")
    assert go(*how, *flags, *more) == 0
    (path,) = folder.glob("own_head_*.json")
    return json.loads(path.read_text()), np.load(path.with_suffix(".npz"))


@pytest.mark.slow
def test_it_is_the_product_with_the_features(tmp_path):
    """Of an official classifier on h, and of one on the first layer of g."""
    source = tmp_path / "official"
    variables = tf1.encoder() | tf1.projection([64, 64, 16])
    tf1.write(source, variables | HEAD)
    for layer in (0, 1):
        selector = f"--ft_proj_selector={layer}"
        record, written = scored(source, tmp_path / f"s{layer}", selector)
        embed = ("--mode=embed", f"--checkpoint={source}", selector, EXACT)
        out = tmp_path / f"f{layer}"
        of = (f"--train_split={FEW}", f"--model_dir={out}")
        assert go(*embed, *of) == 0
        with np.load(out / "features.npz") as arrays:
            h, labels = arrays["features"], arrays["labels"]
        logits = h @ HEAD[f"{SCOPE}/kernel"] + HEAD[f"{SCOPE}/bias"]
        np.testing.assert_array_equal(
            written["predictions"], logits.argmax(axis=1)
        )
        top_1 = (logits.argmax(axis=1) == labels).mean()
        assert record["metrics"]["top_1"]["value"] == pytest.approx(top_1)
        assert record["encoder_frozen"] and "train" not in record["splits"]


@pytest.mark.slow
def test_a_classifier_of_ours_scores_as_its_own_run_says(tmp_path, capsys):
    source, tuned = tmp_path / "official", tmp_path / "tuned"
    tf1.write(source, tf1.encoder() | tf1.projection([64, 16]))
    tune = (
        *("--mode=train_then_eval", "--train_mode=finetune", EXACT),
        *("--train_steps=2", "--train_batch_size=16", "--warmup_epochs=0"),
        *("--keep_hub_module_max=0", f"--eval_split={FEW}"),
    )
    assert go(*tune, f"--checkpoint={source}", f"--model_dir={tuned}") == 0
    record, _ = scored(tuned, tmp_path / "again")
    own = json.loads((tuned / "record.json").read_text())
    assert record["metrics"] == own["metrics"]
    assert record["encoder_sha256_after"] == own["encoder_sha256_after"]
    seven = tmp_path / "seven"
    tf1.write(seven, tf1.encoder() | tf1.linear(7))
    capsys.readouterr()
    how = ("--mode=evaluate", "--protocol=own_head")
    for flags, said in (
        ((f"--checkpoint={source}", f"--model_dir={tmp_path}/n"), "no linear"),
        ((f"--checkpoint={tuned}", "--ft_proj_selector=1"), "reads layer 0"),
        ((f"--checkpoint={seven}", f"--model_dir={tmp_path}/n"), "7 classes"),
        ((f"--checkpoint={tuned}", "--encoder=random"), "--encoder=random"),
        ((f"--checkpoint={tuned}", "--train_split=train"), "--train_split"),
    ):
        assert go(*how, *flags) == 2, flags
        err = capsys.readouterr().err
        assert said in err, err
        assert len(err.strip().splitlines()) == 1, err
