"""Certificates as files: signed, written, and checked offline."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from lethe.core.envelope import PublicKey, seal, signers, stated, statement, subject_list, unseal
from lethe.core.files import write_whole
from lethe.errors import ArtifactError, EvidenceError
from lethe.forgetting.certificate import v1
from lethe.forgetting.certificate.claims import claim, contradictions, invariants
from lethe.forgetting.certificate.content import PREDICATE, Erasure

SCHEMA = Path(__file__).with_name("erasure.schema.json")


@dataclass(frozen=True)
class Checked:
    """A certificate whose signature fits and whose content carries its claims.

    ``pinned``: whether the signer was compared with a key that the reader trusts; if not, whoever could change the file
    could also have signed it.
    """

    content: Erasure | v1.Certificate
    key: PublicKey
    pinned: bool

    @property
    def signer(self) -> str:
        """Fingerprint of the key that signed it."""
        return self.key.fingerprint


def sign(content: Erasure) -> bytes:
    """The certificate's file: what is ``derived`` from the evidence, signed."""
    content = derived(content)
    return seal(statement(content.subjects(), PREDICATE, content.plain()))


def derived(content: Erasure) -> Erasure:
    """With claims and invariants made from the evidence. Raises EvidenceError where an invariant doesn't hold or the
    content contradicts itself: then nothing may be signed."""
    families = {name: one.model_copy(update={"claim": claim(content, name)}) for name, one in content.families.items()}
    content = content.model_copy(update={"families": families})
    content = content.model_copy(update={"invariants": invariants(content)})
    if problem := next(contradictions(content), None):
        raise EvidenceError(f"{content.request.id}: nothing is signed: {problem}")
    return content


def write(content: Erasure, folder: Path) -> Path:
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
    checked = v1.check(content, path.name, public) if old else _erasure(unseal(content, public, path.name), path.name)
    return Checked(checked, public, pinned=key is not None or known_keys is not None)


def read(path: Path) -> Erasure:
    """One of our own certificates, checked with the key beside it. Raises ArtifactError also for one of the old
    kind."""
    content = check(path).content
    if not isinstance(content, Erasure):
        raise ArtifactError(f"{path.name}: {v1.WEAKER}")
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


def schema() -> bytes:
    """The published JSON schema of the predicate, as the file ``SCHEMA`` holds it."""
    published = {"$schema": "https://json-schema.org/draft/2020-12/schema", **Erasure.model_json_schema()}
    return (json.dumps(published, indent=1, sort_keys=True) + "\n").encode()


def _erasure(payload: bytes, name: str) -> Erasure:
    subjects, predicate = stated(payload, PREDICATE, name)
    try:
        content = Erasure.exactly(predicate)
    except (ValueError, RecursionError):
        raise ArtifactError(f"{name}: signed, but no certificate of erasure") from None
    if subject_list(content.subjects()) != subjects:
        raise EvidenceError(f"{name}: its subjects are not what its content says is served")
    if problem := next(contradictions(content), None):
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
