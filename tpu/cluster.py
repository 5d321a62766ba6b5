"""The hosts of a multi-worker run: who they are, and whether they are there.

Knows TensorFlow and nothing of SimCLR.

TensorFlow itself waits for an absent first worker without end, deaf to
SIGTERM, so the workers look for one another before it is asked.
"""

import dataclasses
import json
import os
import re
import socket
import time

from simclr_tf.errors import UserError

# TensorFlow's own patience, once everybody has been seen.
_REGISTER_SECONDS = 60
# Without a sign of life for so long, a worker counts as gone, and the others'
# collectives fail.
_HEARTBEAT_SECONDS = 20
_RETRY_SECONDS = 0.2
# A worker that was killed a moment ago may still hold its port.
_PORT_SECONDS = 10.0

_EXAMPLE = (
    '{"cluster": {"worker": ["host0:12345", "host1:12345"]}, '
    '"task": {"type": "worker", "index": 0}}'
)


@dataclasses.dataclass(frozen=True)
class Cluster:
    """The workers of a run, in the order of their replicas.

    Attributes:
        addresses: "host:port" of each, the chief first.
        host: this process's place in addresses.
        leader: the chief's name, as TensorFlow's coordination service has it.
        job_sizes: job name -> number of tasks.
    """

    addresses: tuple[str, ...]
    host: int
    leader: str
    job_sizes: dict[str, int]

    @property
    def num_hosts(self) -> int:
        return len(self.addresses)


def read_cluster() -> Cluster | None:
    """What the environment variable TF_CONFIG says, or None if it is not set.

    Raises:
        UserError: it is malformed; the message says how.
    """
    text = os.environ.get("TF_CONFIG", "").strip()
    if not text:
        return None
    try:
        config = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise _malformed(f"it is not JSON ({error})") from error
    jobs = config.get("cluster") if isinstance(config, dict) else None
    task = config.get("task") if isinstance(config, dict) else None
    if not isinstance(jobs, dict) or not isinstance(task, dict):
        raise _malformed('"cluster" and "task" must be there, as objects')
    kind, index = task.get("type"), task.get("index")
    # An evaluator stands beside the cluster; parameter servers are none of
    # what we do.
    known = {name: jobs[name] for name in ("chief", "worker") if name in jobs}
    if set(jobs) - {"chief", "worker", "evaluator"} or kind not in known:
        raise _malformed(
            'jobs may be "chief" and "worker", and the task one of them. '
            f'Received: cluster of {sorted(jobs)}, task type "{kind}"'
        )
    for name, addresses in known.items():
        _check_addresses(name, addresses)
    if type(index) is not int or not 0 <= index < len(known[kind]):
        raise _malformed(
            f"task index must be 0 to {len(known[kind]) - 1}, a number, as "
            f'"{kind}" lists {len(known[kind])}. Received: {index!r}'
        )
    everyone = tuple(a for addresses in known.values() for a in addresses)
    if len(set(everyone)) < len(everyone):
        raise _malformed("an address comes twice")
    before = len(known["chief"]) if kind == "worker" and "chief" in known else 0
    return Cluster(
        addresses=everyone,
        host=before + index,
        leader=f"/job:{next(iter(known))}/replica:0/task:0",
        job_sizes={name: len(known[name]) for name in known},
    )


def _check_addresses(name, addresses) -> None:
    if not isinstance(addresses, list) or not addresses:
        raise _malformed(f'"{name}" must be a list of addresses')
    for address in addresses:
        if not isinstance(address, str) or not re.fullmatch(
            r"\S+:\d{1,5}", address
        ):
            raise _malformed(f"{address!r} is no host:port")


def _malformed(reason: str) -> UserError:
    return UserError(
        f"TF_CONFIG, which --strategy=multi_worker reads, is malformed: "
        f"{reason}. It looks like {_EXAMPLE}."
    )


def wait_for_workers(cluster: Cluster, *, timeout_seconds: float) -> None:
    """Returns when every worker has been seen; each must call it.

    A worker listens at its own address while it knocks at the others'. One
    that has seen everybody goes on to TensorFlow, which listens there too.

    Raises:
        UserError: a worker cannot be reached in time; the message names it.
    """
    missing = set(range(cluster.num_hosts)) - {cluster.host}
    deadline = time.monotonic() + timeout_seconds
    with _listen(cluster):
        while missing:
            for other in sorted(missing):
                if _answers(cluster.addresses[other], deadline):
                    missing.discard(other)
            if missing and time.monotonic() > deadline:
                names = ", ".join(
                    f"{i} ({cluster.addresses[i]})" for i in sorted(missing)
                )
                raise UserError(
                    f"--strategy=multi_worker: worker {cluster.host} has "
                    f"waited {timeout_seconds:g} s (--worker_timeout_seconds)"
                    f" for worker {names}. Start the same command on every "
                    "host, with TF_CONFIG's addresses reachable from each."
                )
            if missing:
                time.sleep(_RETRY_SECONDS)


def _listen(cluster: Cluster) -> socket.socket:
    address = cluster.addresses[cluster.host]
    port = int(address.rsplit(":", 1)[1])
    deadline = time.monotonic() + _PORT_SECONDS
    while True:
        try:
            return socket.create_server(
                ("", port), backlog=max(64, cluster.num_hosts)
            )
        except (OSError, OverflowError) as error:
            if time.monotonic() > deadline or isinstance(error, OverflowError):
                raise UserError(
                    f"--strategy=multi_worker: worker {cluster.host} cannot "
                    f"listen at {address}, its address in TF_CONFIG: {error}. "
                    "Is another run using the port?"
                ) from error
            time.sleep(_RETRY_SECONDS)


def _answers(address: str, deadline: float) -> bool:
    host, port = address.rsplit(":", 1)
    patience = min(2.0, max(0.1, deadline - time.monotonic()))
    try:
        socket.create_connection((host, int(port)), patience).close()
    except (OSError, OverflowError):
        return False
    return True


def set_timeouts(cluster: Cluster) -> None:
    """Makes a worker's death known to the others in bounded time.

    Before the strategy is made; its own settings would be an hour's patience
    for registration and TensorFlow's default for the rest.
    """
    from tensorflow.compiler.xla.tsl.protobuf import coordination_config_pb2

    # TensorFlow has no public name for this (2.20).
    from tensorflow.python.eager import context

    context.context().configure_coordination_service(
        service_type="standalone",
        service_leader=cluster.leader,
        cluster_register_timeout_in_ms=_REGISTER_SECONDS * 1000,
        heartbeat_timeout_in_ms=_HEARTBEAT_SECONDS * 1000,
        shutdown_barrier_timeout_in_ms=_HEARTBEAT_SECONDS * 1000,
        coordinated_jobs=[
            coordination_config_pb2.CoordinatedJob(name=name, num_tasks=size)
            for name, size in cluster.job_sizes.items()
        ],
    )
