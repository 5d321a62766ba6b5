"""NT-Xent by batch size: time and peak memory, in tiles and all at once.

    python tests/bench/loss.py --rows=1024,4096,65536 --json=loss.json

Forward and backward on random projections. Peaks include TensorFlow itself,
whose share has a line of its own. Where both ways run, they take turns.
"""

import argparse
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[2]))

import simclr_tf  # noqa: F401  before TensorFlow
from tests.bench import measuring

# Larger ones would need more memory than a small machine has: 16 GB and on.
LARGEST_AT_ONCE = 8192
ALL_AT_ONCE = 2**62


def main() -> None:
    arguments = _parse()
    if arguments.case is not None:
        print(json.dumps(_case(arguments)))
        return
    rows = [{"rows": 0, "how": "import", **_start(arguments, "import", 0)}]
    for size in map(int, arguments.rows.split(",")):
        ways = ["tiles", "at once"]
        for way in ways if size <= LARGEST_AT_ONCE else ways[:1]:
            rows.append(
                {"rows": size, "how": way, **_start(arguments, way, size)}
            )
        if size <= LARGEST_AT_ONCE:
            rows[-2] |= _start(arguments, "both", size)
    measuring.report(
        rows,
        title=f"NT-Xent, d={arguments.dim}, forward and backward",
        path=arguments.json,
    )


def _start(arguments, case, size):
    return measuring.in_process(
        __file__,
        f"--case={case}",
        f"--rows={size}",
        f"--dim={arguments.dim}",
        f"--rounds={arguments.rounds}",
        f"--clock={arguments.clock}",
    )


def _case(arguments) -> dict:
    """One line's measurements, in this process."""
    import tensorflow as tf

    from simclr_tf import losses

    size = int(arguments.rows)
    if arguments.case == "import":
        tf.matmul(tf.ones([8, 8]), tf.ones([8, 8]))
        return {"peak_gb": measuring.peak_memory_gb()}
    z = tf.random.stateless_normal([2, size, arguments.dim], [0, 1])

    def candidate(**options):
        @tf.function
        def step(z_a, z_b):
            with tf.GradientTape() as tape:
                tape.watch([z_a, z_b])
                loss = losses.nt_xent(z_a, z_b, temperature=0.1, **options).loss
            return loss, tape.gradient(loss, [z_a, z_b])

        return lambda: step(z[0], z[1])[0].numpy()

    ways = {
        "tiles": candidate(max_logits=min(2**24, size * size)),
        "at once": candidate(max_logits=ALL_AT_ONCE),
    }
    if arguments.case == "both":
        seconds = measuring.alternate(
            ways,
            rounds=arguments.rounds,
            clock=measuring.CLOCKS[arguments.clock],
        )
        over = measuring.ratio(seconds["tiles"], seconds["at once"])
        return {"time_over_at_once": over}
    way = {arguments.case: ways[arguments.case]}
    # The first call traces, which is short beside a large batch's arithmetic.
    rounds = arguments.rounds if size <= LARGEST_AT_ONCE else 0
    started = measuring.CLOCKS[arguments.clock]()
    seconds = measuring.alternate(
        way, rounds=rounds, clock=measuring.CLOCKS[arguments.clock]
    )[arguments.case]
    first = measuring.CLOCKS[arguments.clock]() - started
    return {
        "seconds": min(seconds, default=first),
        "peak_gb": measuring.peak_memory_gb(),
    }


def _parse():
    parser = measuring.parser(__doc__, rounds=5)
    parser.add_argument("--rows", default="1024,4096,16384")
    parser.add_argument("--dim", type=int, default=128)
    parser.add_argument("--case", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
