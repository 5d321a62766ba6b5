"""What fits the pictures and the machine: asked before a run is resolved, and
checked before its first step."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf

from simclr_tf.config import Config, folder_recipe, roles, step_memory
from simclr_tf.config.job_kinds import Job
from simclr_tf.config.resolve import Resolved
from simclr_tf.data import folder
from simclr_tf.errors import UserError
from simclr_tf.run_files import checkpoints
from simclr_tf.run_files.folder import RunFolder

# Limit, use, and what of the use are files, which make room when asked.
_CGROUPS = (
    ("/sys/fs/cgroup", "memory.max", "memory.current", "file"),
    (
        "/sys/fs/cgroup/memory",
        "memory.limit_in_bytes",
        "memory.usage_in_bytes",
        "total_cache",
    ),
)
# Refused is what surely does not fit: estimates are too high rather than too
# low (`step_memory`).
_TOLERANCE = 1.4


def folder_options(resolved: Resolved) -> Mapping[str, Any]:
    """The recipe of a folder that is pretrained on, as options; {} for others.

    A run that has begun keeps what it began with, whatever the machine is now.

    Raises:
        UserError: as `data.folder.open_folder`.
    """
    config = resolved.config
    if (
        config.data.dataset != "folder"
        or roles.job(config) not in (Job.PRETRAIN, Job.BENCHMARK_INPUT)
        or config.job.train_mode != "pretrain"
    ):
        return {}
    data, run = config.data, RunFolder(config.model_dir)
    saved = run.saved()
    # What has saved nothing may have been a run on other pictures.
    if saved is not None and (
        checkpoints.checkpoint_paths(run.path)
        or saved.config.data.data_dir == data.data_dir
    ):
        before = roles.flat(saved.config)
        return {
            name: before[name]
            for name, origin in saved.origins.items()
            if origin.startswith("recipe folder") and name in before
        }
    num_images, side = folder.survey(
        folder.Reading(
            data.data_dir,
            split_folders=data.split_folders,
            arrays=config.model.num_channels != 3,
        ),
        data.train_split,
    )
    survey = folder_recipe.Survey(
        num_images=num_images,
        side=side,
        has_accelerator=_has_accelerator(config),
        cores=len(os.sched_getaffinity(0)),
        free_bytes=free_bytes(),
    )
    values = folder_recipe.recipe(
        survey, num_channels=config.model.num_channels
    )
    shown = {name: resolved.given.get(name, values[name]) for name in values}
    shown["train_steps"] = config.optim.train_steps
    print(folder_recipe.reason(survey, shown), flush=True)
    return values


def require_memory(
    config: Config, device_type: str, num_hosts: int = 1
) -> None:
    """Checks that the host has the memory for a step, where the host trains.

    Raises:
        UserError: it hasn't; with the flags that make it fit.
    """
    if device_type != "CPU" or not roles.job(config) & Job.PRETRAIN:
        return
    free = free_bytes()
    model = {
        "depth": config.model.resnet_depth,
        "width": config.model.width_multiplier,
        "image_size": config.data.image_size,
    }
    on_host = config.optim.train_batch_size // num_hosts
    batch = config.optim.micro_batch_size or on_host
    needed = step_memory.step_bytes(**model, batch_size=batch)
    if needed <= _TOLERANCE * free:
        return
    ways = []
    if fits := step_memory.largest_batch(free, **model):
        ways.append(f"--train_batch_size={fits} (the largest that fits)")
        ways.append(f"--micro_batch_size={fits} --global_bn=false")
    smaller = {**model, "image_size": 96, "depth": 18}
    if smaller != model and (
        fits := step_memory.largest_batch(free, **smaller)
    ):
        fits = min(fits, config.optim.train_batch_size)
        ways.append(
            f"--image_size=96 --resnet_depth=18 --train_batch_size={fits}"
        )
    raise UserError(
        f"A step of --train_batch_size={config.optim.train_batch_size} at "
        f"--image_size={model['image_size']} with ResNet-{model['depth']} "
        f"takes about {needed / 1e9:.0f} GB, and {free / 1e9:.1f} GB of memory "
        f"are free. What fits: {'; or '.join(ways) or 'nothing here'}."
    )


def free_bytes() -> float:
    """Memory of this host that nothing uses, within the limits of a
    container; infinite where nobody can tell."""
    free = float("inf")
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                free = 1024.0 * int(line.split()[1])
    except OSError:
        pass
    for folder_of, limit, used, files in _CGROUPS:
        place = Path(folder_of)
        try:
            left = int((place / limit).read_text())
            left -= int((place / used).read_text())
            for line in (place / "memory.stat").read_text().splitlines():
                name, number = line.split()
                left += int(number) if name == files else 0
            free = min(free, float(max(left, 0)))
        except (OSError, ValueError):
            continue  # "max": no limit
    return free


def _has_accelerator(config: Config) -> bool:
    device = config.device
    if device.virtual_devices:
        return False
    named = device.tpu_name or device.master or device.use_tpu
    if device.strategy == "tpu" or named:
        return True
    return bool(tf.config.list_physical_devices("GPU"))
