"""A prefix of an S3 bucket, by fsspec: objects put whole and read whole, and all that the bucket keeps beyond them.

A bucket may keep old versions of what was replaced or deleted, and parts of uploads that never ended. Both are listed
here, read and deleted, so that what is to be gone is gone. Credentials, region and endpoint come from the environment,
as every client of S3 takes them (AWS_ACCESS_KEY_ID, AWS_PROFILE, AWS_ENDPOINT_URL and the rest).
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from lethe.core import keys
from lethe.core.canonical import canonical_json, digest_file
from lethe.core.s3 import client, code_of, mend_of
from lethe.errors import ConfigError, LetheError, Unreachable

MARKER = PurePosixPath("lethe.json")
"""The object that says whose a prefix is, and how often it was emptied."""
_NOT_AS_BEFORE = ("PreconditionFailed", "ConditionalRequestConflict", "412")
"""S3's words for an object that is not, or no longer, what the caller takes it for."""
_CHUNK = 1 << 20
_AT_ONCE = 1000
"""Versions that one call may delete."""


@dataclass(frozen=True)
class ObjectVersion:
    """One version of an object. ``current``: what a reader gets who names none; ``etag``: of its bytes, empty for the
    mark that an object was deleted."""

    path: PurePosixPath
    id: str
    bytes: int
    etag: str
    current: bool

    def is_same(self, local: Path) -> bool:
        """Whether a file here is there and has these bytes, as the tag tells."""
        return local.is_file() and local.stat().st_size == self.bytes and _is_md5(self.etag, local)


@dataclass(frozen=True)
class Marker:
    """Of which setting and of which key a prefix is, and which time it was emptied last."""

    of: str
    key: str
    generation: str


