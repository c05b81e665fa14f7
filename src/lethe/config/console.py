"""How the console is reached, and how long somebody stays logged in."""

from __future__ import annotations

from pydantic import Field

from lethe.config.section import Section


class Console(Section):
    host: str = "127.0.0.1"
    """Address that lethe console listens on. 127.0.0.1 is this machine alone; any other needs keys (lethe keys api),
    and a proxy before it that speaks TLS."""
    port: int = Field(3010, ge=1, le=65535)
    """TCP port of the console."""
    session_minutes: int = Field(480, ge=1)
    """How long a login lasts; then the key is asked for again."""
    upload: int = Field(10_000_000, ge=1)
    """Most bytes of a form or file that is sent to it; more is answered 413."""
    title: str = "title"
    """Field of the item features that says what an item is called, for the page where the service is tried."""
