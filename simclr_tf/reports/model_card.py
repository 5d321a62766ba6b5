"""The README.md of an export: what the weights are, from their run's records.

The head is what hubs read (YAML); the text is for people. Nothing in it says
where the run lay, or on whose machine: places are no part of a card.
"""

import json
import math
import os
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from simclr_tf import files
from simclr_tf.config import options
from simclr_tf.config.roles import show
from simclr_tf.errors import UserError
from simclr_tf.evaluation import records
from simclr_tf.evaluation.statistics import Estimate

# What is in every folder; each format says what else.
_FILES = {
    "README.md": "this card",
    "class_names.json": "`class_names[k]` is the class of `logits[:, k]`",
    "export.json": "what was written, how it was checked, the run's options",
    "preprocess.py": "from an image to what the network takes",
}


class Form(NamedTuple):
    """What a format says of itself.

    Attributes:
        hub_library: what hubs call who reads it.
        files: name -> what it is.
        use: Python that goes on from `images` to `features`.
        use_logits: and to `logits`.
    """

    hub_library: str
    files: Mapping[str, str]
    use: str
    use_logits: str


class Result(NamedTuple):
    """A number for the card.

    Attributes:
        what: was scored, in words.
        on: which images, in words.
        metric: its name.
        estimate: with its 95 % interval.
    """

    what: str
    on: str
    metric: str
    estimate: Estimate


def results_of(
    folder: str, *, encoder_sha256: Collection[str], step: int
) -> list[Result]:
    """What a run's records say of these weights, and of no others.

    Args:
        folder: of the run.
        encoder_sha256: of the weights; a record counts for any of them.
        step: of the weights, for result_<step>.json.
    """
    found = []
    for path in _record_paths(folder):
        try:
            record = records.read(path)
        except UserError:
            continue  # damaged, or none of ours: it says nothing
        of_these = record.encoder_sha256_after in encoder_sha256
        if of_these and record.encoder_kind != "pixels":
            test = record.splits["test"]
            on = f"{test['num_examples']} images of {record.dataset}"
            found.append(
                Result(record.scored, on, record.metric, record.estimate)
            )
    return found or _of_result(os.path.join(folder, f"result_{step}.json"))


def text(
    record: Mapping[str, Any],
    *,
    form: Form,
    names: Sequence[str],
    results: Sequence[Result],
) -> str:
    """The whole card.

    Args:
        record: of the export, as export.json has it.
        form: of the format.
        names: of what lies in the folder.
        results: from `results_of`.
    """
    parts = [
        _head(record, form),
        _title(record),
        _table("Files", ("file", "what it is"), _files(names, form)),
        _use(record, form),
        _images(record),
        _training(record),
        _results(results),
        _check(record["check"]),
        _licence(record),
    ]
    return "\n".join(parts)


def _record_paths(folder: str) -> list[str]:
    """Of the evaluations beside a run, and of a classifier's own record."""
    beside = os.path.join(folder, "evaluations")
    own = os.path.join(folder, "record.json")
    return [
        *files.paths_in(beside, ".json"),
        *([own] if files.gfile.exists(own) else []),
    ]


def _of_result(path: str) -> list[Result]:
    """The linear head that was trained along, where nothing else is known."""
    if not files.gfile.exists(path):
        return []
    try:
        result = files.read_json(path)
        interval = result["eval/intervals"]["label_top_1_accuracy"]
        value = result["eval/label_top_1_accuracy"]
        estimate = Estimate(float(value), *map(float, interval))
        if not all(map(math.isfinite, estimate)):
            return []
        on = f"{result['dataset']} {result['eval_split']}"
    except (UserError, KeyError, TypeError, ValueError):
        return []
    what = "linear head, trained along"
    return [Result(what, on, "top_1", estimate)]


def _head(record, form) -> str:
    task = "classification" if record["num_classes"] else "feature-extraction"
    lines = [
        "---",
        # Of YAML, which takes no halves of characters as JSON escapes them.
        "license: "
        + json.dumps(record["licence"] or "unknown", ensure_ascii=False),
        f"library_name: {form.hub_library}",
        f"pipeline_tag: image-{task}",
        "tags:",
        "- simclr",
        "- self-supervised-learning",
        "---",
        "",
    ]
    return "\n".join(lines)


