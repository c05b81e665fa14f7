"""How every model learns: ``train`` runs its solver; ``fit`` is the one gradient loop."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from threadpoolctl import threadpool_limits
from torch import Tensor
from tqdm import tqdm

from lethe.core.random import Stream
from lethe.errors import ConfigError
from lethe.learning import checkpoint
from lethe.learning.checkpoint import Best, History, Row
from lethe.learning.device import CPU, exactly, learns_on, load_rest_of_torch, pick_device
from lethe.learning.replay import Replayed
from lethe.models.parts.base import Model
from lethe.models.parts.placed import RowBatch, placing
from lethe.tables.matrix import InteractionMatrix

__all__ = [
    "Begin",
    "History",
    "Progress",
    "Row",
    "Validate",
    "fit",
    "learns_on",
    "one_thread",
    "pick_device",
    "progress_bar",
    "train",
]

Progress = Callable[[Row], None]
Validate = Callable[[Model], float]
"""The value of a finished model on validation data; higher is better."""
Begin = Callable[[Model, torch.optim.Optimizer | None], None]
"""Bring a prepared model, and the optimiser of ``fit``, to where learning is to begin."""

CHECKPOINT_SECONDS = 60.0
"""Between two checkpoints, at the least. Only what a killed training loses depends on it."""


@contextmanager
def progress_bar(name: str, config: Any) -> Iterator[Progress]:
    """The epochs that are done, for a person who waits: on a terminal only, and after five seconds."""
    total = getattr(config, "epochs", None) or getattr(config, "sweeps", None)
    with tqdm(total=total, desc=name, unit="epoch", delay=5, leave=False, disable=None) as bar:

        def show(row: Row) -> None:
            # Epochs of a training that is resumed were done before.
            bar.update(int(row["epoch"]) + 1 - bar.n)

        yield show


@contextmanager
def one_thread() -> Iterator[None]:
    """One numeric thread in every library: part of the promise that the same inputs give the same bytes.

    It is not undone at the end: the limits belong to the process, and another thread may still be training.
    """
    torch.set_num_threads(1)
    threadpool_limits(limits=1)
    yield


def train(
    model: Model,
    data: InteractionMatrix,
    stream: Stream,
    device: torch.device = CPU,
    *,
    progress: Progress | None = None,
    valid: Validate | None = None,
    saved: Path | None = None,
    begin: Begin | None = None,
) -> History:
    """Train ``model`` on ``data`` by the solver its config names; afterwards it is on the CPU and ready to score.

    ``progress`` is called with each row of the history; ``begin`` may change the start; ``valid`` and ``saved`` are for
    ``fit``. ``device`` is one that the model's solver has a form for (see ``learns_on``).
    """
    _check_needs(model, data)
    if data.contexts is not None and not model.repeats and "contexts" not in model.reads():
        data = data.distinct()
    data = data.only(model.reads() | ({"weights"} if model.weighs(model.config) else set()))
    with one_thread(), exactly(device, type(model).__name__, repeatable=model.repeatable):
        model.prepare(data, stream("prepare"))
        model.to(device)
        if model.config.solver == "gradient":
            # A GPU's batches are made where they are learnt from; what ``prepare`` draws was drawn on the CPU.
            with nullcontext() if device.type == "cpu" else placing(device):
                history = fit(model, data, stream("train"), progress=progress, valid=valid, saved=saved, begin=begin)
        else:
            history = []
            if begin is not None:
                begin(model, None)
            for epoch, loss in enumerate(model.solve(data, stream("train"))):
                _check(model, epoch, loss, f"of solver {model.config.solver}")
                _record(history, progress, {"epoch": epoch, "loss": loss})
        model.eval()
        with torch.no_grad():
            model.finish()
        model.to("cpu")
        if history:
            history[-1] |= model.figures()
    return history


def fit(
    model: Model,
    data: InteractionMatrix,
    stream: Stream,
    *,
    progress: Progress | None = None,
    valid: Validate | None = None,
    saved: Path | None = None,
    begin: Begin | None = None,
) -> History:
    """The one optimisation loop: epochs over the model's own batches and loss.

    Raises ConfigError, naming model, epoch and learning rate, where an epoch's loss is not a finite number.

    With ``valid``, each row also has "valid", the model ends with the weights of its best epoch, and it stops after
    ``config.patience`` epochs without a rise (0: never).

    With ``saved``, it resumes from the ``learning.checkpoint`` of that path where there is one, and writes one there
    after the last epoch and, at most every ``CHECKPOINT_SECONDS``, between epochs. Stopped and resumed, it ends
    in the bytes of a training that was never stopped. ``progress`` sees only the epochs that are run.
    """
    config: Any = model.config
    optimizer = _optimizer(model, config)
    device = next(model.parameters()).device
    history: History = []
    best: Best | None = None
    if begin is not None:
        begin(model, optimizer)
    if saved is not None and (before := checkpoint.load(saved, model, optimizer)) is not None:
        history, best = before
    # Summed on the device and read once an epoch: for each reading a GPU is waited for.
    losses = torch.zeros((), dtype=torch.float64, device=device)
    step = _step(model, optimizer, losses)
    written = time.monotonic()
    while not _ended(config, history, best):
        epoch = len(history)
        _set_rate(optimizer, config, epoch)
        model.train()
        losses.zero_()
        for batch in model.batches(data, stream("epoch", epoch)):
            step(_to(batch, device))
        total = float(losses)
        _check(model, epoch, total, f"at learning_rate {config.learning_rate}")
        row = {"epoch": epoch, "loss": total}
        if valid is not None:
            row["valid"] = _validate(model, valid)
            if best is None or row["valid"] > best.value:
                best = Best(row["valid"], epoch, {name: value.clone() for name, value in model.state_dict().items()})
        _record(history, progress, row)
        due = time.monotonic() - written >= CHECKPOINT_SECONDS or _ended(config, history, best)
        if saved is not None and due:
            checkpoint.save(saved, model, optimizer, history, best)
            written = time.monotonic()
    if best is not None:
        model.load_state_dict(best.weights)
    return history


def _step(model: Model, optimizer: torch.optim.Optimizer, losses: Tensor) -> Callable[[Any], None]:
    """Learn from one batch and add its loss to ``losses``; on a GPU recorded and replayed where that can be done."""

    def step(batch: Any) -> None:
        optimizer.zero_grad(set_to_none=True)
        loss = model.loss(batch)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.add_(loss.detach())

    # A rate that is a number would be recorded with the step, though it changes from epoch to epoch.
    changes = model.config.decay != "constant" and not isinstance(optimizer.param_groups[0]["lr"], Tensor)
    return step if losses.device.type != "cuda" or changes or not model.steady() else Replayed(step, losses.device)


def _check_needs(model: Model, data: InteractionMatrix) -> None:
    """Raises ConfigError for a table that the model can't learn without. An empty one will do."""
    for table in sorted(model.needs):
        part = getattr(data.side if hasattr(data.side, table) else data, table)
        if part is None or (isinstance(part, dict) and not part):
            raise ConfigError(f"{type(model).__name__}: needs {table}, and the dataset has none")


