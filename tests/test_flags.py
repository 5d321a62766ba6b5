"""The command line: every option, every official command, every flagfile."""

import pathlib
import shlex

import pytest

from flags import definitions
from simclr_tf import config, schedules
from simclr_tf.config import resolve, roles
from simclr_tf.errors import UserError

ROOT = pathlib.Path(__file__).parents[1]
FLAGFILES = sorted((ROOT / "flags").glob("*.flags"))

# From the READMEs of google-research/simclr, as its users type them.
OFFICIAL_PRETRAINING = {
    "cifar10": """--train_mode=pretrain --train_batch_size=512
        --train_epochs=1000 --learning_rate=1.0 --weight_decay=1e-4
        --temperature=0.5 --dataset=cifar10 --image_size=32 --eval_split=test
        --resnet_depth=18 --use_blur=False --color_jitter_strength=0.5
        --model_dir=DIR --use_tpu=False""",
    "imagenet": """--train_mode=pretrain --train_batch_size=4096
        --train_epochs=100 --temperature=0.1 --learning_rate=0.075
        --learning_rate_scaling=sqrt --weight_decay=1e-4
        --dataset=imagenet2012 --image_size=224 --eval_split=validation
        --data_dir=DATA --model_dir=DIR --use_tpu=True --tpu_name=NAME
        --train_summary_steps=0""",
}

_CIFAR10_HEAD = """--mode=train_then_eval --train_mode=finetune
    --fine_tune_after_block=4 --zero_init_logits_layer=True
    --variable_schema='(?!global_step|(?:.*/|^)Momentum|head)'
    --global_bn=False --optimizer=momentum --learning_rate=0.1
    --weight_decay=0.0 --train_epochs=100 --train_batch_size=512
    --warmup_epochs=0 --dataset=cifar10 --image_size=32 --eval_split=test
    --resnet_depth=18 --checkpoint=DIR --model_dir=DIR2 --use_tpu=False"""
_IMAGENET_HEAD = """--mode=train_then_eval --train_mode=finetune
    --fine_tune_after_block=4 --zero_init_logits_layer=True
    --variable_schema='(?!global_step|(?:.*/|^)Momentum|head)'
    --global_bn=False --optimizer=momentum --learning_rate=0.1
    --weight_decay=1e-6 --train_epochs=90 --train_batch_size=4096
    --warmup_epochs=0 --dataset=imagenet2012 --image_size=224
    --eval_split=validation --data_dir=DATA --checkpoint=DIR --model_dir=DIR2
    --use_tpu=True --tpu_name=NAME --train_summary_steps=0"""
_IMAGENET_1PCT = """--mode=train_then_eval --train_mode=finetune
    --fine_tune_after_block=-1 --zero_init_logits_layer=True
    --global_bn=True --optimizer=lars --learning_rate=0.005
    --learning_rate_scaling=sqrt --weight_decay=0 --train_epochs=60
    --train_batch_size=1024 --warmup_epochs=0
    --dataset=imagenet2012_subset/1pct --image_size=224 --eval_split=validation
    --data_dir=DATA --checkpoint=DIR --model_dir=DIR2 --use_tpu=True
    --tpu_name=NAME --num_proj_layers=3 --ft_proj_selector=1"""
OFFICIAL_FINE_TUNING = {
    "cifar10 head": _CIFAR10_HEAD,
    "imagenet head": _IMAGENET_HEAD,
    "imagenet 1 %": _IMAGENET_1PCT,
}


def parse(*arguments):
    return definitions.parse(["run.py", *arguments])


def resolved(*arguments):
    parsed = parse(*arguments)
    return resolve.resolve(parsed.given, defaults=parsed.defaults)


def test_nothing_set_means_nothing_given():
    parsed = parse()
    assert parsed.given == {}
    assert parsed.defaults == "paper"


@pytest.mark.parametrize("name", config.options())
def test_every_option_has_a_flag_of_its_type(name):
    _, field = config.options()[name]
    sample = {
        "use_tpu": ("true", True),
        "linear_eval_labels": ("10,20", (10, 20)),
        "sweep_points": ("3,4", (3, 4)),
        "profile_steps": ("3,4", (3, 4)),
        "margin": ("0.4", 0.4),
        "distill_temperature": ("0.4", 0.4),
        "teacher_proj_selector": ("1", 1),
        "l2": ("0.4", 0.4),
        "study_index": ("3", 3),
        "rehearse": ("true", True),
    }.get(name)
    if sample is None:
        default = field.default
        sample = (str(default), default) if default is not None else ("x", "x")
    parsed = parse(f"--{name}={sample[0]}")
    assert parsed.given == {name: sample[1]}
    assert type(parsed.given[name]) is type(sample[1])


