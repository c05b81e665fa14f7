"""Changing params.yaml by command: comments and layout stay, and what would not be valid params is not written."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from ruamel.yaml import YAML

from lethe.config.params import Params
from lethe.core.files import write_whole


def edit_params(path: Path, change: Callable[[Any], None]) -> Params:
    """Apply ``change`` to the document and write it; raises ConfigError, and then the file is as it was."""
    editor = YAML()
    editor.preserve_quotes = True
    editor.width = 120
    document = editor.load(path.read_text(encoding="utf-8"))
    change(document)
    text = io.StringIO()
    editor.dump(document, text)
    params = Params.parse(yaml.safe_load(text.getvalue()), path.name)
    write_whole(path, text.getvalue())
    return params
