"""What a compiled module's text says of it: collectives, and talk to hosts."""

import collections
import dataclasses
import math
import re
from collections.abc import Sequence

_BYTES = {"pred": 1, "bf16": 2, "f16": 2}
_SHAPE = re.compile(r"\b(pred|bf16|f16|[suf]\d+)\[([\d,]*)\]")
_COLLECTIVE = re.compile(
    r"^\s*(?:ROOT )?%?[\w.\-]+ = (?P<type>.*?) (?P<kind>all-reduce|all-gather|"
    r"reduce-scatter|all-to-all|collective-permute)(?P<start>-start)?\("
)
_HOST = re.compile(
    r" (infeed|outfeed)\(|(is_host_transfer=true)|"
    r'custom_call_target="([^"]*(?:callback|[Hh]ost)[^"]*)"'
)


@dataclasses.dataclass(frozen=True)
class Collective:
    """Collective operations of one kind over groups of one size.

    Attributes:
        kind: "all-reduce", ...
        group_size: replicas in a group.
        count: how many operations.
        bytes: of their results on one replica, together.
    """

    kind: str
    group_size: int
    count: int
    bytes: int


def collectives(text: str, *, num_replicas: int) -> list[Collective]:
    """The collectives of a compiled module, by kind and group size.

    Args:
        text: the optimised HLO module.
        num_replicas: R, the size of a group that is not spelled out.
    """
    counts, sizes = collections.Counter(), collections.Counter()
    for line in text.splitlines():
        if match := _COLLECTIVE.match(line):
            size = _bytes_of(match["type"])
            if match["start"] and match["kind"] == "all-gather":
                # Its result is (operands, results).
                size = size * num_replicas // (num_replicas + 1)
            key = match["kind"], _group_size(line, num_replicas)
            counts[key] += 1
            sizes[key] += size
    return [Collective(*key, counts[key], sizes[key]) for key in sorted(counts)]


def crosses_all_replicas(
    found: Sequence[Collective], *, num_replicas: int
) -> bool:
    """Whether rows or sums of every replica meet in one operation."""
    return any(
        c.kind in ("all-reduce", "all-gather") and c.group_size == num_replicas
        for c in found
    )


def host_operations(text: str) -> list[str]:
    """Names of what makes the device wait for its host; none in a good step."""
    return sorted(
        {next(g for g in m.groups() if g) for m in _HOST.finditer(text)}
    )


def _group_size(line: str, num_replicas: int) -> int:
    listed = re.search(r"replica_groups=\{\{([\d,]+)\}", line)
    if listed:
        return listed[1].count(",") + 1
    counted = re.search(r"replica_groups=\[(\d+),(\d+)\]<=", line)
    return int(counted[2]) if counted else num_replicas


def _bytes_of(type_text: str) -> int:
    return sum(
        _item_bytes(kind) * math.prod(int(n) for n in dims.split(",") if n)
        for kind, dims in _SHAPE.findall(type_text)
    )


def _item_bytes(kind: str) -> int:
    return _BYTES.get(kind) or int(kind[1:]) // 8
