"""Download a file whose SHA-256 is known, going on where an earlier attempt stopped."""

from __future__ import annotations

import http.client
import os
import urllib.error
import urllib.request
from pathlib import Path

from tqdm import tqdm

from lethe.core.canonical import digest_file
from lethe.errors import DataError, Unreachable

_CHUNK = 1 << 16
_SECONDS = 30.0


def download(url: str, path: Path, sha256: str) -> None:
    """Put the file at ``url`` to ``path``. What has arrived is kept in ``path``.part until it is whole.

    Raises DataError where the server can't be reached or stops half-way (the next call resumes there), or where
    the digest of the whole is not ``sha256`` (nothing is kept).
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    if not path.is_file() or digest_file(path) != sha256:
        had = part.stat().st_size if part.is_file() else -1
        # As long as each attempt brings something, a broken connection is only an interruption.
        while not _attempt(url, part):
            has = part.stat().st_size if part.is_file() else -1
            if has <= had:
                raise Unreachable(f"{url}: the connection broke at {max(has, 0)} bytes; run again to resume there")
            had = has
        found = digest_file(part)
        if found != sha256:
            part.unlink()
            raise DataError(f"{url}: sha256 is {found}, must be {sha256}; the file was not kept")
        os.replace(part, path)


def _attempt(url: str, part: Path) -> bool:
    """Fetch what is still missing; True when the file is whole, False when the connection broke."""
    start = part.stat().st_size if part.is_file() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={start}-"} if start else {})
    try:
        with urllib.request.urlopen(request, timeout=_SECONDS) as response:
            # A server that knows no ranges answers 200 and sends everything again.
            start = start if response.status == http.HTTPStatus.PARTIAL_CONTENT else 0
            length = response.headers.get("Content-Length")
            total = None if length is None else start + int(length)
            with (
                part.open("ab" if start else "wb") as file,
                tqdm(total=total, initial=start, unit="B", unit_scale=True, desc=part.stem, disable=None) as bar,
            ):
                while chunk := response.read(_CHUNK):
                    file.write(chunk)
                    bar.update(len(chunk))
        return total is None or part.stat().st_size >= total
    except urllib.error.HTTPError as error:
        # Nothing lies beyond what we have: it is whole, or not of this file, which its digest will tell.
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            return True
        kind = Unreachable if error.code >= http.HTTPStatus.INTERNAL_SERVER_ERROR else DataError
        raise kind(f"{url}: the server answers {error.code} {error.reason}") from None
    except (http.client.HTTPException, ConnectionError, TimeoutError):
        return False
    except urllib.error.URLError as error:
        raise Unreachable(f"{url}: not reachable ({error.reason})") from None