def test_booleans_take_the_no_form():
    assert parse("--nouse_blur").given == {"use_blur": False}
    assert parse("--use_blur").given == {"use_blur": True}


OFFICIAL = {**OFFICIAL_PRETRAINING, **OFFICIAL_FINE_TUNING}


@pytest.mark.parametrize("name", OFFICIAL)
def test_official_commands_parse_unchanged(name):
    arguments = shlex.split(OFFICIAL[name])
    made = resolved(*arguments)
    given = dict(a.removeprefix("--").split("=") for a in arguments)
    ignored = parse(*arguments).ignored
    for flag, text in given.items():
        if flag in ignored:
            continue
        section, _ = config.options()[flag]
        value = getattr(getattr(made.config, section), flag)
        assert str(value) == text or float(value) == float(text), flag
        assert made.origins[flag] == "flag"


def test_flags_of_the_tf1_code_are_accepted_and_named():
    parsed = parse("--train_summary_steps=0", "--variable_schema=(?!head)")
    assert parsed.given == {}
    assert set(parsed.ignored) == {"train_summary_steps", "variable_schema"}


@pytest.mark.parametrize(
    ("argument", "says"),
    [
        ("--tempratur=1", "temperature"),
        ("--train_steps=many", "--train_steps"),
        ("--linear_eval_labels=a,b", "--linear_eval_labels"),
        ("train", "'train'"),
        ("--defaults=mine", "defaults"),
        ("--use_blur=maybe", "use_blur"),
    ],
)
def test_bad_arguments_are_named(argument, says):
    with pytest.raises(ValueError, match=says):
        parse(argument)


@pytest.mark.parametrize("path", FLAGFILES, ids=lambda p: p.stem)
def test_flagfiles_resolve_and_say_what_they_are(path):
    made = resolved(f"--flagfile={path}")
    text = path.read_text()
    for part in ("# What:", "# Command:", "# Hardware:", "# Expected:"):
        assert part in text
    assert f"--flagfile=flags/{path.name}" in text
    if "# Peak learning rate" in text:
        stated = float(text.split("# Peak learning rate")[1].split()[0])
        optim = made.config.optim
        assert stated == pytest.approx(
            schedules.scaled_learning_rate(
                optim.learning_rate,
                global_batch_size=optim.train_batch_size,
                rule=optim.learning_rate_scaling,
            )
        )


@pytest.mark.parametrize("joined", [True, False])
def test_what_is_typed_wins_over_a_flagfile_that_follows(joined):
    path = ROOT / "flags" / "imagenet_r50_100ep.flags"
    flagfile = [f"--flagfile={path}"] if joined else ["--flagfile", str(path)]
    parsed = parse("--mode=preflight", *flagfile, "--seed=3")
    assert parsed.given["mode"] == "preflight"
    assert parsed.given["seed"] == 3
    assert "train_batch_size" in parsed.given  # the file was read


def test_flagfile_can_be_overridden_after_it():
    path = ROOT / "flags" / "cifar10_r18.flags"
    parsed = parse(f"--flagfile={path}", "--temperature=0.7")
    assert parsed.given["temperature"] == 0.7
    assert parsed.given["resnet_depth"] == 18


def test_help_lists_every_flag_in_its_group():
    text = definitions.help_text()
    for name, (section, field) in config.options().items():
        assert f"  --{name}=" in text
        group = text.split(f"\n{section}: ")[1].split("\n\n")[0]
        assert f"--{name}=" in group
        assert field.metadata["help"].split()[0] in group
    assert max(map(len, text.splitlines())) <= 100
    assert parse("--help").wants_help
    assert parse("-h").wants_help


@pytest.mark.parametrize(
    "arguments",
    [
        ("--mode=embed",),
        ("--mode=evaluate", "--protocol=knn"),
        ("--train_mode=finetune",),
        ("--mode=export",),
    ],
)
def test_help_of_a_job_lists_what_it_takes_and_nothing_else(arguments):
    given = parse(*arguments).given
    text = definitions.help_text(given)
    assert " ".join(arguments) in text.splitlines()[0]
    for name, (_, field) in config.options().items():
        if name in ("mode", "train_mode", "protocol"):
            continue
        try:
            more = {**given, name: field.default}
            takes = name in roles.take(more, from_files=()).given
        except UserError:
            takes = False
        assert (f"  --{name}=" in text) == takes, name
