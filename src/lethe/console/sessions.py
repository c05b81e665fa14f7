"""Who is logged in: a signed cookie that names a key, never holds one, and ends with it.

Nothing is kept on the server, so two consoles over one project know the same sessions, and a restart ends none.
"""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass
from functools import cached_property

from itsdangerous import BadData, SignatureExpired, URLSafeTimedSerializer

from lethe.core import keys
from lethe.errors import LetheError
from lethe.serving.access import Keys, Role

COOKIE = "lethe-console"
NONE = "session: there is none; log in with a key, nothing was changed"


class NotLoggedIn(LetheError):
    """There is no session, or it has ended; the line says which."""


@dataclass(frozen=True)
class Session:
    """Who asks. ``role`` is None while nobody is logged in: then ``ended`` says why, and ``name`` who last was."""

    id: str
    name: str = ""
    role: Role | None = None
    ended: str = NONE

    @classmethod
    def new(cls) -> Session:
        """Of somebody who was never here."""
        return cls(secrets.token_hex(16))

    @cached_property
    def token(self) -> str:
        """What each form of the session carries, and no other site can know."""
        return keys.keyed(f"form of the console {self.id}")

    def sent(self, token: str) -> bool:
        """Whether a form came from a page of this session."""
        return hmac.compare_digest(self.token.encode(), token.encode("utf-8", "replace"))


class Sessions:
    """Reads and writes sessions as cookies; ``known`` are the keys of the service."""

    def __init__(self, known: Keys, minutes: int) -> None:
        self.known, self._minutes = known, minutes

    def read(self, cookie: str | None) -> Session:
        """The session of a cookie; one in which nobody is logged in where there is none, or it has ended."""
        try:
            held = self._serializer.loads(cookie or "", max_age=self._minutes * 60)
        except SignatureExpired as error:
            held = self._serializer.load_payload(error.payload or b"")
            line = f"session: it has ended after {self._minutes} minutes; log in again, nothing was changed"
            return Session(held["id"], held["name"], ended=line)
        except BadData:
            return Session.new()
        if not held["stamp"]:
            return Session(held["id"], held["name"])
        entry = self.known.named(held["name"], held["stamp"])
        if entry is None:
            line = "session: its key was taken out or changed; log in with another, nothing was changed"
            return Session(held["id"], held["name"], ended=line)
        return Session(held["id"], entry.name, entry.role, "")

    def begin(self, key: str, before: Session) -> tuple[Session, str]:
        """The session of whoever has a key, and its cookie. Raises NotLoggedIn.

        The same person's session goes on under the name it had, so that what they typed before it ended can be sent.
        """
        entry = self.known.find(key) if key else None
        if entry is None:
            raise NotLoggedIn("key: is not one of this project; lethe keys api NAME --role ROLE makes one")
        id = before.id if before.name == entry.name else secrets.token_hex(16)
        return Session(id, entry.name, entry.role, ""), self._cookie(id, entry.name, entry.stamp)

    def nobody(self, session: Session) -> str:
        """The cookie of a session before anybody has logged in."""
        return self._cookie(session.id, session.name, "")

    def _cookie(self, id: str, name: str, stamp: str) -> str:
        return str(self._serializer.dumps({"id": id, "name": name, "stamp": stamp}))

    @property
    def _serializer(self) -> URLSafeTimedSerializer:
        return URLSafeTimedSerializer(keys.keyed("sessions of the console"), salt="lethe console")
