"""SimCLR on whatever hardware is there: `python run.py --help`."""

import dataclasses
import functools
import os
import signal
import sys
import time
import traceback

import simclr_tf  # noqa: F401  before TensorFlow: see its __init__
from simclr_tf import errors
from simclr_tf.errors import UserError

_STARTED = time.monotonic()

# For a reader's terminal: without a GPU, TensorFlow logs as an error that there
# is none. What goes wrong in a run arrives as a Python exception.
_HAS_GPU = os.path.exists("/dev/nvidiactl")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2" if _HAS_GPU else "3")

_USAGE_ERROR, _HALTED, _NO_FIT = 2, 3, 4

_LOST_WORKER = (
    "another worker has gone, so this one stops ({}). What was saved stays; "
    "the same command on every host continues from there."
)


def main(argv: list[str]) -> int:
    """Runs a job; returns the exit status."""
    from flags import definitions
    from simclr_tf.config import resolve

    try:
        parsed = definitions.parse(argv)
        if parsed.wants_help:
            print(definitions.help_text())
            return 0
        resolved = resolve.resolve(
            parsed.given,
            defaults=parsed.defaults,
            inherited=_inherited(parsed.given),
        )
        if resolved.config.job.mode == "preflight":
            return _preflight(resolved)
        work = _prepare(resolved, parsed)
    except Exception as error:
        if _worker_is_lost(error):
            return _halted(_LOST_WORKER.format(_first_line(error)))
        if not isinstance(error, ValueError):
            raise
        if os.environ.get("SIMCLR_TF_TRACEBACK"):
            raise
        print("error:", " ".join(str(error).split()), file=sys.stderr)
        return _USAGE_ERROR
    except KeyboardInterrupt:
        return _interrupted()

    try:
        work()
    except errors.Stopped as stopped:
        print(
            f"Stopped by {signal.Signals(stopped.signal_number).name} after "
            f"step {stopped.step}, which is saved. The same command continues "
            "from there."
        )
        return 128 + stopped.signal_number
    except errors.Halted as halted:
        return _halted(str(halted))
    except KeyboardInterrupt:
        return _interrupted()
    except Exception as error:
        if not _worker_is_lost(error):
            raise
        return _halted(_LOST_WORKER.format(_first_line(error)))
    return 0


def _halted(message: str) -> int:
    print(f"error: {message}", file=sys.stderr)
    return _HALTED


def _worker_is_lost(error: Exception) -> bool:
    """Whether a collective failed, in a run of several processes."""
    if not os.environ.get("TF_CONFIG"):
        return False
    import tensorflow as tf

    return isinstance(
        error,
        tf.errors.UnavailableError
        | tf.errors.AbortedError
        | tf.errors.CancelledError
        | tf.errors.DeadlineExceededError
        | tf.errors.FailedPreconditionError
        | tf.errors.InternalError,
    )


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]


def _interrupted() -> int:
    print("\nInterrupted; what was saved stays.", file=sys.stderr)
    return 128 + signal.SIGINT


def _inherited(given):
    """What a checkpoint that is built upon decides."""
    follows = given.get("mode") == "eval"  # its folder says everything
    if follows or not given.get("checkpoint"):
        return {}
    from simclr_tf.run_files import loading

    return loading.inheritance(given)


def _preflight(resolved) -> int:
    """A TPU job without a TPU; 0 if it would run, else _NO_FIT."""
    print(resolved.table(), flush=True)
    from tpu import chips, compiler

    config, options = resolved.config, resolved.config.preflight
    topology = chips.parse_topology(options.topology)
    checks = compiler.version_findings()

    from simclr_tf.build import core_step
    from tpu import preflight, preflight_report

    facts = core_step.data_facts(config)
    checks += core_step.findings(config, facts, num_hosts=topology.num_hosts)
    job = core_step.PlannedJob(
        config, facts=facts, num_replicas=topology.num_cores
    )
    print(job.plan.describe(), flush=True)
    verdict = preflight.run(
        job.step,
        topology,
        per_core_batch_size=job.plan.global_batch_size // topology.num_cores,
        find_batch=options.find_batch,
        at_most=facts.num_examples // topology.num_cores,
        say=functools.partial(print, flush=True),
    )
    report = preflight_report.as_json(
        verdict,
        preflight_report.Job(job.views_per_example, job.plan.train_steps),
        [preflight_report.Finding(*check) for check in checks],
    )
    print(preflight_report.as_table(report))
    if options.json:
        from simclr_tf import files

        files.write_json(options.json, report)
    return 0 if report["fits"] else _NO_FIT


