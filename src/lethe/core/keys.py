"""The secrets: one HMAC key for digests of people's ids, one Ed25519 key that signs certificates.

They live outside the project: in the folder ``LETHE_KEY_DIR`` names, by default ~/.config/lethe, made at first use and
readable by their owner alone. Losing the HMAC key means that forgotten rows can no longer be recognised on re-import.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import secrets
from functools import cache
from pathlib import Path

from lethe.errors import ConfigError


def folder() -> Path:
    return Path(os.environ.get("LETHE_KEY_DIR") or Path.home() / ".config" / "lethe")


def secret(name: str, make: bytes | None = None) -> bytes:
    """The bytes of a secret file, made at first use (32 random bytes unless given)."""
    path = folder() / name
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # Written whole under another name, then linked: two first users can't see half a key or two keys.
        temporary = path.with_name(f".{name}.{os.getpid()}-{secrets.token_hex(4)}")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(make or secrets.token_bytes(32))
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(temporary, path)
        temporary.unlink()
    return _read(path)


@cache
def _read(path: Path) -> bytes:
    content = path.read_bytes()
    if len(content) < 32:
        raise ConfigError(f"{path}: a key must have at least 32 bytes, got {len(content)}")
    return content


def subject_digest(dataset: str, user_id: object, item_id: object | None = None) -> str:
    """Keyed digest (HMAC-SHA256, hex) of a user, or of one user's interaction with an item, in a dataset."""
    text = repr((dataset, str(user_id), None if item_id is None else str(item_id)))
    return hmac.new(secret("hmac.key"), text.encode(), hashlib.sha256).hexdigest()
