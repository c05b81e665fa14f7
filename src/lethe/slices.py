"""Restart points inside a shard: it learns slice after slice (SISA's second S), and each stage can be gone on from.

A shard's rows lie in slices 0, 1, ..., all rows of a user in one. Stage s learns from the rows of slices 0 to s and
begins where stage s - 1 ended:

    slice 0 ──► stage 0 ──► stage 1 ──► ... ──► the sub-model
                            ▲ slices 0, 1

A stage is a function of its own rows and of the bytes of the stage before it, and of nothing else. So its catalogue is
that of its own rows: users and items of later slices don't exist for it, not even as empty rows, sizes or positions.
What the stage before knew (weights, optimiser) goes on by raw id; what is new begins as ``Model.prepare`` draws it,
under the stage's own name. A deletion in slice j therefore leaves the stages before j byte for byte, and the shard is
learnt again from there; built from scratch it has the same bytes.

A solver's own state (a momentum) is no part of a stage; its weights are.

Bourtoule et al., "Machine Unlearning", S&P 2021, section IV, whose stages don't grow a vocabulary.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Literal

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from lethe import checkpoint
from lethe.data.catalogue import Catalogue, Shape
from lethe.errors import ConfigError
from lethe.models.base import Config, Model
from lethe.training import Begin

Axis = Literal["users", "items"]
Axes = tuple[Axis | None, ...]


def stage_config(config: Config, slices: int, name: str) -> Config:
    """The config of one of the ``slices`` stages of model ``name``: 2 / (S + 1) of the epochs or sweeps, rounded up.

    Stage s goes over s / S of the rows, so that all of them together cost what one training does. Raises ConfigError
    for a model that has neither epochs nor sweeps.
    """
    shares: dict[str, int] = {
        field: math.ceil(2 * getattr(config, field) / (slices + 1))
        for field in ("epochs", "sweeps")
        if field in type(config).model_fields
    }
    if not shares:
        raise ConfigError(
            f"slices: {slices}, but model {name!r} has neither epochs nor sweeps to go on with; must be 1"
        )
    return config.model_copy(update=shares)


def axes(model: Model) -> dict[str, Axes]:
    """For each parameter, which of its dimensions run over users and which over items: those that grow with them."""
    sizes = [
        {name: tuple(parameter.shape) for name, parameter in type(model)(model.config, shape).named_parameters()}
        for shape in (Shape(2, 2), Shape(3, 2), Shape(2, 3))
    ]
    return {
        name: tuple(
            "users" if more != size else "items" if others != size else None
            for size, more, others in zip(*(one[name] for one in sizes), strict=True)
        )
        for name in sizes[0]
    }


def going_on(stage: Path, catalogue: Catalogue) -> Begin:
    """How a model over ``catalogue``, which holds all ids of the stage in that folder, begins where that ended."""

    def begin(model: Model, optimizer: torch.optim.Optimizer | None) -> None:
        before = Catalogue.read(stage)
        weights = load_file(stage / "weights.safetensors")
        learnt = stage / "optimizer.safetensors"
        moments = load_file(learnt) if learnt.is_file() else {}
        places = {
            "users": torch.from_numpy(catalogue.users.encode(before.users.values)),
            "items": torch.from_numpy(catalogue.items.encode(before.items.values)),
        }
        assert all((index >= 0).all() for index in places.values()), "a stage's rows are among those of the next"

        def grow(start: Tensor, earlier: Tensor, along: Axes) -> Tensor:
            index = [
                (torch.arange(size) if axis is None else places[axis]).view(
                    [-1 if d == n else 1 for d in range(len(along))]
                )
                for n, (axis, size) in enumerate(zip(along, start.shape, strict=True))
            ]
            grown = start.detach().clone()
            grown[tuple(index)] = earlier.to(grown)
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


def write_stage(folder: Path, saved: Path, model: Model) -> None:
    """What the next stage needs besides the catalogue: the weights, and from the checkpoint ``saved``, which only a
    training by gradients leaves, the optimiser's state."""
    save_file({name: value.contiguous() for name, value in model.state_dict().items()}, folder / "weights.safetensors")
    if saved.is_file():
        save_file(checkpoint.optimizer_state(saved), folder / "optimizer.safetensors")
