"""Code as it were after an edit: the source that keys are made from, without a file being touched."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from lethe.core import environment

Edit = Callable[[bytes], bytes]


@contextmanager
def edited(module: str, edit: Edit) -> Iterator[None]:
    """While the source of a module of ours reads otherwise."""
    source, known = environment._source, environment._module
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(environment, "_source", lambda name: edit(source(name)) if name == module else source(name))
        patch.setattr(environment, "_module", lambda name: (known.__wrapped__ if name == module else known)(name))
        yield


def with_code(source: bytes) -> bytes:
    """A line of code more."""
    return source + b"\n\ndef added():\n    return 1\n"


def with_words(source: bytes) -> bytes:
    """A comment, blank lines, another docstring of the module and one of an attribute."""
    future = b"from __future__ import annotations\n"
    head, there, rest = source.partition(future)
    text = b'"""Other words."""\n\n# and a comment\n\n' + there + rest if there else b"# only a comment\n\n" + head
    return text + b'\n\n"""Words about nothing."""\n'
