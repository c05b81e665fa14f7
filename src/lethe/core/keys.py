"""The secrets: one HMAC key for digests of people's ids, one Ed25519 key that signs certificates.

They live outside the project: in the folder ``LETHE_KEY_DIR`` names, by default ~/.config/lethe, made at first use and
readable by their owner alone. Losing the HMAC key means that forgotten rows can no longer be recognised on re-import;
so whatever holds keyed digests also holds the key's ``fingerprint``, and is refused under another key.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from lethe.errors import ConfigError

HMAC, SIGNING = "hmac.key", "signing.key"
_FINGERPRINT = b"lethe: fingerprint of the key"
_BLOCK = 64  # bytes that SHA-256 takes in at once
RESTORE = "restore it (lethe keys restore FILE) or name its folder in LETHE_KEY_DIR"


def folder() -> Path:
    return Path(os.environ.get("LETHE_KEY_DIR") or Path.home() / ".config" / "lethe")


def secret(name: str) -> bytes:
    """The bytes of a secret file: 32 random ones, made at first use."""
    path = folder() / name
    if not path.exists():
        _make(path, secrets.token_bytes(32))
    return _read(path)


def subject_digest(dataset: str, user_id: object, item_id: object | None = None) -> str:
    """Keyed digest (HMAC-SHA256, hex) of a user, or of one user's interaction with an item, in a dataset."""
    return _digest((dataset, str(user_id), None if item_id is None else str(item_id)))


def subject_digests(dataset: str, user_ids: Iterable[object]) -> list[str]:
    """``subject_digest`` of each of many users."""
    return [digest.hex() for digest in subject_hashes(dataset, user_ids)]


def subject_hashes(dataset: str, user_ids: Iterable[object]) -> Iterator[bytes]:
    """The 32 bytes of ``subject_digest`` of each of many users."""
    # As repr() writes the whole, but for the id: a million times over that is half of the work.
    opening, ending = f"({dataset!r}, ", ", None)"
    inner, outer = _keyed_hash(folder())
    for user_id in user_ids:
        one, two = inner.copy(), outer.copy()
        one.update(f"{opening}{str(user_id)!r}{ending}".encode())
        two.update(one.digest())
        yield two.digest()


def row_digest(dataset: str, table: str, *values: object) -> str:
    """Keyed digest of one row of a dataset's table: its ids, and its time or None."""
    return _digest((dataset, table, "row", *(None if value is None else str(value) for value in values)))


def keyed(digest: str) -> str:
    """A digest under the key: from a plain one, whoever has the other rows would find a missing one by trial."""
    return _digest(("digest", digest))


def fingerprint() -> str:
    """What tells one HMAC key from another without revealing it: 16 hex digits."""
    return _of(secret(HMAC))


def was_ours(named: str) -> bool:
    """Whether the key of that fingerprint was this project's until another took its place (see ``replace``)."""
    path = folder() / HMAC
    return path.with_name(f"{path.stem}-{named}{path.suffix}").is_file()


def is_there() -> bool:
    """Whether there is an HMAC key already."""
    return (folder() / HMAC).is_file()


def must_fit(named: str, what: str) -> None:
    """Raises ConfigError unless the key at hand is the one of this fingerprint, under which ``what`` was made. No key
    is made for it."""
    at_hand = fingerprint() if is_there() else None
    if at_hand != named:
        other = f"{folder()} holds {at_hand}" if at_hand else f"there is none in {folder()}"
        raise ConfigError(f"key: {what} was made under the key {named}, but {other}; {RESTORE}")


# --- keeping and changing them -----------------------------------------------------------------------------------


def backup(path: Path, listed: str = "") -> str:
    """Write both keys, and a suppression list that was made under them, into one file, readable by its owner alone;
    returns the fingerprint. Raises ConfigError where the file is there already."""
    content = {"lethe keys": 1, "fingerprint": fingerprint(), "suppression list": listed}
    content |= {name: base64.b64encode(secret(name)).decode() for name in (HMAC, SIGNING)}
    try:
        _create(path, (json.dumps(content, indent=1) + "\n").encode())
    except FileExistsError:
        raise ConfigError(f"{path}: is there already; name a new file, or remove it first") from None
    return fingerprint()


def restore(path: Path) -> tuple[str, str]:
    """Put the keys of a backup in place; returns their fingerprint and the suppression list. Keys that stood there are
    kept beside them, named by their fingerprint. Raises ConfigError if the file is no backup."""
    try:
        content = json.loads(path.read_bytes())
        keys = {name: base64.b64decode(content[name], validate=True) for name in (HMAC, SIGNING)}
        listed = str(content["suppression list"])
        whole = content["fingerprint"] == _of(keys[HMAC]) and all(len(key) >= 32 for key in keys.values())
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError):
        whole = False
    if not whole:
        raise ConfigError(f"{path}: must be a file that lethe keys backup wrote, whole and unchanged")
    for name, key in keys.items():
        _put(folder() / name, key)
    return fingerprint(), listed


def replace(key: bytes) -> str:
    """Put another HMAC key in place; the one that stood there is kept beside it. Returns the new fingerprint."""
    _put(folder() / HMAC, key)
    return fingerprint()


def _put(path: Path, key: bytes) -> None:
    if path.is_file():
        old = path.read_bytes()
        if old == key:
            return
        with contextlib.suppress(FileExistsError):
            _create(path.with_name(f"{path.stem}-{_of(old)}{path.suffix}"), old)
        path.unlink()
    _make(path, key)
    _read.cache_clear()
    _keyed_hash.cache_clear()


def _make(path: Path, key: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with contextlib.suppress(FileExistsError):
        _create(path, key)


def _create(path: Path, content: bytes) -> None:
    # Written whole under another name, then linked: two first users can't see half a key or two keys.
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.link(temporary, path)
    finally:
        temporary.unlink()


@cache
def _read(path: Path) -> bytes:
    content = path.read_bytes()
    if len(content) < 32:
        raise ConfigError(f"{path}: a key must have at least 32 bytes, got {len(content)}")
    return content


def _of(key: bytes) -> str:
    return hmac.new(key, _FINGERPRINT, hashlib.sha256).hexdigest()[:16]


def _digest(named: tuple[object, ...]) -> str:
    one, two = (state.copy() for state in _keyed_hash(folder()))
    one.update(repr(named).encode())
    two.update(one.digest())
    return two.hexdigest()


@cache
def _keyed_hash(_: Path) -> tuple[hashlib._Hash, hashlib._Hash]:
    """The two hashes of HMAC-SHA256 (RFC 2104) with the key of a folder taken in, to be copied for each digest: reading
    the key takes far longer, and what Python makes of HMAC twice as long as this."""
    block = hashlib.sha256(secret(HMAC)).digest() if len(secret(HMAC)) > _BLOCK else secret(HMAC)
    padded = block.ljust(_BLOCK, b"\0")
    inner, outer = (hashlib.sha256(bytes(byte ^ pad for byte in padded)) for pad in (0x36, 0x5C))
    return inner, outer
