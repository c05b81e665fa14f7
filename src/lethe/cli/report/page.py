"""The report as one HTML file: no script, nothing loaded, light and dark, to be printed."""

from __future__ import annotations

from itertools import count
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

import lethe
from lethe.cli.report.charts import numbered
from lethe.cli.report.facts import Facts
from lethe.cli.report.sections import sections


def page(facts: Facts) -> str:
    """The whole file; the same for the same facts."""
    numbers = count(1)

    def drawing(svg: str) -> Markup:
        # Made by us from escaped text, so it is the one thing that is not escaped again.
        return Markup(numbered(svg, next(numbers)))

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["drawing"] = drawing
    template = environment.get_template("page.html.jinja")
    return template.render(project=facts.project, at=facts.at, version=lethe.__version__, sections=sections(facts))
