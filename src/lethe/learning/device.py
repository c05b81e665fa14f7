"""Where a model learns: which device there is, when it pays, and what it must promise.

A GPU is used where ``training.device`` allows it, the model's solver has a form for it, and the work is large enough;
then every operation must be one that gives the same bytes again (``exactly``). Where there are several of one kind,
what is computed at once is spread over them. The numeric environment in an artifact's manifest names what was chosen.
"""

from __future__ import annotations

import logging
import os
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from threading import Lock

import torch

from lethe.core.environment import kind_of_card
from lethe.errors import ConfigError, DeviceError
from lethe.models.parts.base import Config, Model

CPU = torch.device("cpu")

WORTH = 2_000_000
"""Rows times dimensions from which ``auto`` takes a GPU: there a CPU thread needs about 2 ms an epoch (1.06 ns each,
ML-1M), which is what launching the kernels of a few batches takes."""

WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"
FULL = ("out of memory", "ALLOC_FAILED")
"""How CUDA and its libraries say that there is no room, where torch has no error of its own for it."""

_LOADING = Lock()


def check_device(name: str) -> None:
    """Raises ConfigError for another device than there are in params.yaml."""
    if name not in ("auto", "cpu", "cuda"):
        raise ConfigError(f"device: {name!r} must be one of auto, cpu, cuda")


def pick_device(name: str) -> torch.device:
    """``auto`` is the GPU where one can be used. Raises ConfigError if cuda is asked for and can't be."""
    if name == "cpu":
        return CPU
    reason = fault()
    if reason is None:
        return torch.device("cuda")
    if name == "cuda":
        raise ConfigError(f"training.device: 'cuda' was asked for, but {reason}; use auto or cpu")
    return CPU


def learns_on(model: type[Model], config: Config, device: str, rows: int | None = None) -> torch.device:
    """Where the model learns from so many ``rows``; without them, from enough."""
    if config.solver not in model.on_device:
        return CPU
    return pick_device(device) if rows is None else worthwhile(config, device, rows)


def worthwhile(config: Config, device: str, rows: int) -> torch.device:
    """Where to compute with so many rows and vectors of that config's size; ``auto`` leaves small work to the CPU."""
    per_row = int(getattr(config, "embedding_dim", config.per_row))
    return CPU if device == "auto" and rows * per_row < WORTH else pick_device(device)


def fault() -> str | None:
    """Why no GPU can be used here, in a few words; None where one can."""
    if torch.version.cuda is None:
        return "torch sees no GPU: this build of it is for the CPU alone"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.zeros(1, device="cuda").add_(1).item()
    except torch.OutOfMemoryError:
        return "its memory is in use"
    except (RuntimeError, AssertionError) as error:
        # A driver that is too old, a card that this build has no code for, one in exclusive use, or none at all.
        return str(error).partition("\n")[0].partition(". ")[0].rstrip(".")
    return None


@contextmanager
def exactly(device: torch.device, what: str, *, repeatable: bool = True) -> Iterator[None]:
    """Compute on ``device`` by operations that give the same bytes again; one that has no such form is an error, or
    where ``repeatable`` is false a warning.

    Raises DeviceError where its memory doesn't suffice or it fails, ConfigError where ``what`` it is has an operation
    that can't be repeated.
    """
    if device.type != "cuda":
        yield
        return
    if WORKSPACE not in os.environ:
        raise ConfigError(f"{WORKSPACE}: must be :4096:8 before Python starts, or a GPU's products differ each time")
    load_rest_of_torch()
    _settings(repeatable)
    with _free_card(), _one_line(what):
        yield


@contextmanager
def _one_line(what: str) -> Iterator[None]:
    """What goes wrong on a GPU, as an error of ours."""
    try:
        yield
    except RuntimeError as error:
        said = str(error).partition("\n")[0]
        if isinstance(error, torch.OutOfMemoryError) or any(words in said for words in FULL):
            free, whole = (size / 2**30 for size in torch.cuda.mem_get_info())
            raise DeviceError(
                f"training.device: {what} needs more memory than the GPU has left ({free:.1f} of {whole:.1f} GiB are"
                " free): use device: cpu, smaller batches or more shards"
            ) from error
        if "deterministic" in said:
            operation = said.partition(" does not have a deterministic")[0]
            raise ConfigError(
                f"training.device: {what} uses {operation}, which has no repeatable form on a GPU; use device: cpu,"
                " or declare that the model does not repeat"
            ) from error
        if said.startswith("CUDA error"):
            raise DeviceError(f"training.device: {what} failed on the GPU ({said}); use device: cpu") from error
        raise


def load_rest_of_torch() -> None:
    """What torch imports when an optimiser is first made: two threads that do so at once can meet half a module."""
    with _LOADING:
        import torch._dynamo  # noqa: F401


def _settings(repeatable: bool) -> None:
    """For the whole process, as the number of threads is."""
    torch.use_deterministic_algorithms(True, warn_only=not repeatable)
    # Every tensor that is made is also filled; filling it with NaN before costs a pass over it.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False


_BUSY: Counter[int] = Counter()
"""How many computations of this process each GPU is at."""
_LOCK = Lock()
_PLACE = 0
"""This process's number among those that compute side by side on this machine."""


def take_place(number: int) -> None:
    """Begin with another GPU than the processes of other numbers do, as far as there are enough."""
    global _PLACE
    _PLACE = number


@contextmanager
def _free_card() -> Iterator[None]:
    """Let "cuda" be, for this thread, the GPU that the fewest computations are at, of equal ones the first from this
    process's place on.

    Nothing else names a GPU by its number, so neither bytes nor keys depend on it; and nothing is added up across them.
    """
    with _LOCK:
        cards = _cards()
        own = _PLACE % len(cards)
        number = min((*cards[own:], *cards[:own]), key=_BUSY.__getitem__)
        _BUSY[number] += 1
    try:
        with torch.cuda.device(number):
            yield
    finally:
        with _LOCK:
            _BUSY[number] -= 1


@cache
def _cards() -> tuple[int, ...]:
    """Numbers of the GPUs of the first one's kind. Others would give other bytes: they are left alone, which is said
    once."""
    kinds = [kind_of_card(number) for number in range(torch.cuda.device_count())]
    strangers = sorted({str(kind["device"]) for kind in kinds if kind != kinds[0]})
    if strangers:
        logging.getLogger("lethe").warning(
            "training.device: only the GPUs of the first one's kind, %s, are used, because bytes differ between kinds;"
            " %s left alone: choose by CUDA_VISIBLE_DEVICES",
            kinds[0]["device"],
            ", ".join(strangers),
        )
    return tuple(number for number, kind in enumerate(kinds) if kind == kinds[0])


def fall_back(error: DeviceError, device: str) -> None:
    """Say that the CPU takes over, where ``auto`` allows it; else raise the error."""
    if device != "auto":
        raise error
    logging.getLogger("lethe").warning("%s; the CPU takes over", error)
