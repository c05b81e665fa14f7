"""What was promoted: versions of each family in the BentoML model store, and one file that says which is current.

A version is a package artifact stored whole, named by its content: ``lethe-<family>:<first 16 hex of its digest>``.
``.lethe/registry.json`` is the truth of what is current: {family: [tags in order of promotion, the last is current]}.
It is replaced atomically and only after the version is complete, so a crash leaves at most an unreferenced copy.
``.lethe/tombstones.json`` remembers the tags of retired versions {family: [tags]}: none of them can come back.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock

from lethe.build.grounds import Grounds
from lethe.build.stored import model_bucket
from lethe.build.version import Version
from lethe.config.params import Params
from lethe.core.artifacts import Artifact, ArtifactStore
from lethe.core.canonical import Json, canonical_json, digest_file
from lethe.core.environment import whole_code_digest
from lethe.core.files import read_json, write_whole
from lethe.core.workspace import Workspace
from lethe.errors import ArtifactError, DeploymentError, LetheError

PREFIX = "lethe-"
_TOO_OLD = "were built before the last completed forget request and are gone for good"


def tag_of(family: str, package: Artifact) -> str:
    """The tag under which a package is, or would be, promoted."""
    return f"{PREFIX}{family}:{package.digest[:16]}"


def tags_to_deploy(workspace: Workspace) -> dict[str, str]:
    """Tag of the current version of every family of params.yaml: what a service of it is to answer from."""
    registry = Registry(workspace)
    current = {family: registry.current(family) for family in Params.read(workspace.params).families}
    return {family: version.tag for family, version in current.items() if version is not None}


class Registry:
    """Promote, look up, roll back and retire; safe for several processes."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.pointer = workspace.state / "registry.json"
        self.tombstones = workspace.state / "tombstones.json"
        self.artifacts = ArtifactStore(workspace.artifacts)

    def promote(
        self,
        family: str,
        package: Artifact,
        *,
        reason: str,
        metrics: dict[str, float],
        grounds: Grounds | None = None,
        settings: str = "",
        comparison: str = "",
    ) -> str:
        """Store the package and make it the family's current version; what is current already stays as it is.

        A version that is stored already keeps what was said at its first promotion. Raises ArtifactError if the stored
        copy differs from the package's manifest, DeploymentError if the version was retired.
        """
        # Whoever only looks up what is served loads no data stage, whose partitions are compiled.
        from lethe.data.stages import stages_code

        tag = tag_of(family, package)
        with self._locked():
            history = self._history()
            tags = history.setdefault(family, [])
            if tag in self._tombstones().get(family, []):
                raise DeploymentError(f"model {tag!r} can't be promoted: such versions {_TOO_OLD}")
            if not self._whole(tag):
                about: Json = {"family": family, "reason": reason, "metrics": {**metrics}}
                about |= {"choice": {} if grounds is None else {**grounds.plain()}}
                about |= {"code": whole_code_digest(), "settings": settings, "stages": stages_code()}
                about |= {"lock": digest_file(self.workspace.lock)} if self.workspace.lock.is_file() else {}
                about |= {"comparison": comparison}
                self._store(tag, package, about)
            if bucket := model_bucket(self.workspace):
                bucket.push(self.folder(tag))
            if tags[-1:] != [tag]:
                tags.append(tag)
                self._write(self.pointer, history)
        return tag

    def current(self, family: str) -> Version | None:
        """The version that is to be served, or None before the first promotion."""
        tags = self._history().get(family)
        return self.version(tags[-1]) if tags else None

    def history(self, family: str) -> list[Version]:
        """A family's versions in order of promotion; the last is current."""
        return [self.version(tag) for tag in self._history().get(family, [])]

    def families(self) -> list[str]:
        """The families that have a current version, sorted."""
        return sorted(family for family, tags in self._history().items() if tags)

    def served(self) -> dict[str, Version]:
        """What is to be served: {family: its current version}, sorted."""
        history = self._history()
        return {family: self.version(tags[-1]) for family, tags in sorted(history.items()) if tags}

    def versions(self, family: str) -> list[Version]:
        """Every stored version of a family, sorted by tag; unfinished copies are left out."""
        folder = self._models / f"{PREFIX}{family}"
        tags = sorted(f"{folder.name}:{path.name}" for path in folder.glob("*") if path.is_dir())
        return [self.version(tag) for tag in tags if self._whole(tag, check=False)]

    def all_versions(self) -> Iterator[Version]:
        """Every stored version of every family that is served."""
        for family in self.families():
            yield from self.versions(family)

    def version(self, tag: str) -> Version:
        """A stored version by tag; raises DeploymentError if it isn't there."""
        if not self._whole(tag, check=False) and not self._fetched(tag):
            raise DeploymentError(f"model {tag!r} is not in the model store")
        entry = self._store_of_models().get(tag).info
        about = entry.metadata
        artifact = self.artifacts.open(self.folder(tag), check=False)
        grounds, metrics = Grounds.parse(about.get("choice", {})), dict(about["metrics"])
        made_by = (str(about.get(name, "")) for name in ("code", "settings", "stages", "lock", "comparison"))
        return Version(tag, artifact, str(about["reason"]), metrics, entry.creation_time, grounds, *made_by)

    def folder(self, tag: str) -> Path:
        """Where a version's files are."""
        name, _, version = tag.partition(":")
        return self._models / name / version

    def open(self, tag: str) -> Artifact:
        """A version's artifact with every file compared to its manifest, and that to the tag; raises ArtifactError."""
        artifact = self.artifacts.open(self.folder(tag))
        if not tag.endswith(f":{artifact.digest[:16]}"):
            raise ArtifactError(f"model {tag!r}: its manifest was changed, its digest is {artifact.digest[:16]}")
        return artifact

    def roll_back(self, family: str, to: str | None = None) -> str:
        """Make an earlier version (default: the one before) current again and return its tag.

        Raises DeploymentError if there is none, or if it was retired: a version that saw what is forgotten by now.
        """
        with self._locked():
            history, gone = self._history(), self._tombstones().get(family, [])
            earlier = history.get(family, [])[:-1]
            if to is None and earlier:
                to = earlier[-1]
            if to is None:
                older = f"; {len(gone)} older ones {_TOO_OLD}" if gone else ""
                raise DeploymentError(f"family {family!r} has no earlier version to roll back to{older}")
            if to in gone:
                raise DeploymentError(f"model {to!r} can't be rolled back to: such versions {_TOO_OLD}")
            if to not in earlier:
                known = ", ".join(earlier) or "none"
                raise DeploymentError(f"model {to!r} is no earlier version of family {family!r}; there are: {known}")
            history[family] = earlier[: len(earlier) - earlier[::-1].index(to)]
            self._write(self.pointer, history)
        return to

    def retire(self, tag: str) -> None:
        """Delete a version for good and keep its tag as a tombstone; raises DeploymentError for a current or unknown
        one."""
        with self._locked():
            history = self._history()
            if any(tags[-1:] == [tag] for tags in history.values()):
                raise DeploymentError(f"model {tag!r} is current: promote another version before retiring it")
            if not self.folder(tag).is_dir():
                raise DeploymentError(f"model {tag!r} is not in the model store")
            tombstones = self._tombstones()
            family = tag.partition(":")[0].removeprefix(PREFIX)
            tombstones[family] = sorted({*tombstones.get(family, []), tag})
            self._write(self.tombstones, tombstones)
            # The pointer first: a crash in between leaves files nobody refers to, never a reference to nothing.
            self._write(self.pointer, {family: _without(tags, tag) for family, tags in history.items()})
            # BentoML's own delete reads every other version and gives up at an unfinished one. The file "latest",
            # which we never use, is its cache: it is made again when it is missing.
            shutil.rmtree(self.folder(tag))
            (self.folder(tag).parent / "latest").unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                self.folder(tag).parent.rmdir()

    def retired(self, family: str) -> int:
        """How many versions of a family were retired: deleted for good."""
        return len(self._tombstones().get(family, []))

    def is_retired(self, tag: str) -> bool:
        """Whether a version of this tag was retired."""
        return any(tag in tags for tags in self._tombstones().values())

    def discard_unfinished(self) -> int:
        """Delete what interrupted promotions left in the model store: half a copy, or a whole one of a family that has
        no version yet, which is found in no other way. Returns how many there were."""
        with self._locked():
            served = {f"{PREFIX}{family}" for family in self.families()}
            stored = [path for path in self._models.glob(f"{PREFIX}*/*") if path.is_dir()]
            unfinished = [
                path
                for path in stored
                if path.parent.name not in served or not self._whole(f"{path.parent.name}:{path.name}", check=False)
            ]
            for path in unfinished:
                shutil.rmtree(path)
        return len(unfinished)

    def older(self, family: str) -> int:
        """How many versions of a family this Lethe can't read, because one of another format wrote them."""
        return sum(not self._is_readable(tag) for tag in self._history().get(family, []))

    def drop(self, family: str) -> None:
        """Delete a family that is no longer served: its pointer and every version, unfinished copies too."""
        with self._locked():
            self._write(self.pointer, {name: tags for name, tags in self._history().items() if name != family})
            shutil.rmtree(self._models / f"{PREFIX}{family}", ignore_errors=True)

    def _is_readable(self, tag: str) -> bool:
        with contextlib.suppress(LetheError, KeyError):
            version = self.version(tag)
            return bool(version.info and version.recipe)
        return False

    @property
    def _models(self) -> Path:
        return self.workspace.bentoml_home / "models"

    # BentoML's public functions read its folder from the environment of the process, once. Its classes are told ours.
    def _store_of_models(self) -> Any:
        from bentoml._internal.models import ModelStore

        self._models.mkdir(parents=True, exist_ok=True)
        return ModelStore(self._models)

    def _new_entry(self, tag: str, about: Json) -> Any:
        from bentoml._internal.models import Model, ModelContext

        nothing = ModelContext(framework_name="", framework_versions={})
        return Model.create(tag, module="", api_version="v1", signatures={}, metadata=about, context=nothing)

    def _whole(self, tag: str, check: bool = True) -> bool:
        folder = self.folder(tag)
        if not ((folder / "model.yaml").is_file() and (folder / "manifest.json").is_file()):
            return False
        with contextlib.suppress(ArtifactError):
            return bool(self.artifacts.open(folder, check=check))
        return False

    def _store(self, tag: str, package: Artifact, about: Json) -> None:
        folder = self.folder(tag)
        shutil.rmtree(folder, ignore_errors=True)
        # BentoML fills a temporary folder outside the workspace and leaves it there, so it gets no data of people:
        # it makes the entry, the files are copied in here, the manifest last.
        entry = self._new_entry(tag, about)
        entry.flush()
        entry.save(self._store_of_models())
        shutil.rmtree(entry.path, ignore_errors=True)
        for name in [*sorted(package.files), "manifest.json"]:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(package.file(name), folder / name)
        try:
            self.open(tag)
        except ArtifactError:
            shutil.rmtree(folder)
            raise

    def _fetched(self, tag: str) -> bool:
        """Whether a version that is missing here was at the URL of models and is what its tag says."""
        bucket = model_bucket(self.workspace)
        if bucket is None or self.is_retired(tag):
            return False
        bucket.fetch(self.folder(tag))
        if not self._whole(tag, check=False):
            return False
        try:
            self.open(tag)
        except ArtifactError:
            shutil.rmtree(self.folder(tag))
            raise
        return True

    def _history(self) -> dict[str, list[str]]:
        return read_json(self.pointer, dict) if self.pointer.is_file() else {}

    def _tombstones(self) -> dict[str, list[str]]:
        return read_json(self.tombstones, dict) if self.tombstones.is_file() else {}

    def _write(self, path: Path, tags: dict[str, list[str]]) -> None:
        write_whole(path, canonical_json(tags))

    def _locked(self) -> FileLock:
        self.pointer.parent.mkdir(parents=True, exist_ok=True)
        return FileLock(self.pointer.with_suffix(".lock"))


def _without(tags: list[str], gone: str) -> list[str]:
    kept = [tag for tag in tags if tag != gone]
    return [tag for place, tag in enumerate(kept) if place == 0 or tag != kept[place - 1]]
