"""The step as a program: written with TensorFlow, run without it."""

import importlib.util
import json
import os
import pathlib
import shutil
import subprocess
import sys
import types

import numpy as np
import pytest

from run import main as train
from simclr_tf.errors import UserError
from tests.bench import run_step_program, step_program, torch_step

RUNNER = pathlib.Path(run_step_program.__file__)
# What a compiled module looks like.
TEXT = """HloModule step

%sum (a: f32[], b: f32[]) -> f32[] {
  %a = f32[] parameter(0)
  ROOT %add.1 = f32[] add(%a, %b)
}

%fused_conv (p: f32[4], q: f32[4]) -> f32[4] {
  %p = f32[4] parameter(0)
  ROOT %convolution.2 = f32[4]{0} convolution(%p, %q), window={}
}

%fused_sum (p: f32[4]) -> f32[] {
  %multiply.3 = f32[4] multiply(%p, %p)
  ROOT %reduce.4 = f32[] reduce(%multiply.3, %zero), to_apply=%sum
}

%fused_copy (p: f32[4]) -> f32[4] {
  %p.1 = f32[4] parameter(0)
  ROOT %transpose.2 = f32[4] transpose(%p.1), dimensions={0}
}

ENTRY %main (p: f32[4]) -> (f32[4], f32[]) {
  %fusion.1 = f32[4]{0} fusion(%p, %q), kind=kLoop, calls=%fused_conv
  %fusion.2 = f32[] fusion(%p), kind=kInput, calls=%fused_sum
  %fusion.3 = f32[4] fusion(%p), kind=kLoop, calls=%fused_copy
  %cudnn-conv.1 = (f32[4]{0}, u8[0]{0}, /*index=2*/f32[]) custom-call(%p), \
custom_call_target="__cudnn$convForward"
  %custom-call.5 = (f32[4]{0}, s8[64]) custom-call(%p), \
custom_call_target="__cublas$gemm"
  %dot.1 = f32[4] dot(%p, %q), lhs_contracting_dims={1}
  %all-reduce-start.1 = f32[4] all-reduce-start(%p), to_apply=%sum
  %while.1 = (f32[4], s32[]) while(%t), condition=%c, body=%b
  %exp.1 = f32[4] exponential(%p)
  ROOT %tuple.1 = (f32[4], f32[]) tuple(%fusion.1, %fusion.2)
}
"""


def test_operations_have_kinds():
    kinds = run_step_program.kinds_of(TEXT)
    expected = {
        "fusion.1": "convolutions",
        "fusion.2": "sums, pooling",
        "fusion.3": "copies, layout",
        "cudnn-conv.1": "convolutions",
        "custom-call.5": "matrix products",
        "dot.1": "matrix products",
        "all-reduce-start.1": "between replicas",
        "while.1": None,
        "exp.1": "arithmetic",
    }
    assert {name: kinds[name] for name in expected} == expected
    kind = run_step_program.kind_of_event
    assert kind("fusion.2", kinds) == "sums, pooling"
    assert kind("ncclDevKernel_AllReduce", kinds) == "between replicas"
    assert kind("sm90_xmma_fprop_cudnn", kinds) == "convolutions"
    assert kind("nobody", kinds) == "unknown"


def a_folder(path):
    """One whose files are whole; nothing that could be run."""
    path.mkdir()
    (path / "module.stablehlo").write_bytes(b"12345")
    sizes = [5, run_step_program.sha256(path / "module.stablehlo")]
    program = {
        "format": run_step_program.FORMAT,
        "files": {"module.stablehlo": sizes},
    }
    (path / "program.json").write_text(json.dumps(program))
    return path


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda f: shutil.rmtree(f), "no program.json"),
        (lambda f: (f / "program.json").write_text('{"for'), "no program.json"),
        (lambda f: (f / "program.json").write_text("[1]"), "not of the format"),
        (lambda f: (f / "program.json").write_text("{}"), "not of the format"),
        (lambda f: (f / "module.stablehlo").unlink(), "is missing"),
        (
            lambda f: (f / "module.stablehlo").write_bytes(b"123"),
            "has 3 bytes of 5",
        ),
        (
            lambda f: (f / "module.stablehlo").write_bytes(b"12346"),
            "SHA-256 differs",
        ),
    ],
)
def test_a_spoilt_folder_is_refused_in_a_line(tmp_path, capsys, spoil, said):
    folder = a_folder(tmp_path / "program")
    run_step_program.read_program(folder)
    spoil(folder)
    with pytest.raises(SystemExit) as ended:
        run_step_program.read_program(folder)
    assert ended.value.code == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and said in line
    assert str(folder) in line


