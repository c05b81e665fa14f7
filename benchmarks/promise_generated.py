"""Requests on generated datasets, by the real commands: whether rows are left, hits are false, requests are blocked, or
a certificate claims what the files don't bear out. What certificates claim is computed again by promise_checker.py."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypedDict

import yaml

from benchmarks import ROOT, Say
from benchmarks.project import Project, Wrong
from benchmarks.promise_worlds import NEWCOMERS, START, Row, Shape, World
from benchmarks.runs import kept
from lethe.core.canonical import digest_json
from lethe.core.environment import whole_code_digest

WORLDS = 13
"""As many as there are kinds of ids: each is the first dataset of one world."""


class WorldResult(TypedDict):
    """``wrong``: what was not as promised, a line each; empty where all was."""

    world: str
    requests: int
    rows_left: int
    false_hits: int
    blocked: int
    false_claims: int
    wrong: list[str]
    seconds: float


@dataclass(frozen=True)
class Ask:
    """What is asked of one dataset, and what promise_checker.py told of it before the run."""

    dataset: str
    user: str
    items: tuple[str, ...] = ()
    also_item: bool = False
    elsewhere: bool = False
    """The same id stays in the other dataset."""
    source: int = 0
    """Rows of the user in the source as it is when it is asked."""
    request: str = ""
    rows: int = 0
    hidden: bool = False


def run_worlds(
    drawn: Iterable[World], folder: Path, done: Path | None = None, say: Say = lambda _: None
) -> list[WorldResult]:
    """Each world in a project of its own below ``folder``; what ``done`` holds of the same code is not done again."""
    results = []
    for world in drawn:
        path = None if done is None else done / f"{digest_json([repr(world), whole_code_digest()])}.json"
        result = kept(path, partial(_run, world, folder), worth=lambda result: not result["wrong"])
        say(f"{world.name}: {result['requests']} requests, {'; '.join(result['wrong']) or 'right'}")
        results.append(result)
    return results


def _run(world: World, folder: Path) -> WorldResult:
    return _Run(world, Project.begin(folder / f"world-{world.number:02d}")).result()


def totals(results: Sequence[WorldResult]) -> dict[str, int]:
    """Sums, as the report has them."""
    names: tuple[Literal["requests", "rows_left", "false_hits", "blocked", "false_claims"], ...]
    names = ("requests", "rows_left", "false_hits", "blocked", "false_claims")
    sums = {name.replace("_", " "): sum(result[name] for result in results) for name in names}
    return {"datasets": 2 * len(results), **sums, "worlds wrong": sum(bool(result["wrong"]) for result in results)}


class _Run:
    """One world's way through the commands, and what is seen on it."""

    def __init__(self, world: World, project: Project) -> None:
        self.world, self.project = world, project
        self.wrong: list[str] = []
        self.asks: list[Ask] = []
        self.counts = {"rows_left": 0, "false_hits": 0, "blocked": 0, "false_claims": 0}

    def result(self) -> WorldResult:
        begun = time.monotonic()
        try:
            self._steps()
        except Wrong as why:
            self.wrong.append(str(why))
            self.counts["blocked"] += max(1, len(self.asks))
        except subprocess.TimeoutExpired:
            self.wrong.append("a command did not end")
            self.counts["blocked"] += max(1, len(self.asks))
        seconds = round(time.monotonic() - begun, 1)
        return WorldResult(
            world=self.world.name, requests=len(self.asks), **self.counts, wrong=self.wrong, seconds=seconds
        )

    def _steps(self) -> None:
        self._add_sources()
        self.project.must("train")
        self._must_be_read()
        self._grow("before")
        for shape in self.world.shapes:
            self._ask(shape)
        self._grow("between")
        before = self._counted()
        ended = self.project.run("forget", "run")
        self._see_ends(ended.line if ended.code else "")
        self._see_files("check", before)
        self._grow("after")
        self.project.must("train")
        self._see_files("left", before)
        verified = self.project.run("verify")
        if verified.code or "verify: equal" not in verified.out:
            self.wrong.append(f"verify: {verified.line}")

    # --- sources -----------------------------------------------------------------------------------------------------

    def _add_sources(self) -> None:
        for shape in self.world.shapes:
            given = (shape.file, shape.content(_at_first(shape)), shape.name, *shape.options)
            done = self.project.add_file(*given)
            if done.code and "--ids text" in done.line:
                # Ids that may be numbers which lost their digits: somebody has to say that they haven't.
                done = self.project.add_file(*given, "--ids", "text")
            if done.code:
                raise Wrong(f"data add of {shape.kind}: {done.line}")
        self.project.serve_only(*(shape.name for shape in self.world.shapes), model=self.world.model)
        path = self.project.root / "params.yaml"
        params = yaml.safe_load(path.read_text())
        if self.world.shards > 1:
            sharding = {"partition": "user-hash", "num_shards": self.world.shards, "aggregator": "mean"}
            params["shardings"]["whole"] = sharding
        path.write_text(yaml.safe_dump(params, sort_keys=False))

    def _must_be_read(self) -> None:
        """Ids are those of the source, to the letter."""
        users = self._checker("count", {"asks": []})["users"]
        for shape in self.world.shapes:
            missing = len({row[0] for row in _at_first(shape)} - set(users[shape.name]))
            if missing:
                raise Wrong(f"{shape.kind}: {missing} ids of the source are not in the table")

    def _grow(self, when: Literal["before", "between", "after"]) -> None:
        for shape in self.world.shapes:
            # First the newcomers; then new rows of those who are to be forgotten, and of those who stay, alike.
            later = [
                row for turn in range({"before": 0, "between": 1, "after": 2}[when]) for row in _later(shape, turn)
            ]
            (self.project.root / shape.file).write_bytes(shape.content([*shape.rows(), *later]))

    # --- requests ----------------------------------------------------------------------------------------------------

    def _ask(self, shape: Shape) -> None:
        """Most in a file, some from standard input, some alone; of one user some items; one who is a newcomer."""
        other = next(one for one in self.world.shapes if one is not shape)
        users, newcomer = shape.users[:-NEWCOMERS], shape.users[-1]
        some = users[shape.seed % 3 :: 3]
        also = shape.people and shape.seed % 2 == 0
        said = ("--also-item" if also else "--not-item",) if shape.people else ()
        rows = Counter(user for user, *_ in shape.rows())
        asks = [Ask(shape.name, user, (), also, user in other.users, rows[user]) for user in (*some, newcomer)]
        named = next(user for user in users if user not in some and "\n" not in user and "\r" not in user)
        mine = next(item for user, item, *_ in shape.rows() if user == named)
        asks.append(Ask(shape.name, named, (mine,), False, named in other.users))
        where = ("--dataset", shape.name, "--json")
        in_file, from_input, alone = asks[:5], asks[5:7], asks[7:-1]
        path = self.project.root.with_name(f"{self.project.root.name}-asks.csv")
        path.write_text(_asks_csv(in_file), encoding="utf-8", newline="")
        self._took(in_file, "--file", str(path), *said, *where)
        self._took(from_input, "--file", "-", *said, *where, given=_asks_csv(from_input))
        for ask in alone:
            # "-" says that the id is read from the input, so that somebody of this name is asked for there.
            self._took([ask], "--user", ask.user, *said, *where, given=f"{ask.user}\n" if ask.user == "-" else None)
        self._took(asks[-1:], "--user", named, "--item", mine, *where)

    def _took(self, asks: Sequence[Ask], *arguments: str, given: str | None = None) -> None:
        done = self.project.run("forget", "add", *arguments, given=given)
        if done.code:
            self.asks += asks
            self.counts["blocked"] += len(asks)
            self.wrong.append(f"forget add of {len(asks)}: {done.line}")
            return
        answers = json.loads(done.out)
        for ask, answer in zip(asks, answers if isinstance(answers, list) else [answers], strict=True):
            self.asks.append(replace(ask, request=answer["id"]))

    def _counted(self) -> dict[str, Any]:
        counted = self._checker("count", {"asks": [asdict(ask) for ask in self.asks]})
        self.asks = [
            replace(ask, rows=one["rows"], hidden=one["hidden"])
            for ask, one in zip(self.asks, counted["asks"], strict=True)
        ]
        before: dict[str, Any] = counted["before"]
        return before

    # --- what is seen ------------------------------------------------------------------------------------------------

    def _see_ends(self, failed: str) -> None:
        states = {str(request["id"]): request for request in self.project.requests()}
        mine = [states[ask.request] for ask in self.asks if ask.request]
        blocked = [request for request in mine if request["state"] != "completed"]
        self.counts["blocked"] += len(blocked)
        hits = sum(request["failure"] == "still-found" for request in blocked)
        self.counts["false_hits"] += hits or ("still hold forgotten data" in failed)
        if blocked or failed:
            self.wrong.append(f"{len(blocked)} of {len(mine)} requests are not completed: {failed or 'set aside'}")

    def _see_files(self, what: str, before: dict[str, Any]) -> None:
        asks = [ask for ask in self.asks if ask.request]
        seen = self._checker(what, {"asks": [asdict(ask) for ask in asks], "before": before})
        if left := sum(seen["left"]):
            self.counts["rows_left"] += left
            self.wrong.append(f"{left} rows or files of {sum(map(bool, seen['left']))} subjects are left ({what})")
        told = [line for lines in seen.get("false", []) for line in lines]
        self.counts["false_claims"] += len(told)
        self.wrong += sorted(set(told))

    def _checker(self, what: str, given: dict[str, Any]) -> dict[str, Any]:
        command = [sys.executable, str(ROOT / "benchmarks" / "promise_checker.py"), what]
        done = subprocess.run(
            [*command, str(self.project.root), str(self.project.keys)],
            input=json.dumps(given),
            capture_output=True,
            text=True,
            timeout=300,
        )
        if done.returncode:
            raise Wrong(f"promise_checker.py {what}: {done.stderr.strip().splitlines()[-1]}")
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer


def _at_first(shape: Shape) -> list[Row]:
    return [row for row in shape.rows() if row[0] not in shape.users[-NEWCOMERS:]]


def _later(shape: Shape, turn: int) -> list[Row]:
    """A new row of every third user, with an item that they have not had yet."""
    had = {(user, item) for user, item, *_ in shape.rows()}
    rows = []
    for place, user in enumerate(shape.users[turn::3]):
        free = [item for item in shape.items() if item != user and (user, item) not in had]
        rows.append((user, free[turn], 4, START + 10**7 * (turn + 1) + place))
    return rows


def _asks_csv(asks: Sequence[Ask]) -> str:
    """With a head line: an id may be called "user"."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows([["user"], *([ask.user] for ask in asks)])
    return text.getvalue()
