"""What every project has of Lethe itself: flows, data stages, the templates of its bento and of its schedules.

In a clone they are the repository's own files; a wheel carries the same files as data below lethe/project.
"""

from __future__ import annotations

from pathlib import Path

from lethe.core.environment import PROJECT

FILES = (
    ".dvc/config",
    ".dvcignore",
    ".gitignore",
    "bentofile.yaml",
    "dvc.yaml",
    "prefect.yaml",
    "suppression/README.md",
)


def shipped_root() -> Path:
    """The folder that holds them; ``flows`` can be imported from it."""
    return PROJECT if PROJECT.is_dir() else PROJECT.parents[2]


def shipped() -> dict[str, bytes]:
    """Their content by path below a project."""
    root = shipped_root()
    names = [*FILES, *(f"flows/{path.name}" for path in (root / "flows").glob("*.py"))]
    return {name: (root / name).read_bytes() for name in sorted(names)}