def a_comparison(tmp_path, **found):
    np.savez(tmp_path / "start.npz", **{"0": np.zeros(2), "1": np.zeros(2)})
    np.savez(tmp_path / "expected.npz", **{"0": np.array([3.0, 4.0])})
    program = {
        "expected": {
            "scalars": {"loss": [2.0, 1.0]},
            "scales": {"loss": 2.0},
            "allowed": {"loss": 1e-5, "kernels": 1e-3},
        },
        "groups": {"kernels": [0]},
    }
    right = {
        "scalars": {"loss": [2.0, 1.0]},
        "after": {0: np.array([3.0, 4.0]), 1: np.ones(2)},
        "differing": 0,
    }
    rows = run_step_program.compare(tmp_path, program, right | found)
    return {r["name"]: r["error"] for r in rows if not r["agrees"]}


@pytest.mark.parametrize(
    ("found", "off"),
    [
        ({}, {}),
        ({"scalars": {"loss": [2.0, 1.5]}}, {"loss": 0.25}),
        ({"after": {0: np.array([1.5, 2.0])}}, {"kernels": 0.5}),
        ({"differing": 3}, {"the replicas among themselves": 3.0}),
    ],
)
def test_what_is_off_is_named(tmp_path, found, off):
    assert a_comparison(tmp_path, **found) == off


def test_a_nan_does_not_agree(tmp_path):
    found = {"scalars": {"loss": [2.0, np.nan]}}
    assert list(a_comparison(tmp_path, **found)) == ["loss"]


def test_events_are_those_of_devices():
    def named(name, **more):
        return types.SimpleNamespace(name=name, **more)

    def event(name, nanoseconds, **stats):
        return named(name, duration_ns=nanoseconds, stats=stats.items())

    data = named(
        "trace",
        planes=[
            named(
                "/host:CPU",
                lines=[named("python", events=[event("f", 1, hlo_op="a")])],
            ),
            named(
                "/device:GPU:0",
                lines=[
                    named("Stream #1", events=[event("k", 2, hlo_op="b")]),
                    named("Stream #2", events=[event("nccl", 3)]),
                    named("XLA Modules", events=[event("jit", 5)]),
                ],
            ),
        ],
    )
    found = list(run_step_program.events(data, on_host=False))
    assert found == [("b", 2), ("nccl", 3)]


# By hand: v = w - the sum over replicas of x w^T x; the mean of x's sum.
MODULE = """module @m attributes {{
   mhlo.num_replicas = {R} : i32,
   mhlo.input_output_alias = [{{
     alias = {{kind = "must_alias", parameter_index = array<i64>,
               parameter_number = 2 : i64}},
     output_index = array<i64: 0>}}]}} {{
 func.func public @main(%i: tensor<i32>, %x: tensor<4x8xf32>,
     %w: tensor<4x8xf32>, %t: tensor<f32>) -> (tensor<4x8xf32>, tensor<f32>) {{
  %g = stablehlo.dot_general %x, %w, contracting_dims = [1] x [1]
      : (tensor<4x8xf32>, tensor<4x8xf32>) -> tensor<4x4xf32>
  %h = stablehlo.dot_general %g, %x, contracting_dims = [1] x [0]
      : (tensor<4x4xf32>, tensor<4x8xf32>) -> tensor<4x8xf32>
  %s = "stablehlo.all_reduce"(%h) <{{
      replica_groups = dense<{group}> : tensor<1x{R}xi64>}}> ({{
   ^bb0(%a: tensor<f32>, %b: tensor<f32>):
    %c = stablehlo.add %a, %b : tensor<f32>
    stablehlo.return %c : tensor<f32>
  }}) : (tensor<4x8xf32>) -> tensor<4x8xf32>
  %v = stablehlo.subtract %w, %s : tensor<4x8xf32>
  %z = stablehlo.constant dense<0.0> : tensor<f32>
  %n = stablehlo.reduce(%x init: %z) applies stablehlo.add
      across dimensions = [0, 1] : (tensor<4x8xf32>, tensor<f32>) -> tensor<f32>
  %u = stablehlo.add %t, %n : tensor<f32>
  return %v, %u : tensor<4x8xf32>, tensor<f32>
 }}
}}"""


