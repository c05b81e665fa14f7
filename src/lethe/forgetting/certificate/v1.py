"""Certificates of the old kind (version 1): still read and checked, no longer made.

Their digests of before are not keyed, and a rebuild was never part of their evidence: they claim less than they say.
The signature is over the canonical JSON of everything but its own value.
"""

from __future__ import annotations

import base64
import json
from typing import Annotated, Literal

from cryptography.exceptions import InvalidSignature
from pydantic import StringConstraints

from lethe.config.section import Section
from lethe.core.canonical import canonical_json, strict_json
from lethe.core.envelope import PublicKey
from lethe.errors import ArtifactError, EvidenceError

WEAKER = (
    "a certificate of the old kind: the rows were removed and none was found; that what is served equals a rebuild is"
    " not shown by it, whatever its guarantee says"
)


class Subject(Section):
    id: str
    kind: Literal["user", "interactions"]
    subject_digest: str
    reason: str
    received: str
    completed: str


class Digests(Section):
    data: str
    shards: dict[str, str]
    artifacts: dict[str, str]
    code: str
    environment: str


class Shards(Section):
    touched: tuple[str, ...]
    retrained: tuple[str, ...]
    reused: tuple[str, ...]


class Purged(Section):
    store: str
    removed: int
    bytes: int


class Absence(Section):
    stores: dict[str, tuple[str, ...]]
    found: int


class Verification(Section):
    result: Literal["equal", "different", "not comparable", "not run"]
    compared: int
    differing: tuple[str, ...]


class Signature(Section):
    """``public_key``: 32 bytes in hex; ``value``: 64 bytes in base64."""

    algorithm: Literal["Ed25519"]
    public_key: Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]
    value: str


class Certificate(Section):
    """What the old kind says. ``guarantee``, ``residues`` and ``shards`` by family."""

    version: Literal[1]
    request: Subject
    dataset: str
    guarantee: dict[str, str]
    residues: dict[str, tuple[str, ...]]
    outside_reach: tuple[str, ...]
    before: Digests
    after: Digests
    shards: dict[str, Shards]
    seconds: dict[str, float]
    purged: tuple[Purged, ...]
    scan: Absence
    verify: Verification
    ledger_head: str
    signature: Signature

    def claims(self) -> dict[str, str]:
        """What it shows, by family."""
        return dict.fromkeys(self.guarantee, WEAKER)


def is_one(content: bytes) -> bool:
    """Whether a file claims to be of the old kind."""
    try:
        values = strict_json(content)
    except (ValueError, RecursionError):
        return False
    return isinstance(values, dict) and values.get("version") == 1


def signer(content: bytes, name: str) -> str:
    """The public key (hex) that a certificate says it was signed with: the old kind names its key file by it."""
    return _read(content, name).signature.public_key


def check(content: bytes, name: str, key: PublicKey) -> Certificate:
    """Raises ArtifactError if a byte was changed or another key signed it, EvidenceError if it contradicts itself."""
    certificate = _read(content, name)
    if certificate.signature.public_key != key.key.public_bytes_raw().hex():
        raise ArtifactError(f"{name}: signed by another key than {key.fingerprint[:16]}")
    try:
        value = base64.b64decode(certificate.signature.value, validate=True)
        # The last digit has bits that decode to nothing: only one spelling of a signature is ours.
        if base64.b64encode(value).decode() != certificate.signature.value:
            raise InvalidSignature
        key.key.verify(value, message(certificate))
    except (InvalidSignature, ValueError):
        raise ArtifactError(f"{name}: the signature does not fit the content, it was changed") from None
    if render(certificate) != content:
        raise ArtifactError(f"{name}: the file was changed, though not in its values")
    if certificate.scan.found or any(certificate.scan.stores.values()):
        raise EvidenceError(f"{name}: places found: must be 0, is {certificate.scan.found}")
    if certificate.verify.result == "different" or certificate.verify.differing:
        raise EvidenceError(f"{name}: verification: what is served differs from a rebuild")
    return certificate


def render(certificate: Certificate) -> bytes:
    """The file's one form."""
    return (json.dumps(certificate.plain(), indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


def message(certificate: Certificate) -> bytes:
    """What was signed."""
    values = certificate.plain()
    del values["signature"]["value"]
    return canonical_json(values)


def _read(content: bytes, name: str) -> Certificate:
    try:
        return Certificate.model_validate_json(content)
    except ValueError:
        raise ArtifactError(f"{name}: not a certificate, or it was changed") from None
