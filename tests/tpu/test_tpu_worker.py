"""TensorFlow's server on a host of a slice, and how run.py finds it."""

import http.server
import signal
import sys
import threading
import types

import pytest

from tpu import strategy, worker


def test_the_addresses_of_a_slice():
    told = "unknown:unknown:10.0.0.2,unknown:unknown:10.0.0.3"
    expected = "grpc://10.0.0.2:8470,grpc://10.0.0.3:8470"
    assert worker.addresses(told) == expected


@pytest.mark.parametrize(
    "named", ["grpc://10.0.0.2:8470,grpc://10.0.0.3:8470", "local"]
)
def test_every_host_of_a_slice_is_driven(named):
    assert strategy._servers(named, None, None) == named


class Metadata(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        told = self.headers["Metadata-Flavor"] == "Google"
        self.send_response(200 if told else 403)
        self.end_headers()
        self.wfile.write(f"a:{self.path[1:]}:10.0.0.2".encode())

    def log_message(self, *_):
        pass


def test_the_machine_is_asked_for_its_addresses(monkeypatch, capsys):
    with http.server.HTTPServer(("localhost", 0), Metadata) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://localhost:{server.server_port}/"
        monkeypatch.setattr(worker, "_METADATA", address)
        assert worker.main(["", "--addresses"]) == 0
        assert worker.metadata("key") == "a:key:10.0.0.2"
        server.shutdown()
    assert capsys.readouterr().out == "grpc://10.0.0.2:8470\n"
    assert worker.main(["", "--addresses"]) == 1
    assert "no TPU VM" in capsys.readouterr().err


@pytest.fixture
def grpc_tpu_worker(monkeypatch):
    """tensorflow-tpu's server, which plain tensorflow lacks."""
    name = "tensorflow.python.tools.grpc_tpu_worker"
    module = types.ModuleType(name)
    monkeypatch.setitem(sys.modules, name, module)
    before = signal.getsignal(signal.SIGTERM)
    yield module
    signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize(
    ("told", "seen"), [("v6e-16", "v5e-16"), ("v3-32", "v3-32")]
)
def test_the_server_survives_sigterm_and_knows_v6e(grpc_tpu_worker, told, seen):
    answers = []
    grpc_tpu_worker.get_metadata = lambda key: f"{key}: {told}"[-len(told) :]

    def run():
        answers.append(signal.getsignal(signal.SIGTERM))
        answers.append(grpc_tpu_worker.get_metadata("accelerator-type"))
        answers.append(grpc_tpu_worker.get_metadata("agent-worker-number"))

    grpc_tpu_worker.run = run
    assert worker.main([""]) == 0
    assert answers == [signal.SIG_IGN, seen, told]


def test_plain_tensorflow_has_no_server(capsys):
    assert worker.main([""]) == 1
    assert "tpu/setup_vm.sh" in capsys.readouterr().err
