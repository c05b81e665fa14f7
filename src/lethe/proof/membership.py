"""``lethe audit membership``: the product's own pipeline forgets sampled users, and an attacker looks before and after.

The ids of those who were really forgotten are gone, and so is the model that knew them. So the same way is gone in a
clean folder, by the recipes of what is served: some users are never shown to it, as many are, and are then forgotten.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypedDict

import numpy as np

from lethe.build.builder import Builder
from lethe.build.registry import Registry
from lethe.build.version import Version
from lethe.config.params import Params
from lethe.core import reports
from lethe.core.random import Stream
from lethe.core.workspace import Workspace
from lethe.data.stages import build_data
from lethe.errors import ArtifactError, ConfigError
from lethe.forgetting.run import suppress
from lethe.proof.attack import Auc, interval, signals
from lethe.proof.rebuild import Progress, build_whole, clean_workspace, place_to_build
from lethe.serving.answers import RawId
from lethe.serving.package import Package
from lethe.tables.interactions import Interactions

Histories = dict[RawId, list[RawId]]
"""Items of each user's rows that are learnt, by raw ids."""


Looks = dict[str, dict[str, dict[str, float]]]
"""{"before" | "after": {signal: {"auc", "low", "high"}}} of a family."""


class Membership(TypedDict):
    """What the attack came to; ``alarm`` where an interval after forgetting is above chance."""

    users: int
    seed: int
    families: dict[str, Looks]
    alarm: bool


def audit_membership(
    workspace: Workspace, users: int | None = None, seed: int = 0, progress: Progress = lambda _: None
) -> Membership:
    """Area and interval of every signal, before and after forgetting, of each served family.

    ``users``: how many are forgotten, and how many never shown (default: ``audit.users`` of params.yaml). Raises
    ArtifactError if nothing is served, ConfigError where a dataset has too few users.
    """
    params = Params.read(workspace.params)
    served = Registry(workspace).served()
    if not served:
        raise ArtifactError("registry: nothing is promoted yet, so nothing can be attacked; run lethe train")
    count = params.audit.users if users is None else users
    families: dict[str, dict[str, dict[str, Auc]]] = {}
    for dataset in sorted({version.info.dataset for version in served.values()}):
        mine = {family: version for family, version in served.items() if version.info.dataset == dataset}
        stream = Stream(seed)("membership", dataset)
        # Rows that every one of them has learnt.
        rows = "train" if any(version.recipe.rows == "train" for version in mine.values()) else "all"
        learnt = Interactions.read(workspace.rows(dataset, rows))
        forgotten, unseen = _chosen(learnt, count, stream, dataset)
        with place_to_build(workspace, params, "membership") as folder:
            clean = clean_workspace(workspace, params, folder)
            looks = {}
            for when, gone in (("before", unseen), ("after", forgotten)):
                progress(f"{dataset}, {when} forgetting")
                suppress(clean, dataset, [(str(user), ()) for user in gone])
                looks[when] = _look(clean, params, mine, forgotten, unseen, stream)
        families |= {family: {when: looks[when][family] for when in looks} for family in mine}
    alarm = any(one.alarm for looks in families.values() for one in looks["after"].values())
    return Membership(
        users=count,
        seed=seed,
        families={
            family: {when: {name: area.to_json() for name, area in by.items()} for when, by in looks.items()}
            for family, looks in families.items()
        },
        alarm=alarm,
    )


def write_report(workspace: Workspace, report: Membership) -> None:
    """reports/membership.json."""
    reports.write_report(workspace, "membership", report)


def _chosen(learnt: Interactions, count: int, stream: Stream, dataset: str) -> tuple[Histories, Histories]:
    """Two groups of users of the same kind: drawn together, then parted."""
    ids, first, rows = np.unique(learnt.user_ids, return_index=True, return_counts=True)
    enough = np.flatnonzero(rows > 1)
    if len(enough) <= 2 * count:
        raise ConfigError(
            f"audit.users: {count} must be below half of the {len(enough)} users of {dataset} with 2 rows to learn from"
        )
    drawn = stream.numpy("users").permutation(enough)[: 2 * count]
    # The canonical order keeps a user's rows together.
    histories = [(ids[i], learnt.item_ids[first[i] : first[i] + rows[i]].tolist()) for i in drawn]
    return dict(histories[:count]), dict(histories[count:])


def _look(
    clean: Workspace,
    params: Params,
    served: Mapping[str, Version],
    forgotten: Histories,
    unseen: Histories,
    stream: Stream,
) -> dict[str, dict[str, Auc]]:
    """What the attack finds in each family, built from what is left in the clean folder."""
    recipes = {family: version.recipe for family, version in served.items()}
    dataset = next(iter(recipes.values())).dataset
    build_data(clean, params, dataset, sorted({recipe.sharding for recipe in recipes.values()}))
    areas = {}
    for family, recipe in recipes.items():
        package = Package.load(build_whole(Builder(clean, recipe), family, params).package.path)
        seen, never = ([signals(package, *one) for one in group.items()] for group in (forgotten, unseen))
        areas[family] = {
            name: interval(
                np.array([one[name] for one in seen]), np.array([one[name] for one in never]), stream(family, name)
            )
            for name in seen[0]
        }
    return areas
