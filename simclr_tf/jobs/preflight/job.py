"""--mode=preflight: a TPU job without a TPU.

Reads    nothing but options; the data where it is here
Writes   the file of --json
Ends     with 0 if the job would run, with 4 if it would not, or would compute
         something else than one device
"""

import dataclasses
import functools
import os
from collections.abc import Mapping
from typing import Any

from simclr_tf import files
from simclr_tf.build import splits
from simclr_tf.build.core_step import CoreStep
from simclr_tf.config import Config
from simclr_tf.config.job_kinds import TRAIN_MODES
from simclr_tf.data import digits
from simclr_tf.data.sources import Source
from simclr_tf.errors import NotHere, UserError
from simclr_tf.jobs import table
from simclr_tf.jobs.preflight import other_steps, rehearsing
from simclr_tf.jobs.requests import Accepts, Request
from simclr_tf.run_files import places
from simclr_tf.run_files.room import require_writable

_NO_FIT = 4

# Of split "train": num_examples and num_classes, for a machine without them.
_KNOWN = {
    "imagenet2012": (1_281_167, 1000),
    "imagenet2012_subset/10pct": (128_116, 1000),
    "imagenet2012_subset/1pct": (12_811, 1000),
    "cifar10": (50_000, 10),
    "cifar100": (50_000, 100),
    "fashion_mnist": (60_000, 10),
    "mnist": (60_000, 10),
}


def make(request: Request, accepts: Accepts) -> "Preflight":
    """The job of a command."""
    del accepts  # nothing is read but sizes
    return Preflight(request)


class Preflight:
    """The steps of a training run, for the TPU's compiler.

    Args:
        request: the command; `compile_step` (see `tpu.preflight.check`) does
            the compiling.

    Raises:
        UserError: something the user can mend.
    """

    def __init__(self, request: Request):
        self._config = config = request.config
        self._compiling = request.compile_step(
            topology=config.preflight.topology,
            find_batch=config.preflight.find_batch,
        )
        self._origins = request.resolved.origins
        self._facts = data_facts(config, self._origins)
        if config.preflight.json:
            _require_file(config.preflight.json)
        self._core = CoreStep(
            config,
            num_examples=self._facts.num_examples,
            num_classes=self._facts.num_classes,
            num_replicas=self._compiling.num_cores,
            origins=self._origins,
        )

    def describe(self) -> str:
        """What the job would do."""
        return self._core.plan.describe()

    def run(self) -> int:
        """Compiles, rehearses, prints the verdict, and writes --json."""
        core, config = self._core, self._config
        report, table = self._compiling.run(
            core.step,
            others=other_steps.of_job(
                config,
                core,
                num_replicas=self._compiling.num_cores,
                is_scored=self._is_scored(),
            ),
            global_batch_size=core.plan.global_batch_size,
            num_examples=self._facts.num_examples,
            views_per_example=core.views_per_example,
            train_steps=core.plan.train_steps,
            findings=findings(
                config, self._facts, num_hosts=self._compiling.num_hosts
            ),
            measured_input=measured_input(
                config, color_on_host=core.color_on_host
            ),
            rehearse=functools.partial(
                rehearsing.rehearse,
                config,
                core,
                num_examples=self._facts.num_examples,
                num_classes=self._facts.num_classes,
                num_replicas=self._compiling.num_cores,
                origins=self._origins,
            ),
        )
        print(table)
        if config.preflight.json:
            files.write_json(config.preflight.json, report)
        rehearsed = report["rehearsal"]
        # Where nobody asked for it, that it could not be run is no verdict.
        same = not rehearsed or (
            rehearsed["same"]
            or (rehearsed["same"] is None and not config.preflight.rehearse)
        )
        return 0 if report["fits"] and same else _NO_FIT

    def _is_scored(self) -> bool:
        """Whether a run would find labels to score its weights by."""
        facts, lesson = self._facts, self._core.lesson
        if facts.missing:
            return facts.num_classes is not None
        evaluation = facts.evaluation
        if evaluation is None or lesson is None:
            return evaluation is not None
        return lesson.classes.are_of(evaluation)


def _require_file(path: str) -> None:
    """Compiling takes minutes; what cannot be written is refused before."""
    if files.gfile.isdir(path):
        raise UserError(
            f"--json={path} is a folder. Name a file, such as "
            f"{os.path.join(path, 'preflight.json')}."
        )
    require_writable(os.path.dirname(path) or ".", flag="json")


