"""Where a training by gradients stands between two epochs: all that another process needs to resume it.

A checkpoint is one safetensors file. Its tensors are ``model/NAME`` (weights and buffers), ``optimizer/PARAMETER/NAME``
(PARAMETER is the place among the optimiser's parameters), and, where validation keeps the best weights, ``best/NAME``;
its metadata say whose it is, the learning curve and the best epoch, as JSON. Learning rates and random numbers are
functions of config, seed and epoch, so they need no keeping.

    saved = load(path, model, optimizer)       # None where there is no file
    first_epoch = len(saved.history) if saved else 0
    ...
    save(path, model, optimizer, history)      # the file is replaced whole, never half

It is as personal as a model: whoever writes one names the place, and deletes it.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from lethe.errors import ArtifactError

Row = dict[str, float]
History = list[Row]
"""One row an epoch or sweep: {"epoch": 0, "loss": ...}; the last one has the model's ``figures`` too. Deterministic;
times are kept elsewhere."""


class Best(NamedTuple):
    """The best epoch on validation: its value, its number, and the weights after it."""

    value: float
    epoch: int
    weights: dict[str, Tensor]


class Saved(NamedTuple):
    """A training that was interrupted; its history has a row for every epoch that is done."""

    history: History
    best: Best | None


def save(
    path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, history: History, best: Best | None = None
) -> None:
    """Write the state after the last epoch of ``history``, atomically; makes the folder."""
    tensors = {f"model/{name}": value for name, value in model.state_dict().items()}
    for place, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer/{place}/{name}": value for name, value in state.items() if value is not None}
    if best is not None:
        tensors |= {f"best/{name}": value for name, value in best.weights.items()}
    facts = {
        "of": _names(model, optimizer),
        "history": history,
        "best": None if best is None else [best.value, best.epoch],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    # A name of this process and thread alone: two that train the same thing don't write into one file.
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{id(model)}")
    try:
        # Copies, because tensors of one storage (tied weights, views) can't be written.
        copies = {name: value.detach().cpu().clone().contiguous() for name, value in tensors.items()}
        save_file(copies, temporary, {"lethe": json.dumps(facts)})
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def load(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> Saved | None:
    """Bring ``model`` and ``optimizer``, both as at the start of training, to the state of the file; None if there is
    none.

    Raises ArtifactError where the file is not a checkpoint of this model.
    """
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            facts = json.loads(file.metadata()["lethe"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if facts["of"] != _names(model, optimizer):
            raise ValueError
        model.load_state_dict(_below("model/", tensors))
        state: dict[int, dict[str, Tensor]] = {}
        for name, value in _below("optimizer/", tensors).items():
            place, _, key = name.partition("/")
            state.setdefault(int(place), {})[key] = value
        optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
        best = None
        if facts["best"] is not None:
            value, epoch = facts["best"]
            best = Best(value, epoch, _below("best/", tensors))
        return Saved(facts["history"], best)
    except torch.OutOfMemoryError:
        raise  # Nothing is wrong with the file.
    except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ArtifactError(
            f"checkpoint {path.name}: not one of {type(model).__name__} ({type(error).__name__});"
            " delete it to train from the start"
        ) from None


def optimizer_state(path: Path) -> dict[str, Tensor]:
    """The optimiser's part of a checkpoint, {"PARAMETER/NAME": tensor}."""
    return _below("optimizer/", load_file(path))


def _names(model: nn.Module, optimizer: torch.optim.Optimizer) -> list[str]:
    return [type(model).__name__, type(optimizer).__name__]


def _below(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
