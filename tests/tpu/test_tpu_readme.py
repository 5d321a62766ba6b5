"""What tpu/README.md tells a newcomer to type."""

import pathlib
import re
import shlex

from flags import definitions
from simclr_tf.config import resolve

ROOT = pathlib.Path(__file__).parents[2]


def test_the_readmes_commands_are_understood(cloud):
    readme = (ROOT / "tpu" / "README.md").read_text()
    script = re.compile(r"^tpu/(\w+\.sh)(.*)$", re.MULTILINE)
    scripts = [
        (name, shlex.split(rest.replace("$BUCKET", "b"), comments=True))
        for name, rest in script.findall(readme)
    ]
    assert len(scripts) >= 4
    for name, arguments in scripts:
        dry = cloud.run(name, "--dry_run", *arguments)
        assert dry.returncode == 0, dry.stderr
    run = re.compile(r"^python run\.py (.*)$", re.MULTILINE)
    flags = [shlex.split(line) for line in run.findall(readme)]
    flags += [words for name, words in scripts if name == "launch.sh"]
    assert len(flags) >= 3
    for words in flags:
        words = [w.replace("=flags/", f"={ROOT}/flags/") for w in words]
        resolve.resolve(definitions.parse(["run.py", *words]).given)
