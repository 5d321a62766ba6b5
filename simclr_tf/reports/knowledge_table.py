"""What features know of what was done to images: Table 3, for a terminal."""

from simclr_tf.evaluation.records import Record

# As the paper's columns are called; of --encoder=pixels there is one.
_COLUMNS = {"chance": "chance", "h": "h", "z": "g(h)", "pixels": "pixels"}


def table(record: Record) -> str:
    """Lines of a table: a transformation each.

    Args:
        record: of --protocol=knowledge, whose metrics are called
            <transformation>/<column>/top_1.
    """
    found = {}
    for name, estimate in record.metrics.items():
        row, column, _ = name.split("/")
        found.setdefault(row, {})[column] = estimate
    columns = [c for c in _COLUMNS if c in next(iter(found.values()))]
    test = record.splits["test"]
    lines = [
        f"{record.scored}, on {test['num_examples']} images of "
        f"{record.dataset} {test['split']}, 95 % intervals:",
        "  " + f"{'':<12}" + "".join(f"{_COLUMNS[c]:<24}" for c in columns),
    ]
    for row, cells in found.items():
        lines.append(
            f"  {row:<12}"
            + "".join(f"{_cell(cells[column]):<24}" for column in columns)
        )
    return "\n".join(line.rstrip() for line in lines)


def _cell(estimate) -> str:
    value, low, high = (100 * x for x in estimate)
    return f"{value:.1f}  [{low:.1f}, {high:.1f}]"
