"""README's figures are those of the committed results."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import readme

ROOT = Path(__file__).parent.parent.parent


def test_the_figures_of_the_readme_are_current() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    hint = "README.md is behind benchmarks/results: run `python -m benchmarks readme`"
    assert text == readme.renewed(text, ROOT / "benchmarks" / "results"), hint
    assert text.split(readme.BEGIN)[1].split(readme.END)[0].count("\n| [") == 10


def test_the_page_of_results_is_current() -> None:
    text = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    hint = "docs/results.md is behind benchmarks/results: run `python -m benchmarks readme`"
    assert text == readme.results_page(ROOT / "benchmarks" / "results"), hint


def metric(mean: float, published: float | None = None) -> dict[str, Any]:
    return {"mean": mean, "std": 0.0, "published": published, "p": None}


def write(folder: Path, report: dict[str, Any]) -> None:
    (folder / f"{report['table']}.json").write_text(json.dumps(report))


def test_a_table_shows_metrics_with_published_figures_at_the_middle_cutoff(tmp_path: Path) -> None:
    def row(model: str, value: float, published: float | None) -> dict[str, Any]:
        names = ("hr@100", "hr@200", "hr@50", "hr@10 of 100", "ndcg@5", "recall_min@3")
        return {
            "model": model,
            "base": "",
            "metrics": {name: metric(value, published if name.startswith("hr") else None) for name in names},
        }

    rows = [row("A", 0.25, 0.3), row("B", 1.5, None), row("C", 0.1, None)]
    write(tmp_path, {"table": "small", "rows": rows, "best_baseline": {"": {"hr@100": "B", "hr@50": "C"}}})
    assert readme.figures(tmp_path).split("\n\n", 1)[1] == (
        "## small\n\n| [small](benchmarks/results/small.md) | hr@100 |\n| --- | --- |\n"
        "| A | .2500 (.3000) |\n| B | **1.5000** |\n| C | .1000 |"
    )


def test_ratios_and_growth_are_told_and_other_reports_left_out(tmp_path: Path) -> None:
    ratio = {"what": "an epoch", "against": "them", "ours": 1.0, "theirs": 5.0, "goal": 4.0, "ratio": 5.0}
    write(tmp_path, {"table": "peers", "rows": [ratio]})
    largest = {"interactions": 10_000, "users": 1_000, "train_seconds": 7.2, "evaluate_seconds": 3.9, "peak_mib": 1_234}
    write(tmp_path, {"table": "growth", "rows": [{}, largest], "exponents": {"train": 1.04, "evaluate": 1.0}})
    write(tmp_path, {"table": "faults", "command": "here", "killed": 3})
    text = readme.figures(tmp_path)
    assert "| an epoch | them | 5.0 | 4 |" in text
    assert (
        "of 1,000 users take 7 s of one processor to train exactly and 4 s\nto rank in full, within 1,234 MiB" in text
    )
    assert "to the power 1.04." in text
    assert "faults" not in text


def test_only_what_is_between_the_markers_is_written() -> None:
    text, results = f"before\n{readme.BEGIN}\nstale\n{readme.END}\nafter\n", ROOT / "benchmarks" / "results"
    new = readme.renewed(text, results)
    assert new.startswith(f"before\n{readme.BEGIN}\n\n| figure | ours |")
    assert new.endswith(f"{readme.END}\nafter\n")
    assert "stale" not in new
    assert readme.renewed(new, results) == new
    with pytest.raises(ValueError, match=r"README\.md: no "):
        readme.renewed("nothing here", results)
