"""A training that is looked at between its epochs: what a measure says of the unfinished model, and seconds without
the looking."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Generic, NamedTuple, TypeVar

import torch

from lethe.core.random import Stream
from lethe.learning.training import Row, train
from lethe.models.parts.base import Model
from lethe.tables.matrix import InteractionMatrix

T = TypeVar("T")


class Look(NamedTuple, Generic[T]):
    """What was measured after so many epochs, and the seconds of training they took."""

    epochs: int
    seconds: float
    value: T


@dataclass(frozen=True)
class Course(Generic[T]):
    """How a training went. Seconds are of the processor, training alone."""

    looks: list[Look[T]]
    ends: list[float]
    """Seconds from the start to the end of each epoch or sweep."""
    seconds: float
    """In all, what follows the last epoch too."""

    @property
    def seconds_an_epoch(self) -> float:
        """The median; the first, which loads compiled code and has the start in it, counts only where it is alone."""
        epochs = [after - before for before, after in zip(self.ends, self.ends[1:], strict=False)]
        return median(epochs or self.ends or [self.seconds])


def watch(
    model: Model, data: InteractionMatrix, stream: Stream, measure: Callable[[Model], T], every: int = 0
) -> Course[T]:
    """Train ``model`` as ``train`` does, in the same bytes, and ``measure`` it every so many epochs; 0: never."""
    looks: list[Look[T]] = []
    ends: list[float] = []
    aside, start = 0.0, time.process_time()

    def look(row: Row) -> None:
        nonlocal aside
        paused = time.process_time()
        ends.append(paused - start - aside)
        if every and len(ends) % every == 0:
            model.eval()
            with torch.no_grad():
                model.finish()
            looks.append(Look(len(ends), ends[-1], measure(model)))
        aside += time.process_time() - paused

    train(model, data, stream, progress=look)
    return Course(looks, ends, time.process_time() - start - aside)
