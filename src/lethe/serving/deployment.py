"""What a running service serves: pinned versions, one a family. One small JSON file, replaced atomically."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from lethe.config.section import Section
from lethe.config.serving import Events, Limits
from lethe.core.canonical import canonical_json
from lethe.core.files import write_whole
from lethe.errors import DeploymentError


class Deployment(Section):
    """Tags only, so that it says nothing about people: of the bento (code) and of each family's model."""

    bento: str
    families: dict[str, str] = Field(min_length=1)
    default: str
    """The family that answers a request that names none."""
    max_k: int = Field(100, ge=1)
    """Most items a request may ask for."""
    limits: Limits = Limits()
    """What a worker takes on."""
    events: Events | None = None
    """How long it keeps what people do, if it does."""

    @model_validator(mode="after")
    def _default_is_served(self) -> Self:
        if self.default not in self.families:
            raise ValueError(f"default {self.default!r} must be one of {', '.join(self.families)}")
        return self

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a deployment; raises DeploymentError if there is none, ConfigError if it is malformed."""
        try:
            return cls.parse(json.loads(path.read_bytes()), path.name)
        except FileNotFoundError:
            raise DeploymentError(f"{path.name}: nothing is deployed yet; run lethe deploy first") from None
        except ValueError:
            raise DeploymentError(f"{path.name}: not valid JSON; run lethe deploy again") from None

    def write(self, path: Path) -> None:
        """Replace the file atomically."""
        write_whole(path, canonical_json(self.plain()))
