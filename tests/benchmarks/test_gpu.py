"""The kernels as the command runs them without a GPU, and what its report says of figures."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from benchmarks import gpu, gpu_cases, gpu_models
from lethe.errors import LetheError
from lethe.models.solvers.pull import has_triton


@pytest.mark.skipif(not has_triton(), reason="Triton is not installed")
def test_every_kernel_is_right_in_the_interpreter() -> None:
    errors = gpu.interpret()
    assert len(errors) == 8
    assert all(0 < error < gpu.EXACT for error in errors.values())


def test_a_wrong_kernel_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "_case", lambda *_, **__: {"pull": 1e-7, "scored": float("nan")})
    with pytest.raises(LetheError, match=r"^gpu --interpret: scored differs from float64 by nan"):
        gpu.interpret()


def test_other_bytes_and_failures_stand_in_the_report() -> None:
    def made(digest: str, ms: float, loss: float = 2.0) -> dict[str, Any]:
        return {"digest": digest, "ms": ms, "loss": loss}

    twice = {"once": {"digest": "a"}, "again": {"digest": "a"}}
    figures = {
        "first": {"wmf": made("a", 2.0), "gmf": made("b", 1.0), "ghcf": {"failed": "RuntimeError: no"}},
        "second": {"wmf": made("a", 2.0), "gmf": made("c", 1.0)},
        "cpu": {"wmf": made("d", 50.0, 2.001), "gmf": {"failed": "x"}},
        "aggregator": twice,
        "forget": twice,
        "replayed": {"wmf": True, "gmf": False},
        "big": {"once": {"failed": "more than 240 seconds"}, "again": {"digest": "a"}},
    }
    report = gpu.summary(figures)
    assert report["differing"] == ["gmf", "ghcf", "big", "gmf, replayed"]
    assert report["models"]["wmf"] == {
        "same bytes": True,
        "from the CPU": pytest.approx(0.0005, rel=0.01),
        "ms": 2.0,
        "CPU ms": 50.0,
        "times": 25.0,
    }
    card = dict.fromkeys(("device", "driver", "cuda", "torch", "triton", "cpu"), "x")
    told = {"laws": "held", "demo": "verify: equal", "environment": card, "rankings": {"once": {}}}
    quick = dict.fromkeys((gpu.FULL_BATCH, "lightgcn", "convncf"), report["models"]["wmf"])
    text = "\n".join(gpu.blocks(figures | report | told | {"models": report["models"] | quick}))
    assert "| ghcf | RuntimeError: no |" in text
    assert "| other bytes in a second process | gmf, ghcf, big, gmf, replayed | none |" in text
    assert "| times a CPU thread, neumf | not measured | >= 20 |" in text
    assert "| replayed steps with the bytes of others | False | True |" in text


def test_who_had_no_time_is_left_out_and_does_not_differ() -> None:
    left = {"failed": f"left out: {gpu_cases.BUDGET} seconds were over"}
    twice = {"once": {"digest": "a"}, "again": {"digest": "a"}}
    figures = {"first": {"fm": left}, "second": {}, "cpu": {}} | dict.fromkeys(("aggregator", "forget", "big"), twice)
    report = gpu.summary(figures)
    assert (report["differing"], report["left out"]) == ([], ["fm"])


def test_every_case_can_be_made_and_learns() -> None:
    """Each model that reads side tables, on few made rows: on a GPU nobody has the time to find out."""
    rows, tables = gpu_models.made(40, 30, 8)
    with_tables = [case for case in gpu_models.cases() if not gpu_models.reads_no_tables(case)]
    assert len(with_tables) > 10
    for case in with_tables:
        catalogue, data = gpu_models.encoded(case, rows, tables)
        made = gpu_models.learned(case, catalogue, data, torch.device("cpu"))
        assert np.isfinite(made["loss"]), case
