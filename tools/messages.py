"""Every message that a user can be given, read from the code: ``raise SomeError(f"...")`` below src/lethe."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path

import lethe.errors
from lethe.errors import LetheError

SOURCE = Path(__file__).parents[1] / "src" / "lethe"
HOLE = "…"
"""Stands for what differs each time: a field, a value, a count."""


def errors() -> dict[str, type[LetheError]]:
    """The classes of errors.py by name, a base before what is made from it."""
    classes = vars(lethe.errors).values()
    return {kind.__name__: kind for kind in classes if inspect.isclass(kind) and issubclass(kind, LetheError)}


def messages() -> dict[str, list[tuple[str, str]]]:
    """{error: [(message, module)]}, each message once, in order of the alphabet."""
    named: dict[str, dict[str, str]] = {name: {} for name in errors()}
    for path in sorted(SOURCE.rglob("*.py")):
        module = ".".join(path.relative_to(SOURCE.parent).with_suffix("").parts).removesuffix(".__init__")
        for name, text in _raised(ast.parse(path.read_text(encoding="utf-8"))):
            named[name].setdefault(text, module)
    return {name: sorted(texts.items()) for name, texts in named.items()}


def _raised(tree: ast.Module) -> Iterator[tuple[str, str]]:
    known = errors()
    for node in ast.walk(tree):
        match node:
            case ast.Raise(exc=ast.Call(func=ast.Name(id=name), args=[given, *_])) if name in known:
                text = " ".join(_text(given).split())
                # What is all holes repeats another error's words.
                if any(part.strip(" :;,.()'") for part in text.split(HOLE)):
                    yield name, text


def _text(node: ast.expr) -> str:
    match node:
        case ast.Constant(value=str(value)):
            return value
        case ast.JoinedStr(values=parts):
            return "".join(_text(part) for part in parts)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return _text(left) + _text(right)
        case _:
            return HOLE
