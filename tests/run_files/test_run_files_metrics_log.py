"""What a run logs, truthful after a kill."""

import json

from simclr_tf.run_files import metrics_log


def test_metrics_forget_what_will_be_logged_again(tmp_path):
    """A killed run logged to step 30 and saved at 20; half a line is gone."""
    path = tmp_path / "metrics.jsonl"
    path.write_text(
        '{"step": 10, "a": 1}\n{"step": 20, "a": 2}\n'
        '{"step": 30, "a": 3}\n{"step": 4'
    )
    lines = metrics_log.MetricsFile(str(path), from_step=20)
    lines.append(30, {"a": 4.0})
    steps = [json.loads(x) for x in path.read_text().splitlines()]
    assert steps == [
        {"step": 10, "a": 1},
        {"step": 20, "a": 2},
        {"step": 30, "a": 4.0},
    ]
