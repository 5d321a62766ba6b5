"""The same step in PyTorch, compiled, to stand beside run_step_program.py.

    python torch_step.py --batch_size=256 --json=torch.json

ResNet-50 with a projection head of two layers, both views at once, NT-Xent,
SGD with momentum, bfloat16 (autocast), channels_last, torch.compile. Views are
float32 and wait on the device; nothing is augmented: beside it belongs a
program of `step_program.py ... -- --augment_on=host --optimizer=momentum`.
Needs torch 2 and nothing else of the checkout.
"""

import argparse
import json
import pathlib
import statistics
import sys
import time

_BLOCKS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}
_DIM, _TEMPERATURE, _WARM_UP = 128, 0.1, 5


def main() -> None:
    arguments = _parse()
    try:
        import torch
    except ImportError:
        print("error: torch is not here. Install torch 2.", file=sys.stderr)
        raise SystemExit(2) from None
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    step = make_step(torch, device, arguments)
    for _ in range(_WARM_UP):
        loss = step()
    seconds = []
    for _ in range(arguments.steps):
        started = time.perf_counter()
        loss = step()
        seconds.append(time.perf_counter() - started)
    median = statistics.median(seconds)
    on_gpu = device.type == "cuda"
    report = {
        "device": torch.cuda.get_device_name() if on_gpu else "cpu",
        "versions": {"torch": torch.__version__, "cuda": torch.version.cuda},
        "command": sys.argv,
        "loss": loss,
        "images_per_second": arguments.batch_size / median,
        "step_seconds": seconds,
        "peak_bytes": torch.cuda.max_memory_allocated() if on_gpu else None,
    }
    print(
        f"torch {torch.__version__} on {report['device']}: "
        f"{report['images_per_second']:.4g} images/s (median of "
        f"{arguments.steps} steps, {median * 1e3:.4g} ms)"
    )
    if on_gpu:
        print(f"memory, at its peak: {report['peak_bytes'] / 2**30:.3g} GiB")
    else:
        print("On a CPU, images/s say nothing of any GPU.")
    if arguments.json:
        text = json.dumps(report, indent=1) + "\n"
        pathlib.Path(arguments.json).write_text(text, encoding="utf-8")


def make_step(torch, device, arguments):
    """A function that takes a step and returns its loss, when it is done."""
    torch.manual_seed(0)
    model = _network(torch, arguments.depth, arguments.width).to(
        device, memory_format=torch.channels_last
    )
    optimizer = torch.optim.SGD(
        model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-6
    )
    side = arguments.image_size
    views = torch.rand(2 * arguments.batch_size, 3, side, side, device=device)
    views = views.contiguous(memory_format=torch.channels_last)

    def loss_of(views):
        with torch.autocast(device.type, dtype=torch.bfloat16):
            z = model(views)
        return nt_xent(torch, z.float())

    if not arguments.eager:
        loss_of = torch.compile(loss_of)

    def step():
        optimizer.zero_grad(set_to_none=True)
        loss = loss_of(views)
        loss.backward()
        optimizer.step()
        return loss.item()  # waits

    return step


def nt_xent(torch, z):
    """The official scale: mean of l_a + l_b; z float32[2N, d], a before b."""
    n = len(z) // 2
    z = torch.nn.functional.normalize(z, dim=1)
    logits = z @ z.T / _TEMPERATURE
    logits = logits - 1e9 * torch.eye(2 * n, device=z.device)
    positives = torch.arange(2 * n, device=z.device).roll(n)
    return 2 * torch.nn.functional.cross_entropy(logits, positives)


def _network(torch, depth, width):
    """A ResNet of bottlenecks, and SimCLR's head."""
    nn = torch.nn

    def conv(c_in, c_out, size, stride=1):
        padding = size // 2
        return nn.Conv2d(c_in, c_out, size, stride, padding, bias=False)

    class Bottleneck(nn.Module):
        def __init__(self, c_in, c, stride, project):
            super().__init__()
            self.branch = nn.Sequential(
                conv(c_in, c, 1),
                nn.BatchNorm2d(c),
                nn.ReLU(),
                conv(c, c, 3, stride),
                nn.BatchNorm2d(c),
                nn.ReLU(),
                conv(c, 4 * c, 1),
                nn.BatchNorm2d(4 * c),
            )
            self.shortcut = nn.Identity()
            if project:
                self.shortcut = nn.Sequential(
                    conv(c_in, 4 * c, 1, stride), nn.BatchNorm2d(4 * c)
                )

        def forward(self, x):
            return nn.functional.relu(self.branch(x) + self.shortcut(x))

    c_in = int(64 * width)
    layers = [conv(3, c_in, 7, 2), nn.BatchNorm2d(c_in), nn.ReLU()]
    layers.append(nn.MaxPool2d(3, 2, 1))
    for group, blocks in enumerate(_BLOCKS[depth]):
        c = int(64 * width) * 2**group
        for block in range(blocks):
            stride = 2 if group and not block else 1
            layers.append(Bottleneck(c_in, c, stride, project=not block))
            c_in = 4 * c
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    layers += [nn.Linear(c_in, c_in, bias=False)]
    layers += [nn.BatchNorm1d(c_in), nn.ReLU()]
    layers += [nn.Linear(c_in, _DIM, bias=False), nn.BatchNorm1d(_DIM)]
    return nn.Sequential(*layers)


def _parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch_size", type=int, default=256, help="images")
    parser.add_argument("--image_size", type=int, default=224)
    parser.add_argument("--depth", type=int, choices=_BLOCKS, default=50)
    parser.add_argument("--width", type=float, default=1)
    parser.add_argument("--steps", type=int, default=20, help="timed")
    parser.add_argument("--eager", action="store_true", help="not compiled")
    parser.add_argument("--json", help="file to write")
    return parser.parse_args()


if __name__ == "__main__":
    main()