def _ended(config: Any, history: History, best: Best | None) -> bool:
    """Whether all epochs are done, or the validation value hasn't risen for ``config.patience`` of them."""
    waited = 0 if best is None else len(history) - 1 - best.epoch
    return len(history) >= config.epochs or 0 < config.patience <= waited


def _check(model: Model, epoch: int, loss: float, where: str) -> None:
    """Raises ConfigError for a loss that is not a finite number; ``where`` says how it was learning."""
    if not math.isfinite(loss):
        hint = "lower the learning rate, raise reg, or start from smaller vectors (init_std)"
        raise ConfigError(f"{type(model).__name__}: the loss is {loss} in epoch {epoch} {where}; {hint}")


def _validate(model: Model, valid: Validate) -> float:
    model.eval()
    with torch.no_grad():
        model.finish()
        return valid(model)


def _record(history: History, progress: Progress | None, row: Row) -> None:
    history.append(row)
    if progress is not None:
        progress(row)


def _optimizer(model: Model, config: Any) -> torch.optim.Optimizer:
    load_rest_of_torch()
    parameters = [p for p in model.parameters() if p.requires_grad]
    places = {parameter.device.type for parameter in parameters}
    if config.optimizer == "adagrad":
        # TF1's Adagrad, which the papers' programs use, has no epsilon; a zero accumulator would divide by zero.
        # Its fused kernel exists for the CPU alone.
        fused = places == {"cpu"}
        return torch.optim.Adagrad(
            parameters, lr=config.learning_rate, initial_accumulator_value=1e-8, eps=1e-20, fused=fused
        )
    if config.optimizer == "adam" and places == {"cuda"}:
        # The rate where the step can be replayed with another one.
        rate = torch.tensor(config.learning_rate, device=parameters[0].device)
        return torch.optim.Adam(parameters, lr=rate, fused=True, capturable=True)
    if config.optimizer == "adam":
        return torch.optim.Adam(parameters, lr=config.learning_rate, fused=places == {"cpu"})
    return torch.optim.SGD(parameters, lr=config.learning_rate)


def _set_rate(optimizer: torch.optim.Optimizer, config: Any, epoch: int) -> None:
    scale = 1.0 - epoch / config.epochs if config.decay == "linear" else 1.0
    for group in optimizer.param_groups:
        rate = config.learning_rate * scale
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate


def _to(batch: Any, device: torch.device) -> Any:
    if device.type == "cpu" or isinstance(batch, RowBatch):
        return batch  # Batches of rows are made where they are needed, and keep what was derived from them.
    if isinstance(batch, Tensor):
        return batch.to(device, non_blocking=True)
    if isinstance(batch, tuple):
        moved = [_to(part, device) for part in batch]
        return type(batch)(*moved) if hasattr(batch, "_fields") else tuple(moved)
    return batch
