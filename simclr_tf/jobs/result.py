"""result.json: how a run's weights score, in the official keys and ours.

Reads    the weights in hand, the evaluation split, for few labels the
         training split
Writes   result_<step>.json and result.json; of a classifier, a record
"""

import os
import tempfile
from typing import Any

import tensorflow as tf

import simclr_tf
from simclr_tf import hashing
from simclr_tf.build import splits
from simclr_tf.config import resolve, roles
from simclr_tf.config.job_kinds import Job
from simclr_tf.errors import UserError
from simclr_tf.evaluation import features, few_labels, records, scoring
from simclr_tf.evaluation.features import Features
from simclr_tf.jobs import few_label_encoders, recording
from simclr_tf.jobs.embedding_pictures import EmbeddingPictures
from simclr_tf.jobs.training_run import TrainingRun
from simclr_tf.optim import selection
from simclr_tf.reports import embedding_map, next_steps, words
from simclr_tf.run_files import metrics_file, start_weights
from simclr_tf.run_files.metrics_log import write_scalars

# What of the data an old result must have been scored on to hold.
_DATA_KEYS = ("eval_split", "eval_limit", "fingerprint", "eval_fingerprint")


def report(run: TrainingRun) -> None:
    """Scores the weights in hand and says what came of it, and what can be
    done with them."""
    print(words.of_result(score(run)), flush=True)
    if not (run.pretrains and run.hosts.is_chief):
        return
    if run.config.data.dataset == "folder" and run.hosts.count == 1:
        _draw(run)
    views = run.folder.file("views.png")
    print(
        next_steps.after_pretraining(
            run.folder.path,
            views=views if tf.io.gfile.exists(views) else None,
            scored=run.eval_source is not None,
            has_labels=run.train_source.has_labels,
            sliceable="[" not in run.train_source.split,
            is_folder=run.config.data.dataset == "folder",
        ),
        flush=True,
    )


def _draw(run: TrainingRun) -> None:
    """One's own pictures, as the encoder sees them: part of a large folder."""
    found = features.extract(
        features.h_of(run.model),
        run.examples("train", embedding_map.MOST_IMAGES),
        strategy=run.strategy,
    )
    EmbeddingPictures(
        run.folder.path,
        config=run.config,
        source=run.train_source,
        found=found,
        strategy=run.strategy,
    ).draw()


def score(run: TrainingRun) -> dict[str, Any]:
    """Scores the weights in hand; writes and returns the result.

    What was written for this step holds where it was scored in the same way;
    and a result that has scores is not replaced by one that has none.
    """
    old = run.folder.result(run.step)
    facts = _facts(run)
    holds = old is not None and _same_question(run, old, facts)
    if holds and _record_is_whole(run):
        print(f"Step {run.step} was scored before; this is that result.")
        if run.hosts.is_chief:
            run.folder.keep_result(old)
        return old
    scores = _scores(run)
    result = {"global_step": run.step, **scores, **_contrast(run), **facts}
    if old is not None and scoring.is_poorer(result, old):
        print(f"Step {run.step} was scored better before; that result stays.")
        return old
    if run.hosts.is_chief:
        run.folder.write_result(run.step, result)
        write_scalars(
            run.folder.file(run.config.eval.eval_name or "eval"),
            run.step,
            {k: v for k, v in scores.items() if isinstance(v, float)},
        )
    return result


def _facts(run: TrainingRun) -> dict[str, Any]:
    """What the scores are of."""
    config = run.config
    return {
        "label_subset": run.label_subset and run.label_subset.to_record(),
        "linear_eval_draws": config.eval.linear_eval_draws,
        "num_unreadable_images": len(run.unreadable.of("train")),
        "dataset": run.train_source.name,
        "train_split": run.train_source.split,
        "eval_split": getattr(run.eval_source, "split", None),
        "eval_limit": _limit(run),
        "fingerprint": run.train_source.fingerprint,
        "eval_fingerprint": getattr(run.eval_source, "fingerprint", None),
        "class_names": list(run.classes.names),
        "overlap": run.overlap,
        "config": config.to_dict(),
        "simclr_tf": simclr_tf.__version__,
        "tensorflow": tf.__version__,
    }


