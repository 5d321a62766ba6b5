"""Stands in for run.py in tests of studies: writes what it would, in no time.

    python fake_program.py --mode=... --model_dir=... ...

A score is a function of the flags but for places. In the folder that
FAKE_PROGRAM names, if it does, it appends a line to `started` for each start,
waits for as long as `seconds` says, fails where `fail` is part of its command,
and leaves what `config.json` and `result.json` say of its data.
"""

import hashlib
import json
import os
import pathlib
import sys
import time


def main(argv):
    flags = dict(flag.removeprefix("--").split("=", 1) for flag in argv)
    folder = pathlib.Path(flags.pop("model_dir"))
    flags.pop("checkpoint", None)
    told = os.environ.get("FAKE_PROGRAM")
    if told:
        _obey(pathlib.Path(told), folder, " ".join(argv))
    digest = hashlib.sha256(json.dumps(flags, sort_keys=True).encode())
    score = int(digest.hexdigest()[:6], 16) / 16**6
    folder.mkdir(parents=True, exist_ok=True)
    if flags["mode"] == "evaluate":
        content = {"metrics": {"top_1": {"value": score}}}
        (folder / "record.json").write_text(json.dumps(content))
        return
    (folder / "metrics.jsonl").write_text(
        json.dumps({"step": 1, "train/contrast_acc": score / 2}) + "\n"
    )
    result = {"eval/label_top_1_accuracy": score}
    if told and (pathlib.Path(told) / "config.json").exists():
        config = (pathlib.Path(told) / "config.json").read_text()
        (folder / "config.json").write_text(config)
        result |= json.loads((pathlib.Path(told) / "result.json").read_text())
    (folder / "result.json").write_text(json.dumps(result))


def _obey(told, folder, command):
    with open(told / "started", "a") as file:
        file.write(f"{folder.parent.name}/{folder.name}\n")
    if (told / "seconds").exists():
        time.sleep(float((told / "seconds").read_text()))
    if (told / "fail").exists() and (told / "fail").read_text() in command:
        print("some words\nerror: the disk is full.\nand the rest")
        sys.exit(3)


if __name__ == "__main__":
    main(sys.argv[1:])
