"""Witnesses of the ledger: the head of its chain is told to somebody who keeps it, so that the chain, its end included,
can't be written anew unseen.

A witness is named in params.yaml (``audit.witness``): the URL of an RFC 3161 time-stamping authority, or the path of a
log that others keep (a folder of theirs, a write-once disk). A log of the operator's own shows damage, not dishonesty.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Protocol

from filelock import FileLock, Timeout

from lethe.config.params import Audit
from lethe.core.canonical import canonical_json, digest_json, strict_json
from lethe.core.files import write_whole
from lethe.core.workspace import Workspace
from lethe.errors import ArtifactError, ConfigError

GENESIS = "0" * 64
_SECONDS = 20.0  # That an authority may take to answer, and others to write into a log.


class Witness(Protocol):
    """Somebody who keeps heads."""

    def tell(self, head: str) -> None:
        """Have a head kept, unless it is; raises LetheError where that fails."""
        ...

    def heads(self) -> list[str]:
        """Every head that was told, checked; raises ArtifactError at the first that was changed."""
        ...


def witness_of(workspace: Workspace, settings: Audit) -> Witness | None:
    """The witness that params.yaml names, if any. Raises ConfigError."""
    if settings.witness is None:
        return None
    if not settings.witness.startswith(("http://", "https://")):
        return WitnessLog(workspace.root / settings.witness)
    if settings.witness_root is None:
        raise ConfigError("audit.witness_root: must name the PEM file of the authority's root certificate")
    return TimestampAuthority(
        settings.witness, workspace.root / settings.witness_root, workspace.certificates / "witnessed"
    )


class WitnessLog:
    """A file with a line for each head of one project; each line names the digest of the one before it.

    What follows the last line feed was being written when its writer was killed or the disk full: it was never told.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def tell(self, head: str) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(f"{self.path}.lock", timeout=_SECONDS):
                self._add(head)
        except Timeout:
            raise ConfigError(f"witness: {self.path}: is locked by another process; the head was not kept") from None
        except OSError as error:
            raise ConfigError(f"witness: {self.path}: {error.strerror}; the head was not kept") from None

    def heads(self) -> list[str]:
        try:
            return [line["head"] for line in self._lines(self._written())]
        except OSError as error:
            raise ConfigError(f"witness: {self.path}: {error.strerror}; its heads can't be read") from None

    def _add(self, head: str) -> None:
        written = self._written()
        lines = self._lines(written)
        if any(line["head"] == head for line in lines):
            return
        previous = digest_json(lines[-1]) if lines else GENESIS
        at = datetime.now(UTC).isoformat(timespec="seconds")
        with self.path.open("ab") as file:
            if file.tell() > len(written):
                file.truncate(len(written))
            file.write(canonical_json({"at": at, "head": head, "previous": previous}) + b"\n")

    def _written(self) -> bytes:
        """The log's whole lines."""
        content = self.path.read_bytes() if self.path.exists() else b""
        return content[: content.rfind(b"\n") + 1]

    def _lines(self, written: bytes) -> list[dict[str, str]]:
        lines: list[dict[str, str]] = []
        for number, text in enumerate(written.splitlines(), 1):
            expected = digest_json(lines[-1]) if lines else GENESIS
            try:
                line = strict_json(text)
                whole = set(line) == {"at", "head", "previous"} and line["previous"] == expected
                whole = whole and all(isinstance(value, str) for value in line.values())
            except (ValueError, TypeError, RecursionError):
                whole = False
            if not whole:
                raise ArtifactError(f"witness: line {number} of {self.path.name} was changed, or one before it removed")
            lines.append(line)
        return lines


class TimestampAuthority:
    """An RFC 3161 authority; its signed answers are kept as FOLDER/HEAD.tsr."""

    def __init__(self, url: str, root: Path, folder: Path) -> None:
        self.url, self.root, self.folder = url, root, folder

    def tell(self, head: str) -> None:
        import httpx

        path = self.folder / f"{head}.tsr"
        if path.is_file():
            return
        client = _client()
        request = client.TimestampRequestBuilder().data(head.encode()).nonce(nonce=True).cert_request(cert_request=True)
        built = request.build()
        try:
            answer = httpx.post(
                self.url,
                content=built.as_bytes(),
                headers={"Content-Type": "application/timestamp-query"},
                timeout=_SECONDS,
            ).raise_for_status()
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise ConfigError(f"witness: {self.url}: {type(error).__name__}; the head was not time-stamped") from None
        self._check(answer.content, head, built.nonce)
        write_whole(path, answer.content)

    def heads(self) -> list[str]:
        paths = sorted(self.folder.glob("*.tsr"))
        for path in paths:
            self._check(path.read_bytes(), path.stem)
        return [path.stem for path in paths]

    def _check(self, content: bytes, head: str, nonce: int | None = None) -> None:
        from cryptography import x509

        client = _client()
        try:
            certificate = x509.load_pem_x509_certificate(self.root.read_bytes())
        except (OSError, ValueError):
            raise ConfigError(f"audit.witness_root: {self.root} can't be read as a certificate in PEM") from None
        verifier = client.VerifierBuilder().add_root_certificate(certificate)
        if nonce is not None:
            verifier = verifier.nonce(nonce)
        try:
            verifier.build().verify_message(client.decode_timestamp_response(content), head.encode())
        except (client.VerificationError, ValueError):
            raise ArtifactError(f"witness: the time stamp of head {head[:16]} is not the authority's") from None


def _client() -> ModuleType:
    try:
        import rfc3161_client
    except ModuleNotFoundError:
        raise ConfigError("witness: rfc3161-client is not installed; install lethe-recsys[timestamp]") from None
    return rfc3161_client
