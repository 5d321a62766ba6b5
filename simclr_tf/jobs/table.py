"""The jobs: what run.py can be asked to do, each in a file of its own.

A job is made by one constructor, which finds everything that can be wrong
before any work. It then describes itself and runs. Exit statuses: 0 done,
1 a fault of this program, 2 something the user can mend, 3 it stopped itself,
4 a preflight says no, 128 + n signal n stopped it, and it has saved what there
was to save.
"""

import dataclasses
import importlib

from simclr_tf.config import roles
from simclr_tf.config.job_kinds import Job as Kind
from simclr_tf.config.option import Role
from simclr_tf.jobs.requests import Accepts, Job, Request
from simclr_tf.run_files import places


@dataclasses.dataclass(frozen=True)
class Entry:
    """A job of the table.

    Attributes:
        module: of `simclr_tf.jobs`, whose `make(request, accepts)` makes it.
        reads, writes: in words.
        accepts: what goes together with it.
    """

    module: str
    reads: str
    writes: str
    accepts: Accepts


_RUN = "a run: config.json, checkpoints, metrics, result, record, SavedModel"
_RECORD = "a record (JSON, and predictions as NPZ), a cache of features"
_LABELLED = ("one", "several")
_ANY = ("checkpoint", "random", "pixels")

JOBS = {
    Kind.PRETRAIN: Entry("training", "images", _RUN, Accepts()),
    Kind.FINETUNE: Entry(
        "training",
        "labelled images, --checkpoint",
        _RUN,
        Accepts(labels=_LABELLED),
    ),
    Kind.SUPERVISED: Entry(
        "training", "labelled images", _RUN, Accepts(labels=_LABELLED)
    ),
    Kind.DISTILL: Entry(
        "training",
        "images, --checkpoint, a teacher",
        _RUN,
        Accepts(labels=("one", "none")),
    ),
    Kind.FOLLOW: Entry(
        "follow", "a run, as it grows", "result.json of the run", Accepts()
    ),
    Kind.PROBE: Entry(
        "protocols.probe",
        "labelled images, --checkpoint",
        f"a record, and {_RUN}",
        Accepts(encoders=("checkpoint", "random"), labels=_LABELLED),
    ),
    Kind.LOGISTIC: Entry(
        "protocols.evaluate",
        "labelled images, --checkpoint",
        _RECORD,
        Accepts(encoders=_ANY, labels=_LABELLED),
    ),
    Kind.KNN: Entry(
        "protocols.evaluate",
        "labelled images, --checkpoint",
        _RECORD,
        Accepts(encoders=_ANY, labels=("one",)),
    ),
    Kind.TRANSFER_LINEAR: Entry(
        "protocols.evaluate",
        "a data set of the paper's twelve, or another, --checkpoint",
        _RECORD,
        Accepts(encoders=_ANY, labels=_LABELLED),
    ),
    Kind.TRANSFER_FINETUNE: Entry(
        "protocols.transfer_finetune",
        "a data set of the paper's twelve, or another, --checkpoint",
        "a record, and a run for each setting",
        Accepts(encoders=("checkpoint", "random"), labels=_LABELLED),
    ),
    Kind.KNOWLEDGE: Entry(
        "protocols.knowledge",
        "images, --checkpoint",
        "a record (JSON, and predictions as NPZ)",
        Accepts(encoders=_ANY),
    ),
    Kind.OWN_HEAD: Entry(
        "protocols.own_head",
        "labelled images, --checkpoint",
        "a record (JSON, and predictions as NPZ)",
        Accepts(labels=_LABELLED),
    ),
    Kind.EMBED: Entry(
        "embed",
        "images, --checkpoint",
        "features.npz, neighbours.png",
        Accepts(encoders=_ANY),
    ),
    Kind.EXPORT: Entry(
        "export",
        "--checkpoint, and what its run recorded",
        "a folder of weights, configuration and a model card",
        Accepts(),
    ),
    Kind.IMPORT: Entry(
        "importing",
        "--checkpoint, as google-research/simclr left it",
        "a run without training: config.json, a checkpoint, import.json",
        Accepts(),
    ),
    Kind.PREFLIGHT: Entry(
        "preflight", "nothing but options", "a report, --json", Accepts()
    ),
    Kind.BENCHMARK_INPUT: Entry(
        "benchmark_input", "images", "benchmark_input.json", Accepts()
    ),
    Kind.STUDY: Entry(
        "study.job",
        "a study, and what its runs read",
        "a run and cell.json for each cell, table.csv, table.md, figure.png, "
        "figure.svg",
        Accepts(),
    ),
}


def make(request: Request) -> Job:
    """The job that a request asks for, checked and complete.

    Raises:
        errors.UserError: something that the user can mend.
    """
    kind = roles.job(request.config)
    entry = JOBS[kind]
    _require_places(request.config, kind)
    entry.accepts.require_encoder(request.config.eval.encoder, job=kind.words)
    # Here, so that a job doesn't pay for the imports of the others.
    module = importlib.import_module(f"simclr_tf.jobs.{entry.module}")
    return module.make(request, entry.accepts)


def _require_places(config, kind: Kind) -> None:
    """Every place that an option names can be got at.

    A preflight is about other machines: what they reach need not be reached
    from here.
    """
    for name, place in roles.values_of(config, Role.LOCATION).items():
        if place and kind is Kind.PREFLIGHT and name != "json":
            places.require_known(name, place)
        elif place:
            places.require_reachable(name, place)