def _prepare(resolved, parsed):
    """Everything that can be wrong is found here, before any work.

    Returns:
        The work, to be called.
    """
    for name in parsed.ignored:
        print(f"--{name} belongs to the TF1 code: known, and without effect.")
    job = resolved.config.job
    if job.train_mode == "pretrain":
        for name in ("zero_init_logits_layer", "fine_tune_after_block"):
            if name in parsed.given:
                print(
                    f"--{name} is for finetune: without effect in pretraining."
                )
    if job.mode != "eval":
        print(resolved.table())
        if departures := resolved.departures():
            print(
                "The paper's value, where the official code has another "
                "(--defaults=official): " + ", ".join(departures)
            )
    sys.stdout.flush()

    if resolved.config.optim.micro_batch_size:
        # On a CPU, TensorFlow's allocator keeps what it was ever given, and
        # large batches leave it in pieces: twice the memory that is in use.
        os.environ.setdefault("TF_ONEDNN_USE_SYSTEM_ALLOCATOR", "1")
    # TensorFlow takes seconds to import; what is wrong with the flags has been
    # said by now.
    from simclr_tf.run_files import folder

    if job.mode == "eval":
        config = folder.inherit(resolved.config, parsed.given)
        return _prepare_follow(config, resolved)
    if job.mode == "embed":
        from simclr_tf.jobs.embed import Embedding

        return _prepare_job(Embedding, resolved.config)
    if job.mode == "benchmark_input":
        from simclr_tf.jobs.benchmark_input import InputBenchmark

        return _prepare_job(InputBenchmark, resolved.config)
    if job.mode == "evaluate":
        return _prepare_evaluation(resolved, parsed)
    return _prepare_training(resolved, parsed)


def _placement(config):
    import tensorflow as tf

    from tpu.strategy import make_placement

    device, mode = config.device, config.job.mode
    if device.strategy == "multi_worker" and not mode.startswith("train"):
        raise UserError(
            f"--mode={mode} runs on one host. Leave --strategy=multi_worker "
            "out."
        )
    placement = make_placement(
        strategy=device.strategy,
        use_tpu=device.use_tpu,
        tpu_name=device.tpu_name,
        tpu_zone=device.tpu_zone,
        gcp_project=device.gcp_project,
        master=device.master,
        virtual_devices=device.virtual_devices,
        worker_timeout_seconds=device.worker_timeout_seconds,
    )
    if device.deterministic:
        tf.config.experimental.enable_op_determinism()
    print(placement.describe(global_batch_size=config.optim.train_batch_size))
    return placement


def _place(config):
    placement = _placement(config)
    return {
        "strategy": placement.strategy,
        "device_type": placement.device_type,
    }


def _experiment(config, resolved):
    from simclr_tf.jobs.training import Experiment
    from simclr_tf.train.hosts import Hosts

    placement = _placement(config)
    experiment = Experiment(
        config,
        origins=resolved.origins,
        strategy=placement.strategy,
        device_type=placement.device_type,
        hosts=Hosts(
            placement.strategy, count=placement.num_hosts, index=placement.host
        ),
        started=_STARTED,
    )
    print(experiment.describe(), flush=True)
    return experiment


def _prepare_training(resolved, parsed):
    experiment = _experiment(resolved.config, resolved)
    experiment.claim_folder(parsed.given)
    experiment.build()
    experiment.restore()
    return functools.partial(_train, experiment)


def _prepare_follow(config, resolved):
    experiment = _experiment(config, resolved)
    experiment.build()
    return experiment.follow


def _prepare_job(kind, config):
    job = kind(config, **_place(config))
    print(job.describe(), flush=True)
    return job.run


def _prepare_evaluation(resolved, parsed):
    from simclr_tf.jobs import evaluate

    config = resolved.config
    if config.eval.protocol == "probe":
        config = evaluate.as_training(config)
        return _prepare_training(
            dataclasses.replace(resolved, config=config), parsed
        )
    if config.eval.protocol == "transfer_finetune":
        return _prepare_sweep(config, resolved, parsed)
    return _prepare_job(evaluate.Evaluation, config)


def _prepare_sweep(config, resolved, parsed):
    from simclr_tf.jobs.training import Experiment
    from simclr_tf.jobs.transfer_finetune import Sweep

    placement = _place(config)

    def run_one(point):
        # The sweep names its splits, so they must be there.
        origins = {**resolved.origins, "eval_split": "flag"}
        experiment = Experiment(point, origins=origins, **placement)
        print(experiment.describe(), flush=True)
        experiment.claim_folder(parsed.given)
        experiment.build()
        experiment.restore()
        _train(experiment)

    job = Sweep(config, parsed.given, run_one)
    print(job.describe(), flush=True)
    return job.run


def _train(experiment) -> None:
    from simclr_tf.evaluation import scoring
    from simclr_tf.jobs import results
    from simclr_tf.train import stopping

    with stopping.StopRequest() as stop:
        experiment.train(stop)
    experiment.export()
    if experiment.config.job.mode != "train":
        result = results.known(experiment)
        if result is None:
            result = experiment.evaluate()
        else:
            print("It was evaluated, too; this is what was written then.")
        print(scoring.report(result))
    experiment.hosts.barrier()  # what the chief writes is written


def _exit(status: int) -> None:
    """Leaves; a worker, without TensorFlow's clean-up, which waits for others
    that may be gone, and is deaf to SIGTERM meanwhile."""
    sys.stdout.flush()
    sys.stderr.flush()
    if os.environ.get("TF_CONFIG"):
        os._exit(status)
    sys.exit(status)


if __name__ == "__main__":
    try:
        status = main(sys.argv)
    except Exception:
        traceback.print_exc()
        status = 1
    _exit(status)