@dataclass(frozen=True)
class Bucket:
    """What lies at s3://BUCKET/PREFIX. ``setting``: the field of params.yaml that names it, for errors."""

    url: str
    setting: str

    # --- whose it is ------------------------------------------------------------------------------------------------

    def claimed(self) -> tuple[Marker, bool]:
        """Whose this is, and whether it was nobody's until now. Raises ConfigError where it is another project's, of
        another setting, or holds objects of others: a purge would delete them."""
        content = self._read(MARKER)
        if content is None:
            if self.names():
                if self._read(MARKER) is not None:
                    return self.claimed()  # Another worker of this project claimed it meanwhile, and put objects there.
                raise ConfigError(f"{self}: holds objects that are not Lethe's; name an empty prefix")
            try:
                return self._mark(secrets.token_hex(8), IfNoneMatch="*"), True
            except FileExistsError:
                return self.claimed()  # Another worker of this project was first.
        try:
            values = json.loads(content)
            marker = Marker(values["of"], values["key"], values["generation"])
        except (ValueError, KeyError, TypeError):
            raise ConfigError(f"{self}: its {MARKER} is not of this Lethe; name another prefix") from None
        if marker.of != self.setting:
            raise ConfigError(f"{self}: is that of {marker.of} already; name another prefix")
        if marker.key != keys.fingerprint():
            if not keys.was_ours(marker.key):
                raise ConfigError(f"{self}: is another project's (key {marker.key}); name another prefix")
            return self._mark(marker.generation), False
        return marker, False

    def renew(self) -> Marker:
        """Say that it was emptied, so that nobody brings back what they had of it."""
        return self._mark(secrets.token_hex(8))

    def _mark(self, generation: str, **condition: str) -> Marker:
        marker = Marker(self.setting, keys.fingerprint(), generation)
        content = {"of": marker.of, "key": marker.key, "generation": marker.generation}
        done = "claimed" if condition else "written"
        self._call(done, "put_object", Key=self._key(MARKER), Body=canonical_json(content), **condition)
        return marker

    # --- objects ----------------------------------------------------------------------------------------------------

    def put(self, path: PurePosixPath, local: Path) -> None:
        """Put a file there, whole or not at all, unless it is there already; what arrived is compared."""
        if self.holds(path, local):
            return
        with self._reached("written"):
            client().put_file(str(local), f"{self._name}/{self._key(path)}")
        if not self.holds(path, local):
            raise Unreachable(f"{self}: {path} isn't there as it was sent, nothing here was changed; run again")

    def holds(self, path: PurePosixPath, local: Path) -> bool:
        """Whether the object has the bytes of a file, by the MD5 that the bucket tells; where it tells another digest
        (a large or encrypted object) the object is read."""
        try:
            head = self._call("read", "head_object", Key=self._key(path))
        except FileNotFoundError:
            return False
        if head["ContentLength"] != local.stat().st_size:
            return False
        return _is_md5(head["ETag"].strip('"'), local) or self._digest(path) == digest_file(local)

    def put_folder(self, path: PurePosixPath, folder: Path, last: str) -> None:
        """Put a folder's files there; whoever finds ``last`` finds all."""
        names = [str(file.relative_to(folder)) for file in sorted(folder.rglob("*")) if file.is_file()]
        for name in [*(name for name in names if name != last), last]:
            self.put(path / name, folder / name)

    def names(self, below: str = "") -> list[PurePosixPath]:
        """Every object as a reader finds it, or those below a path that ends in /."""
        pages = self._pages("listed", "list_objects_v2", "ContinuationToken", below=below)
        return [self._path(one["Key"]) for page in pages for one in page.get("Contents", ())]

    def is_there(self, path: PurePosixPath) -> bool:
        try:
            self._call("read", "head_object", Key=self._key(path))
        except FileNotFoundError:
            return False
        return True

    def get(self, path: PurePosixPath, local: Path, version: ObjectVersion | None = None) -> None:
        """Fetch an object, or that very version. Raises FileNotFoundError where it is gone, Unreachable where it
        changed meanwhile."""
        same = {} if version is None else {"VersionId": version.id, "IfMatch": f'"{version.etag}"'}
        local.parent.mkdir(parents=True, exist_ok=True)
        with local.open("wb") as file:
            self._stream(path, file.write, same)

    # --- all that is kept -------------------------------------------------------------------------------------------

    def versions(self) -> list[ObjectVersion]:
        """Every version of every object, and every mark of a deletion."""
        listed = []
        for page in self._pages("listed", "list_object_versions", "KeyMarker", "VersionIdMarker"):
            for one in page.get("Versions", ()):
                etag = one["ETag"].strip('"')
                listed.append(
                    ObjectVersion(self._path(one["Key"]), one["VersionId"], one["Size"], etag, one["IsLatest"])
                )
            for one in page.get("DeleteMarkers", ()):
                listed.append(ObjectVersion(self._path(one["Key"]), one["VersionId"], 0, "", False))
        return sorted(listed, key=lambda one: (one.path, one.id))

    def unfinished(self) -> list[tuple[PurePosixPath, str]]:
        """Uploads that didn't end: what they were to become, and their number."""
        pages = self._pages("listed", "list_multipart_uploads", "KeyMarker", "UploadIdMarker")
        uploads = [one for page in pages for one in page.get("Uploads", ())]
        # Not every server takes the prefix into account, and those of others are not ours to end.
        return [(self._path(one["Key"]), one["UploadId"]) for one in uploads if one["Key"].startswith(self._prefix)]

    def delete(self, versions: Sequence[ObjectVersion], unfinished: Sequence[tuple[PurePosixPath, str]] = ()) -> None:
        """Delete versions for good, and end uploads. Raises ConfigError for what the bucket keeps all the same."""
        for path, number in unfinished:
            try:
                self._call("emptied", "abort_multipart_upload", Key=self._key(path), UploadId=number)
            except FileNotFoundError:
                continue  # Whoever sent it has ended it.
        for start in range(0, len(versions), _AT_ONCE):
            some = versions[start : start + _AT_ONCE]
            named = [{"Key": self._key(one.path), "VersionId": one.id} for one in some]
            said = self._call("emptied", "delete_objects", Delete={"Objects": named, "Quiet": True})
            if errors := said.get("Errors"):
                self._must_be_gone(len(errors), str(errors[0].get("Code")))
        there = {(one.path, one.id) for one in self.versions()}
        self._must_be_gone(sum((one.path, one.id) in there for one in versions), "still listed")
        self._must_be_gone(len(set(self.unfinished()) & set(unfinished)), "uploads still open")

    def _must_be_gone(self, left: int, why: str) -> None:
        if left:
            raise ConfigError(
                f"{self}: keeps {left} of what must go ({why}), so nothing is certified; lift the lock or retention, "
                "give the credentials s3:DeleteObjectVersion and s3:AbortMultipartUpload, then run again"
            )

    # --- the protocol -----------------------------------------------------------------------------------------------

    def __str__(self) -> str:
        return f"{self.setting}: {self.url}"

    @property
    def _name(self) -> str:
        return self.url.removeprefix("s3://").partition("/")[0]

    @property
    def _prefix(self) -> str:
        return self.url.removeprefix("s3://").partition("/")[2].strip("/") + "/"

    def _key(self, path: PurePosixPath) -> str:
        return f"{self._prefix}{path}"

    def _path(self, key: str) -> PurePosixPath:
        return PurePosixPath(key.removeprefix(self._prefix))

    def _call(self, done: str, method: str, **arguments: Any) -> dict[str, Any]:
        with self._reached(done):
            answer: dict[str, Any] = client().call_s3(method, Bucket=self._name, **arguments)
            return answer

    def _pages(self, done: str, method: str, *places: str, below: str = "") -> Iterator[dict[str, Any]]:
        asked: dict[str, str] = {}
        while True:
            page = self._call(done, method, Prefix=f"{self._prefix}{below}", **asked)
            yield page
            if not page.get("IsTruncated"):
                return
            asked = {place: page[f"Next{place}"] for place in places if page.get(f"Next{place}")}

    def _read(self, path: PurePosixPath) -> bytes | None:
        parts: list[bytes] = []
        try:
            self._stream(path, parts.append, {})
        except FileNotFoundError:
            return None
        return b"".join(parts)

    def _digest(self, path: PurePosixPath) -> str:
        digest = hashlib.sha256()
        self._stream(path, digest.update, {})
        return digest.hexdigest()

    def _stream(self, path: PurePosixPath, take: Callable[[bytes], object], same: dict[str, str]) -> None:
        from fsspec.asyn import sync

        reached = client()

        async def read() -> None:
            answer = await reached._call_s3("get_object", Bucket=self._name, Key=self._key(path), **same)
            async with answer["Body"] as body:
                while chunk := await body.read(_CHUNK):
                    take(chunk)

        with self._reached("read"):
            sync(reached.loop, read)

    @contextmanager
    def _reached(self, done: str) -> Iterator[None]:
        try:
            yield
        except LetheError:
            raise
        except Exception as error:
            code = code_of(error)
            if isinstance(error, FileNotFoundError) and code not in (None, "NoSuchBucket"):
                raise FileNotFoundError(str(self)) from None
            if done == "claimed" and code in _NOT_AS_BEFORE:
                raise FileExistsError(str(self)) from None
            if code is None and isinstance(error, OSError) and error.errno and not isinstance(error, ConnectionError):
                raise  # Of this machine: a full disk, a folder that may not be written.
            raise self._fault(error, code or type(error).__name__, done) from None

    def _fault(self, error: Exception, code: str, done: str) -> LetheError:
        if code == "NoSuchBucket":
            return ConfigError(f"{self}: there is no such bucket; make it, or name another")
        if mend := mend_of(code):
            return ConfigError(f"{self}: {mend} ({code})")
        if "Credential" in code or code == "ProfileNotFound":
            how = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
            return ConfigError(f"{self}: no credentials for it ({code}); {how}")
        if isinstance(error, PermissionError):
            return ConfigError(f"{self}: may not be {done} ({code}); give the credentials that right, or name another")
        if code in _NOT_AS_BEFORE:
            return Unreachable(f"{self}: an object changed while it was read; run again")
        return Unreachable(f"{self}: can't be {done}, it doesn't answer as it should ({code}); try again later")


def _is_md5(etag: str, local: Path) -> bool:
    """Whether a bucket's tag of an object is the MD5 of a file: then the two have the same bytes."""
    with local.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest() == etag