def by_hand(folder, replicas, factor=1.0):
    """A folder of MODULE, whose expectation is NumPy's, times a factor."""
    from jax._src.interpreters import mlir
    from jaxlib.mlir import ir
    from jaxlib.mlir.dialects import stablehlo

    folder.mkdir()
    text = MODULE.format(R=replicas, group=[list(range(replicas))])
    with mlir.make_ir_context():
        module = stablehlo.serialize_portable_artifact(
            ir.Module.parse(text), stablehlo.get_current_version()
        )
    (folder / "module.stablehlo").write_bytes(module)
    rng = np.random.default_rng(0)
    w = rng.normal(size=(4, 8)).astype(np.float32)
    np.savez(folder / "start.npz", **{"0": w, "1": np.float32(0)})
    means, v = [], w.astype(np.float64)
    for number in range(3):
        x = rng.normal(size=(replicas, 4, 8)).astype(np.float32)
        index = np.arange(replicas, dtype=np.int32)
        np.savez(folder / f"step_{number}.npz", **{"0": index, "1": x})
        means.append(factor * float(x.sum() / replicas))
        v = v - factor * sum((each @ v.T) @ each for each in x)
    np.savez(folder / "expected.npz", **{"0": v})
    program = {
        "format": run_step_program.FORMAT,
        "about": "by hand",
        "replicas": replicas,
        "steps": 3,
        "images_per_step": 4 * replicas,
        "model_flops_per_step": 512 * replicas,
        "written": [0, 1],
        "own": [1],
        "scalars": {"loss": 1},
        "groups": {"kernels": [0]},
        "expected": {
            "scalars": {"loss": means},
            "scales": {"loss": 1.0},
            "allowed": {"loss": 1e-5, "kernels": 1e-3},
        },
        "files": {
            path.name: [path.stat().st_size, run_step_program.sha256(path)]
            for path in folder.iterdir()
        },
    }
    (folder / "program.json").write_text(json.dumps(program))
    return folder


TINY = (
    "--dataset=cifar10",
    "--resnet_depth=10",
    "--width_multiplier=0.125",
    "--image_size=16",
    "--train_batch_size=8",
    "--augment_on=device",
    "--optimizer=momentum",
    "--mixed_precision=none",
)


def run(folder, *flags, **environment):
    return subprocess.run(
        [sys.executable, RUNNER, folder, "--platform=cpu", *flags],
        capture_output=True,
        text=True,
        cwd=folder.parent,
        env={**os.environ, **environment},
    )


needs_jax = pytest.mark.skipif(
    importlib.util.find_spec("jax") is None,
    reason="jax is not here: make preflight",
)


@pytest.mark.slow
@needs_jax
def test_a_program_made_by_hand(tmp_path):
    """Without TensorFlow: on one device and two; on too few; a wrong one."""
    for replicas in (1, 2):
        folder, path = tmp_path / f"{replicas}", tmp_path / "report.json"
        by_hand(folder, replicas)
        done = run(folder, f"--json={path}", "--steps=2", "--layout=nchw")
        assert done.returncode == 0, done.stdout + done.stderr
        report = json.loads(path.read_text())
        assert report["devices"] == replicas
        assert {"matrix products", "sums, pooling"} <= set(
            report["seconds_by_kind"]
        )
    one = "--xla_force_host_platform_device_count=1"
    for flags, environment, said in (
        (["--platform=cpu"], {"XLA_FLAGS": one}, "--replicas=1"),
        (["--platform=nonsense"], {}, "no device of nonsense"),
    ):
        refused = run(folder, *flags, **environment)
        assert refused.returncode == 2
        assert "Traceback" not in refused.stderr
        line = refused.stderr.splitlines()[-1]
        assert line.startswith("error: ") and said in line
    by_hand(tmp_path / "wrong", 1, factor=0.5)
    off = run(tmp_path / "wrong", "--steps=1", "--profiled=0", "--tf32")
    assert off.returncode == 4
    assert off.stdout.count("OFF") == 2


