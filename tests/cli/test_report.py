"""``lethe report``: what it says, also where there is nothing yet; it loads nothing and names nobody."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from lethe.build.registry import Registry
from lethe.build.reports import FamilyReport, read_reports
from lethe.cli import app
from lethe.cli.report import charts
from lethe.cli.report.facts import Facts, gather
from lethe.cli.report.forgetting import SHOWN
from lethe.cli.report.page import page
from lethe.core.reports import page_path
from lethe.core.workspace import Workspace
from lethe.data.gates.report import Check, Report, Verdict
from lethe.evaluation.quality import ActivityGroup, Quality
from tests import house
from tests.browser import chromium, faults
from tests.cli.test_commands import ALL
from tests.conftest import make_workspace, taste_blocks


class Elements(HTMLParser):
    """All elements of a page with their attributes, and all of its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.codes: list[str] = []
        self._inside: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attributes)))
        self._inside.append(tag)

    def handle_data(self, data: str) -> None:
        if self._inside[-1:] != ["style"]:
            self.texts.append(data)
        if self._inside[-1:] == ["code"]:
            self.codes.append(data)

    def handle_endtag(self, tag: str) -> None:
        if tag in self._inside:
            del self._inside[len(self._inside) - 1 - self._inside[::-1].index(tag) :]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A project that was trained, has forgotten a user, was trained again, and has a request waiting."""
    workspace = make_workspace(tmp_path_factory.mktemp("report") / "shop", taste_blocks(), models=("bpr",))
    house.train(workspace)
    house.forget(workspace, "user-003")
    house.train(workspace)
    house.ask(workspace, "user-005")
    check = Check("expect_column_values_to_be_between", "rating", "be between 1 and 5", 0, True)
    Verdict(dataset="tiny", fault=None, suites=(Report("interactions", (check, check)),)).write(workspace)
    return workspace


@pytest.fixture(scope="module")
def facts(lived: Workspace) -> Facts:
    return gather(lived)


@pytest.fixture(scope="module")
def html(facts: Facts) -> str:
    return page(facts)


def test_it_says_what_was_recorded(lived: Workspace, facts: Facts, html: str) -> None:
    text = Elements(html).text
    for report in read_reports(lived):
        for candidate in report.candidates:
            tested = [value for name, value in candidate.metrics.items() if not name.startswith("cold_")]
            assert all(f"{value:.4f}" in text for value in (candidate.valid[report.metric], *tested)), candidate.name
            assert f"{candidate.seconds:.2f}" in text
        assert report.winner.version in text
        assert report.winner.decision.why in text
    for version in Registry(lived).served().values():
        assert version.tag in text
    waiting, done = facts.requests
    assert (waiting.state, done.state) == ("accepted", "completed")
    assert waiting.id in text
    assert f"{done.id} tiny a user completed {done.received:%Y-%m-%d} {done.due:%Y-%m-%d} 8 signed not run" in text
    assert done.work is not None
    assert f"{done.work.seconds['total']:,.1f}" in text
    assert "users 23, 8.0 rows each" in text
    assert "interactions passed 2 of 2" in text
    (touched,) = (shard for shard in done.work.touched if shard.startswith("sharded/"))
    rows = next(family for family in facts.families if family.name == "sharded").shards[touched.partition("/")[2]]
    assert f"{touched.partition('/')[2]} {rows} 1" in text


def test_the_status_is_json_also_where_there_are_requests(lived: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(lived.root)
    ran = CliRunner().invoke(app, ["status", "--json"])
    assert json.loads(ran.output)["requests"] == {"accepted": 1, "completed": 1}


def test_curves_stand_for_what_has_epochs(facts: Facts, html: str) -> None:
    text = Elements(html).text
    assert facts.trainings[0].curves["bpr-whole"]
    assert "plain: bpr-whole, " in text
    assert "Without epochs, and so without a curve: mostpop-whole." in text


def test_candidates_stand_with_how_sure_they_are_and_what_their_lists_hold(facts: Facts, html: str) -> None:
    text = Elements(html).text
    for trained in facts.trainings:
        for candidate in trained.report.candidates:
            low, high = candidate.quality["valid"].intervals[trained.report.metric]
            assert low <= candidate.valid[trained.report.metric] <= high
            assert f"({low:.4f} to {high:.4f})" in text
            (listed,) = (
                one for one in candidate.quality["test"].lists if trained.report.metric.endswith(f"@{one.cutoff}")
            )
            assert f"{candidate.name} {listed.cutoff} {listed.coverage:.1%} {listed.novelty:.2f}" in text
    assert "by users' activity" not in text, "groups of so few users would be people"


def test_accuracy_by_activity_is_drawn_for_each_candidate(facts: Facts) -> None:
    trained = facts.trainings[0]
    report = trained.report
    groups = tuple(
        ActivityGroup(least=low, most=high, users=count, metrics={report.metric: value})
        for low, high, count, value in ((0, 0, 12, 0.125), (1, 1_900, 34, 0.5))
    )
    quality = {"test": Quality(groups=groups)}
    candidates = tuple(one.model_copy(update={"quality": quality}) for one in report.candidates)
    shown = replace(trained, report=report.model_copy(update={"candidates": candidates}))
    text = Elements(page(replace(facts, trainings=(shown,)))).text
    for candidate in candidates:
        assert f"{candidate.name}: test {report.metric} of users with so many rows of history." in text
    assert f"1 to 1,900 34 {' '.join('0.5000' for _ in candidates)}" in text


def test_what_an_older_lethe_measured_is_shown_without(facts: Facts) -> None:
    trained = facts.trainings[0]
    bare = [one.model_dump(exclude={"quality"}) for one in trained.report.candidates]
    older = FamilyReport.parse({**trained.report.plain(), "candidates": bare}, "older")
    text = Elements(page(replace(facts, trainings=(replace(trained, report=older),)))).text
    assert f"validation {older.metric}" in text
    assert " to 0." not in text.split("Candidates of")[1].split("All test metrics")[0]


def test_it_loads_nothing_and_runs_nothing(html: str) -> None:
    elements = Elements(html)
    assert "//" not in html
    assert not [tag for tag, _ in elements.elements if tag in ("script", "link", "img", "iframe", "object")]
    addresses = [a[name] for _, a in elements.elements for name in ("href", "src", "xlink:href") if name in a]
    ids = [attributes["id"] for _, attributes in elements.elements if "id" in attributes]
    assert addresses
    assert all(address and address.startswith("#") and address[1:] in ids for address in addresses)
    assert set(re.findall(r"url\(#([^)]*)\)", html)) <= set(ids)
    assert len(set(ids)) == len(ids)


def test_it_names_nobody(lived: Workspace, facts: Facts, html: str) -> None:
    assert not re.findall(r"(?:user|item)-\d{3}", html)
    assert not [request.id for request in facts.requests if request.subject_digest in html]


def test_a_browser_shows_it_without_faults_in_light_in_dark_and_on_a_phone(html: str, tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text(html, encoding="utf-8")
    with chromium() as browser:
        assert faults(browser, (tmp_path / "report.html").as_uri()) == []


def test_a_fault_is_one_that_would_be_found(html: str, tmp_path: Path) -> None:
    (tmp_path / "faint.html").write_text(html.replace("--ink: #1d1d1f", "--ink: #ddd"), encoding="utf-8")
    with chromium() as browser:
        found = faults(browser, (tmp_path / "faint.html").as_uri(), ["light"])
    assert any(fault.startswith("light: color-contrast: <h1") for fault in found)


def test_tables_and_drawings_can_be_heard(html: str) -> None:
    elements = Elements(html)
    assert len(elements.named("caption")) == len(elements.named("table")) > 5
    assert all(head.get("scope") in ("col", "row") for head in elements.named("th"))
    drawn = [attributes for attributes in elements.named("div") if attributes.get("role") == "img"]
    assert all(drawing.get("aria-label") for drawing in drawn)
    assert len(elements.named("figure")) == len(drawn) == len(elements.named("svg")) > 5
    levels = [int(tag[1]) for tag, _ in elements.elements if re.fullmatch(r"h\d", tag)]
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_the_same_facts_are_the_same_bytes(facts: Facts, html: str) -> None:
    assert page(facts) == html


def test_what_names_hold_is_text(facts: Facts) -> None:
    written = page(replace(facts, project="<script>alert(1)</script>"))
    assert "<script" not in written
    assert "&lt;script&gt;alert(1)" in written


def test_a_long_ledger_is_cut_and_says_so(facts: Facts) -> None:
    many = tuple(replace(facts.requests[0], id=f"req-{number:016x}") for number in range(SHOWN + 7))
    text = Elements(page(replace(facts, requests=many))).text
    assert "7 older ones are listed by lethe forget list" in text
    assert many[SHOWN - 1].id in text
    assert many[SHOWN].id not in text


def test_a_broken_rule_is_shown(facts: Facts) -> None:
    broken = Check("expect_column_values_to_not_be_null", "rating", "have no missing values", 3, False)
    verdict = Verdict(dataset="tiny", fault="interactions: no", suites=(Report("interactions", (broken,)),))
    text = Elements(page(replace(facts, datasets=(replace(facts.datasets[0], verdict=verdict),)))).text
    assert "column 'rating' must have no missing values; 3 rows break this rule" in text
    assert "interactions failed 0 of 1" in text


def test_an_empty_project_says_which_commands_make_what(tiny: Workspace) -> None:
    elements = Elements(page(gather(tiny)))
    assert "Nothing is promoted yet." in elements.text
    for sentence in ("Not built yet.", "No gate has run yet.", "No candidate is trained yet.", "No curve is kept"):
        assert sentence in elements.text
    for sentence in (
        "Nobody has asked to be forgotten yet.",
        "No request was fulfilled yet.",
        "No audit has passed yet.",
    ):
        assert sentence in elements.text
    assert not elements.named("figure")
    assert {"lethe train", "lethe forget add", "lethe verify", "lethe audit run"} <= set(elements.codes)
    assert all(code.removeprefix("lethe ") in ALL for code in elements.codes)


def test_the_command_writes_where_it_is_told(tiny: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tiny.root)
    ran = CliRunner().invoke(app, ["report", "--json"])
    assert json.loads(ran.output) == {"report": str(page_path(tiny))}
    assert page_path(tiny).read_text().startswith("<!doctype html>")
    CliRunner().invoke(app, ["report", "--out", str(tmp_path / "mine.html")])
    assert (tmp_path / "mine.html").is_file()
    refused = CliRunner().invoke(app, ["report", "--out", str(tmp_path / "no" / "mine.html")])
    assert refused.exit_code == 1
    assert "must be a file in a folder that is there" in str(refused.exception)


def test_counts_that_lie_far_apart_are_all_drawn() -> None:
    for counts in ([5], [1, 1, 1], [1, 2, 3, 4], [1, 3, 100_000], list(range(1, 300))):
        drawn = charts.histogram(np.array(counts), "rows each", "users")
        assert drawn.startswith("<svg viewBox=")
        assert "#0102" not in drawn
