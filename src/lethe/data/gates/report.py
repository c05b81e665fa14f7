"""What a gate found: rules and counts, never a row."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from lethe.config.section import Section
from lethe.core.reports import report_path, write_report, write_text
from lethe.core.workspace import Workspace
from lethe.errors import ValidationError


@dataclass(frozen=True)
class Check:
    """One rule about one column (or about the whole table, where ``column`` is empty), and how many rows break it.

    ``failed`` is None where a rule is about the table as such, like its number of rows.
    """

    expectation: str
    column: str
    rule: str
    failed: int | None
    success: bool

    def __str__(self) -> str:
        subject = f"column {self.column!r}" if self.column else "table"
        return f"{subject} must {self.rule}"


@dataclass(frozen=True)
class Report:
    """All rules of a suite."""

    suite: str
    checks: tuple[Check, ...]

    @property
    def success(self) -> bool:
        return all(check.success for check in self.checks)


class Verdict(Section):
    """What the gates of a dataset came to: every suite that ran, and what stopped the run, if anything did."""

    dataset: str
    fault: str | None
    suites: tuple[Report, ...]

    @property
    def broken(self) -> tuple[str, ...]:
        """The rules that were broken, as sentences."""
        return tuple(_sentence(check) for suite in self.suites for check in suite.checks if not check.success)

    def write(self, workspace: Workspace) -> None:
        """reports/validation/DATASET.txt for people, and .json for programs."""
        write_text(workspace, f"validation/{self.dataset}.txt", summary(self.dataset, self.suites, self.fault))
        write_report(workspace, f"validation/{self.dataset}", self.plain())

    @classmethod
    def read(cls, workspace: Workspace, dataset: str) -> Verdict | None:
        """The last one of a dataset; None where its gates never ran."""
        path = report_path(workspace, f"validation/{dataset}")
        return cls.parse(json.loads(path.read_bytes()), path.name) if path.is_file() else None


def require(report: Report) -> None:
    """Raise ValidationError, naming column, rule and count of the first broken rule, if there is one."""
    broken = [check for check in report.checks if not check.success]
    if broken:
        others = f" (and {len(broken) - 1} more broken rules)" if len(broken) > 1 else ""
        raise ValidationError(f"{report.suite}: {_sentence(broken[0])}{others}")


def summary(dataset: str, reports: Sequence[Report], fault: str | None) -> str:
    """The one page for people: every suite that ran, every rule, how many rows break it, and what stopped the run."""
    lines = [f"Validation of {dataset}: {'passed' if fault is None else f'FAILED: {fault}'}"]
    for report in reports:
        lines += ["", report.suite]
        lines += [f"  {'ok  ' if check.success else 'FAIL'}  {_sentence(check)}" for check in report.checks]
    return "\n".join(lines) + "\n"


def _sentence(check: Check) -> str:
    if check.success or check.failed is None:
        return str(check)
    return f"{check}; {check.failed} {'row breaks' if check.failed == 1 else 'rows break'} this rule"
