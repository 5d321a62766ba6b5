"""What a chip of each TPU generation can do, and how slices are named.

Peak rates and machines as the makers publish them; nothing here was measured
by us.
"""

import dataclasses
import math
import re
from collections.abc import Mapping

from simclr_tf.errors import UserError

_GIB = 2**30
# On each machine of a slice of several.
_CHIPS_OF_MANY = 4
# No pod of any generation is larger; the largest, of v5p, has 8,960.
_MOST_CHIPS = 2**14


@dataclasses.dataclass(frozen=True)
class Chip:
    """One chip.

    Attributes:
        name: "v5e".
        cores: replicas per chip: how many devices the compiler makes of it.
        flops_per_second: peak, bfloat16.
        hbm_bytes: memory of the chip, shared by its cores.
        hbm_bytes_per_second: peak.
        ici_bytes_per_second: between chips, sum of the links, one way.
        hosts: machines that have them: number of chips -> vCPUs, ascending;
            slices of several machines are of those with four chips.
        source: where the figures are from.
    """

    name: str
    cores: int
    flops_per_second: float
    hbm_bytes: int
    hbm_bytes_per_second: float
    ici_bytes_per_second: float
    hosts: Mapping[int, int]
    source: str


_DOCS = "docs.cloud.google.com/tpu/docs/"
# Machines ct3-, ct4p-, ct5lp-, ct5p-hightpu and ct6e-standard of
# cloud.google.com/kubernetes-engine/docs/concepts/plan-tpus
_V5E = {1: 24, 4: 112, 8: 224}
_V6E = {1: 44, 4: 180, 8: 180}
_PAPER = "; ICI: arXiv:2304.01433, table 4"
CHIPS = {
    chip.name: chip
    for chip in (
        Chip(
            "v3",
            2,
            123e12,
            32 * _GIB,
            900e9,
            280e9,
            {4: 96},
            f"{_DOCS}v3{_PAPER}",
        ),
        Chip(
            "v4",
            2,
            275e12,
            32 * _GIB,
            1200e9,
            300e9,
            {4: 240},
            f"{_DOCS}v4{_PAPER}",
        ),
        Chip("v5e", 1, 197e12, 16 * _GIB, 819e9, 200e9, _V5E, f"{_DOCS}v5e"),
        Chip(
            "v5p", 1, 459e12, 95 * _GIB, 2765e9, 600e9, {4: 208}, f"{_DOCS}v5p"
        ),
        Chip("v6e", 1, 918e12, 32 * _GIB, 1638e9, 400e9, _V6E, f"{_DOCS}v6e"),
    )
}


@dataclasses.dataclass(frozen=True)
class Topology:
    """A slice, "v5e:4x4".

    Attributes:
        name: as given.
        chip: of which it is made.
        shape: chips along each axis.
    """

    name: str
    chip: Chip
    shape: tuple[int, ...]

    @property
    def num_chips(self) -> int:
        return math.prod(self.shape)

    @property
    def num_cores(self) -> int:
        """Replicas of a data-parallel job."""
        return self.num_chips * self.chip.cores

    @property
    def num_hosts(self) -> int:
        """Machines: one, where one has as many chips."""
        return math.ceil(self.num_chips / self._chips_of_host)

    @property
    def host_vcpus(self) -> int:
        """Of each machine."""
        return self.chip.hosts[self._chips_of_host]

    @property
    def _chips_of_host(self) -> int:
        large = (n for n in self.chip.hosts if n >= self.num_chips)
        return next(large, _CHIPS_OF_MANY)

    @property
    def hbm_bytes_per_core(self) -> float:
        return self.chip.hbm_bytes / self.chip.cores

    def describe(self) -> str:
        cores = self.chip.cores
        each = "one core each" if cores == 1 else f"{cores} cores each"
        return f"{self.name}: {self.num_chips} chips, {each}"


def parse_topology(name: str) -> Topology:
    """Reads "v5e:4x4" or "v4:2x2x4".

    Raises:
        UserError: it is not of this form, or the generation is unknown.
    """
    match = re.fullmatch(r"(v\d+\w?):(\d{1,5}(?:x\d{1,5})+)", name)
    shape = tuple(int(n) for n in match[2].split("x")) if match else ()
    if (
        not match
        or match[1] not in CHIPS
        or not 1 <= math.prod(shape) <= _MOST_CHIPS
    ):
        raise UserError(
            "--topology must be a generation and its chips per axis, such as "
            f"v5e:4x4 or v4:2x2x4, of {', '.join(CHIPS)}, at most "
            f"{_MOST_CHIPS} in all. Received: {name}."
        )
    return Topology(name, CHIPS[match[1]], shape)
