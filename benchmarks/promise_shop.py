"""The shop that the cases of benchmarks/promise_cases.py work on: its rows, what trains on them, what must be gone."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from benchmarks.project import Project, Wrong, csv

Case = Callable[[Project], None]
DAY = 86_400
START = 1_700_000_000
HEADER = ("user", "item", "rating", "timestamp")


def ratings(users: Sequence[object], items: int = 24, each: int = 8, unit: int = 1) -> list[tuple[object, ...]]:
    """Rows of users who like what their neighbours like, ten seconds apart; times in 1/unit seconds."""
    rows: list[tuple[object, ...]] = []
    for place, user in enumerate(users):
        for step in range(each):
            item = 1 + (place % 2 * items // 2 + (place + step * 5) % (items // 2))
            rows.append((user, item, 1 + (place + step) % 5, (START + 10 * len(rows)) * unit))
    return rows


def trained(project: Project, content: str | bytes, *options: str, name: str = "r.csv", dataset: str = "shop") -> None:
    """Add a source and train on it alone."""
    done = project.add_file(name, content, dataset, *options)
    if done.code:
        raise Wrong(f"data add: {done.line}")
    project.serve_only(dataset)
    project.must("train")


def timed(content: Sequence[Sequence[object]], header: Sequence[str] = HEADER) -> tuple[str, tuple[str, ...]]:
    return csv(content, header), ("--rating-column", "rating", "--timestamp-column", "timestamp")


def must_be_gone(project: Project, *users: str) -> None:
    """Completed with a certificate that an independent program believes, and in no table any more."""
    for user in users:
        if held := project.holders(user):
            raise Wrong(f"{len(held)} tables still hold a forgotten user, the first is {held[0]}")
    states = {str(request["state"]) for request in project.requests()}
    if states != {"completed"}:
        raise Wrong(f"states of the requests: {sorted(states)}, must be completed alone")
    if project.check_certificates() < 1:
        raise Wrong("no certificate was written")


def forgotten(project: Project, *users: str) -> None:
    """Forget users one after the other."""
    for user in users:
        if not project.holders(user):
            raise Wrong("a user who is to be forgotten is in no table before")
        project.forget(user)
    must_be_gone(project, *users)
    verified = project.run("verify")
    if verified.code or "equal" not in verified.out:
        raise Wrong(f"verify: {verified.line}")


def must_be_gone_or_unknown(project: Project, user: str) -> None:
    if held := project.holders(user):
        raise Wrong(f"{held[0]} still holds a forgotten user")
    if not any(request["state"] == "completed" for request in project.requests()):
        raise Wrong("the request was not completed")
