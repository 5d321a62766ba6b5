"""The data set of a transfer job: of the paper's twelve, or by their rules."""

from simclr_tf.config import Config, resolve
from simclr_tf.config.data_options import DataConfig
from simclr_tf.data import sources
from simclr_tf.errors import UserError
from simclr_tf.evaluation import transfer
from simclr_tf.evaluation.transfer import TransferSet


def find(config: Config) -> TransferSet:
    """The data set of --dataset: of the paper's twelve, or by their rules.

    Raises:
        UserError: other labels of one of the twelve are asked for, or a
            split is missing.
    """
    data = config.data
    found = transfer.transfer_set(data.dataset)
    if found is not None:
        _require_its_features(data, found)
        return found
    return transfer.other_set(
        data.dataset,
        sources.split_names(
            dataset=data.dataset,
            data_dir=data.data_dir,
            split_folders=data.split_folders,
        ),
        image_key=data.image_key,
        label_key=data.label_key,
        several_labels=data.several_labels,
    )


def _require_its_features(data: DataConfig, found: TransferSet) -> None:
    """What the paper read is read, and nothing else that somebody asks for."""
    if found.dataset == "folder":
        return
    for name in ("image_key", "label_key", "several_labels"):
        asked, its = getattr(data, name), getattr(found, name)
        if asked and asked != its:
            raise UserError(
                f"--{name}={asked} is nothing that transfer to {found.title} "
                f"reads, which is --{name}={its}, as in the paper. Give that, "
                "or choose --protocol=logistic."
            )


def on_parts(
    config: Config, chosen: TransferSet, train: str, test: str
) -> Config:
    """`config` reading two parts of a transfer set.

    Args:
        config: of the job.
        chosen: the set.
        train, test: "train", "validation", "train_and_validation" or "test".
    """
    options = chosen.source(train, data_dir=config.data.data_dir)
    options["train_split"] = options.pop("split")
    options["eval_split"] = getattr(chosen, test)
    return resolve.overlay(config, options)
