"""Installs what requirements.lock names, and this clone: by uv where it is to be had, in seconds, else by pip.

uv doesn't read pip's settings, so they are handed to it: both look in the same places, and neither brings another build
of torch than the one that is meant. Standard library alone, because nothing is installed yet; run by the Makefile.
"""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

FOR_UV = {
    "index-url": ("UV_DEFAULT_INDEX", " "),
    "extra-index-url": ("UV_EXTRA_INDEX_URL", " "),
    "find-links": ("UV_FIND_LINKS", ","),
    "constraint": ("UV_CONSTRAINT", " "),
    "trusted-host": ("UV_INSECURE_HOST", " "),
    "no-index": ("UV_NO_INDEX", " "),
    "cert": ("SSL_CERT_FILE", " "),
}
"""pip's settings, uv's variable of the same meaning, and what stands there between several values."""
_ORDER = ("global", "install", ":env:")


def settings_for_uv(listed: str, environment: Mapping[str, str]) -> dict[str, str]:
    """What ``pip config list`` said, as variables for uv; one that the user set stays as it is."""
    values: dict[str, tuple[int, str]] = {}
    for line in listed.splitlines():
        key, _, value = line.partition("=")
        section, _, name = key.rpartition(".")
        if name in FOR_UV and section in _ORDER and values.get(name, (-1, ""))[0] <= _ORDER.index(section):
            values[name] = (_ORDER.index(section), str(ast.literal_eval(value)))
    variables = {FOR_UV[name][0]: FOR_UV[name][1].join(value.split()) for name, (_, value) in values.items()}
    if "UV_EXTRA_INDEX_URL" in variables:
        # As pip does: the best version of all indexes, not the first index that has any.
        variables["UV_INDEX_STRATEGY"] = "unsafe-best-match"
    return {name: value for name, value in variables.items() if name not in environment}


def main() -> int:
    pip = [sys.executable, "-m", "pip"]
    lock = ["--quiet", "--requirement", "requirements.lock"]
    if not (_by_uv(pip, lock) or _ran([*pip, "install", *lock])):
        return 1
    return 0 if _ran([*pip, "install", "--quiet", "--no-deps", "--no-build-isolation", "--editable", "."]) else 1


def _by_uv(pip: list[str], lock: list[str]) -> bool:
    """Whether uv installed the lock; bytecode is compiled once for all, which is most of the first command's start."""
    beside = Path(sys.executable).with_name("uv")
    if not (shutil.which("uv") or beside.is_file()):
        _ran([*pip, "install", "--quiet", "uv"])
    uv = shutil.which("uv") or (str(beside) if beside.is_file() else None)
    if uv is None:
        print("uv is not to be had: pip installs, which takes minutes", file=sys.stderr)
        return False
    listed = subprocess.run([*pip, "config", "list"], capture_output=True, text=True).stdout
    environment = {**os.environ, **settings_for_uv(listed, os.environ)}
    return _ran([uv, "pip", "install", "--python", sys.executable, "--compile-bytecode", *lock], environment)


def _ran(command: list[str], environment: Mapping[str, str] | None = None) -> bool:
    try:
        return subprocess.run(command, env=environment).returncode == 0
    except OSError:
        return False


if __name__ == "__main__":
    sys.exit(main())
