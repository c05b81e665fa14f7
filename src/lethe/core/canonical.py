"""The one form that digests are taken of, of JSON values and files; and the one form of JSON for people."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from pydantic import JsonValue

Json = dict[str, JsonValue]
"""A JSON object, as it is in a file before it is checked, or as it is shown."""


def canonical_json(value: Any) -> bytes:
    """The one JSON form that digests are taken of: sorted keys, no spaces, UTF-8."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def readable_json(value: Any) -> str:
    """The one JSON form that people read, and that lies in files: sorted keys, indented lines, a newline at the end."""
    return json.dumps(value, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def digest_json(value: Any) -> str:
    """SHA-256 of the canonical JSON of ``value``."""
    return hashlib.sha256(canonical_json(value)).hexdigest()


def digest_file(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def strict_json(content: bytes) -> Any:
    """The value of JSON bytes that can be read in one way only. Raises ValueError for a name that stands twice in an
    object, a number that JSON doesn't have, and what isn't JSON."""

    def once(pairs: list[tuple[str, JsonValue]]) -> Json:
        values = dict(pairs)
        if len(values) < len(pairs):
            raise ValueError("a name stands twice")
        return values

    def refuse(name: str) -> Any:
        raise ValueError(f"{name} is no number of JSON")

    return json.loads(content, object_pairs_hook=once, parse_constant=refuse)
