"""Drawings of the report: matplotlib's SVG, put into the page itself, in the page's own colours.

Colours are those of the page's style (CSS variables), so that one drawing fits light, dark and paper. The same values
give the same bytes.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

_INK, _SOFT, _LINE, _MAIN, _MARKED = "#010203", "#010204", "#010205", "#010206", "#010207"
_VARIABLES = {_INK: "ink", _SOFT: "soft", _LINE: "line", _MAIN: "main", _MARKED: "marked"}
"""Colours that matplotlib is given, which nothing else has, and the page's variables that stand for them."""
_STYLE = {
    "svg.fonttype": "none",
    "font.size": 9.5,
    "text.color": _SOFT,
    "axes.labelcolor": _SOFT,
    "axes.edgecolor": _LINE,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": _LINE,
    "grid.linewidth": 0.5,
    "xtick.color": _LINE,
    "ytick.color": _LINE,
    "xtick.labelcolor": _SOFT,
    "ytick.labelcolor": _INK,
}
_SMALL = (3.6, 2.2)
"""Inches of a drawing that stands beside others."""
_NAMES_SHOWN = 26
"""Characters of a name beside a bar."""


def bars(
    values: Mapping[str, float],
    label: str,
    *,
    marked: str | None = None,
    spreads: Mapping[str, tuple[float, float]] | None = None,
    format: str = "{:,.0f}",
    scale: float | None = None,
) -> str:
    """One bar a name, from the top down, its value beside it; the ``marked`` one in another colour.

    ``spreads``: (low, high) of an interval around a value. ``scale``: the value that fills the width, of a drawing that
    stands beside others of the same scale.
    """
    names = list(values)

    def draw(axes: Any) -> None:
        places = np.arange(len(names))
        colours = [_MARKED if name == marked else _MAIN for name in names]
        axes.barh(places, list(values.values()), height=0.62, color=colours)
        ends = dict(values)
        for place, name in enumerate(names):
            if spreads and name in spreads:
                low, high = spreads[name]
                ends[name] = max(high, values[name])
                axes.plot([low, high], [place, place], color=_INK, linewidth=1.2, marker="|", markersize=5)
        for place, name in enumerate(names):
            text = format.format(values[name])
            axes.annotate(text, (ends[name], place), (4, 0), textcoords="offset points", va="center", color=_INK)
        axes.set_yticks(places, [_short(name) for name in names])
        axes.invert_yaxis()
        axes.grid(axis="y", visible=False)
        axes.set_xlabel(label)
        axes.margins(x=0.2)
        axes.set_xlim(min(0.0, *values.values()), None if scale is None else 1.25 * (scale or 1.0))

    return _drawn(draw, (4.6 if scale is None else _SMALL[0], 0.75 + 0.31 * len(names)))


def line(points: Sequence[tuple[int, float]], x_label: str, y_label: str) -> str:
    """One line."""

    def draw(axes: Any) -> None:
        axes.plot(*zip(*points, strict=True), color=_MAIN, linewidth=1.8, marker="o" if len(points) == 1 else None)
        axes.set_xlabel(x_label)
        axes.set_ylabel(y_label)
        axes.tick_params(axis="y", labelcolor=_SOFT)
        axes.xaxis.get_major_locator().set_params(integer=True)

    return _drawn(draw, _SMALL)


def histogram(counts: np.ndarray, x_label: str, y_label: str) -> str:
    """How many of ``counts`` fall into each of some ranges, which grow where the counts lie far apart."""
    low, high = int(counts.min()), int(counts.max())
    far = high > 20 * max(low, 1)
    ranges = min(high - low + 1, 20) + 1
    edges = np.geomspace(max(low, 1), high + 1, 21) if far else np.linspace(low, high + 1, ranges)
    edges = np.unique(edges.round().astype(np.int64))
    heights, _ = np.histogram(counts, edges)

    def draw(axes: Any) -> None:
        # A count stands in the middle of its bar, where each has one.
        shift = 0 if far else 0.5
        axes.bar(edges[:-1] - shift, heights, width=np.diff(edges) * 0.92, align="edge", color=_MAIN)
        if far:
            axes.set_xscale("log")
        elif len(edges) < 4:
            axes.set_xticks(edges[:-1])
            axes.set_xlim(low - 2, high + 2)
        else:
            axes.xaxis.get_major_locator().set_params(integer=True)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        axes.yaxis.get_major_locator().set_params(integer=True)
        axes.grid(axis="x", visible=False)
        axes.tick_params(axis="y", labelcolor=_SOFT)
        axes.set_xlabel(x_label)
        axes.set_ylabel(y_label)

    return _drawn(draw, _SMALL)


def _short(name: str) -> str:
    return name if len(name) <= _NAMES_SHOWN else name[: _NAMES_SHOWN - 1] + "…"


def _drawn(draw: Callable[[Any], None], size: tuple[float, float]) -> str:
    """The drawing as an <svg> element without ids, sizes and addresses of its own."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context({**_STYLE, "svg.hashsalt": "report"}):
        figure = Figure(figsize=size, layout="constrained")
        draw(figure.add_subplot())
        written = io.StringIO()
        figure.savefig(written, format="svg", transparent=True, metadata={"Date": None})
    return _for_page(written.getvalue())


def _for_page(svg: str) -> str:
    svg = re.sub(r"(?s)<metadata>.*?</metadata>|<!--.*?-->", "", svg[svg.index("<svg") :])
    svg = re.sub(r'<svg [^>]*?viewBox="([^"]*)"[^>]*>', r'<svg viewBox="\1">', svg, count=1)
    svg = re.sub(r"font: ([\d.]+px) [^;\"]*", r"font-size: \1", svg)
    for colour, name in _VARIABLES.items():
        svg = svg.replace(colour, f"var(--{name})")
    return re.sub(r"\n\s*", "\n", svg).strip()


def numbered(svg: str, number: int) -> str:
    """With ids that no other drawing of the page has."""
    svg = re.sub(r'\bid="', f'id="d{number}-', svg)
    return re.sub(r'(href="#|url\(#)', rf"\g<1>d{number}-", svg)
