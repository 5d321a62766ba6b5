"""What --checkpoint decides and suggests where the user says nothing."""

from collections.abc import Mapping
from typing import Any

from simclr_tf.config import roles
from simclr_tf.config.job_kinds import Job
from simclr_tf.config.option import Role
from simclr_tf.errors import UserError
from simclr_tf.models.resnet import SMALL_IMAGE_SIZE
from simclr_tf.official import options, reading
from simclr_tf.run_files import weights_location
from simclr_tf.run_files.weights_location import Location


def of_checkpoint(given: Mapping[str, Any]) -> dict[str, Any]:
    """What `--checkpoint` decides where the user says nothing.

    Args:
        given: the options that the user set, `checkpoint` among them.

    Returns:
        Option name -> value; without the options given.

    Raises:
        UserError: the checkpoint is not one of ours, or a flag contradicts
            its architecture.
    """
    path = given["checkpoint"]
    found = weights_location.locate(path)
    flat = _said_of(found, given)
    _say_whose_labels(path, flat, given)
    if given.get("train_mode") == "distill" and roles.asks_for(
        given, Job.DISTILL
    ):
        return _of_teacher(found, flat, given)
    free = set()
    if roles.asks_for(given, Job.PRETRAIN):
        # Where the projection head doesn't fit, pretraining has a new one.
        free = set(roles.names_of(Role.HEAD))
        if flat["proj_head_mode"] == "none":
            flat = {n: v for n, v in flat.items() if n not in free}
    for name in roles.decided_by_checkpoint():
        if (
            name in flat.keys() - free
            and given.get(name, flat[name]) != flat[name]
        ):
            raise UserError(
                f"--{name}={given[name]} contradicts --checkpoint={path}, "
                f"whose encoder has {name}={flat[name]}. Leave the flag out, "
                "or name another checkpoint."
            )
    _require_stem(path, given, flat)
    names = [
        *roles.decided_by_checkpoint(),
        *roles.suggested_by_checkpoint(given, flat),
    ]
    return _not_given(names, flat, given, found)


def _of_teacher(
    found: Location, flat: Mapping[str, Any], given: Mapping[str, Any]
) -> dict[str, Any]:
    """What a teacher suggests to its student: its own encoder, without g, and
    its images. Both look at the same ones.

    Raises:
        UserError: a flag asks for images that the teacher doesn't take.
    """
    path = given["checkpoint"]
    fixed = ["num_channels"]
    if not found.official:  # whose size is assumed
        fixed.append("image_size")
    for name in fixed:
        if given.get(name, flat[name]) != flat[name]:
            raise UserError(
                f"--{name}={given[name]} is not what --checkpoint={path}, the "
                f"teacher, was trained on: {name}={flat[name]}. Student and "
                "teacher look at the same images. Leave it out."
            )
    _require_stem(path, given, flat)
    names = [
        *roles.names_of(Role.ARCHITECTURE, but=Role.HEAD),
        *roles.suggested_by_checkpoint(given, flat),
    ]
    flat = {n: v for n, v in flat.items() if n != "ft_proj_selector"}  # no g
    return _not_given(names, flat, given, found)


def _not_given(
    names: list[str],
    flat: Mapping[str, Any],
    given: Mapping[str, Any],
    found: Location,
) -> dict[str, Any]:
    """The values of these options, where they are known and nobody says."""
    if found.saved_model:
        # An export comes from elsewhere: its paths are not of this machine.
        names = [n for n in names if not roles.role_of(n) & Role.LOCATION]
    return {n: flat[n] for n in names if n in flat and n not in given}


def _say_whose_labels(
    path: str, flat: Mapping[str, Any], given: Mapping[str, Any]
) -> None:
    """Says that a file of labels is not taken over; of another data set,
    nobody expects it."""
    taken = {*given, *roles.suggested_by_checkpoint(given, flat)}
    if flat.get("labels") and "labels" not in taken and "dataset" not in given:
        print(
            f"--labels={flat['labels']} of --checkpoint={path} is left out, as "
            f"it is of --data_dir={flat['data_dir']}. --labels names another.",
            flush=True,
        )


def _require_stem(
    path: str, given: Mapping[str, Any], flat: Mapping[str, Any]
) -> None:
    size = given.get("image_size", flat["image_size"])
    if (size <= SMALL_IMAGE_SIZE) != (flat["image_size"] <= SMALL_IMAGE_SIZE):
        raise UserError(
            f"--image_size={size} does not fit --checkpoint={path}, trained "
            f"at {flat['image_size']} px: the ResNet's stem is another one up "
            f"to {SMALL_IMAGE_SIZE} px. Stay on its side of that."
        )


def _said_of(found: Location, given: Mapping[str, Any]) -> dict[str, Any]:
    """Option -> value, for what is known of weights."""
    if found.official:
        averages = bool(given.get("ema_weights"))
        contents = reading.contents(found.official, averages=averages)
        if roles.asks_for(given, Job.OWN_HEAD):
            given = {**given, "restore_linear_head": True}
        return options.of(contents, given)
    _require_no_averages(found, given)
    saved = weights_location.saved_with(found)
    return roles.flat(weights_location.config_of(found, saved))


def _require_no_averages(found: Location, given: Mapping[str, Any]) -> None:
    if given.get("ema_weights"):
        raise UserError(
            f"--ema_weights: --checkpoint={given['checkpoint']} is of a run of "
            f"ours, in {found.folder}, which keeps no moving averages of its "
            "weights. Leave it out."
        )
