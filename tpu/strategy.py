"""Which devices a run uses: TPU, GPUs or the CPU.

Knows TensorFlow and nothing of SimCLR.
"""

import dataclasses
import os

import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class Placement:
    """A strategy and why it was chosen.

    Attributes:
        strategy: the `tf.distribute.Strategy`.
        device_type: "TPU", "GPU" or "CPU".
        reason: for the reader of the log.
    """

    strategy: tf.distribute.Strategy
    device_type: str
    reason: str

    def describe(self) -> str:
        """One line: devices, replicas, why."""
        replicas = self.strategy.num_replicas_in_sync
        plural = "s" if replicas > 1 else ""
        return (
            f"Devices: {replicas} {self.device_type} replica{plural} "
            f"({type(self.strategy).__name__}: {self.reason})"
        )


def make_placement(
    *,
    strategy: str = "auto",
    use_tpu: bool | None = None,
    tpu_name: str | None = None,
    tpu_zone: str | None = None,
    gcp_project: str | None = None,
    master: str | None = None,
    virtual_devices: int = 0,
) -> Placement:
    """Brings up the devices asked for. Arguments as the flags of their names.

    Must come before anything else uses TensorFlow's devices.

    Raises:
        ValueError: what was asked for is not there; the message names the
            flag.
    """
    if virtual_devices:
        _split_cpu(virtual_devices)
    address = tpu_name or master or os.environ.get("TPU_NAME")
    if use_tpu and strategy not in ("auto", "tpu"):
        raise ValueError(
            f"--use_tpu=True contradicts --strategy={strategy}. Leave one out."
        )
    if use_tpu is False and strategy == "tpu":
        raise ValueError(
            "--use_tpu=False contradicts --strategy=tpu. Leave one out."
        )
    wants_tpu = use_tpu or strategy == "tpu" or tpu_name or master
    if (tpu_name or master) and strategy not in ("auto", "tpu"):
        raise ValueError(
            f"--tpu_name={tpu_name or master} contradicts --strategy="
            f"{strategy}. Leave one out."
        )
    if strategy == "auto" and use_tpu is None and not wants_tpu:
        wants_tpu = bool(tf.config.list_physical_devices("TPU")) or bool(
            address
        )
    if wants_tpu and use_tpu is not False:
        return _tpu(address, tpu_zone, gcp_project)
    return _local(strategy, virtual_devices)


def _local(strategy: str, virtual_devices: int) -> Placement:
    gpus = [d.name for d in tf.config.list_logical_devices("GPU")]
    cpus = [d.name for d in tf.config.list_logical_devices("CPU")]
    if virtual_devices > 1 and strategy != "one_device":
        return Placement(
            tf.distribute.MirroredStrategy(cpus),
            "CPU",
            f"--virtual_devices={virtual_devices}",
        )
    if strategy == "mirrored" or (strategy == "auto" and len(gpus) > 1):
        kind, devices = ("GPU", gpus) if gpus else ("CPU", cpus)
        return Placement(
            tf.distribute.MirroredStrategy(devices),
            kind,
            "--strategy=mirrored" if strategy == "mirrored" else "all GPUs",
        )
    kind, device = ("GPU", gpus[0]) if gpus else ("CPU", cpus[0])
    reason = "the only GPU" if len(gpus) == 1 else "no TPU or GPU here"
    if strategy == "one_device":
        reason = "--strategy=one_device"
    return Placement(tf.distribute.OneDeviceStrategy(device), kind, reason)


def _servers(address: str, zone: str | None, project: str | None) -> str:
    """The servers of a TPU, every host's: what its name stands for.

    Raises:
        ValueError, RuntimeError, OSError: there is no such TPU, or it is not
            ready.
    """
    resolver = tf.distribute.cluster_resolver.TPUClusterResolver(
        tpu=address, zone=zone, project=project
    )
    hosts = resolver.cluster_spec().as_dict().get(resolver.task_type, [])
    # TPU: the first host alone, get_master(), would leave out the others of a
    # slice.
    return ",".join(f"grpc://{host}" for host in hosts) or "local"


def _split_cpu(parts: int) -> None:
    cpu = tf.config.list_physical_devices("CPU")[0]
    try:
        tf.config.set_logical_device_configuration(
            cpu, [tf.config.LogicalDeviceConfiguration()] * parts
        )
    except RuntimeError as error:
        raise ValueError(
            "--virtual_devices must be set before TensorFlow has used a "
            f"device: {error}"
        ) from error


def _tpu(
    address: str | None, zone: str | None, project: str | None
) -> Placement:
    # Heavy, and needed on TPUs only.
    from official.common import distribute_utils

    try:
        if address:
            target = _servers(address, zone, project)
        elif tf.config.list_physical_devices("TPU"):
            target = "local"
        else:
            raise ValueError("this machine has none")
        strategy = distribute_utils.get_distribution_strategy(
            "tpu", tpu_address=target
        )
    except (ValueError, RuntimeError, OSError, tf.errors.OpError) as error:
        reason = str(error).splitlines()[0] if str(error) else repr(error)
        raise ValueError(
            "A TPU was asked for (--use_tpu=True, --strategy=tpu or "
            f"--tpu_name={address or ''}) and none was reached: {reason}. Name "
            "one with --tpu_name, or pass --use_tpu=False to run without."
        ) from error
    return Placement(strategy, "TPU", f"TPU {address or 'of this machine'}")
