"""The input of a slice: what its hosts must deliver, and whether they can."""

from collections.abc import Mapping
from typing import Any

from tpu.chips import Topology


def needed(
    topology: Topology,
    images_per_second: float,
    measured: tuple[float, int] | None,
) -> dict[str, Any]:
    """What each host must deliver, and what is known of one.

    Args:
        topology: of the slice.
        images_per_second: of the whole slice.
        measured: images/s that a host was seen to deliver, and with how many
            cores; None where nobody looked.
    """
    hosts = topology.num_hosts
    found = {
        "num_hosts": hosts,
        "host_vcpus": topology.host_vcpus,
        "images_per_second": images_per_second / hosts,
    }
    if measured:
        rate, cores = measured
        found |= {
            "measured_images_per_second": rate,
            "measured_cores": cores,
            "cores_needed": found["images_per_second"] * cores / rate,
        }
        found["enough"] = found["cores_needed"] <= found["host_vcpus"]
    return found


def in_words(found: Mapping[str, Any]) -> str:
    """What `needed` found, in a line."""
    hosts, rate = found["num_hosts"], found["images_per_second"]
    each = "the host" if hosts == 1 else f"each of {hosts} hosts"
    has = found["host_vcpus"]
    needs = (
        f"{each} must deliver {rate:.0f} images/s, {rate / has:.0f} on each of "
        f"its {has} vCPUs"
    )
    if "cores_needed" not in found:
        return f"{needs}; --mode=benchmark_input measures what one delivers"
    needs += (
        f"; {found['measured_images_per_second']:.0f} were measured on "
        f"{found['measured_cores']} cores here: {found['cores_needed']:.3g} "
        "such cores, "
    )
    if found["enough"]:
        return f"{needs}ENOUGH"
    return (
        f"{needs}NOT ENOUGH. --augment_on=device takes colour and blur from "
        "the host, --cache_dataset=disk decodes smaller copies"
    )
