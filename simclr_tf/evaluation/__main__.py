"""Records side by side: `python -m simclr_tf.evaluation RECORD...`."""

import argparse
import sys

from simclr_tf import terminal
from simclr_tf.errors import UserError
from simclr_tf.evaluation import records
from simclr_tf.reports import tables


def main(arguments: list[str] | None = None) -> int:
    """Prints a table, or a comparison; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m simclr_tf.evaluation",
        description="Prints the records of evaluations side by side, with the "
        "paper's number where there is one.",
    )
    parser.add_argument(
        "records", nargs="+", help="<name>.json, or a folder of records"
    )
    parser.add_argument(
        "--compare",
        action="store_true",
        help="permutation test between the predictions of two records",
    )
    parser.add_argument(
        "--average",
        action="store_true",
        help="mean and deviation over records that differ only in their seed "
        "or draw of labels",
    )
    parser.add_argument(
        "--all_metrics",
        action="store_true",
        help="a line for every metric, not only the protocol's own",
    )
    parser.add_argument(
        "--details",
        action="store_true",
        help="what was scored, the classes' names, and how many test examples "
        "were trained on, for each record",
    )
    options = parser.parse_args(arguments)
    try:
        if options.compare:
            print(_comparison(options.records))
        else:
            found = records.read_all(options.records)
            print(
                tables.table(
                    found,
                    average=options.average,
                    all_metrics=options.all_metrics,
                )
            )
            if options.details:
                print("\n" + tables.details(found))
    except UserError as error:
        print(f"error: {terminal.printable(str(error))}", file=sys.stderr)
        return 2
    return 0


def _comparison(paths: list[str]) -> str:
    if len(paths) != 2:
        raise UserError(f"--compare takes two records. Received: {len(paths)}.")
    found = records.compare(*paths)
    paths = [terminal.printable(path) for path in paths]
    verdict = "differ" if found.p_value <= 0.05 else "may be equally good"
    return (
        f"{paths[0]} less {paths[1]}: {found.difference:+.2%}; "
        f"p = {found.p_value:.5f} ({found.num_samples} permutations, "
        f"{found.num_different} examples differ): the two {verdict}."
    )


if __name__ == "__main__":
    for stream in (sys.stdout, sys.stderr):
        terminal.guard(stream)
    sys.exit(main())
