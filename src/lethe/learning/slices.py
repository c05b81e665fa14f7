"""Restart points inside a shard: it learns slice after slice (SISA's second S), and after each it can be resumed.

A shard's rows lie in slices 0, 1, ..., all rows of a user in one, and side tables go with the rows they belong to.
What is learnt at slice s is learnt from the rows of slices 0 to s and begins where slice s - 1 ended:

    rows of 0 ──► slice 0 ──► slice 1 ──► ... ──► the sub-model
                              ▲ rows of 0, 1

It is a function of those rows and of the bytes of the slice before it, and of nothing else. So its catalogue is that of
those rows: users and items of later slices don't exist for it, not even as empty rows, sizes or positions. What the
slice before knew (weights, optimiser) is taken over by raw id; what is new begins as ``Model.prepare`` draws it, under
the slice's own name. A deletion in slice j therefore leaves the slices before j byte for byte, and the shard is learnt
again from there; built from scratch it has the same bytes.

A solver's own state (a momentum) is no part of a slice; its weights are.

Bourtoule et al., "Machine Unlearning", S&P 2021, section IV, whose stages don't grow a vocabulary.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, fields
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from lethe.errors import ConfigError
from lethe.learning import checkpoint
from lethe.learning.sub_model import Lesson, with_new_items, write_model
from lethe.learning.training import Begin, Progress
from lethe.models.parts.base import Config, Model
from lethe.tables.catalogue import Catalogue
from lethe.tables.interactions import Interactions
from lethe.tables.matrix import Shape
from lethe.tables.side_tables import SideTables

Axes = tuple[str | None, ...]
"""For each dimension the vocabulary of the catalogue that it runs over ("users", "items", "entities", ...), if any."""


def slice_config(config: Config, slices: int, name: str) -> Config:
    """The config of one of the ``slices`` slices of model ``name``: 2 / (S + 1) of the epochs or sweeps, rounded up.

    Slice s goes over s / S of the rows, so that all of them together cost what one training does. Raises ConfigError
    for a model that has neither epochs nor sweeps.
    """
    shares: dict[str, int] = {
        field: math.ceil(2 * getattr(config, field) / (slices + 1))
        for field in ("epochs", "sweeps")
        if field in type(config).model_fields
    }
    if not shares:
        raise ConfigError(f"slices: {slices}, but model {name!r} has neither epochs nor sweeps to resume; must be 1")
    return config.model_copy(update=shares)


def check_slices(model: type[Model], config: Config, slices: int, name: str) -> None:
    """Raises ConfigError where a shard of the model ``name`` can't be learnt in that many slices."""
    if slices > 1:
        slice_config(config, slices, name)
        # With every side table there may be: whether one is there is known to the data alone.
        if not axes(model(config, Shape(*[2] * len(fields(Shape))))):
            raise ConfigError(f"slices: {slices}, but model {name!r} has no parameters to resume from; must be 1")


def slice_rows(
    rows: Interactions, tables: SideTables, slices: np.ndarray, last: int
) -> tuple[Interactions, SideTables]:
    """What slice ``last`` learns from: the rows of all slices up to it, and of the side tables what belongs beside
    them."""
    known = rows.take(slices <= last)
    return known, tables.of_shard(known)


def axes(model: Model) -> dict[str, Axes]:
    """For each parameter, what its dimensions run over: a dimension that is one longer where a vocabulary is.

    Raises ConfigError for a parameter whose rows are of several vocabularies: it can't be told where new ones begin.
    """
    counts = {name: min(count, 2) for name, count in asdict(model.shape).items()}

    def sizes(**more: int) -> dict[str, tuple[int, ...]]:
        built = type(model)(model.config, Shape(**{**counts, **more}))
        return {name: tuple(parameter.shape) for name, parameter in built.named_parameters()}

    small = sizes()
    runs_over: dict[str, list[str | None]] = {name: [None] * len(size) for name, size in small.items()}
    for count in (name for name, size in counts.items() if size):
        for name, size in sizes(**{count: counts[count] + 1}).items():
            for place, (before, after) in enumerate(zip(small[name], size, strict=True)):
                if after == before:
                    continue
                if after != before + 1 or runs_over[name][place] is not None:
                    raise ConfigError(
                        f"slices: parameter {name!r} of {type(model).__name__} stands for several things; must be 1"
                    )
                runs_over[name][place] = count.removeprefix("num_")
    return {name: tuple(along) for name, along in runs_over.items()}


def resume(earlier: Path, catalogue: Catalogue) -> Begin:
    """How a model over ``catalogue``, which holds all ids of the slice in that folder, begins where that ended."""

    def begin(model: Model, optimizer: torch.optim.Optimizer | None) -> None:
        before = Catalogue.read(earlier)
        weights = load_file(earlier / "weights.safetensors")
        learnt = earlier / "optimizer.safetensors"
        moments = load_file(learnt) if learnt.is_file() else {}
        now = {"users": catalogue.users, "items": catalogue.items, **catalogue.side}
        then = {"users": before.users, "items": before.items, **before.side}
        places = {name: torch.from_numpy(now[name].encode(ids.values)) for name, ids in then.items()}
        assert all((index >= 0).all() for index in places.values()), "a slice's rows are among those of the next"

        def grow(start: Tensor, known: Tensor, along: Axes) -> Tensor:
            index = [
                (torch.arange(size) if axis is None else places[axis]).view(
                    [-1 if d == n else 1 for d in range(len(along))]
                )
                for n, (axis, size) in enumerate(zip(along, start.shape, strict=True))
            ]
            grown = start.detach().clone()
            grown[tuple(index)] = known.to(grown)
            return grown

        learning = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
        parameters, along = dict(model.named_parameters()), axes(model)
        with torch.no_grad():
            for name, parameter in parameters.items():
                parameter.copy_(grow(parameter, weights[name], along[name]))
        for key, value in moments.items():
            assert optimizer is not None
            place, _, what = key.partition("/")
            parameter, name = parameters[learning[int(place)]], learning[int(place)]
            state = optimizer.state[parameter]
            # A number, such as how many steps were made, or one value for each weight.
            whole = value.dim() == 0
            start = state.get(what, torch.zeros_like(parameter))
            state[what] = value.to(parameter.device) if whole else grow(start, value, along[name])

    return begin


def write_slice(folder: Path, lesson: Lesson, progress: Progress, before: Path | None, *, last: bool) -> None:
    """Learn one slice more, from where the one in the folder ``before`` ended; the last leaves a sub-model alone."""
    catalogue = lesson.catalogue()
    begin = None if before is None else resume(before, catalogue)
    model, history = lesson.learn(catalogue, progress, begin)
    earlier = [] if before is None else json.loads((before / "history.json").read_text())
    later = [{**row, "epoch": row["epoch"] + len(earlier)} for row in history]
    whole = [*earlier, *later]
    if last:
        write_model(folder, *with_new_items(model, catalogue, lesson.tables), whole)
    else:
        write_model(folder, model, catalogue, whole)
        write_moments(folder, lesson.saved)


def write_moments(folder: Path, saved: Path) -> None:
    """What the next slice needs besides the sub-model: the optimiser's state from the checkpoint ``saved``, which only
    a training by gradients leaves."""
    if saved.is_file():
        save_file(checkpoint.optimizer_state(saved), folder / "optimizer.safetensors")
