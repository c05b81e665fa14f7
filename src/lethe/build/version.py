"""What was promoted, once: a package, why it is here, and by which code."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from lethe.build.grounds import Grounds
from lethe.build.recipe import Recipe
from lethe.core.artifacts import Artifact
from lethe.serving.package_info import PackageInfo


@dataclass(frozen=True)
class Version:
    """One promoted package: its tag, its artifact (manifest unchecked; see ``Registry.open``) and why it is here."""

    tag: str
    artifact: Artifact
    reason: str
    metrics: dict[str, float]
    """Of validation, of the build on the training part that it was chosen by."""
    made: datetime
    """When it was promoted first."""
    grounds: Grounds | None = None
    """What it was chosen on, as far as that was kept."""
    code: str = ""
    """SHA-256 of the code that built and promoted it."""
    settings: str = ""
    """SHA-256 of what params.yaml then said of its dataset."""
    stages: str = ""
    """SHA-256 of the code of the data stages that made its tables."""
    lock: str = ""
    """SHA-256 of requirements.lock as it then was, if there was one."""
    comparison: str = ""
    """Key of the ensemble, built on the training part, that it was chosen by; empty where it was rebuilt since."""

    @property
    def digest(self) -> str:
        return self.artifact.digest

    @property
    def key(self) -> str:
        return self.artifact.key

    @cached_property
    def info(self) -> PackageInfo:
        """What the package says of itself."""
        return PackageInfo.parse(self.artifact.inputs["info"], f"model {self.tag}")

    @cached_property
    def recipe(self) -> Recipe:
        """All that decided it besides the data."""
        return Recipe.parse(self.info.recipe, f"model {self.tag}")