@pytest.mark.slow
@needs_jax
@pytest.mark.parametrize("replicas", [1, 2])
def test_the_pair(tmp_path, replicas):
    """Losses and weights after three steps, by XLA on CPU devices."""
    folder, path = tmp_path / "program", tmp_path / "report.json"
    step_program.write(
        folder,
        [*TINY, f"--data_dir={tmp_path}"],
        replicas=replicas,
    )
    done = run(folder, f"--json={path}", "--steps=2", "--profiled=1")
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(path.read_text())
    assert report["devices"] == replicas
    compared = {each["name"]: each for each in report["compared"]}
    assert {"contrast_loss", "the kernels"} <= set(compared)
    assert report["images_per_second"] > 0 and report["flops"] > 0
    kinds = report["seconds_by_kind"]
    assert kinds["convolutions"] > 0
    assert ("between replicas" in kinds) == (replicas > 1)
    assert kinds.get("unknown", 0) < 0.1 * sum(kinds.values())
    for said in ("images/s", "memory", "convolutions", "say nothing of any"):
        assert said in done.stdout


@pytest.mark.soak
@needs_jax
def test_what_a_step_only_reads_stays(tmp_path):
    """A frozen encoder goes in, and does not come out."""
    trained, folder = tmp_path / "trained", tmp_path / "program"
    flags = [*TINY, "--dataset=digits", "--eval_batch_size=8"]
    given = [*flags, "--train_mode=supervised", "--train_steps=1"]
    assert train(["run.py", *given, f"--model_dir={trained}"]) == 0
    frozen = ["--train_mode=finetune", "--fine_tune_after_block=4"]
    step_program.write(
        folder, [*flags, *frozen, f"--checkpoint={trained}"], replicas=1
    )
    program = json.loads((folder / "program.json").read_text())
    assert len(program["written"]) < len(program["variables"])
    done = run(folder, "--steps=1", "--profiled=0")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_folder_that_is_not_empty_is_left_alone(tmp_path):
    folder = a_folder(tmp_path / "program")
    with pytest.raises(UserError, match=r"not empty\. Name a new folder\."):
        step_program.write(folder, [*TINY], replicas=1)
    run_step_program.read_program(folder)


def test_flags_behind_two_dashes_are_those_of_run_py():
    parsed = step_program.parse(["f", "--replicas=2", "--", "--seed=1", "--"])
    assert (parsed.folder, parsed.replicas) == ("f", 2)
    assert parsed.flags == ["--seed=1", "--"]
    assert step_program.parse(["--steps=1", "f"]).flags == []


def test_without_torch_a_line_says_so(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setattr(sys, "argv", ["torch_step.py"])
    with pytest.raises(SystemExit) as ended:
        torch_step.main()
    assert ended.value.code == 2
    assert capsys.readouterr().err.splitlines() == [
        "error: torch is not here. Install torch 2."
    ]


@pytest.mark.slow
def test_the_torch_step(tmp_path):
    python = RUNNER.parents[2] / ".venv-export" / "bin" / "python"
    if not python.exists():
        pytest.skip("no .venv-export: make export-env")
    path = tmp_path / "torch.json"
    tiny = "--batch_size=4 --image_size=32 --width=0.125 --steps=1 --eager"
    subprocess.run(
        [python, torch_step.__file__, f"--json={path}", *tiny.split()],
        check=True,
    )
    report = json.loads(path.read_text())
    # Near chance among the 7 others, on the scale of l_a + l_b.
    assert 0 < report["loss"] < 2 * 20
    assert report["images_per_second"] > 0
