"""How programs write an id inside of other text, and which ids a stretch of text may be."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from typing import Literal
from unicodedata import normalize
from urllib.parse import quote, quote_plus, unquote, unquote_plus

from lethe.tables.ids import id_fault

_FORMS: tuple[Literal["NFC"], Literal["NFD"]] = ("NFC", "NFD")
_PLAIN = re.compile(r"[A-Za-z0-9_.~-]*")
"""What nobody escapes."""
_IN_LINKS, _IN_JSON = re.compile("%[0-9A-F]{2}"), re.compile(r"(?<=\\u)[0-9a-f]{4}")
_SPELT = re.compile(rb'["\\%+&\x80-\xff]')
"""What an id that is spelt in another way has in it."""


def spellings(text: str) -> set[bytes]:
    """An id in either form of Unicode, as JSON, URLs, HTML and doubled quotes escape it, or in one byte a character."""
    if _PLAIN.fullmatch(text):
        return {text.encode()}
    return set().union(*map(_escaped, {text, *(normalize(form, text) for form in _FORMS)}))


def _escaped(text: str) -> set[bytes]:
    in_json = {json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]}
    in_json |= {said.replace("/", "\\/") for said in in_json}
    in_links = {quote(text), quote(text, safe=""), quote_plus(text)}
    in_html = {html.escape(text, quote=False), html.escape(text), html.escape(text).replace("&#x27;", "&#39;")}
    in_html |= {said.encode("ascii", "xmlcharrefreplace").decode() for said in in_html}
    spelt = {text, text.replace('"', '""'), *in_json, *in_links, *in_html}
    # Digits above nine are small letters to some and capitals to others.
    spelt |= {_IN_LINKS.sub(lambda digits: digits[0].lower(), said) for said in in_links}
    spelt |= {_IN_JSON.sub(lambda digits: digits[0].upper(), said) for said in in_json}
    return {s.encode() for s in spelt} | ({text.encode("latin-1")} if all(c <= "ÿ" for c in text) else set())


def readings(spelt: bytes) -> Iterator[str]:
    """The ids that may be spelt so."""
    try:
        text = spelt.decode()
    except UnicodeDecodeError:
        return
    yield text
    if _SPELT.search(spelt):
        read = {text, text.replace('""', '"'), unquote(text), unquote_plus(text), _of_json(text), html.unescape(text)}
        others = read.union(normalize(form, raw) for form in _FORMS for raw in read) - {text}
        yield from (raw for raw in others if id_fault(raw) is None and spelt in spellings(raw))


def _of_json(text: str) -> str:
    try:
        return str(json.loads(f'"{text}"'))
    except ValueError:
        return text
