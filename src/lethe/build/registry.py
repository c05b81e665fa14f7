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

from filelock import FileLock

from lethe.build.grounds import Grounds
from lethe.build.model_store import ModelStore
from lethe.build.version import Version
from lethe.config.params import Params
from lethe.core.artifacts import Artifact
from lethe.core.canonical import Json, canonical_json, digest_file
from lethe.core.environment import whole_code_digest
from lethe.core.files import read_json, write_whole
from lethe.core.workspace import Workspace
from lethe.errors import DeploymentError, LetheError

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
        self._store = ModelStore(workspace)

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
            if not self._store.holds(tag):
                about: Json = {"family": family, "reason": reason, "metrics": {**metrics}}
                about |= {"choice": {} if grounds is None else {**grounds.plain()}}
                about |= {"code": whole_code_digest(), "settings": settings, "stages": stages_code()}
                about |= {"lock": digest_file(self.workspace.lock)} if self.workspace.lock.is_file() else {}
                about |= {"comparison": comparison}
                self._store.put(tag, package, about)
            self._store.push(tag)
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
        tags = sorted(_tag_in(folder) for folder in self._store.folders(f"{PREFIX}{family}"))
        return [self.version(tag) for tag in tags if self._store.holds(tag, check=False)]

    def all_versions(self) -> Iterator[Version]:
        """Every stored version of every family that is served."""
        for family in self.families():
            yield from self.versions(family)

    def version(self, tag: str) -> Version:
        """A stored version by tag; raises DeploymentError if it isn't there."""
        is_here = self._store.holds(tag, check=False)
        if not is_here and (self.is_retired(tag) or not self._store.fetch(tag)):
            raise DeploymentError(f"model {tag!r} is not in the model store")
        return self._store.version(tag)

    def folder(self, tag: str) -> Path:
        """Where a version's files are."""
        return self._store.folder(tag)

    def open(self, tag: str) -> Artifact:
        """A version's artifact with every file compared to its manifest, and that to the tag; raises ArtifactError."""
        return self._store.open(tag)

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
            self._store.delete(tag)

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
            unfinished = [
                folder
                for folder in self._store.folders(f"{PREFIX}*")
                if folder.parent.name not in served or not self._store.holds(_tag_in(folder), check=False)
            ]
            for folder in unfinished:
                shutil.rmtree(folder)
        return len(unfinished)

    def older(self, family: str) -> int:
        """How many versions of a family this Lethe can't read, because one of another format wrote them."""
        return sum(not self._is_readable(tag) for tag in self._history().get(family, []))

    def drop(self, family: str) -> None:
        """Delete a family that is no longer served: its pointer and every version, unfinished copies too."""
        with self._locked():
            self._write(self.pointer, {name: tags for name, tags in self._history().items() if name != family})
            shutil.rmtree(self._store.models / f"{PREFIX}{family}", ignore_errors=True)

    def _is_readable(self, tag: str) -> bool:
        with contextlib.suppress(LetheError, KeyError):
            version = self.version(tag)
            return bool(version.info and version.recipe)
        return False

    def _history(self) -> dict[str, list[str]]:
        return read_json(self.pointer, dict) if self.pointer.is_file() else {}

    def _tombstones(self) -> dict[str, list[str]]:
        return read_json(self.tombstones, dict) if self.tombstones.is_file() else {}

    def _write(self, path: Path, tags: dict[str, list[str]]) -> None:
        write_whole(path, canonical_json(tags))

    def _locked(self) -> FileLock:
        self.pointer.parent.mkdir(parents=True, exist_ok=True)
        return FileLock(self.pointer.with_suffix(".lock"))


def _tag_in(folder: Path) -> str:
    return f"{folder.parent.name}:{folder.name}"


def _without(tags: list[str], gone: str) -> list[str]:
    kept = [tag for tag in tags if tag != gone]
    return [tag for place, tag in enumerate(kept) if place == 0 or tag != kept[place - 1]]