def _contrast(run: TrainingRun) -> dict[str, float]:
    """The contrastive loss and its measures (Paper: Table 5), of the last log
    point up to these weights."""
    path = run.folder.file("metrics.jsonl")
    row = metrics_file.row_at(path, run.step) if run.pretrains else None
    return {
        key: value
        for key, value in (row or {}).items()
        if key.startswith("train/contrast_")
    }


def _limit(run: TrainingRun) -> int | None:
    """How many images the linear head is scored on; None: the whole split."""
    options = run.config.eval
    return options.eval_steps * options.eval_batch_size or None


def _same_question(run: TrainingRun, old, facts) -> bool:
    if any(old.get(key) != facts[key] for key in _DATA_KEYS):
        return False
    before = roles.of_result(resolve.from_dict(old["config"]))
    return before == roles.of_result(run.config)


def _scores(run: TrainingRun) -> dict[str, Any]:
    if run.eval_source is None:
        return {}
    scores = {}
    if run.model.probe_variables:
        scores |= _head_scores(run)
    if run.pretrains and run.budgets:
        scores |= _few_label_scores(run)
    _check_unreadable(run)
    return scores


def _head_scores(run: TrainingRun) -> dict[str, Any]:
    """The linear head: a probe's, or a classifier's."""
    logits = features.labelled(
        features.extract(
            features.logits_of(run.model),
            run.examples("eval", _limit(run)),
            strategy=run.strategy,
        )
    )
    config = run.config
    scored = scoring.score(
        logits.values,
        logits.labels,
        what=scoring.what_is_scored(
            config.job.train_mode, config.model.fine_tune_after_block
        ),
        seed=config.job.seed,
    )
    if not run.pretrains:
        _record(run, logits)
    decay = selection.l2_loss(run.decayed, config.optim.weight_decay)
    return {
        **scoring.to_result(scored),
        "eval/regularization_loss": float(decay),
    }


def _record_path(run: TrainingRun) -> str:
    """Of a classifier: in the run's folder; of an evaluation, beside it."""
    path = run.folder.path
    if roles.job(run.config) not in Job.EVALUATE:
        path = os.path.join(path, "record")
    return path


def _record_is_whole(run: TrainingRun) -> bool:
    """Whether what a classifier's result comes with is there, too."""
    if run.pretrains or run.eval_source is None:
        return True
    try:
        records.read(_record_path(run))
        records.read_predictions(_record_path(run))
    except UserError as error:
        print(f"{error} It is scored anew.", flush=True)
        return False
    return True


def _record(run: TrainingRun, logits: Features):
    path = _record_path(run)
    with tempfile.TemporaryDirectory() as nowhere:
        # Every host computes it, one keeps it.
        return recording.write_of_run(
            path if run.hosts.is_chief else os.path.join(nowhere, "record"),
            config=run.config,
            logits=logits,
            splits={"train": run.train_source, "test": run.eval_source},
            label_subset=run.label_subset,
            start=start_weights.read(run.folder),
            encoder_sha256=hashing.variables_sha256(
                run.model.encoder.variables
            ),
            step=run.step,
            num_unreadable=len(run.unreadable.of("eval")),
            overlap=run.overlap,
        )


def _few_label_scores(run: TrainingRun) -> dict[str, Any]:
    options = run.config.eval
    pool = few_labels.pool_size(
        run.budgets,
        splits.class_counts(run.train_source),
        run.train_source.num_examples,
    )
    return few_labels.results(
        few_label_encoders.of(run, options.linear_eval_of.split(",")),
        train=lambda: run.examples("train", pool),
        test=lambda: run.examples("eval"),
        strategy=run.strategy,
        budgets=run.budgets,
        num_classes=run.train_source.num_classes,
        num_draws=options.linear_eval_draws,
        seed=run.config.job.seed,
    )


def _check_unreadable(run: TrainingRun) -> None:
    """Of the evaluation's images; those of training are checked as it goes.

    Raises:
        UserError: there are more than --max_corrupt_fraction.
    """
    lines = run.unreadable.of("eval")
    run.write_unreadable()
    try:
        run.unreadable.logs["eval"].check(
            run.config.data.max_corrupt_fraction,
            run.eval_source.num_examples,
            lines=lines,
        )
    except UserError as error:
        raise UserError(
            f"{error} (--eval_split={run.eval_source.split}; the run is saved, "
            "and nothing was written of its score.)"
        ) from error
