"""The verdict, the search for a batch and the report, on a made-up compiler."""

import dataclasses
import json
import re

import pytest
import tensorflow as tf

from tpu import chips, compiler, preflight, preflight_report
from tpu.compiled_text import Collective
from tpu.compiler import Compiled

TOPOLOGY = chips.parse_topology("v5e:2x2")
FIXED, PER_EXAMPLE = 2**30, 50 * 2**20


@pytest.fixture
def quick(monkeypatch):
    """Stands in for lowering: the module is the batch."""
    monkeypatch.setattr(compiler, "lower", lambda batch, _: batch)


def made_up(batch, topology, *, silent=False, **changes):
    """A compiler for which memory is linear in the batch."""
    used = FIXED + PER_EXAMPLE * batch
    if used > topology.hbm_bytes_per_core and silent:
        return Compiled("RESOURCE_EXHAUSTED: out of memory")
    if used > topology.hbm_bytes_per_core:
        return Compiled(
            "RESOURCE_EXHAUSTED: out of memory",
            used_bytes=used,
            limit_bytes=topology.hbm_bytes_per_core,
        )
    result = Compiled(
        None,
        used_bytes=used,
        memory={"argument": FIXED, "temp": used - FIXED, "generated_code": 0},
        flops=3e9 * batch,
        bytes=4e8 * batch,
        collectives=[Collective("all-reduce", 4, 5, 10**8)],
    )
    return dataclasses.replace(result, **changes)


def run(batch, *, find_batch=False, at_most=None, **changes):
    return preflight.run(
        lambda n: (n, None),
        TOPOLOGY,
        per_core_batch_size=batch,
        find_batch=find_batch,
        at_most=at_most,
        compile_module=lambda n, t: made_up(n, t, **changes),
        say=lambda _: None,
    )


def true_largest(batch):
    granule = preflight.granularity(batch)
    room = TOPOLOGY.hbm_bytes_per_core - FIXED
    return int(room / PER_EXAMPLE) // granule * granule


def test_what_fits_is_compiled_once(quick):
    verdict = run(64)
    assert verdict.fits
    assert verdict.tried == {64: True}
    assert verdict.largest is None


@pytest.mark.parametrize("silent", [True, False])
@pytest.mark.parametrize("batch", [320, 512, 4096, 2**17])
def test_what_does_not_fit_is_refused_with_the_largest_that_does(
    quick, batch, silent
):
    """Also where the compiler doesn't say how much is missing."""
    verdict = run(batch, silent=silent)
    assert not verdict.fits
    assert verdict.largest == true_largest(batch)
    assert len(verdict.tried) < 12


@pytest.mark.parametrize("batch", [8, 64, 296, 304])
def test_find_batch_from_below(quick, batch):
    verdict = run(batch, find_batch=True)
    assert verdict.fits
    assert verdict.largest == true_largest(batch)


def test_no_larger_than_is_of_use(quick):
    assert run(64, find_batch=True, at_most=100).largest == 96


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"collectives": []}, "No collective over all 4"),
        (
            {"collectives": [Collective("all-reduce", 2, 9, 9)]},
            "No collective over all 4",
        ),
        ({"host_operations": ["outfeed"]}, "outfeed"),
        ({"reason": "INVALID_ARGUMENT: no"}, "INVALID_ARGUMENT"),
    ],
)
def test_what_must_not_be_in_the_program(quick, changes, reason):
    verdict = run(64, **changes)
    assert not verdict.fits
    assert reason in verdict.reason
    assert verdict.largest is None  # fewer images would not help


def test_estimate_is_the_roofline(quick):
    verdict = run(64)
    chip, estimate = TOPOLOGY.chip, verdict.estimate()
    compute = 3e9 * 64 / chip.flops_per_second
    memory = 4e8 * 64 / chip.hbm_bytes_per_second
    moved = 2 * 10**8 * 3 / 4 / chip.ici_bytes_per_second
    assert memory > compute
    assert estimate.step_seconds == pytest.approx(memory + moved)


def test_two_cores_of_a_chip_share_its_peaks(quick):
    shared = chips.parse_topology("v4:2x2x1")
    compiled = made_up(8, shared)
    verdict = preflight.Verdict(shared, 8, compiled, None, None, {})
    compute = verdict.estimate().compute_seconds
    assert compute == pytest.approx(
        compiled.flops / (shared.chip.flops_per_second / 2)
    )


def test_report_as_json_and_table(quick):
    job = preflight_report.Job(views_per_example=2, train_steps=100)
    ok = preflight_report.Finding("ok", "all is well")
    report = preflight_report.as_json(run(64), job, [ok])
    assert json.loads(json.dumps(report)) == report
    assert report["fits"]
    assert report["global_batch_size"] == 64 * 4
    assert report["bytes_per_view"] == 4e8 / 2
    step = report["estimate"]["step_seconds"]
    assert report["estimate"]["hours"] == pytest.approx(100 * step / 3600)
    assert report["estimate"]["images_per_second"] == pytest.approx(256 / step)
    table = preflight_report.as_table(report)
    for said in ("FITS", "all is well", "all-reduce", "estimated", "none"):
        assert said in table


