"""Steps of learning on a GPU, recorded once and replayed: starting a step's hundred small kernels takes a CPU longer
than running them takes the GPU.

A step is recorded (as a CUDA graph) when its batch has the shapes of batches that were learnt from before, and the
model says that its loss is ``steady``. What is replayed are the very kernels that were recorded, in their order, so a
training gives the same bytes with and without.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from threading import Lock
from typing import Any

import torch
from torch import Tensor

from lethe.models.parts.placed import RowBatch

Step = Callable[[Any], None]

BEFORE = 2
"""Steps of a shape that are run before it is recorded: libraries and what is kept with a batch are made ready then."""
KEPT = 4
"""Most recordings of a training: each keeps the memory that its step needs."""

_RECORDING = Lock()
"""Recording begins by waiting for the whole device, which another thread's recording doesn't bear."""


class Replayed:
    """A step that is recorded where it can be; called with each batch as the step itself would be."""

    def __init__(self, step: Step, device: torch.device) -> None:
        self.step, self.device = step, device
        self.seen: Counter[Any] = Counter()
        self.recorded: dict[Any, tuple[Any, Any]] = {}

    def __call__(self, batch: Any) -> None:
        key = _shapes(batch)
        if key is None:
            self.step(batch)
        elif key in self.recorded:
            own, replay = self.recorded[key]
            _fill(own, batch)
            replay()
        elif self.seen[key] < BEFORE or len(self.recorded) == KEPT:
            self.seen[key] += 1
            self.step(batch)
        else:
            own = _copied(batch)
            replay = record(lambda: self.step(own), self.device)
            self.recorded[key] = own, replay
            replay()


def record(work: Callable[[], None], device: torch.device) -> Callable[[], None]:
    """The kernels that ``work`` starts, which are not run yet, as one call that runs them."""
    graph = torch.cuda.CUDAGraph()
    with _RECORDING, torch.cuda.device(device):
        # Torch's own stream for recording is one for the whole process, and belongs to the GPU that came first.
        stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
            work()
    replay: Callable[[], None] = graph.replay
    return replay


def _shapes(batch: Any) -> Any:
    """What batches must agree in to be learnt from by the same kernels; None of one that no other agrees with."""
    if isinstance(batch, RowBatch):
        # Only the batch of all rows comes again, and it is the same one each time.
        return id(batch) if batch.is_whole else None
    if isinstance(batch, tuple) and all(isinstance(part, Tensor) for part in batch):
        return type(batch), *((part.shape, part.dtype) for part in batch)
    return None


def _copied(batch: Any) -> Any:
    if isinstance(batch, RowBatch):
        return batch
    parts = tuple(part.clone() for part in batch)
    return type(batch)(*parts) if hasattr(batch, "_fields") else parts


def _fill(own: Any, batch: Any) -> None:
    if own is not batch:
        for mine, given in zip(own, batch, strict=True):
            mine.copy_(given)
