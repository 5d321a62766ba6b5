"""result.json: how a run's weights score, in the official keys and ours."""

import tempfile
from typing import Any

import tensorflow as tf

import simclr_tf
from simclr_tf import hashing
from simclr_tf.config import resolve
from simclr_tf.evaluation import features, scoring
from simclr_tf.jobs import recording
from simclr_tf.jobs.evaluator import Evaluator
from simclr_tf.optim import selection
from simclr_tf.reports.reporting import write_scalars
from simclr_tf.run_files import start_weights

_OFFICIAL_NAMES = {
    "top_1": "label_top_1_accuracy",
    "top_5": "label_top_5_accuracy",
}


def evaluate(run) -> dict[str, Any]:
    """Scores the weights in hand; writes and returns the result.

    Args:
        run: the `Experiment`.
    """
    config = run.config
    result: dict[str, Any] = {"global_step": run.step}
    if run.eval_source is None:
        print("Nothing to evaluate on: no labelled evaluation split.")
    elif not run.pretrains:
        result |= _classifier_result(run)
    else:
        if run.model.linear_head is not None:
            result |= _probe_result(run)
        if config.eval.linear_eval_labels:
            result |= _few_label_results(run)
    scalars = {k: v for k, v in result.items() if isinstance(v, float)}
    result |= {
        "label_subset": run.label_subset and run.label_subset.to_record(),
        "linear_eval_draws": config.eval.linear_eval_draws,
        "num_unreadable_images": len(run.unreadable()),
        "dataset": run.train_source.name,
        "train_split": run.train_source.split,
        "eval_split": getattr(run.eval_source, "split", None),
        "fingerprint": run.train_source.fingerprint,
        "eval_fingerprint": getattr(run.eval_source, "fingerprint", None),
        "config": config.to_dict(),
        "simclr_tf": simclr_tf.__version__,
        "tensorflow": tf.__version__,
    }
    if run.hosts.is_chief:
        run.folder.write_result(run.step, result)
        write_scalars(
            run.folder.file(config.eval.eval_name or "eval"), run.step, scalars
        )
    return result


def known(run) -> dict[str, Any] | None:
    """What was written for this step, if it was scored in the same way."""
    result = run.folder.result(run.step)
    same = result is not None and (
        resolve.from_dict(result["config"]).eval == run.config.eval
        and result["eval_split"] == getattr(run.eval_source, "split", None)
    )
    return result if same else None


def _probe_result(run) -> dict[str, Any]:
    evaluator = Evaluator(
        strategy=run.strategy,
        model=run.model,
        dataset=run.examples(run.eval_source),
        weight_decay=run.config.optim.weight_decay,
        decayed=run.decayed,
    )
    steps = run.config.eval.eval_steps or -1
    return evaluator.evaluate(tf.constant(steps, tf.int32))


def _classifier_result(run) -> dict[str, Any]:
    """The official keys, and a record, from one pass over the split."""
    options = run.config.eval
    limit = options.eval_steps * options.eval_batch_size or None
    found = features.extract(
        lambda images: run.model(images, training=False).logits,
        run.examples(run.eval_source, limit),
        strategy=run.strategy,
    )
    found = features.labelled(found)
    with tempfile.TemporaryDirectory() as nowhere:
        # Every host computes it, one keeps it.
        mine = {} if run.hosts.is_chief else {"model_dir": nowhere}
        record = recording.write_of_run(
            resolve.overlay(run.config, mine),
            logits=found,
            splits={"train": run.train_source, "test": run.eval_source},
            label_subset=run.label_subset,
            start=start_weights.read(run),
            encoder_sha256=hashing.variables_sha256(
                run.model.encoder.variables
            ),
            step=run.step,
            num_unreadable=len(run.unreadable()),
        )
    decay = selection.l2_loss(run.decayed, run.config.optim.weight_decay)
    return {
        f"eval/{_OFFICIAL_NAMES.get(name, name)}": estimate.value
        for name, estimate in record.metrics.items()
    } | {
        "eval/regularization_loss": float(decay),
        "eval/num_examples": len(found.labels),
    }


def _few_label_results(run) -> dict[str, float]:
    options = run.config.eval
    with run.strategy.scope():
        untrained = run.build_model()  # the seed gives the same weights
    models = [
        lambda x, model=model: model(x, training=False).features
        for model in (run.model, untrained)
    ]
    pool = scoring.pool_size(options.linear_eval_labels)
    return scoring.few_label_results(
        [*models, features.raw_pixels],
        train=lambda: run.examples(run.train_source, pool),
        test=lambda: run.examples(run.eval_source),
        strategy=run.strategy,
        budgets=options.linear_eval_labels,
        num_classes=run.train_source.num_classes,
        num_draws=options.linear_eval_draws,
        seed=run.config.job.seed,
    )
