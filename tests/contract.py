"""What every model in ``MODELS`` promises, as functions of a model's name and the values of its Config.

The laws are the same for all. Only the table differs: to a model of explicit feedback a row says nothing about
preference, its rating does, so such a model gets a checkerboard that has ratings, low ones too.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from safetensors.torch import load, save

from lethe.core.random import Stream
from lethe.learning import training
from lethe.learning.training import History, Row, learns_on, train
from lethe.models import MODELS, configure
from lethe.models.parts.base import Given, Model
from lethe.models.parts.rating import RatingModel
from lethe.tables.catalogue import Catalogue
from lethe.tables.interactions import Interactions
from lethe.tables.matrix import InteractionMatrix
from lethe.tables.side_tables import SideTables
from tests.place import DEVICE
from tests.side import in_order, in_situations, side_tables, sparse_side

Values = dict[str, Any]
Law = Callable[[str, Values], None]

IMPERSONAL = {"mostpop"}
"""Models that give every user the same scores."""

LEAVE_MARGINS = {"gru4rec", "ra-lst", "ra-lst-exact", "simplex"}
"""Models of which half a block tells the other half on the whole, not item by item: they follow an order that there is
none of, or leave scores below a margin where they are."""

BLOCK_USERS, BLOCK_ITEMS, HELD_OUT = 20, 16, 4


def table(name: str, blocks: int = 2) -> Interactions:
    """The checkerboard a model of that name learns from, in time or in contexts where the model needs such."""
    rows = rated_checkerboard(blocks) if issubclass(MODELS[name], RatingModel) else checkerboard(blocks)
    if "timestamps" in MODELS[name].needs:
        rows = in_order(rows)
    return in_situations(rows) if "contexts" in MODELS[name].reads() else rows


def rated_checkerboard(blocks: int = 2) -> Interactions:
    """Users rate 12 of each block's 16 items, 5 stars in their own block and 1 elsewhere."""
    num_users = blocks * BLOCK_USERS
    order = np.random.default_rng(5).random((num_users, blocks, BLOCK_ITEMS)).argsort(axis=2)
    users, items = np.nonzero((order >= HELD_OUT).reshape(num_users, blocks * BLOCK_ITEMS))
    stars = np.where(users // BLOCK_USERS == items // BLOCK_ITEMS, 5, 1)
    return Interactions.of(7 * users + 3, 11 * items + 5, stars)


def checkerboard(blocks: int = 2) -> Interactions:
    """Users of each block have 12 of their block's 16 items, so every user lacks 4 that suit and all that don't."""
    generator = np.random.default_rng(5)
    users = np.repeat(np.arange(blocks * BLOCK_USERS), BLOCK_ITEMS - HELD_OUT)
    kept = [generator.permutation(BLOCK_ITEMS)[HELD_OUT:] for _ in range(blocks * BLOCK_USERS)]
    block = users // BLOCK_USERS
    # Raw ids with gaps, so that a model that mistakes them for dense ones fails.
    return Interactions.of(7 * users + 3, 11 * (np.concatenate(kept) + block * BLOCK_ITEMS) + 5)


def build(name: str, values: Values, interactions: Interactions, seed: int = 1) -> Model:
    """Train the model from nothing on one table."""
    catalogue, data = encode(name, interactions)
    model = MODELS[name](configure(name, values), catalogue.shape)
    train(model, data, Stream(seed, ("contract",)), learns_on(MODELS[name], model.config, DEVICE))
    return model


_LEARNT: dict[tuple[type[Model], str], Model] = {}
"""The model that was learnt last, by all that it was made of: the laws that only look at it need no second one."""


def learnt(name: str, values: Values) -> Model:
    """The model built on the table of its name; what looks at it leaves it as it is."""
    key = (MODELS[name], str(values))
    if key not in _LEARNT:
        model = build(name, values, table(name))
        _LEARNT.clear()
        _LEARNT[key] = model
    return _LEARNT[key]


def encode(name: str, interactions: Interactions) -> tuple[Catalogue, InteractionMatrix]:
    """A table and the side tables that the model reads, dense."""
    tables = side_tables(interactions)
    needed = SideTables(
        {kind: side for kind, side in tables.tables.items() if kind in MODELS[name].reads()},
        tables.behaviours if "behaviours" in MODELS[name].reads() else {},
    )
    catalogue = Catalogue.of(interactions, needed)
    return catalogue, catalogue.encode(interactions, needed)


def weights(model: Model) -> bytes:
    """The bytes an artifact of the model would have."""
    return save({key: value.contiguous() for key, value in model.state_dict().items()})


def hits_the_checkerboard(name: str, values: Values) -> None:
    """A user's own block's unseen items rank above every item of the other block."""
    data = table(name)
    model = learnt(name, values)
    num_users, num_items = 2 * BLOCK_USERS, 2 * BLOCK_ITEMS
    scores = model.score(torch.arange(num_users)).numpy()
    seen = Catalogue.of(data).encode(data).csr().toarray() > 0
    own = np.equal.outer(np.arange(num_users) // BLOCK_USERS, np.arange(num_items) // BLOCK_ITEMS)
    unseen = np.where(own & ~seen, scores, np.inf).min(axis=1)
    other = np.where(own, -np.inf, scores).max(axis=1)
    if name in IMPERSONAL:
        assert (scores == scores[0]).all()
    else:
        assert (unseen > other).all()


def scores_are_finite(name: str, values: Values) -> None:
    """score() gives [B, num_items] finite numbers for any users, in any order, even repeated."""
    model = learnt(name, values)
    scores = model.score(torch.tensor([3, 0, 3]))
    assert scores.shape == (3, 2 * BLOCK_ITEMS)
    assert torch.isfinite(scores).all()
    assert torch.equal(scores[0], scores[2])
    assert not scores.requires_grad


def factors_make_the_scores(name: str, values: Values) -> None:
    """Where there are factors, their dot product is the score."""
    model = learnt(name, values)
    factors = model.factors()
    if factors is not None:
        users = torch.arange(5)
        assert torch.allclose(factors[0][users] @ factors[1].T, model.score(users), atol=1e-6)


def rebuilds_identically(name: str, values: Values) -> None:
    """The same inputs give the same bytes, whatever the global generators hold, and leave those alone."""
    data = table(name)
    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002
    first = weights(build(name, values, data))
    torch.manual_seed(2)
    np.random.seed(2)  # noqa: NPY002
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].tobytes()  # noqa: NPY002
    assert weights(build(name, values, data)) == first
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert np.random.get_state()[1].tobytes() == numpy_state  # noqa: NPY002


def weights_round_trip(name: str, values: Values) -> None:
    """A fresh model that loads the weights, and has seen no data, scores the same."""
    model = learnt(name, values)
    fresh = MODELS[name](configure(name, values), encode(name, table(name))[0].shape)
    fresh.load_state_dict(load(weights(model)))
    fresh.eval()
    users = torch.arange(2 * BLOCK_USERS)
    with torch.no_grad():
        assert torch.equal(fresh.score(users), model.score(users))


def forgets(name: str, values: Values) -> None:
    """After a build that knew a user, a build without them has the bytes of one that never knew them."""
    data = table(name)
    rest = data.take(data.user_ids != data.user_ids[0])
    never = weights(build(name, values, rest))
    known = weights(build(name, values, data))
    assert weights(build(name, values, rest.take(np.arange(len(rest))))) == never
    assert known != never


def is_alone_in_threads(name: str, values: Values) -> None:
    """Training beside another training gives the bytes of training alone."""
    tables = [table(name), table(name, blocks=3)]
    alone = [weights(build(name, values, data)) for data in tables]
    with ThreadPoolExecutor(2) as pool:
        beside = list(pool.map(lambda data: weights(build(name, values, data)), tables * 2))
    assert beside == alone * 2


def resumes_where_it_was_stopped(name: str, values: Values) -> None:
    """Training that was stopped, whatever its checkpoint holds, ends in the bytes and the curve of one that wasn't."""
    config = configure(name, values)
    catalogue, data = encode(name, table(name))

    def run(saved: Path | None = None, stop_after: int | None = None) -> tuple[bytes, History]:
        model = MODELS[name](config, catalogue.shape)

        def watch(row: Row) -> None:
            if row["epoch"] == stop_after:
                raise KeyboardInterrupt

        where = learns_on(MODELS[name], config, DEVICE)
        history = train(model, data, Stream(1), where, saved=saved, progress=watch)
        return weights(model), history

    whole = run()
    epochs = len(whole[1])
    with TemporaryDirectory() as folder, patch.object(training, "CHECKPOINT_SECONDS", 0.0):
        saved = Path(folder) / "checkpoint"
        for stop in sorted({1, epochs // 2, epochs - 1}):
            with suppress(KeyboardInterrupt):
                run(saved, stop_after=stop)
        assert run(saved) == whole


def survives_an_emptied_shard(name: str, values: Values) -> None:
    """A shard whose last user left, and users without items, still build and score finitely."""
    empty = build(name, values, table(name).take(np.empty(0, np.int64)))
    assert empty.score(torch.empty(0, dtype=torch.int64)).shape == (0, 0)
    shape, side = sparse_side()
    users, items = np.array([0, 1, 1, 1]), np.array([1, 0, 1, 2])
    sparse = InteractionMatrix(
        replace(shape, num_contexts=2),
        users,
        items,
        np.array([2, 5, 3, 4], np.float32),
        np.arange(4),
        np.array([[0], [1], [0], [1]]) if "contexts" in MODELS[name].reads() else None,
        side,
    )
    model = MODELS[name](configure(name, values), sparse.shape)
    train(model, sparse, Stream(1), learns_on(MODELS[name], model.config, DEVICE))
    assert torch.isfinite(model.score(torch.arange(4))).all()


def folds_strangers_in(name: str, values: Values) -> None:
    """Where a history says anything, somebody new who took half of a block is offered the other half first; a
    stranger in a crowd gets the answer they get alone, and one without a history changes nothing."""
    model = learnt(name, values)
    if model.fold_in() is None and "history" not in model.accepts:
        return
    ratings = torch.full((BLOCK_ITEMS // 2,), 5.0) if issubclass(MODELS[name], RatingModel) else None
    history = torch.arange(BLOCK_ITEMS // 2)
    alone = model.score_given(torch.tensor([-1]), Given(None, (torch.tensor([0, len(history)]), history), ratings))
    assert torch.isfinite(alone).all()
    own, other = alone[0, BLOCK_ITEMS // 2 : BLOCK_ITEMS], alone[0, BLOCK_ITEMS:]
    assert own.mean() > other.mean()
    assert name in LEAVE_MARGINS or own.min() > other.max()
    crowd = Given(None, (torch.tensor([0, 0, len(history)]), history), ratings)
    scores = model.score_given(torch.tensor([2, -1]), crowd)
    assert torch.allclose(scores[1], alone[0], atol=1e-5)
    assert torch.allclose(scores[0], model.score(torch.tensor([2]))[0], atol=1e-5)


LAWS: tuple[Law, ...] = (
    hits_the_checkerboard,
    scores_are_finite,
    factors_make_the_scores,
    rebuilds_identically,
    weights_round_trip,
    folds_strangers_in,
    forgets,
    is_alone_in_threads,
    resumes_where_it_was_stopped,
    survives_an_emptied_shard,
)
