"""What a result says of the machine that made it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks import machine
from benchmarks.commands import common
from benchmarks.report import write_report

PACE = {"python": 0.03, "numpy": 0.0251}


def report(**more: Any) -> dict[str, Any]:
    return {"table": "speed", "rows": [{"model": "WMF"}, {"model": "BPR"}], **more}


def test_a_page_ends_with_the_pace_of_its_machine(tmp_path: Path) -> None:
    page = write_report(report(pace=PACE), "# speed\n", tmp_path)
    assert page == (tmp_path / "speed.md").read_text()
    assert page.startswith("# speed\n\nPace of the machine: 0.0300 s of the processor for ")
    assert " 0.0251 s for a product of two " in page
    assert "not of" not in page
    assert json.loads((tmp_path / "speed.json").read_text())["pace"] == PACE


def test_a_result_of_before_there_was_a_pace_stays_as_it_is(tmp_path: Path) -> None:
    assert write_report(report(), "# speed\n", tmp_path) == "# speed\n"


@pytest.mark.parametrize("other", [None, {"python": 0.06, "numpy": 0.0251}])
def test_rows_of_another_machine_are_named(other: dict[str, float] | None) -> None:
    rows = [{"model": "WMF", "pace": PACE}, {"model": "BPR", "pace": other}]
    assert machine.said(report(pace=PACE, rows=rows)).endswith(" by numpy, not of the rows BPR.\n")


def test_the_best_of_three_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = iter([0.3, 0.2, 0.4, 0.06, 0.07, 0.05])
    done: list[Callable[[], object]] = []

    def seconds(work: Callable[[], object]) -> float:
        done.append(work)
        return next(taken)

    monkeypatch.setattr(machine, "_seconds", seconds)
    assert machine.pace() == {"python": 0.2, "numpy": 0.05}
    assert len({*done[:3]}) == len({*done[3:]}) == 1
    assert done[0]() == sum(number * number % 7 for number in range(machine.STEPS))


def test_a_report_of_plain_figures_is_written_printed_and_committed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(machine, "pace", lambda: PACE)
    monkeypatch.setattr(common, "REPORTS", tmp_path / "reports")
    monkeypatch.setattr(common, "RESULTS", tmp_path / "results")
    monkeypatch.setattr("sys.argv", ["benchmarks", "queue", "--commit"])
    common.publish_plain("queue", common.timed({"requests": 2, "each": [1.5, 1.7]}), as_json=False, commit=True)
    page = (tmp_path / "results" / "queue.md").read_text()
    assert page.startswith(
        "# queue\n\n`python -m benchmarks queue --commit`\n\n| | |\n| --- | --- |\n| requests | 2 |\n\nP"
    )
    assert capsys.readouterr().out == f"{page}\n"
    written = json.loads((tmp_path / "results" / "queue.json").read_text())
    assert [written[name] for name in ("table", "each", "pace")] == ["queue", [1.5, 1.7], PACE]


def test_rows_that_an_earlier_run_left_have_no_pace_of_this_one() -> None:
    rows = [{"what": "an epoch", "command": "the first"}, {"what": "a sweep", "command": "the second"}]
    assert "machine in the last run: " in machine.said(report(pace=PACE, rows=rows))
    assert "machine: " in machine.said(report(pace=PACE, rows=rows[:1]))
