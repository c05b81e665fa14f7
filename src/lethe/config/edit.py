"""Changing params.yaml by command: lines that say nothing else stay as they are, to the letter; comments too.

What would not be valid params is not written.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

import yaml
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.scalarstring import SingleQuotedScalarString

from lethe.config.params import Params
from lethe.core.files import write_whole

_WIDTHS = (4096, 120, 80)


def edit_params(path: Path, change: Callable[[Any], None]) -> Params:
    """Apply ``change`` to the document and write it; raises ConfigError, and then the file is as it was."""
    text = path.read_text(encoding="utf-8")
    edited = _edited(text, change)
    params = Params.parse(yaml.safe_load(edited), path.name)
    write_whole(path, edited)
    return params


def laid_out(value: Any) -> Any:
    """A new part of the document, as params.yaml is written by hand: what holds only values stands in one line."""
    made: CommentedMap | CommentedSeq
    if isinstance(value, dict):
        made = CommentedMap({laid_out(name): laid_out(part) for name, part in value.items()})
    elif isinstance(value, list | tuple):
        made = CommentedSeq(laid_out(part) for part in value)
    else:
        return SingleQuotedScalarString(value) if isinstance(value, str) and _is_no_text(value) else value
    parts = value.values() if isinstance(value, dict) else value
    if not any(isinstance(part, dict | list | tuple) for part in parts):
        made.fa.set_flow_style()
    return made


def _is_no_text(plain: str) -> bool:
    """Whether a text without quotes means something else to who reads params.yaml: ``yes``, ``on``, ``12:30``, which
    are texts in the YAML that ruamel writes (1.2) and none in the one that is read (1.1)."""
    try:
        return not isinstance(yaml.safe_load(plain), str)
    except (yaml.YAMLError, ValueError):
        return False  # Signs of YAML itself: ruamel quotes them.


def _edited(text: str, change: Callable[[Any], None]) -> str:
    """The text after the change: its own lines where ruamel, which has a layout of its own, says the same as before."""
    own = text.splitlines(keepends=True)
    for width in _WIDTHS:
        editor = YAML()
        editor.preserve_quotes = True
        editor.width = width
        document = editor.load(text)
        before = _dumped(editor, document)
        change(document)
        after = _dumped(editor, document)
        if len(before) == len(own):
            merged = "".join(_merged(own, before, after))
            if yaml.safe_load(merged) == yaml.safe_load("".join(after)):
                return merged
    return "".join(after)


def _dumped(editor: YAML, document: Any) -> list[str]:
    text = io.StringIO()
    editor.dump(document, text)
    return text.getvalue().splitlines(keepends=True)


def _merged(own: list[str], before: list[str], after: list[str]) -> list[str]:
    """``own``, line by line ``before``, with what makes ``before`` ``after``."""
    lines: list[str] = []
    for kind, start, end, first, last in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if kind == "equal":
            lines += own[start:end]
            continue
        # A remark above the next section is none of what is put in before that section.
        below: list[str] = []
        while kind == "insert" and lines and _is_above(lines[-1], after[first]):
            below.insert(0, lines.pop())
        lines += [*after[first:last], *below]
    return lines


def _is_above(line: str, inserted: str) -> bool:
    bare = line.lstrip()
    return not bare.strip() or (bare.startswith("#") and _indent(line) < _indent(inserted))


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())
