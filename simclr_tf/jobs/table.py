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
    """A job of the table; what it reads and writes is at the head of its file.

    Attributes:
        module: of `simclr_tf.jobs`, whose `make(request, accepts)` makes it.
        accepts: what goes together with it.
        saves_weights: whether its folder, or that of a run which it is about,
            holds checkpoints or a SavedModel.
    """

    module: str
    accepts: Accepts = dataclasses.field(default_factory=Accepts)
    saves_weights: bool = True


_LABELLED = ("one", "several")
_ANY = ("checkpoint", "random", "pixels")
_BUILT = ("checkpoint", "random")

JOBS = {
    Kind.PRETRAIN: Entry("training"),
    Kind.FINETUNE: Entry("training", Accepts(labels=_LABELLED)),
    Kind.SUPERVISED: Entry("training", Accepts(labels=_LABELLED)),
    Kind.DISTILL: Entry("training", Accepts(labels=("one", "none"))),
    Kind.FOLLOW: Entry("follow"),
    Kind.PROBE: Entry(
        "protocols.probe", Accepts(encoders=_BUILT, labels=_LABELLED)
    ),
    Kind.LOGISTIC: Entry(
        "protocols.evaluate",
        Accepts(encoders=_ANY, labels=_LABELLED),
        saves_weights=False,
    ),
    Kind.KNN: Entry(
        "protocols.evaluate",
        Accepts(encoders=_ANY, labels=("one",)),
        saves_weights=False,
    ),
    Kind.TRANSFER_LINEAR: Entry(
        "protocols.evaluate",
        Accepts(encoders=_ANY, labels=_LABELLED),
        saves_weights=False,
    ),
    Kind.TRANSFER_FINETUNE: Entry(
        "protocols.transfer_finetune",
        Accepts(encoders=_BUILT, labels=_LABELLED),
    ),
    Kind.KNOWLEDGE: Entry(
        "protocols.knowledge", Accepts(encoders=_ANY), saves_weights=False
    ),
    Kind.OWN_HEAD: Entry(
        "protocols.own_head", Accepts(labels=_LABELLED), saves_weights=False
    ),
    Kind.EMBED: Entry("embed", Accepts(encoders=_ANY), saves_weights=False),
    Kind.EXPORT: Entry("export"),
    Kind.IMPORT: Entry("importing"),
    Kind.PREFLIGHT: Entry("preflight.job"),
    Kind.BENCHMARK_INPUT: Entry("benchmark_input", saves_weights=False),
    Kind.STUDY: Entry("study.job"),
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
    if JOBS[kind].saves_weights:
        places.require_no_pattern("model_dir", config.job.model_dir or "")
    for name, place in roles.values_of(config, Role.LOCATION).items():
        if place and kind is Kind.PREFLIGHT and name != "json":
            places.require_known(name, place)
        elif place:
            places.require_reachable(name, place)
