"""A card that isn't there: tensors that say they lie on a GPU and compute on the CPU, and refuse to meet others.

Inside ``pretended()`` whatever is made on or moved to ``CARD`` is such a tensor. An operation that mixes it with
a tensor of the CPU (a number in a tensor apart) fails as it would on a GPU, so a test sees every place that forgot the
device, and how often the CPU waited to read a value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from lethe.models.parts.placed import Placed

CARD = torch.device("meta")
"""The one kind of device that every build of torch knows and that is not the CPU."""


class OnCard(Tensor):
    """A tensor of the card; ``inner`` holds its values."""

    inner: Tensor

    @staticmethod
    def __new__(cls, inner: Tensor) -> OnCard:
        made = Tensor._make_wrapper_subclass(
            cls,
            inner.shape,
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            device=CARD,
        )
        made.inner = inner
        return made

    def tolist(self) -> Any:
        """As on a GPU, by waiting for it: torch knows none of a class of our own."""
        read = [value.item() for value in self.flatten()]
        return torch.tensor(read, dtype=self.dtype).view(self.shape).tolist()

    def __repr__(self, **_: Any) -> str:
        return f"OnCard({self.inner})"

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {}, None)


class Card(TorchDispatchMode):
    """Counts ``reads``, values that the CPU waited for, ``draws``, where random numbers were the card's own, and
    ``uploads``, tensors of the CPU that were put there."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = self.draws = self.uploads = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {}, self)


READS = {"_local_scalar_dense", "item", "nonzero", "is_nonzero", "equal"}
MOVES = {"_to_copy", "copy_"}


def _run(func: Any, args: Any, kwargs: dict[str, Any], card: Card | None) -> Any:
    name = func._overloadpacket.__name__
    tensors: list[Tensor] = []
    _changed((args, kwargs), tensors.append)
    asked = kwargs.get("device")
    there = any(isinstance(value, OnCard) for value in tensors)
    if asked is not None:
        target = torch.device(asked).type == CARD.type
        kwargs = kwargs | {"device": torch.device("cpu")}
    else:
        target = there
    if kwargs.get("pin_memory"):
        kwargs = kwargs | {"pin_memory": False}
    strangers = [value for value in tensors if not isinstance(value, OnCard) and value.dim() > 0]
    if there and strangers and name not in MOVES:
        raise AssertionError(f"{name}: a tensor of the CPU {tuple(strangers[0].shape)} meets one of the card")
    masks = name == "index" and any(value.dtype == torch.bool for value in tensors)
    if there and (masks or name in READS) and card is not None:
        card.reads += 1
    if card is not None and name in MOVES and (target or there) and strangers:
        card.uploads += 1
    plain = _changed((args, kwargs), lambda value: value.inner if isinstance(value, OnCard) else value)
    out = func(*plain[0], **plain[1])
    if name == "copy_" or (name.endswith("_") and not name.startswith("_") and isinstance(args[0], Tensor)):
        return args[0]
    return _changed(out, OnCard) if target else out


def _changed(value: Any, change: Callable[[Tensor], Any]) -> Any:
    """What an operation takes or gives, with its tensors changed. torch's own ``tree_map`` knows every kind of
    container, and took nearly all of the time."""
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, tuple | list):
        inside = [_changed(each, change) for each in value]
        return inside if type(value) is list else tuple(inside) if type(value) is tuple else type(value)(inside)
    if isinstance(value, dict):
        return {name: _changed(each, change) for name, each in value.items()}
    return value


@contextmanager
def pretended() -> Iterator[Card]:
    """Everything on ``CARD`` is pretended; random numbers are the CPU's."""

    card = Card()

    def generator(self: Placed, of: Any) -> torch.Generator:
        card.draws += 1
        return torch.Generator().manual_seed(int(of.integers(2**63)))

    with patch.object(Placed, "generator", generator), card:
        yield card
