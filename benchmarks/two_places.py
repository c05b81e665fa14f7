"""Staging and production by the real commands: what staging promoted is trained in production, and whoever is forgotten
in production is forgotten in staging by its next run. Afterwards both serve the same bytes.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from benchmarks import Say
from benchmarks.project import Project, Wrong
from lethe.build.registry import Registry
from lethe.core.workspace import Workspace

FAMILY, MODEL, OLDER, USER = "made", "mostpop", "wmf", "3"


def measure(folder: Path, say: Say = lambda _: None) -> dict[str, Any]:
    """Figures of what was handed over, and of who was followed. Raises Wrong where something isn't as it must be."""
    staging, production = _places(folder)
    _must(set(staging.holders(USER)) > set(), "the person has rows in staging")
    _must(_version(production).recipe.model != MODEL, "production serves another model")

    staging.must("promote-to", str(production.root))
    production.must("train")
    same = _version(production).tag == _version(staging).tag
    _must(same and _version(production).recipe.model == MODEL, "the same rows give the same version in production")
    say(f"promoted: {_version(production).tag}")

    _follows(staging)
    _must(staging.run("forget", "run").code == 0 and not staging.requests(), "nobody is followed who is not forgotten")
    _must(production.forget(USER)["state"] == "completed", "production forgets")
    _must(not production.holders(USER), "and holds nothing of them")
    _must(len(staging.holders(USER)) > 0, "staging has not heard of it")
    staging.must("forget", "run")
    (followed,) = staging.requests()
    _must(followed["state"] == "completed", "staging makes a request of its own of it, and completes it")
    _must(not staging.holders(USER), "and holds nothing of them")
    for place in (staging, production):
        _must(place.check_certificates() == 1, "each has a certificate that the independent program believes")
    _must(_version(production).tag == _version(staging).tag, "both serve what the same rows give")
    say(f"followed: {_version(staging).tag}")
    _must(staging.run("forget", "run").code == 0 and len(staging.requests()) == 1, "nobody is asked about twice")
    return {"version": _version(staging).tag, "certificates": 2}


def _places(folder: Path) -> tuple[Project, Project]:
    """Both trained from the same rows, production by an older recipe."""
    staging = Project.begin(folder / "staging")
    production = replace(Project.begin(folder / "production"), keys=staging.keys)
    staging.serve_only("made", model=MODEL)
    production.serve_only("made", model=OLDER)
    for place in (staging, production):
        place.must("train")
    return staging, production


def _follows(staging: Project) -> None:
    path = staging.root / "params.yaml"
    params = yaml.safe_load(path.read_text()) | {"forgetting": {"follows": ["../production"]}}
    path.write_text(yaml.safe_dump(params, sort_keys=False))


def _version(place: Project) -> Any:
    return Registry(Workspace(place.root)).served()[FAMILY]


def _must(holds: bool, what: str) -> None:
    if not holds:
        raise Wrong(f"not so: {what}")
