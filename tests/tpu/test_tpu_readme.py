"""What tpu/README.md tells a newcomer to type, and what that prints."""

import pathlib
import re
import shlex

import pytest

from flags import definitions
from simclr_tf.config import resolve

ROOT = pathlib.Path(__file__).parents[2]
README = (ROOT / "tpu" / "README.md").read_text()
SETTING = r"# (\w+)=(.*?)  \((given|default)\) .*\n"


def blocks(language):
    fenced = re.findall(r"^```(\w*)\n(.*?)^```", README, re.S | re.M)
    return [text for its, text in fenced if its == language]


def variables():
    """What the page's own `export` lines set."""
    lines = re.findall(r"^export (.*)$", "".join(blocks("")), re.M)
    return dict(word.split("=") for line in lines for word in shlex.split(line))


def words_of(line):
    for name, value in variables().items():
        line = line.replace(f"${name}", value)
    return shlex.split(line, comments=True)


@pytest.fixture
def reader(cloud):
    """A machine that has set what the page says, and nothing else."""
    for name in ("TPU_NAME", "POLL_SECONDS", "RESTART_SECONDS"):
        del cloud.environment[name]
    cloud.environment.update(variables())
    return cloud


def printed(cloud, words):
    """What a dry run says, at another place and of another commit."""
    dry = cloud.run(pathlib.Path(words[0]).name, *words[1:])
    assert dry.returncode == 0, dry.stderr
    assert cloud.asked() == []
    text = dry.stdout.replace(str(cloud.checkout), "/home/you/simclr_tf")
    return re.sub(r"(?m)^# code: .*$", "# code: 0123abc", text)


def dry_runs():
    """(words, what the page says that they print)."""
    for block in blocks("console"):
        command, _, output = block.partition("\n")
        assert command.startswith("$ ")
        yield words_of(command[2:]), output


def test_the_readmes_commands_are_understood(reader):
    scripts = [
        words_of(line)
        for line in re.findall(r"^(tpu/\w+\.sh.*)$", README, re.MULTILINE)
    ]
    assert len(scripts) >= 4
    for name, *arguments in scripts:
        printed(reader, [name, "--dry_run", *arguments])
    run = re.compile(r"^python run\.py (.*)$", re.MULTILINE)
    flags = [words_of(line) for line in run.findall(README)]
    flags += [w[1:] for w in scripts if w[0].endswith("launch.sh")]
    assert len(flags) >= 3
    for words in flags:
        if words == ["--stop"]:
            continue
        words = [w.replace("=flags/", f"={ROOT}/flags/") for w in words]
        resolve.resolve(definitions.parse(["run.py", *words]).given)


def test_a_dry_run_prints_what_the_page_says(reader):
    whole, *others = dry_runs()
    assert printed(reader, whole[0]) == whole[1]
    assert len(others) == 3
    for words, output in others:  # without the settings, as the page says
        assert re.sub(SETTING, "", printed(reader, words)) == output, words


def test_each_step_with_a_dry_run_is_taken_without_it():
    """The commands that are looked at are those that are then typed."""
    typed = [line.strip() for block in blocks("") for line in block.split("\n")]
    looked = [
        b.split("\n")[0][2:].replace(" --dry_run", "")
        for b in blocks("console")
    ]
    assert set(looked) <= set(typed)


def test_the_table_has_every_setting_with_its_default(cloud):
    del cloud.environment["POLL_SECONDS"], cloud.environment["RESTART_SECONDS"]
    dry = cloud.run("launch.sh", "--dry_run", "--model_dir=gs://b/run")
    defaults = {
        name: value for name, value, _ in re.findall(SETTING, dry.stdout)
    }
    table = re.findall(r"^\| (`[A-Z_`, ]+`) \| (.*?) \|", README, re.M)
    named = [re.findall(r"`(\w+)`", names) for names, _ in table]
    assert set(defaults) <= {name for row in named for name in row}
    compared = 0
    for names, (_, values) in zip(named, table, strict=True):
        values = re.findall(r"(?<![\w-])\d+(?![\w.-])", values)
        if len(values) in (1, len(names)) and names[0] in defaults:
            values = values * len(names) if len(values) == 1 else values
            assert [defaults[name] for name in names] == values
            compared += len(names)
    assert compared >= 8
