"""Stands for gcloud: notes what it is asked, and answers as a scenario says.

In the folder $FAKE_GCLOUD: `asked`, a line of JSON per call; `scenario.json`,
kind of call -> [[exit status, output], ...], one for each call of that kind,
the last for all that follow. With $FAKE_HOME, copying and ssh act there, as on
a TPU VM, and it goes when that is deleted.
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys


def kind_of(words):
    if "ssh" not in words:
        for verb in ("scp", "create", "delete", "describe"):
            if verb in words:
                return verb
        return "other"
    (command,) = (w for w in words if w.startswith("--command="))
    if "setup_vm.sh" in command:
        return "setup"
    return command.split("tpu/vm.sh ")[1].split()[0]


def act(kind, words):
    home = os.environ["FAKE_HOME"]
    if kind == "create":
        os.mkdir(home)
        return 0
    if kind == "delete":
        shutil.rmtree(home)
        return 0
    if kind == "scp":
        at = words.index("scp")
        shutil.copy(words[at + 1], home + "/" + words[at + 2].split(":")[1])
        return 0
    (command,) = (w for w in words if w.startswith("--command="))
    command = command.removeprefix("--command=")
    return subprocess.run(["bash", "-c", command], cwd=home).returncode


def main(words):
    folder = pathlib.Path(os.environ["FAKE_GCLOUD"])
    kind = kind_of(words)
    asked = folder / "asked"
    before = asked.read_text().splitlines() if asked.exists() else []
    with asked.open("a") as file:
        print(json.dumps([kind, ["gcloud", *words]]), file=file)
    if os.environ.get("FAKE_HOME") and kind != "describe":
        return act(kind, words)
    scenario = json.loads((folder / "scenario.json").read_text())
    turns = scenario.get(kind, [[0, ""]])
    turn = sum(json.loads(line)[0] == kind for line in before)
    status, output = turns[min(turn, len(turns) - 1)]
    if output:
        print(output, file=sys.stderr if status else sys.stdout)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
