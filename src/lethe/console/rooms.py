"""The console's parts, and the roles that may use each: those of the service's keys."""

from __future__ import annotations

from dataclasses import dataclass

from lethe.serving.access import EVERYONE, Role


@dataclass(frozen=True)
class Room:
    path: str
    label: str
    roles: frozenset[Role]


OFFICE = frozenset({Role.OPERATOR, Role.PRIVACY_OFFICER})
ROOMS: dict[str, Room] = {
    "requests": Room("/ui/requests", "Requests", OFFICE),
    "run": Room("/ui/run", "Plan and run", OFFICE),
    "certificates": Room("/ui/certificates", "Certificates", OFFICE),
    "models": Room("/ui/models", "Models", OFFICE | {Role.MONITOR}),
    "drift": Room("/ui/drift", "Drift", OFFICE | {Role.MONITOR}),
    # Recommendations are of one person: who looks after privacy asks for none.
    "try": Room("/ui/try", "Try it", frozenset({Role.OPERATOR, Role.READER})),
}


def rooms_of(role: Role | None) -> dict[str, Room]:
    """The parts that a role may use, in order."""
    return {name: room for name, room in ROOMS.items() if role in room.roles}


assert all(rooms_of(role) for role in EVERYONE), "every role has a page to begin with"
