"""Bentos: the service's code with the tags of the models it serves, built from bentofile.yaml."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Collection
from pathlib import Path

import yaml

import lethe
from lethe.config.params import Params
from lethe.config.section import read_yaml
from lethe.core.canonical import digest_file, digest_json
from lethe.core.environment import PROJECT
from lethe.core.process import outcome
from lethe.core.workspace import Workspace
from lethe.errors import DeploymentError
from lethe.serving.deployment import Deployment

NAME = "recommender"
_WHOLE = ".whole"
"""A file in a bento that was built to its end: BentoML copies bento.yaml into its place first, and the rest after."""


def deployment_of(workspace: Workspace, tags: dict[str, str]) -> Deployment:
    """The deployment that serves these models (family -> tag); the first family of params.yaml is the default one.

    The bento's version is the digest of the code, the template and the models, so the same deployment has one name.
    Raises DeploymentError if there is nothing to serve.
    """
    if not tags:
        raise DeploymentError("families: none has a promoted model; run lethe train first")
    params = Params.read(workspace.params)
    ordered = [family for family in params.families if family in tags] or sorted(tags)
    template = _template(workspace)
    limits, events = params.serving.limits.plain(), params.serving.events
    served = {"families": dict(sorted(tags.items())), "default": ordered[0]}
    settings = served | {"max_k": params.serving.max_k, "limits": limits}
    settings["events"] = None if events is None else events.plain()
    code = {str(path.relative_to(_source())): digest_file(path) for path in _files()}
    version = digest_json({"settings": settings, "template": digest_file(template), "code": code})[:16]
    return Deployment.parse({"bento": f"{NAME}:{version}", **settings}, "deployment")


def build_bento(workspace: Workspace, tags: dict[str, str]) -> str:
    """Build the bento of these models (family -> tag) and return its tag; one that is there already is kept.

    Raises DeploymentError with BentoML's last line if the build fails.
    """
    deployment = deployment_of(workspace, tags)
    folder = bento_folder(workspace, deployment.bento)
    if (folder / _WHOLE).is_file():
        return deployment.bento
    shutil.rmtree(folder, ignore_errors=True)
    _forget_newest(folder.parent)
    workspace.temporary.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=workspace.temporary, prefix="build-") as name:
        context = Path(name)
        for path in _files():
            copy = context / path.relative_to(_source().parent)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
        deployment.write(context / "deployment.json")
        bentofile = read_yaml(_template(workspace)) | {"models": sorted(tags.values())}
        (context / "bentofile.yaml").write_text(yaml.safe_dump(bentofile, sort_keys=False), encoding="utf-8")
        version = deployment.bento.partition(":")[2]
        options = ("--version", version, "--output", "tag", "-f", str(context / "bentofile.yaml"))
        code, said = outcome(workspace, "bentoml", "build", *options, str(context), folder=context)
    if code != 0:
        lines = said.strip().splitlines() or ["no message"]
        raise DeploymentError(f"bento {deployment.bento}: bentoml build failed: {lines[-1].strip()}")
    (folder / _WHOLE).touch()
    return deployment.bento


def shipped(workspace: Workspace, bento: str) -> Deployment:
    """The deployment that a built bento carries; raises DeploymentError if the bento isn't in the store."""
    return Deployment.read(built(workspace, bento) / "src" / "deployment.json")


def built(workspace: Workspace, tag: str) -> Path:
    """The folder of a bento; raises DeploymentError if it isn't in the store."""
    folder = bento_folder(workspace, tag)
    if not (folder / "src" / "deployment.json").is_file():
        raise DeploymentError(f"bento {tag!r} is not in the bento store; lethe deploy builds what is promoted")
    return folder


def bento_folder(workspace: Workspace, tag: str) -> Path:
    """Where a bento is."""
    name, _, version = tag.partition(":")
    return workspace.bentoml_home / "bentos" / name / version


def retire_bentos(workspace: Workspace, keep: Collection[str]) -> list[str]:
    """Delete every bento of the service but the deployed one and those in ``keep``; returns the deleted tags."""
    if workspace.deployment.is_file():
        keep = {*keep, Deployment.read(workspace.deployment).bento}
    folder = workspace.bentoml_home / "bentos" / NAME
    gone = [path for path in sorted(folder.glob("*")) if path.is_dir() and f"{NAME}:{path.name}" not in keep]
    for path in gone:
        shutil.rmtree(path)
    if gone:
        _forget_newest(folder)
    return [f"{NAME}:{path.name}" for path in gone]


def _forget_newest(folder: Path) -> None:
    """BentoML's note of its newest version is written in place: a kill leaves it empty, and no bento could be built any
    more. It is made again when it is missing."""
    (folder / "latest").unlink(missing_ok=True)


def _template(workspace: Workspace) -> Path:
    path = workspace.root / "bentofile.yaml"
    if not path.is_file():
        raise DeploymentError("bentofile.yaml: must be beside params.yaml; it is the template of the service's bento")
    return path


def _source() -> Path:
    return Path(lethe.__file__).resolve().parent


def _files() -> list[Path]:
    # What a wheel carries for projects is no part of the service, and is not there in a clone.
    files = (path for path in _source().rglob("*") if path.is_file() and not path.is_relative_to(PROJECT))
    return sorted(path for path in files if "__pycache__" not in path.parts)
