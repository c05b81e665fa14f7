"""Who may ask what: keys with roles, kept as salted hashes, from a file or the environment.

    LETHE_API_KEYS       role:key pairs, separated by spaces, for a service with few keys
    LETHE_API_KEYS_FILE  a file that ``lethe keys api`` writes; by default api-keys.json beside the secrets

The file is read again when it changes, so that a key that is taken out stops working at once. Without any key the
service answers this machine alone. Whoever has the workspace's own secret is its operator: that is how ``lethe deploy``
asks the service what it serves.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import secrets
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from lethe.core import keys
from lethe.core.canonical import readable_json
from lethe.core.files import write_whole
from lethe.core.stamps import UNREAD, Stamp, stamp
from lethe.errors import ConfigError

FILE = "api-keys.json"
LEAST = 20
"""Characters of a key that somebody chose."""


class Role(StrEnum):
    READER = "reader"
    """A shop's own programs: recommendations."""
    OPERATOR = "operator"
    """Also what is served, how it runs, and whether a user is known."""
    PRIVACY_OFFICER = "privacy-officer"
    """Whether somebody is known or hidden, and what is held of them; no recommendations."""
    MONITOR = "monitor"
    """Figures alone, for Prometheus."""


EVERYONE = frozenset(Role)
SHOP = frozenset({Role.READER, Role.OPERATOR})
OPEN = frozenset({"/livez", "/healthz", "/readyz"})
"""Paths that need no key: probes, which say nothing of anybody."""
ROUTES: dict[str, frozenset[Role]] = {
    "/": EVERYONE,
    "/openapi.json": EVERYONE,
    "/recommend": SHOP,
    "/recommend/batch": SHOP,
    "/similar_items": SHOP,
    "/score": SHOP,
    "/explain": SHOP,
    "/events": SHOP,
    "/model": frozenset({Role.OPERATOR, Role.PRIVACY_OFFICER}),
    "/person": frozenset({Role.PRIVACY_OFFICER}),
    "/metrics": frozenset({Role.OPERATOR, Role.MONITOR}),
}
"""Who may use which path, with or without /v1; every other path is the operator's."""
THE_REST = frozenset({Role.OPERATOR})


def route_of(path: str) -> str | None:
    """The route that a path is, as ``ROUTES`` and the logs name it; None for any other path, which may be anything."""
    plain = path.removeprefix("/v1") or "/"
    return plain if plain in ROUTES else (path if path in OPEN else None)


def allowed(path: str) -> frozenset[Role]:
    """The roles that may use a path."""
    route = route_of(path)
    return EVERYONE if path in OPEN else ROUTES.get(route or "", THE_REST)


@dataclass(frozen=True)
class ApiKey:
    """A key as it is kept: what it opens, and its hash."""

    name: str
    role: Role
    salt: str
    hash: str

    @classmethod
    def of(cls, name: str, role: Role, key: str) -> ApiKey:
        salt = secrets.token_hex(16)
        return cls(name, role, salt, _hash(salt, key))

    def fits(self, key: str) -> bool:
        return hmac.compare_digest(self.hash, _hash(self.salt, key))

    @property
    def stamp(self) -> str:
        """What tells this key from an earlier or later one of the same name, and is of no use to anybody."""
        return hashlib.sha256(f"{self.salt}{self.hash}{self.role}".encode()).hexdigest()[:16]


_WORKSPACE = ApiKey("workspace", Role.OPERATOR, "", "")
"""What stands for whoever has the workspace's own secret."""


