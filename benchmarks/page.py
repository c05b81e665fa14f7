"""Pages of results in Markdown: a title, paragraphs and tables, and nothing else."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence


def page(name: str, *blocks: str) -> str:
    """The blocks that say anything, one after another below the title."""
    return "\n\n".join([f"# {name}", *filter(None, blocks)]) + "\n"


def grid(head: Sequence[str], rows: Iterable[Sequence[object]], right: Container[int] = ()) -> str:
    """A table of these cells; ``right``: places of the columns whose figures stand at their right."""
    rules = ["---:" if place in right else "---" for place in range(len(head))]
    return "\n".join([_line(head), _line(rules), *map(_line, rows)])


def bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"* {line}" for line in lines)


def met(is_met: bool) -> str:
    """How a goal's outcome is told."""
    return "met" if is_met else "not met"


def missed(is_met: bool) -> str:
    """Said behind a figure that is beyond its goal."""
    return "" if is_met else " (not met)"


def short(value: float) -> str:
    """A metric of four digits, without the 0 before its point."""
    return f"{value:.4f}".replace("0.", ".", 1) if abs(value) < 1 else f"{value:.4f}"


def _line(cells: Sequence[object]) -> str:
    return "|" + "".join(f" {cell} |" if f"{cell}" else " |" for cell in cells)