def _title(record) -> str:
    config, classes = record["config"], record["num_classes"]
    dataset, mode = config["data"]["dataset"], config["job"]["train_mode"]
    dataset = "a folder of images" if dataset == "folder" else dataset
    how = {
        "pretrain": f"pretrained by SimCLR on {dataset}, without labels",
        "finetune": f"fine-tuned on {dataset}",
        "supervised": f"trained on {dataset} with labels",
        "distill": f"distilled on {dataset} from a teacher's classes",
    }.get(mode, f"of {dataset}")
    if record.get("origin"):
        how = "weights of google-research/simclr"
    has = f", and the logits of {classes} classes" if classes else ""
    return (
        f"# {record['architecture']}, {how}\n\n"
        f"It makes {record['num_features']} features of an image of "
        f"{record['image_size']} x {record['image_size']} pixels{has}. The "
        "features are h of the paper (Chen et al. 2020, arXiv:2002.05709), "
        f"the mean over the last maps, after {record['global_step']} steps. "
        f"Written by simclr_tf {record['simclr_tf']}.\n"
    )


def _files(names, form) -> list[tuple[str, str]]:
    known = {**_FILES, **form.files}
    return [(f"`{name}`", known.get(name, "")) for name in names]


def _use(record, form) -> str:
    size, channels = record["image_size"], record["num_channels"]
    logits = form.use_logits if record["num_classes"] else ""
    code = (
        "from preprocess import preprocess\n\n"
        'images = preprocess("one.jpg")[None]  '
        f"# float32[1, {size}, {size}, {channels}]\n{form.use}{logits}"
    )
    return f"## Use\n\nIn this folder:\n\n```python\n{code}```\n"


def _images(record) -> str:
    size, crop = record["image_size"], record["crop"]
    channels = record["num_channels"]
    kind = {1: "Grey", 3: "RGB"}.get(channels, f"{channels} channels")
    return (
        "## Images\n\n"
        f"{kind}, {size} x {size} pixels, floats in [0, 1]: pixels / 255, with "
        "nothing subtracted (mean 0, standard deviation 1). ImageNet's mean "
        "and deviation would spoil the features. An image is cut to the "
        f"central square of {crop:g} of its shorter side, and resized by "
        "bicubic interpolation. `preprocess.py` does all of it.\n"
    )


def _training(record) -> str:
    known, rows = options(), []
    if record.get("origin"):
        return (
            "## Training\n\nBy google-research/simclr, whose pages say how. "
            f"Read from: {record['origin']}.\n"
        )
    for section in record["config"].values():
        for name, value in section.items():
            if name in known and value != known[name][1].default:
                rows.append((f"`{name}`", f"{show(value)}"))
    table = _table("Training", ("option", "value"), rows)
    return (
        f"{table}\nOptions that differ from simclr_tf's defaults, which are "
        "the paper's.\n"
    )


def _results(results: Sequence[Result]) -> str:
    if not results:
        return "## Results\n\nThe run has none recorded for these weights.\n"
    rows = [
        (
            one.what,
            one.on,
            one.metric,
            f"{one.estimate.value:.1%} "
            f"[{one.estimate.low:.1%}, {one.estimate.high:.1%}]",
        )
        for one in results
    ]
    heads = ("what was scored", "on", "metric", "value, 95 % interval")
    return _table("Results", heads, rows)


def _check(check) -> str:
    if not check["made"]:
        return (
            "## Check\n\nThe files were not read again: "
            f"{check['reason']} where they were written.\n"
        )
    versions = ", ".join(f"{k} {v}" for k, v in check["with"].items())
    rows = [
        (f"`{file}`", output, f"{error:.1e}")
        for file, errors in check["errors"].items()
        for output, error in errors.items()
    ]
    heads = ("file", "output", "largest error / largest value")
    return (
        _table("Check", heads, rows)
        + f"\nAgainst the model that was trained, in float32, on "
        f"{check['images']}; read by {versions}.\n"
    )


def _licence(record) -> str:
    if record["licence"]:
        said = f"The weights are given away under {record['licence']}."
    else:
        said = (
            "None is stated: whoever gives the weights away says under which "
            "(`--licence`, or the head of this card)."
        )
    return (
        f"## Licence\n\n{said} `preprocess.py` and `model.py`, where it is, "
        "are of simclr_tf, under Apache-2.0.\n"
    )


def _table(title, heads, rows) -> str:
    lines = [f"## {title}", "", "| " + " | ".join(heads) + " |"]
    lines.append("|" + "---|" * len(heads))
    lines += ["| " + " | ".join(map(_cell, row)) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def _cell(value: str) -> str:
    """Names may come from strangers: a cell stays a cell."""
    return " ".join(str(value).split()).replace("|", "\\|")
