"""Certificates: read in plain words, printed, taken along, and checked as anybody may check one."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from lethe.console.asked import Asked, File, View
from lethe.core.envelope import PublicKey
from lethe.errors import LetheError, RequestError
from lethe.forgetting import receipt as receipts
from lethe.forgetting.certificate import Checked, NothingHeld, check, v1
from lethe.forgetting.page import page_of
from lethe.forgetting.standing import ledger

_ID = re.compile(r"req-[0-9a-f]{1,64}")


def listed(asked: Asked) -> View:
    """All of the ledger's, the newest first, and a form to check one that somebody brings."""
    done = reversed(ledger(asked.workspace).in_state("completed"))
    signed = [request for request in done if request.certificate is not None]
    return View("certificates", {"requests": signed, "report": None})


def checked(asked: Asked) -> View:
    """What a certificate that was sent is worth: by the key that came with it, or by this project's own."""
    files = asked.form.files
    if "certificate" not in files:
        raise RequestError("certificate: must be a file, as it was handed out")
    asked.workspace.temporary.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=asked.workspace.temporary) as place:
        paths = {name: Path(place) / f"{name}.{'pem' if name == 'key' else 'json'}" for name in _SENT}
        sent = {"key": PublicKey.own().pem, **files}
        for name, path in paths.items():
            if name in sent:
                path.write_bytes(sent[name])
        try:
            certificate = check(paths["certificate"], paths["key"])
            answers = _answers(certificate, paths["receipt"]) if "receipt" in files else None
        except LetheError as error:
            # Where it lay for a moment is nobody's concern.
            raise RequestError(str(error).replace(f"{place}/", "")) from None
    values = {
        "claims": certificate.content.claims(),
        "signer": certificate.signer,
        "answers": answers,
        "own": "key" not in files,
    }
    old = isinstance(certificate.content, v1.Certificate)
    lines = [] if isinstance(certificate.content, v1.Certificate) else certificate.content.invariants
    page = listed(asked)
    return View(page.template, page.values | {"report": values | {"lines": lines, "old": old}}, done=True)


_SENT = ("certificate", "key", "receipt")


def _answers(certificate: Checked, receipt: Path) -> str:
    if isinstance(certificate.content, v1.Certificate):
        raise RequestError(f"receipt: {v1.WEAKER}; it can answer none")
    receipts.answers(certificate.content, receipts.check(receipt, certificate.key))
    return certificate.content.request.id


def shown(asked: Asked) -> View:
    """One as a page for people."""
    path = _path(asked)
    certificate = check(path)
    own = certificate.signer == PublicKey.own().fingerprint
    return View(
        "certificate",
        {
            "page": page_of(replace(certificate, pinned=own)),
            "id": path.stem,
            "own": own,
            "nothing": isinstance(certificate.content, NothingHeld),
            "key_name": certificate.key.file_name,
        },
    )


def file(asked: Asked) -> File:
    """The signed file."""
    path = _path(asked)
    return File(path.name, path.read_bytes())


def key(asked: Asked) -> File:
    """The public key that checks it."""
    certificate = check(_path(asked))
    return File(certificate.key.file_name, certificate.key.pem, "application/x-pem-file")


def _path(asked: Asked) -> Path:
    id = asked.path["id"]
    path = asked.workspace.certificates / f"{id}.json"
    if not _ID.fullmatch(id) or not path.is_file():
        raise RequestError("certificate: there is none of this request")
    return path
