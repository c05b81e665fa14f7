"""The receipt: what the requester gets at acceptance, so that a request that vanishes shows.

The signed part names the subject by two digests that reveal nothing: one under the operator's key, as the certificate
has it, and one under a salt. The salt stands beside the signed part, in the requester's file alone: with it, and their
own id, the requester sees that the receipt, and so the certificate of the same keyed digest, is about them.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Iterable, Sequence
from pathlib import Path

from lethe.config.promise import Hex, Line, Moment
from lethe.config.section import Section
from lethe.core.canonical import Json, strict_json
from lethe.core.envelope import PublicKey, seal, stated, statement, subject_list, unseal
from lethe.errors import ArtifactError, EvidenceError
from lethe.forgetting.certificate import Erasure, NothingHeld
from lethe.forgetting.ledger.requests import ForgetRequest

PREDICATE = "urn:lethe:receipt:v1"


class Receipt(Section):
    """What is signed at acceptance."""

    request: Line
    dataset: Line
    subject_digest: Hex
    """Under the operator's key, as on the certificate."""
    salted_digest: Hex
    """Under the salt, see ``salted``."""
    received: Moment
    due: Moment


def issue(request: ForgetRequest, user: str, items: Sequence[str] = ()) -> str:
    """The receipt of a request about a subject, as the file for the requester. Each has a salt of its own, which is
    kept nowhere else."""
    return json.dumps(_issued(request, user, items), indent=1) + "\n"


def issue_all(requests: Iterable[tuple[ForgetRequest, str, Sequence[str]]]) -> str:
    """The receipts of requests (each with user and items), one a line; each line is a receipt as ``issue`` makes it."""
    return "".join(json.dumps(_issued(*one)) + "\n" for one in requests)


def _issued(request: ForgetRequest, user: str, items: Sequence[str]) -> Json:
    salt = secrets.token_hex(32)
    receipt = Receipt(
        request=request.id,
        dataset=request.dataset,
        subject_digest=request.subject_digest,
        salted_digest=salted(salt, request.dataset, user, items),
        received=request.received.isoformat(),
        due=request.due.isoformat(),
    )
    sealed = seal(statement({request.id: receipt.salted_digest}, PREDICATE, receipt.plain()))
    return {"salt": salt, "receipt": json.loads(sealed)}


def salted(salt: str, dataset: str, user: str, items: Sequence[str] = ()) -> str:
    """HMAC-SHA256 of the subject under a salt: of dataset, user and the sorted items, each ended by a line feed."""
    text = "".join(f"{part}\n" for part in (dataset, user, *sorted(items)))
    return hmac.new(bytes.fromhex(salt), text.encode(), hashlib.sha256).hexdigest()


def check(path: Path, key: PublicKey, user: str | None = None, items: Sequence[str] = ()) -> Receipt:
    """A requester's receipt that ``key`` signed; with ``user`` it must be about that subject. Raises ArtifactError, or
    EvidenceError where it is about somebody else."""
    try:
        values = strict_json(path.read_bytes())
        salt, sealed = values["salt"], json.dumps(values["receipt"]).encode()
        own = None if user is None else bytes.fromhex(salt)
    except OSError as error:
        raise ArtifactError(f"{path}: {error.strerror}") from None
    except (ValueError, TypeError, KeyError, RecursionError):
        raise ArtifactError(f"{path.name}: not a receipt, or it was changed") from None
    subjects, predicate = stated(unseal(sealed, key, path.name), PREDICATE, path.name)
    try:
        receipt = Receipt.exactly(predicate)
    except ValueError:
        raise ArtifactError(f"{path.name}: signed, but no receipt") from None
    if subjects != subject_list({receipt.request: receipt.salted_digest}):
        raise EvidenceError(f"{path.name}: its subject is not the request that it names")
    if own is not None and salted(salt, receipt.dataset, str(user), items) != receipt.salted_digest:
        raise EvidenceError(f"{path.name}: it is about another subject")
    return receipt


def answers(content: Erasure | NothingHeld, receipt: Receipt) -> None:
    """Raises EvidenceError unless a certificate is of the request that a receipt was given for."""
    request = content.request
    said = Receipt(
        request=request.id,
        dataset=content.dataset,
        subject_digest=request.subject_digest,
        salted_digest=receipt.salted_digest,
        received=request.received,
        due=request.due,
    )
    if other := [name for name in Receipt.model_fields if getattr(said, name) != getattr(receipt, name)]:
        raise EvidenceError(f"receipt: another {other[0]} than the certificate's")
