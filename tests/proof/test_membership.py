"""The attack sees the forgotten before they are forgotten, and no better than chance after."""

from __future__ import annotations

import json

import numpy as np
import pytest

from lethe.build.registry import Registry
from lethe.core.workspace import Workspace
from lethe.errors import ConfigError
from lethe.forgetting.lineage import live_artifacts
from lethe.proof.attack import signals
from lethe.proof.membership import audit_membership, write_report
from lethe.serving.package import Package
from lethe.tables.interactions import Interactions
from tests.conftest import make_workspace
from tests.house import train


def two_tastes(users: int = 60) -> Interactions:
    """Each user has ten of the thirty items of one half."""
    random = np.random.default_rng(0)
    rows = [
        (f"user-{user:03d}", f"item-{(user % 2) * 30 + item:03d}", 1 + item % 5, 1_000 + user)
        for user in range(users)
        for item in random.choice(30, size=10, replace=False)
    ]
    user_ids, item_ids, ratings, times = (np.array(column) for column in zip(*rows, strict=True))
    return Interactions.of(user_ids.astype(object), item_ids.astype(object), ratings, times)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    workspace = make_workspace(tmp_path_factory.mktemp("membership") / "w", two_tastes())
    train(workspace)
    return workspace


def test_the_forgotten_are_told_before_and_not_after(trained: Workspace) -> None:
    held = sorted(trained.root.rglob("*"))
    report = audit_membership(trained, users=20, seed=1)
    assert set(report["families"]) == {"plain", "sharded"}
    looks = report["families"]["sharded"]
    assert looks["before"]["knows"] == {"auc": 1.0, "low": 1.0, "high": 1.0}
    assert looks["after"]["knows"] == {"auc": 0.5, "low": 0.5, "high": 0.5}
    assert looks["before"]["answers"]["low"] > 0.5
    for signal in ("answers", "items"):
        after = looks["after"][signal]
        assert after["low"] <= 0.5 <= after["high"], signal
    assert not report["alarm"]
    assert audit_membership(trained, users=20, seed=1) == report
    write_report(trained, report)
    text = (trained.reports / "membership.json").read_text()
    assert json.loads(text) == report
    assert "user-0" not in text
    (trained.reports / "membership.json").unlink()
    assert [p for p in sorted(trained.root.rglob("*")) if p not in held and p.name not in ("tmp", "flow.lock")] == []
    assert live_artifacts(trained)["tiny"]


def test_what_should_have_been_forgotten_and_was_not_raises_the_alarm(
    trained: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lethe.proof import membership

    first = []

    def only_once(*arguments: object) -> None:
        # Takes out those that are never shown, and then forgets nobody.
        if not first:
            first.append(True)
            original(*arguments)  # type: ignore[arg-type]

    original = membership.suppress
    monkeypatch.setattr(membership, "suppress", only_once)
    assert audit_membership(trained, users=20, seed=1)["alarm"]


def test_signals_by_hand(trained: Workspace) -> None:
    package = Package.load(Registry(trained).folder(Registry(trained).served()["sharded"].tag))
    mine = ["item-000", "item-003", "item-absent"]
    vectors = package.vectors(mine)
    assert len(vectors) == 2
    assert signals(package, "nobody", mine)["items"] == pytest.approx(float(vectors[0] @ vectors[1]), abs=1e-6)
    assert signals(package, "nobody", mine)["knows"] == 0.0
    shown = package.vectors([item for item, _ in package.popular(10).items])
    expected = np.mean([float(a @ b) for a in vectors for b in shown])
    assert signals(package, "nobody", mine)["answers"] == pytest.approx(expected, abs=1e-6)
    assert signals(package, "nobody", ["item-absent"]) == {"knows": 0.0, "answers": 0.0, "items": 0.0}


def test_too_few_users_is_one_line(trained: Workspace) -> None:
    with pytest.raises(ConfigError, match=r"audit\.users: 30 must be below half of the 60 users of tiny"):
        audit_membership(trained, users=30)
