"""A request's body as a form, in memory: ids that somebody sends must not come to lie in a temporary file."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from urllib.parse import parse_qsl

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from lethe.console.asked import Form
from lethe.errors import LetheError

_FIELDS = 50


class TooLarge(LetheError):
    """More was sent than console.upload allows."""


class Malformed(LetheError):
    """What was sent is no form."""


async def read_form(request: Request, most: int) -> Form:
    """The form that was sent, of at most ``most`` bytes. Raises TooLarge, Malformed."""
    kind = request.headers.get("content-type", "")
    if kind.startswith("application/x-www-form-urlencoded"):
        content = b"".join([part async for part in _limited(request, most)])
        try:
            return Form(dict(parse_qsl(content.decode("ascii"), keep_blank_values=True, errors="strict")))
        except ValueError:
            raise Malformed("form: must be a form in UTF-8") from None
    if not kind.startswith("multipart/form-data"):
        raise Malformed("form: must be a form, as the pages send it")
    parser = MultiPartParser(request.headers, _limited(request, most), max_files=5, max_fields=_FIELDS)
    parser.spool_max_size = most + 1
    parser.max_part_size = most
    try:
        parts = (await parser.parse()).multi_items()
    except (MultiPartException, UnicodeDecodeError):
        raise Malformed("form: must be a form, as the pages send it") from None
    fields = {name: value for name, value in parts if isinstance(value, str)}
    files = {name: await value.read() for name, value in parts if isinstance(value, UploadFile)}
    return Form(fields, {name: content for name, content in files.items() if content})


async def _limited(request: Request, most: int) -> AsyncGenerator[bytes, None]:
    length = 0
    async for part in request.stream():
        length += len(part)
        if length > most:
            raise TooLarge(f"form: more than {most} bytes, at most so many are taken (console.upload)")
        yield part
