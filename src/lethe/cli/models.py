"""``lethe models``: what there is to choose from, and all options of one."""

from __future__ import annotations

import inspect
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lethe.cli.common import Json, show, show_table
from lethe.core.workspace import Workspace
from lethe.errors import ConfigError

if TYPE_CHECKING:
    from lethe.models.parts.base import Model


@dataclass(frozen=True)
class Card:
    """A model in one row."""

    name: str
    about: str
    learns: str
    """ratings or preferences."""
    needs: tuple[str, ...]
    """Of the dataset, beside its interactions."""
    optional: tuple[str, ...]
    """Read too where the dataset has it."""
    accepts: tuple[str, ...]
    """What a request may bring."""
    weights: str | None
    """The option by which it learns what interactions weigh, where it can."""
    solver: str
    aggregators: tuple[str, ...]
    """How its shards can be put together."""
    seconds: float | None
    """Of the last training here, where there was one."""


def models(
    name: Annotated[str | None, typer.Argument(help="One model, as lethe show has it.")] = None,
    as_json: Json = False,
) -> None:
    """List the models: what each is, needs of a dataset, learns from, and took in this project's last training.

    Example: lethe models; lethe show ease
    """
    from lethe.models import MODELS

    if name is not None:
        show_model(name, as_json)
        return
    seconds = _seconds()
    cards = [_card(key, model, seconds.get(key)) for key, model in MODELS.items()]
    rows = [
        [
            card.name,
            card.learns,
            ", ".join([*card.needs, *(f"({part})" for part in _optional(card))]),
            card.solver,
            "" if card.seconds is None else f"{card.seconds:.1f}",
            card.about,
        ]
        for card in cards
    ]
    columns = ("model", "learns", "needs (reads too)", "solver", ">seconds", "what it is")
    show_table({card.name: asdict(card) for card in cards}, as_json, None, columns, rows)


def show_model(
    name: Annotated[str, typer.Argument(help="Name of the model; lethe models lists all.")], as_json: Json = False
) -> None:
    """Show one model: what it is, needs and learns from, and all its options, with where lethe tune looks for them.

    Example: lethe show ease
    """
    from lethe.core.spelling import meant
    from lethe.models import MODELS

    if name not in MODELS:
        raise ConfigError(f"model: unknown {name!r}{meant(name, MODELS)}; lethe models lists all")
    model, about = MODELS[name], inspect.getdoc(inspect.getmodule(MODELS[name])) or ""
    card = _card(name, model, _seconds().get(name))
    searched = model.Config.searched()
    options = {
        option: {
            "default": field.default,
            "meaning": " ".join((field.description or "").split()),
            "searched": searched[option].values() if option in searched else [],
        }
        for option, field in model.Config.model_fields.items()
    }
    beside = [*card.needs, *(f"{part} (where there is such)" for part in card.optional)]
    beside += [] if card.weights is None else [f"weights (where {card.weights} is above 0)"]
    lines = [
        about,
        "",
        f"learns {card.learns} by {card.solver}; reads {', '.join(['interactions', *beside])}",
        f"shards are put together by {', '.join(card.aggregators)}",
        "",
        f"options, below models.{name} in params.yaml:",
        *(_option(option, entry) for option, entry in options.items()),
    ]
    show({**asdict(card), "options": options}, as_json, lines)


def _optional(card: Card) -> tuple[str, ...]:
    return card.optional if card.weights is None else (*card.optional, "weights")


def _option(name: str, entry: dict[str, Any]) -> str:
    values = entry["searched"]
    looked = f" (lethe tune: {', '.join(map(str, values))})" if values else ""
    return f"  {name} = {entry['default']!r}  {entry['meaning']}{looked}"


def _card(name: str, model: type[Model], seconds: float | None) -> Card:
    from lethe.learning.aggregation import AGGREGATORS
    from lethe.models import configure, rates
    from lethe.tables.matrix import Shape

    config, about = configure(name, {}), inspect.getdoc(inspect.getmodule(model)) or ""
    smallest = model(config, Shape(2, 2))
    return Card(
        name=name,
        about=about.splitlines()[0].split(": ", 1)[-1].rstrip("."),
        learns="ratings" if rates(name) else "preferences",
        needs=tuple(sorted(model.needs)),
        optional=tuple(sorted(model.optional)),
        accepts=tuple(sorted(model.accepts)),
        weights=model.weight_option,
        solver=config.solver,
        aggregators=tuple(key for key, aggregator in AGGREGATORS.items() if aggregator.takes(smallest)),
        seconds=seconds,
    )


def _seconds() -> dict[str, float]:
    """Of each model's slowest candidate in this project's last training; nothing outside of a project."""
    from lethe.build.reports import read_reports

    try:
        here = Workspace.find()
    except ConfigError:
        return {}
    seconds: dict[str, float] = {}
    for report in read_reports(here):
        for candidate in report.candidates:
            seconds[candidate.model] = max(seconds.get(candidate.model, 0.0), candidate.seconds)
    return seconds
