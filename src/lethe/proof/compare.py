"""Verification's comparison: the digests of what is deployed against those of a rebuild."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import JsonValue

from lethe.core.canonical import Json
from lethe.errors import NotComparable

OTHER_CODE = "not comparable: made by other code; run lethe train and lethe deploy, then verify"


@dataclass(frozen=True)
class Comparison:
    """Which names were compared, and which of them differ or are on one side only."""

    compared: tuple[str, ...]
    differing: tuple[str, ...]
    left_out: tuple[str, ...] = ()
    """What there was nothing to compare with: a whole table whose source has changed since it was read."""
    seed: str | None = None
    """What the sample of sub-models was drawn by (see ``certificate.content.drawn``); None where all were rebuilt."""

    @property
    def equal(self) -> bool:
        return not self.differing

    def to_json(self) -> Json:
        return {
            "result": "equal" if self.equal else "different",
            "compared": len(self.compared),
            "differing": list(self.differing),
            "left_out": list(self.left_out),
            "seed": self.seed,
        }


def same_environment(deployed: Mapping[str, JsonValue], rebuilt: Mapping[str, JsonValue]) -> None:
    """Raise NotComparable where two artifacts were made by other code or in other numeric environments: then neither
    equality nor difference of their digests would say anything."""
    other = sorted(name for name in {*deployed, *rebuilt} if deployed.get(name) != rebuilt.get(name))
    if "code" in other:
        raise NotComparable(OTHER_CODE)
    if other:
        raise NotComparable(
            f"not comparable: built in another environment, {', '.join(other)} differ; verify where it was built"
        )


def compare(deployed: Mapping[str, str], rebuilt: Mapping[str, str], left_out: tuple[str, ...] = ()) -> Comparison:
    """Compare digests by name; a name on one side only differs. Nothing compared is a bug of the caller's: it would
    look like equality."""
    names = sorted({*deployed, *rebuilt})
    assert names, "nothing to compare"
    differing = tuple(name for name in names if deployed.get(name) != rebuilt.get(name))
    return Comparison(tuple(names), differing, left_out)
