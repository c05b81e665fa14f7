"""Certificates as files: signed, written, and checked offline."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from lethe.core.envelope import PublicKey, predicate_type, seal, signers, stated, statement, subject_list, unseal
from lethe.core.files import write_whole
from lethe.errors import ArtifactError, EvidenceError
from lethe.forgetting.certificate import claims, nothing, v1
from lethe.forgetting.certificate.content import PREDICATE, Erasure
from lethe.forgetting.certificate.nothing import NothingHeld

SCHEMAS: dict[Path, type[Erasure] | type[NothingHeld]] = {
    Path(__file__).with_name("erasure.schema.json"): Erasure,
    Path(__file__).with_name("nothing.schema.json"): NothingHeld,
}
"""The published JSON schemas, and what each describes."""
Content = Erasure | NothingHeld
C = TypeVar("C", Erasure, NothingHeld)


@dataclass(frozen=True)
class Checked:
    """A certificate whose signature fits and whose content carries its claims.

    ``pinned``: whether the signer was compared with a key that the reader trusts; if not, whoever could change the file
    could also have signed it.
    """

    content: Content | v1.Certificate
    key: PublicKey
    pinned: bool

    @property
    def signer(self) -> str:
        """Fingerprint of the key that signed it."""
        return self.key.fingerprint


def sign(content: C) -> bytes:
    """The certificate's file: what is ``derived`` from the evidence, signed."""
    kind = nothing.PREDICATE if isinstance(content, NothingHeld) else PREDICATE
    content = derived(content)
    return seal(statement(content.subjects(), kind, content.plain()))


def derived(content: C) -> C:
    """With claims and invariants made from the evidence. Raises EvidenceError where an invariant doesn't hold or the
    content contradicts itself: then nothing may be signed."""
    content = claims.derived(content) if isinstance(content, Erasure) else nothing.derived(content)
    if problem := next(_contradictions(content), None):
        raise EvidenceError(f"{content.request.id}: nothing is signed: {problem}")
    return content


def _contradictions(content: Content) -> Iterator[str]:
    return claims.contradictions(content) if isinstance(content, Erasure) else nothing.contradictions(content)


def write(content: C, folder: Path) -> Path:
    """Sign, and write FOLDER/REQUEST.json and beside it the public key that checks it; returns the certificate's
    path."""
    path = folder / f"{content.request.id}.json"
    sealed, key = sign(content), PublicKey.own()
    write_whole(folder / key.file_name, key.pem)
    write_whole(path, sealed)
    return path


def check(path: Path, key: Path | None = None, known_keys: Path | None = None) -> Checked:
    """Check a certificate offline: signature, signer and content.

    ``key``: PEM file of the key that must have signed it; ``known_keys``: a file of trusted fingerprints, one a line.
    Without either, the key that was written beside the certificate is used. Raises ArtifactError if a byte was changed
    or the signer is another, EvidenceError if the content contradicts its claims.
    """
    content = _read(path)
    old = v1.is_one(content)
    names = (v1.signer(content, path.name),) if old else signers(content, path.name)
    trusted = None if known_keys is None else fingerprints(known_keys)
    public = PublicKey.read(key if key is not None else _key_beside(path, names, old))
    if trusted is not None and public.fingerprint not in trusted:
        raise ArtifactError(f"{path.name}: signer {public.fingerprint} is not in {known_keys}")
    checked = v1.check(content, path.name, public) if old else _content(unseal(content, public, path.name), path.name)
    return Checked(checked, public, pinned=key is not None or known_keys is not None)


def read(path: Path) -> Erasure:
    """One of our own certificates of erasure, checked with the key beside it. Raises ArtifactError also for one of the
    old kind, or of nothing held."""
    return of_erasure(check(path), path.name)


def of_erasure(checked: Checked, name: str) -> Erasure:
    """The content of a certificate that something was erased by. Raises ArtifactError for any other."""
    content = checked.content
    if isinstance(content, NothingHeld):
        raise ArtifactError(f"{name}: a certificate of nothing held; nothing was erased or built by its request")
    if not isinstance(content, Erasure):
        raise ArtifactError(f"{name}: {v1.WEAKER}")
    return content


def fingerprints(path: Path) -> dict[str, str]:
    """Trusted keys {fingerprint: whose} of a file with a fingerprint and, after a blank, a name on each line; # begins
    a comment. Raises ArtifactError."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ArtifactError(f"{path}: {getattr(error, 'strerror', None) or 'is no text'}") from None
    known: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        fingerprint, _, whose = line.partition("#")[0].strip().partition(" ")
        if not fingerprint:
            continue
        if len(fingerprint) != 64 or not set(fingerprint) <= set("0123456789abcdef"):
            raise ArtifactError(f"{path}: line {number} must begin with a fingerprint of 64 hexadecimal digits")
        known[fingerprint] = whose.strip()
    return known


def schema(content: type[Content]) -> bytes:
    """The published JSON schema of a predicate, as the file of ``SCHEMAS`` holds it."""
    published = {"$schema": "https://json-schema.org/draft/2020-12/schema", **content.model_json_schema()}
    return (json.dumps(published, indent=1, sort_keys=True) + "\n").encode()


def _content(payload: bytes, name: str) -> Content:
    kind: type[Content] = NothingHeld if predicate_type(payload, name) == nothing.PREDICATE else Erasure
    subjects, predicate = stated(payload, nothing.PREDICATE if kind is NothingHeld else PREDICATE, name)
    try:
        content = kind.exactly(predicate)
    except (ValueError, RecursionError):
        raise ArtifactError(f"{name}: signed, but no certificate of erasure, or of nothing held") from None
    if subject_list(content.subjects()) != subjects:
        raise EvidenceError(f"{name}: its subjects are not what its content says is served")
    if problem := next(_contradictions(content), None):
        raise EvidenceError(f"{name}: {problem}")
    return content


def _key_beside(path: Path, names: tuple[str, ...], old: bool) -> Path:
    if not names:
        raise ArtifactError(f"{path.name}: nobody signed it")
    return path.with_name(f"signing-key-{names[0][:16]}.pem")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ArtifactError(f"{path}: {error.strerror}") from None
