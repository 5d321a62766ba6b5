"""Which devices a run uses: TPU, GPUs or the CPU, here or on several hosts.

Knows TensorFlow and nothing of SimCLR.
"""

import dataclasses
import importlib.metadata
import os

import tensorflow as tf

from simclr_tf.errors import UserError
from tpu import cluster as clusters


@dataclasses.dataclass(frozen=True)
class Placement:
    """A strategy and why it was chosen.

    Attributes:
        strategy: the `tf.distribute.Strategy`.
        device_type: "TPU", "GPU" or "CPU".
        reason: for the reader of the log.
        num_hosts: processes like this one that make up the run.
        host: this one, 0..num_hosts-1; 0 is the chief.
    """

    strategy: tf.distribute.Strategy
    device_type: str
    reason: str
    num_hosts: int = 1
    host: int = 0

    def describe(self) -> str:
        """One line: devices, replicas, hosts, why."""
        replicas = self.strategy.num_replicas_in_sync
        plural = "s" if replicas > 1 else ""
        parts = [f"{replicas} {self.device_type} replica{plural}"]
        if self.num_hosts > 1:
            parts.append(f"{self.num_hosts} hosts, this is {self.host}")
        return (
            f"Devices: {'; '.join(parts)} "
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
    worker_timeout_seconds: float = 300.0,
) -> Placement:
    """Brings up the devices asked for. Arguments as the flags of their names.

    Must come before anything else uses TensorFlow's devices.

    Raises:
        UserError: what was asked for is not there; the message names the
            flag.
    """
    if virtual_devices:
        _split_cpu(virtual_devices)
    address = tpu_name or master or os.environ.get("TPU_NAME")
    if use_tpu and strategy not in ("auto", "tpu"):
        raise UserError(
            f"--use_tpu=True contradicts --strategy={strategy}. Leave one out."
        )
    if use_tpu is False and strategy == "tpu":
        raise UserError(
            "--use_tpu=False contradicts --strategy=tpu. Leave one out."
        )
    wants_tpu = use_tpu or strategy == "tpu" or tpu_name or master
    if (tpu_name or master) and strategy not in ("auto", "tpu"):
        raise UserError(
            f"--tpu_name={tpu_name or master} contradicts --strategy="
            f"{strategy}. Leave one out."
        )
    if strategy == "auto" and use_tpu is None and not wants_tpu:
        wants_tpu = bool(tf.config.list_physical_devices("TPU")) or bool(
            address
        )
    if wants_tpu and use_tpu is not False:
        return _tpu(address, tpu_zone, gcp_project)
    if strategy == "multi_worker":
        return _multi_worker(virtual_devices, worker_timeout_seconds)
    if strategy == "auto":
        _refuse_to_run_alone()
    return _local(strategy, virtual_devices)


def _multi_worker(virtual_devices: int, timeout_seconds: float) -> Placement:
    cluster = clusters.read_cluster()
    if cluster is None:
        raise UserError(
            "--strategy=multi_worker needs the environment variable TF_CONFIG, "
            "which the launcher sets on every host. Received: none."
        )
    if virtual_devices > 1:
        raise UserError(
            "--virtual_devices and --strategy=multi_worker exclude each other: "
            "a worker without GPUs is one replica. Leave one out."
        )
    if cluster.num_hosts > 1:
        clusters.wait_for_workers(cluster, timeout_seconds=timeout_seconds)
        clusters.set_timeouts(cluster)
    try:
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
    except (ValueError, RuntimeError, tf.errors.OpError) as error:
        raise UserError(
            "--strategy=multi_worker: the workers of TF_CONFIG did not come "
            f"together: {str(error).splitlines()[0]}"
        ) from error
    return Placement(
        strategy,
        "GPU" if tf.config.list_logical_devices("GPU") else "CPU",
        "--strategy=multi_worker, TF_CONFIG",
        num_hosts=cluster.num_hosts,
        host=cluster.host,
    )


def _refuse_to_run_alone() -> None:
    """Several hosts that each think they are the only one would overwrite
    each other's files."""
    try:
        cluster = clusters.read_cluster()
    except ValueError:
        return  # an evaluator's, or another program's: not asked for here
    if cluster is not None and cluster.num_hosts > 1:
        raise UserError(
            f"TF_CONFIG names {cluster.num_hosts} workers, and --strategy=auto "
            "would run each of them alone. Pass --strategy=multi_worker, or "
            "unset TF_CONFIG."
        )


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
        raise UserError(
            "--virtual_devices must be set before TensorFlow has used a "
            f"device: {error}"
        ) from error


def _tpu(
    address: str | None, zone: str | None, project: str | None
) -> Placement:
    # Heavy, and needed on TPUs only.
    from official.common import distribute_utils

    _check_tpu_package()
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
        raise UserError(
            "A TPU was asked for (--use_tpu=True, --strategy=tpu or "
            f"--tpu_name={address or ''}) and none was reached: {reason}. Name "
            "one with --tpu_name, or pass --use_tpu=False to run without."
        ) from error
    return Placement(strategy, "TPU", f"TPU {address or 'of this machine'}")


def _check_tpu_package() -> None:
    """tensorflow-tpu and tensorflow install into one folder, so that two
    versions of them make a mixture."""
    try:
        version = importlib.metadata.version("tensorflow-tpu")
    except importlib.metadata.PackageNotFoundError:
        return  # a remote TPU needs none; a local one will not be found
    if version != tf.__version__:
        raise UserError(
            f"tensorflow-tpu {version} is installed, and tensorflow is "
            f"{tf.__version__}. Install tensorflow-tpu=={tf.__version__} "
            "in its place (see tpu/README.md)."
        )
