"""TensorFlow's server on one host of a TPU slice of several.

There, run.py is one process on the first host, which drives a server on every
host (`tpu/vm.sh serve`). The server is tensorflow-tpu's own; this file adds
what it lacks: v6e, and patience with SIGTERM.
"""

import signal
import sys
import urllib.request

_METADATA = (
    "http://metadata.google.internal/computeMetadata/v1/instance/attributes/"
)
_PORT = 8470


def metadata(key: str) -> str:
    """What Google Cloud says about this machine."""
    request = urllib.request.Request(
        _METADATA + key, headers={"Metadata-Flavor": "Google"}
    )
    with urllib.request.urlopen(request, timeout=20) as answer:
        return answer.read().decode()


def addresses(endpoints: str) -> str:
    """The servers of a slice, as `TPUClusterResolver` takes them.

    Args:
        endpoints: "name:name:10.0.0.2,name:name:10.0.0.3", the metadata's
            worker-network-endpoints.

    Returns:
        "grpc://10.0.0.2:8470,grpc://10.0.0.3:8470".
    """
    hosts = [endpoint.split(":")[2] for endpoint in endpoints.split(",")]
    return ",".join(f"grpc://{host}:{_PORT}" for host in hosts)


def serve() -> None:
    """Serves until killed."""
    from tensorflow.python.tools import grpc_tpu_worker

    told = grpc_tpu_worker.get_metadata

    def get_metadata(key):
        value = told(key)
        # Its table of slices ends with v3; v4 and v5 it leaves to libtpu, and
        # v6e wants the same (tensorflow-tpu 2.20 ends with a KeyError).
        if key == "accelerator-type" and value.startswith("v6"):
            return value.replace("v6", "v5", 1)
        return value

    grpc_tpu_worker.get_metadata = get_metadata
    # A machine that is taken away tells every process. run.py needs this
    # server to save its step, and is told at the same time.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    grpc_tpu_worker.run()


def main(argv: list[str]) -> int:
    """Returns the exit status."""
    try:
        if argv[1:] == ["--addresses"]:
            print(addresses(metadata("worker-network-endpoints")))
        else:
            serve()
    except OSError as error:
        print(f"error: this is no TPU VM: {error}", file=sys.stderr)
        return 1
    except ImportError as error:
        print(
            f"error: {error}. tpu/setup_vm.sh installs tensorflow-tpu.",
            file=sys.stderr,
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
