"""What follows from an option's role and from the jobs that take it."""

import dataclasses

import pytest

from simclr_tf.config import job_kinds, options, resolve, roles, sections
from simclr_tf.config import option as option_module
from simclr_tf.config.job_kinds import Job
from simclr_tf.config.option import Role, option, section
from simclr_tf.errors import UserError

_COMMANDS = [
    *({"mode": "train", "train_mode": t} for t in job_kinds.TRAIN_MODES),
    *({"mode": "evaluate", "protocol": p} for p in job_kinds.PROTOCOLS),
    *({"mode": m} for m, job in job_kinds.MODES.items() if job),
]


def given_for(command):
    """A command with what it cannot do without."""
    on_weights = ("evaluate", "embed", "export", "import")
    builds = command["mode"] in on_weights or (
        command.get("train_mode") in ("finetune", "distill")
    )
    return {**command, **({"checkpoint": "RUN"} if builds else {})}


def sample(field):
    """A value that is allowed and not the default."""
    rule, default = field.metadata, field.default
    if rule["choices"]:
        return next(c for c in rule["choices"] if c != default)
    if isinstance(default, bool) or "bool" in str(field.type):
        return not default
    if default is None and "float" in str(field.type):
        return 0.5
    if default is None or isinstance(default, str):
        return "other"
    if isinstance(default, tuple):
        return (1, 2)
    for value in (default + 1, default / 2, rule["above"], default + 0.1):
        try:
            option_module.check_value(field, value)
        except (UserError, TypeError):
            continue
        if value != default:
            return type(default)(value)
    raise AssertionError(field.name)


def test_every_option_says_what_it_is_and_who_takes_it():
    for name, (_, field) in options().items():
        assert field.metadata["role"], name
        assert field.metadata["jobs"], name


@pytest.mark.parametrize("command", _COMMANDS, ids=str)
def test_an_option_is_taken_or_refused_by_name(command):
    """Every option, typed, with every job."""
    given = given_for(command)
    taken = job_kinds.takes(
        mode=given["mode"],
        train_mode=given.get("train_mode", "pretrain"),
        protocol=given.get("protocol", "logistic"),
    )
    for name, (_, field) in options().items():
        if name in given or name in ("mode", "train_mode", "protocol"):
            continue
        value = sample(field)
        mine = bool(field.metadata["jobs"] & taken)
        if mine or field.metadata["tolerated"] & taken:
            sorted_out = roles.take({**given, name: value}, from_files=())
            assert (name in sorted_out.given) is mine
            continue
        with pytest.raises(UserError, match=f"^--{name}="):
            roles.take({**given, name: value}, from_files=())
        passed = roles.take({**given, name: value}, from_files={name})
        assert passed.passed_over == (name,)
        assert name not in passed.given


def test_jobs_are_named_by_the_flags_that_ask_for_them():
    for command in _COMMANDS:
        job = job_kinds.job_of(
            mode=command["mode"],
            train_mode=command.get("train_mode", "pretrain"),
            protocol=command.get("protocol", "logistic"),
        )
        for name, value in command.items():
            if value != "train":
                assert f"--{name}={value}" in job.words


@pytest.mark.parametrize(
    ("name", "fixed"),
    [
        ("resnet_depth", True),
        ("train_split", True),
        ("learning_rate", True),
        ("temperature", True),
        ("dataset", True),
        ("checkpoint", True),
        ("max_image_pixels", True),
        ("cache_dataset", True),
        ("data_dir", False),
        # What a table says is in the data's fingerprint; it may move with
        # the images.
        ("labels", False),
        ("strategy", False),
        ("log_steps", False),
        ("eval_split", False),
        ("eval_crop", False),
        ("mode", False),
    ],
)
def test_what_a_resumed_run_may_change(name, fixed):
    assert roles.is_fixed(name) is fixed


@pytest.mark.parametrize("spelling", ["RUN/", "./RUN", "other/../RUN"])
def test_one_place_has_many_spellings(spelling):
    old, new = (
        resolve.resolve({"train_mode": "finetune", "checkpoint": path}).config
        for path in ("RUN", spelling)
    )
    assert roles.fixed_differences(old, new) == []