def test_what_each_host_must_deliver(quick):
    rate = 256 / run(64).estimate().step_seconds
    unknown = preflight_report.Job(views_per_example=2, train_steps=100)
    report = preflight_report.as_json(run(64), unknown, [])
    assert report["input"]["images_per_second"] == pytest.approx(rate)
    assert "the host must deliver" in preflight_report.as_table(report)
    vcpus = TOPOLOGY.host_vcpus
    assert f"its {vcpus} vCPUs; --mode=benchmark_input" in (
        preflight_report.as_table(report)
    )


@pytest.mark.parametrize(
    ("share", "said"),
    [
        (0.9, "such cores, ENOUGH"),
        (1.1, "such cores, NOT ENOUGH. --augment_on"),
    ],
)
def test_whether_a_host_has_the_cores(quick, share, said):
    """Of which 2 were measured at a rate that asks for a share of the host."""
    rate = 256 / run(64).estimate().step_seconds
    needed = share * TOPOLOGY.host_vcpus
    job = preflight_report.Job(2, 100, measured_input=(2 * rate / needed, 2))
    report = preflight_report.as_json(run(64), job, [])
    assert report["input"]["cores_needed"] == pytest.approx(needed)
    assert report["input"]["enough"] == (share < 1)
    table = preflight_report.as_table(report)
    assert f"on 2 cores here: {needed:.3g} {said}" in table


@pytest.mark.parametrize(
    ("same", "batch", "verdict"),
    [
        (True, 64, "compiles, fits, computes the same"),
        (False, 64, "compiles, fits, does not compute the same: a, b, c"),
        (None, 64, "fits"),
        (True, 512, "does not fit, computes the same"),
    ],
)
def test_the_verdict_says_what_a_rehearsal_found(quick, same, batch, verdict):
    job = preflight_report.Job(views_per_example=2, train_steps=100)
    rehearsal = {
        "same": same,
        "off": list("abcd"),
        "lines": [("rehearsal", "2 replicas")],
    }
    report = preflight_report.as_json(run(batch), job, [], rehearsal)
    assert report["verdict"] == verdict
    table = preflight_report.as_table(report)
    assert verdict.upper() in table
    assert "2 replicas" in table


def test_report_of_what_does_not_fit(quick):
    job = preflight_report.Job(views_per_example=2, train_steps=100)
    verdict = run(512)
    report = preflight_report.as_json(verdict, job, [])
    table = preflight_report.as_table(report)
    assert not report["fits"]
    assert "DOES NOT FIT" in table
    assert f"--train_batch_size={verdict.largest * 4}" in table


def test_report_of_what_does_not_compile(quick):
    job = preflight_report.Job(views_per_example=2, train_steps=100)
    verdict = run(64, reason="INVALID_ARGUMENT: no")
    report = preflight_report.as_json(verdict, job, [])
    assert report["verdict"] == "does not compile"
    assert "INVALID_ARGUMENT: no" in preflight_report.as_table(report)


def test_an_error_among_the_findings_is_no_fit(quick):
    job = preflight_report.Job(views_per_example=2, train_steps=100)
    wrong = preflight_report.Finding("error", "tensorflow-tpu is 2.19")
    report = preflight_report.as_json(run(64), job, [wrong])
    assert not report["fits"]
    assert "2.19" in report["reason"]
    assert report["verdict"] == "compiles, but could not run"


@pytest.mark.parametrize(
    "words",
    [
        "XLA:TPU compile permanent error. Ran out of memory in memory space "
        "hbm. Used 20.50G of 15.75G hbm. Exceeded hbm capacity by 4.75G.",
        "Ran out of memory on HBM, the total memory required for HLO "
        "temporaries (20.50G) exceeds available HBM (15.75G).",
    ],
)
def test_the_compilers_words_on_memory_are_read(words):
    refused = compiler._refused(f"RESOURCE_EXHAUSTED: {words}", 1.0)
    assert refused.out_of_memory
    assert refused.used_bytes == 20.5 * 2**30
    assert refused.limit_bytes == 15.75 * 2**30


@pytest.mark.parametrize(
    ("ending", "said"),
    [
        ("kill -SEGV $$", r"itself crashed \(SIGSEGV\): a fault of libtpu's"),
        ("echo no such chip >&2; exit 3", "status 3 and said: no such chip"),
    ],
)
def test_a_compiler_that_dies_is_a_reason(monkeypatch, tmp_path, ending, said):
    program = tmp_path / "python"
    program.write_text(f"#!/bin/sh\n{ending}\n")
    program.chmod(0o755)
    monkeypatch.setattr(compiler.sys, "executable", str(program))
    result = compiler.compile_module(b"", TOPOLOGY)
    assert re.search(said, result.reason)
    assert not result.out_of_memory


def test_a_missing_extra_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr(
        compiler, "version", lambda name: None if name == "libtpu" else "1"
    )
    with pytest.raises(ValueError, match=r"libtpu.*pip install.*preflight"):
        compiler.check_installed()


@pytest.mark.parametrize("same", [True, False])
def test_tensorflow_tpu_must_be_of_the_same_version(monkeypatch, same):
    there = tf.__version__ if same else "2.19.1"
    monkeypatch.setattr(compiler, "version", lambda name: there)
    levels = [level for level, _ in compiler.version_findings()]
    assert ("error" in levels) != same