@dataclasses.dataclass(frozen=True)
class DataFacts:
    """What a run's steps and its schedule depend on.

    Attributes:
        num_examples: of the training split.
        num_classes: K, or None without labels.
        missing: why the data itself could not be opened; None where it was.
        evaluation: the labelled split that is scored on, if there is one
            here.
    """

    num_examples: int
    num_classes: int | None
    missing: str | None = None
    evaluation: Source | None = None


def data_facts(
    config: Config, origins: Mapping[str, str] | None = None
) -> DataFacts:
    """From the data set where it is here; else from flags, or what is known.

    Args:
        config: of the job.
        origins: where the options came from.

    Raises:
        UserError: the data isn't here, and nothing says how large it is; or
            it is, and a run would refuse it: for want of a split, of a
            feature, or of labels that it trains on or is scored by.
    """
    told = config.preflight
    try:
        places.require_reachable("data_dir", config.data.data_dir or "")
        source, _ = splits.open_training(config)
    except NotHere as error:
        known: tuple[Any, Any] = (None, None)
        if config.data.train_split == "train":
            known = _KNOWN.get(config.data.dataset.split(":")[0], known)
        num_examples = told.num_examples or known[0]
        if not num_examples:
            raise UserError(
                f"{error} For a preflight without the data, say how many "
                "examples it has: --num_examples, and --num_classes where it "
                "has labels."
            ) from error
        num_classes = told.num_classes or known[1]
        job = table.JOBS[TRAIN_MODES[config.job.train_mode]]
        if not num_classes and "none" not in job.accepts.labels:
            raise UserError(
                f"{error} For a preflight of --train_mode="
                f"{config.job.train_mode} without the data, say how many "
                "classes it has: --num_classes."
            ) from error
        return DataFacts(
            num_examples, num_classes, " ".join(f"{error}".split())
        )
    evaluation = splits.open_evaluation(
        config, required=(origins or {}).get("eval_split") == "flag"
    )
    if config.job.train_mode == "pretrain":
        splits.check_scores(config, source, evaluation, origins=origins or {})
    return DataFacts(
        source.num_examples, source.num_classes, evaluation=evaluation
    )


def findings(
    config: Config, facts: DataFacts, *, num_hosts: int
) -> list[tuple[str, str]]:
    """What can be said of data and paths: ("ok" or "warning", text).

    Args:
        config: of the job.
        facts: of its data.
        num_hosts: machines that will run it.
    """
    size = f"{facts.num_examples} images, {facts.num_classes or 'no'} classes"
    if facts.missing:
        found = [
            (
                "warning",
                f"data: not on this machine ({facts.missing}) Assumed: {size}",
            )
        ]
    else:
        found = [("ok", f"data: {config.data.dataset}, {size}")]
    paths = {"data_dir": config.data.data_dir, "model_dir": config.model_dir}
    if config.data.dataset in digits.BUILDERS:
        del paths["data_dir"]
    for flag, path in paths.items():
        level, note = _path_finding(flag, path, num_hosts)
        found.append((level, f"--{flag}={path or ''}: {note}"))
    return found


def measured_input(
    config: Config, *, color_on_host: bool
) -> tuple[float, int] | None:
    """What --mode=benchmark_input found of the same images.

    Args:
        config: of the job, whose --model_dir has benchmark_input.json.
        color_on_host: whether the host does the colours.

    Returns:
        Images/s, and the cores that made them; None where it was not asked,
        or something else.
    """
    path = os.path.join(config.model_dir, "benchmark_input.json")
    if "://" in path or not os.path.exists(path):
        return None
    found = files.read_json(path)
    own, other = config.to_dict(), found["config"]
    of_images = {"data": ("dataset", "image_size"), "job": ("train_mode",)}
    if any(
        own[section][name] != other[section][name]
        for section, names in of_images.items()
        for name in names
    ):
        return None
    if color_on_host > found["color_on_host"]:
        return None
    stages = [
        stage["images_per_second"]
        for stage in found["stages"]
        if color_on_host or stage["name"] not in ("colour", "blur")
    ]
    return stages[-1], found["cores"]


def _path_finding(flag: str, path: str | None, num_hosts: int):
    if path and path.startswith("gs://"):
        return "ok", "every host reaches it; not looked at from here"
    if num_hosts > 1:
        return (
            "warning",
            f"the {num_hosts} hosts of this slice each have a disk of their "
            "own; use a gs:// path",
        )
    if flag == "model_dir":
        return "ok", "on the host's disk, which goes with the TPU VM"
    return "ok", "must be on the host's disk"