class Keys:
    """The keys that the service knows. A file of keys that can't be read opens nothing."""

    def __init__(self, file: Path | None, fixed: tuple[ApiKey, ...] = ()) -> None:
        self.file, self._fixed = file, fixed
        self._stamp: Stamp | None = UNREAD
        self._listed: tuple[ApiKey, ...] = ()
        self._damaged = False

    @classmethod
    def from_environment(cls) -> Keys:
        """Raises ConfigError for keys that are malformed, one line that shows none of them."""
        named = os.environ.get("LETHE_API_KEYS_FILE")
        made = cls(Path(named) if named else keys.folder() / FILE, _from_text(os.environ.get("LETHE_API_KEYS", "")))
        if named or (made.file is not None and made.file.is_file()):
            assert made.file is not None
            read(made.file)
        return made

    def __bool__(self) -> bool:
        """Whether there are any, so that whoever asks needs one."""
        self._look()
        return bool(self._fixed or self._listed or self._damaged)

    def find(self, key: str) -> ApiKey | None:
        """The entry of a key, or None."""
        self._look()
        fitting = [entry for entry in (*self._fixed, *self._listed) if entry.fits(key)]
        own = own_key()
        if own is not None and hmac.compare_digest(own.encode(), key.encode("utf-8", "surrogateescape")):
            fitting.append(_WORKSPACE)
        return fitting[0] if fitting else None

    def named(self, name: str, stamp: str) -> ApiKey | None:
        """The entry of a name, if it is still the one of that stamp: whoever came in by a key that was taken out since
        is in no longer."""
        self._look()
        own = (_WORKSPACE,) if own_key() is not None else ()
        there = (entry for entry in (*self._fixed, *self._listed, *own) if entry.name == name)
        return next((entry for entry in there if hmac.compare_digest(entry.stamp, stamp)), None)

    def _look(self) -> None:
        if self.file is None:
            return
        now = stamp(self.file)
        if now == self._stamp:
            return
        # A list of keys that vanishes doesn't open the service to everybody.
        self._damaged = now is None and bool(self._listed or self._damaged)
        self._stamp, self._listed = now, ()
        if now is not None:
            try:
                self._listed = read(self.file)
            except ConfigError:
                self._damaged = True


def own_key() -> str | None:
    """The key of whoever has the workspace's secret; None where there is no secret."""
    return keys.keyed("operator of the service") if keys.is_there() else None


def read(path: Path) -> tuple[ApiKey, ...]:
    """The keys of a file; raises ConfigError, one line that shows none of them."""
    try:
        entries = json.loads(path.read_bytes())["keys"]
        return tuple(ApiKey(str(e["name"]), Role(e["role"]), str(e["salt"]), str(e["hash"])) for e in entries)
    except OSError as error:
        raise ConfigError(
            f"{path.name}: the list of API keys can't be read ({error.strerror}); let this user read it, or name"
            " another in LETHE_API_KEYS_FILE"
        ) from None
    except (ValueError, KeyError, TypeError):
        raise ConfigError(f"{path.name}: must be a list of API keys as lethe keys api writes it") from None


def add(path: Path, name: str, role: Role) -> str:
    """Make a key, put its hash into the file and return it: nothing keeps it. Raises ConfigError for a name that is
    there."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,39}", name):
        raise ConfigError(f"name: {name!r} must be 1 to 40 lower-case letters, digits and dashes")
    known = read(path) if path.is_file() else ()
    if name in {entry.name for entry in known}:
        raise ConfigError(f"name: there is a key {name!r} already; remove it first (lethe keys api {name} --remove)")
    key = secrets.token_urlsafe(32)
    _write(path, (*known, ApiKey.of(name, role, key)))
    return key


def remove(path: Path, name: str) -> None:
    """Take a key out; it stops working at once. Raises ConfigError if there is none of that name."""
    known = read(path) if path.is_file() else ()
    if name not in {entry.name for entry in known}:
        raise ConfigError(f"name: no key {name!r}; known keys: {', '.join(entry.name for entry in known) or 'none'}")
    _write(path, tuple(entry for entry in known if entry.name != name))


def _write(path: Path, entries: tuple[ApiKey, ...]) -> None:
    plain = [{"name": e.name, "role": e.role.value, "salt": e.salt, "hash": e.hash} for e in entries]
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_whole(path, readable_json({"keys": plain}))
    path.chmod(0o600)


def _from_text(text: str) -> tuple[ApiKey, ...]:
    entries = []
    for number, pair in enumerate(text.split(), start=1):
        role, colon, key = pair.partition(":")
        if not colon or role not in set(Role):
            raise ConfigError(f"LETHE_API_KEYS: entry {number} must be role:key, with one of {', '.join(Role)}")
        if len(key) < LEAST:
            raise ConfigError(f"LETHE_API_KEYS: key {number} has {len(key)} characters, must have at least {LEAST}")
        entries.append(ApiKey.of(f"environment-{number}", Role(role), key))
    return tuple(entries)


def _hash(salt: str, key: str) -> str:
    # Keys are long and random, or at least long: one round is enough, and each request pays for it.
    return hashlib.sha256(f"{salt}{key}".encode("utf-8", "surrogateescape")).hexdigest()
