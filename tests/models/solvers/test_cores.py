"""The bytes of solvers and of evaluation are the same for one thread, two and sixteen, though there are many pieces."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from lethe.core import cores
from lethe.evaluation import ranking
from lethe.evaluation.ranking import rank_users
from lethe.models.solvers import als as als_module
from lethe.models.solvers import expomf, rating_als, slim, spectral
from lethe.models.solvers.als import als
from lethe.models.solvers.collective import Block, collective
from lethe.models.solvers.cooccurrence import cooccurrence
from lethe.tables.catalogue import Catalogue
from lethe.tables.interactions import Interactions
from lethe.tables.matrix import InteractionMatrix, Shape

USERS, ITEMS, DIM = 300, 120, 20


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    places = ((als_module, "ROWS"), (rating_als, "ROWS"), (expomf, "ROWS"), (slim, "COLUMNS"), (spectral, "_ROWS"))
    for module, name in places:
        monkeypatch.setattr(module, name, 7)
    monkeypatch.setattr(ranking, "BLOCK", 16)
    yield
    cores.use(1)


def _matrix(rated: bool = False) -> InteractionMatrix:
    draw = np.random.default_rng(3)
    rows, columns = np.nonzero(draw.random((USERS, ITEMS)) < 0.1)
    ratings = draw.integers(1, 6, len(rows)).astype(np.float32) if rated else None
    return InteractionMatrix(Shape(USERS, ITEMS), rows, columns, ratings=ratings)


def _vectors(*sizes: int) -> list[np.ndarray]:
    draw = np.random.default_rng(4)
    return [(0.1 * draw.normal(size=(size, DIM))).astype(np.float32) for size in sizes]


def _als() -> list[Any]:
    users, items = _vectors(USERS, ITEMS)
    options: dict[str, Any] = {"negative_weights": np.linspace(0.1, 0.5, ITEMS), "dropout": 0.3, "reg": 0.1}
    return [*als(_matrix(), users, items, **options, reg_exponent=0.5, sweeps=2), users, items]


def _collective() -> list[Any]:
    users, items, friends = _vectors(USERS, ITEMS, ITEMS)
    blocks = [Block("user", name, _matrix(), np.full(ITEMS, 0.1)) for name in ("item", "friend")]
    tables = {"item": items, "friend": friends, "user": users}
    return [*collective(blocks, tables, dropout=0.2, reg=0.1, sweeps=2), users, items, friends]


def _expomf() -> list[Any]:
    users, items = _vectors(USERS, ITEMS)
    exposure = np.full(ITEMS, 0.05, np.float32)
    options: dict[str, Any] = {"precision": 3.0, "reg": 1.0, "prior": (1.0, 1.0), "sweeps": 2, "steps": 3}
    return [*expomf.expomf(_matrix(), users, items, exposure, **options), users, items, exposure]


def _rating_als() -> list[Any]:
    users, items = _vectors(USERS, ITEMS)
    return [*rating_als.rating_als(_matrix(rated=True), users, items, reg=0.1, sweeps=2), users, items]


def _spectral() -> list[Any]:
    (users,) = _vectors(USERS)
    spectral.turn_to_spectrum(_matrix(), users, 2)
    return [users]


def _slim() -> list[Any]:
    weights, loss = slim.slim(cooccurrence(_matrix()), l1=0.5, l2=2.0, sweeps=20, tolerance=1e-4)
    return [weights.indptr, weights.indices, weights.data, loss]


def _evaluation() -> list[Any]:
    data, (users, items) = _matrix(), _vectors(USERS, ITEMS)
    rows = Interactions.of(data.users, data.items)
    seen, held_out = rows.take(np.arange(len(rows)) % 3 > 0), rows.take(np.arange(len(rows)) % 3 == 0)
    catalogue = Catalogue.of(rows)
    # As a model's do: bytes of a product must not hang on the thread that makes it.
    found = rank_users(lambda some: users[some] @ items[: len(catalogue.items)].T, catalogue, seen, held_out)
    return [*found.values.values(), found.shown, found.sample]


@pytest.mark.parametrize(
    "work",
    [_als, _collective, _expomf, _rating_als, _spectral, _slim, _evaluation],
    ids=lambda work: work.__name__.strip("_"),
)
def test_the_bytes_are_the_same_for_any_number_of_threads(work: Callable[[], list[Any]]) -> None:
    def run(count: int) -> list[bytes]:
        cores.use(count)
        return [np.asarray(part).tobytes() for part in work()]

    alone = run(1)
    assert all(alone)
    for count in (2, 16):
        assert run(count) == alone


def test_evaluation_has_no_gradients_in_any_thread() -> None:
    import torch

    cores.use(2)
    data, (users, items) = _matrix(), map(torch.from_numpy, _vectors(USERS, ITEMS))
    rows = Interactions.of(data.users, data.items)
    learnt = items.requires_grad_()
    # Of what has gradients torch makes no array.
    found = rank_users(lambda some: (users[some] @ learnt.T).numpy(), Catalogue.of(rows), rows.take(slice(0, 0)), rows)
    assert len(found.people) == USERS > ranking.BLOCK