def test_a_checkpoint_decides_the_architecture_and_suggests_the_data():
    assert "resnet_depth" in roles.decided_by_checkpoint()
    assert "temperature" not in roles.decided_by_checkpoint()
    suggested = roles.suggested_by_checkpoint({}, {})
    assert {"dataset", "data_dir", "label_key", "image_size"} <= set(suggested)
    assert "train_split" not in suggested
    elsewhere = roles.suggested_by_checkpoint({"dataset": "cifar10"}, {})
    assert "image_size" in elsewhere
    assert not {"dataset", "data_dir", "label_key"} & set(elsewhere)


@pytest.mark.parametrize(
    ("place", "are_suggested"),
    [
        (None, True),
        ("A/", True),
        ("A,./B", True),
        ("B", False),
        ("A,B,C", False),
    ],
)
def test_a_file_of_labels_is_of_the_pictures_of_its_place(place, are_suggested):
    theirs = {"data_dir": "A,B" if "," in f"{place}" else "A", "labels": "L"}
    given = {"data_dir": place} if place else {}
    suggested = roles.suggested_by_checkpoint(given, theirs)
    for name in ("labels", "label_key", "several_labels"):
        assert (name in suggested) is are_suggested
    assert "class_folders" in suggested
    without = roles.suggested_by_checkpoint(given, {**theirs, "labels": None})
    assert "label_key" in without


def test_a_follower_takes_its_own_machine():
    config = resolve.resolve({"virtual_devices": 4, "data_dir": "D"}).config
    inherited = roles.inherited_by_follower(config)
    assert "virtual_devices" not in inherited
    assert "mixed_precision" not in inherited
    assert inherited["data_dir"] == "D"
    assert inherited["eval_split"] == "test"


def evaluation(**given):
    given = {"mode": "evaluate", "checkpoint": "RUN", **given}
    return resolve.resolve(given).config


@pytest.mark.parametrize("name", options())
def test_a_record_depends_on_all_that_its_job_takes(name):
    """But for where, on what and how loudly it was done."""
    _, field = options()[name]
    if not field.metadata["jobs"] & Job.LOGISTIC or (
        field.metadata["role"] & Role.JOB
    ):
        return
    silent = Role.LOCATION | Role.MACHINE | Role.LOGGING
    folder = {"dataset": "folder", "data_dir": "D"} if name == "labels" else {}
    first = resolve.overlay(
        evaluation(**folder),
        {name: field.default or "D"}
        if field.metadata["role"] & Role.LOCATION
        else {name: field.default},
    )
    other = resolve.overlay(first, {name: sample(field)})
    same = roles.of_record(first) == roles.of_record(other)
    role = roles.role_of(name)
    assert same is (bool(role & silent) and not role & Role.FEATURES)


@pytest.mark.parametrize(
    "change",
    [
        {"max_image_pixels": 9},  # whether an image can be read
        {"cache_dataset": True},  # nothing that is kept is reduced
    ],
    ids=str,
)
def test_what_decoding_depends_on_is_part_of_the_features(change):
    other = resolve.overlay(evaluation(), change)
    assert roles.of_features(other) != roles.of_features(evaluation())


def test_a_follower_need_not_be_told_what_its_run_was_built_upon():
    given = {"mode": "eval", "train_mode": "finetune"}
    assert resolve.resolve(given).config.job.checkpoint is None


def test_a_result_holds_for_the_same_evaluation():
    first = evaluation()
    assert roles.of_result(first) == roles.of_result(
        resolve.overlay(first, {"eval_batch_size": 7, "log_steps": 3})
    )
    for change in ({"eval_crop": 0.3}, {"eval_steps": 2}):
        other = resolve.overlay(first, change)
        assert roles.of_result(first) != roles.of_result(other)


def test_a_new_option_is_sorted_by_its_declaration(monkeypatch):
    """Nothing else has to hear of it: one that changes features counts for
    the cache, one of another job is refused."""

    @section
    class More:
        contrast: float = option(
            1.0, "Made up.", role=Role.FEATURES, jobs=Job.EMBED
        )

    with_more = {**sections(), "more": More}
    everything = {
        field.name: (name, field)
        for name, cls in with_more.items()
        for field in dataclasses.fields(cls)
    }
    monkeypatch.setattr(roles, "options", lambda: everything)
    assert "contrast" in roles.names_of(Role.FEATURES)
    assert not roles.is_fixed("contrast")
    with pytest.raises(UserError, match="--contrast=2 is not for"):
        roles.take({"contrast": 2}, from_files=())
