"""How the service is reached, and how much it takes on."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from lethe.config.section import Once, Section


class Limits(Section):
    """What one worker of the service takes on; more is refused at once, so that nothing queues without end."""

    queue: int = Field(64, ge=1)
    """Requests that a worker holds at once; the next one is answered 503 with Retry-After."""
    rate: float = Field(0, ge=0)
    """Requests a second of one key (or one address, where there are no keys), with as many at once; the next one is
    answered 429. 0: no limit."""
    body: int = Field(1_000_000, ge=1)
    """Most bytes of a request's body; more is answered 413."""
    batch: int = Field(1000, ge=1)
    """Most users that one request may name: as many rows of scores are in memory together."""
    scored_aside: int = Field(200_000, ge=0)
    """Users times items from which a request is scored beside the loop that takes requests in."""
    origins: Annotated[tuple[str, ...], Once] = ()
    """Web pages that may ask from a browser (CORS), as https://shop.example; none by default."""


class Shadow(Section):
    """Before a deployment: the version that is served and the new one answer the same known users, side by side."""

    users: int = Field(200, ge=0, le=1000)
    """Most users whom both versions know that are asked about; 0: nothing is compared."""
    items: int = Field(10, ge=1)
    """Items of each answer that is compared."""
    min_overlap: float = Field(0, ge=0, le=1)
    """Least mean share of those items that both versions offer; below it a deployment is refused. 0: never."""
    max_lost: float = Field(1, ge=0, le=1)
    """Most share of users whom the new version offers nothing, or only what is popular, where the served one offered
    what is theirs; above it a deployment is refused. 1: never. No limit stops a forget run or a rollback."""


class Events(Section):
    """What the service is told of what people do between trainings, to follow a session; kept for a short time."""

    minutes: float = Field(1440, gt=0)
    """How long an event is kept; then it leaves by itself."""
    per_user: int = Field(100, ge=1)
    """Most events that are kept of one user, the newest."""
    rows: int = Field(100_000, ge=1)
    """Most events that are kept in all: of the newest that were taken, at most so many."""


class Serving(Section):
    host: str = Field("127.0.0.1", pattern=r"^[A-Za-z0-9.:_-]+$")
    """Address that the service listens on. 127.0.0.1 is this machine alone; any other needs keys (lethe keys api)."""
    port: int = Field(3000, ge=1, le=65535)
    """TCP port of the service."""
    workers: int = Field(2, ge=1)
    """Processes that answer."""
    max_k: int = Field(100, ge=1)
    """Most items that one request may ask for."""
    limits: Limits = Limits()
    """What each of them takes on."""
    events: Events | None = None
    """What POST /events keeps of what people do, and how long; by default there is no such route."""
    shadow: Shadow = Shadow()
    """How a new version is compared with what is served before it replaces that."""
