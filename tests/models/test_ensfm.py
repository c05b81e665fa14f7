"""ENSFM against the factorisation machine's own double sum, and its loss against the sum over all cells."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor

from lethe.core.random import Stream
from lethe.learning.training import train
from lethe.models import configure
from lethe.models.ensfm import ENSFM
from lethe.models.parts.base import Given
from lethe.tables.matrix import FeatureMatrix, InteractionMatrix, Shape, Side

USERS, ITEMS, DIM = 4, 5, 3
CONTEXTS = 5
"""Two fields: 0..2 and 3..4."""
USER_FEATURES = FeatureMatrix(
    np.array([0, 2, 2, 3, 5]), np.array([0, 2, 1, 0, 1]), np.array([1, 2.5, 1, -0.5, 1], np.float32)
)
ITEM_FEATURES = FeatureMatrix(
    np.array([0, 1, 3, 3, 4, 6]), np.array([1, 0, 1, 0, 0, 1]), np.array([1, 1, 0.3, 1, 2, 1], np.float32)
)
MIXES = list(itertools.product([False, True], repeat=3))
VALUES = {"embedding_dim": DIM, "init_std": 0.7, "negative_weight": 2.0, "popularity_exponent": 0.5, "batch_size": 3}


def matrix(contexts: bool = True, user_features: bool = True, item_features: bool = True) -> InteractionMatrix:
    """User 1 has nothing; user 0 has item 2 in two combinations of contexts; -1 is a missing value."""
    users = np.array([0, 0, 0, 0, 2, 2, 3])
    items = np.array([1, 2, 2, 4, 0, 1, 3])
    values = np.array([[0, 3], [0, 3], [1, 4], [1, 4], [2, -1], [2, -1], [2, 4]])
    if not contexts:
        # Pairs are distinct then.
        users, items = np.delete(users, 2), np.delete(items, 2)
    shape = Shape(
        USERS,
        ITEMS,
        num_user_features=3 if user_features else 0,
        num_item_features=2 if item_features else 0,
        num_contexts=CONTEXTS if contexts else 0,
    )
    side = Side(
        user_features=USER_FEATURES if user_features else None, item_features=ITEM_FEATURES if item_features else None
    )
    return InteractionMatrix(shape, users, items, contexts=values if contexts else None, side=side)


def prepared(data: InteractionMatrix, **values: float) -> ENSFM:
    """In float64, with every parameter drawn at random."""
    model = ENSFM(configure("ensfm", {**VALUES, "dropout": 0.0, **values}), data.shape)
    model.prepare(data, Stream(1))
    model.double()
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    return model


def features(table: Tensor, matrix: FeatureMatrix | None, row: int, first: int) -> list[tuple[float, Tensor, Tensor]]:
    """(x, e, w) of each feature of a row: itself, then those of the matrix, which begin at ``first``."""
    found = [(1.0, table[row, :-1], table[row, -1])]
    if matrix is not None:
        for k in range(matrix.indptr[row], matrix.indptr[row + 1]):
            place = first + matrix.columns[k]
            found.append((float(matrix.weights[k]), table[place, :-1], table[place, -1]))
    return found


def machine(
    model: ENSFM, data: InteractionMatrix, user: int, contexts: tuple[int, ...], item: int, mask: Tensor | None = None
) -> Tensor:
    """The generalised factorisation machine as eq. (5.3) and (5.5) have it: all pairs of features, one by one.

    ``mask`` is one of dropout's, on the entries that cross the sides.
    """
    h_cross = model.h_cross if mask is None else model.h_cross * mask
    first = USERS + data.shape.num_user_features
    left = features(model.user_side, data.side.user_features, user, USERS)
    left += [(1.0, model.user_side[first + c, :-1], model.user_side[first + c, -1]) for c in contexts if c >= 0]
    right = features(model.item_side, data.side.item_features, item, ITEMS)
    both = [(x, e, w, 0) for x, e, w in left] + [(x, e, w, 1) for x, e, w in right]
    total = model.bias + sum(x * w for x, _, w, _ in both)
    for (x, e, _, side), (y, f, _, other) in itertools.combinations(both, 2):
        total = total + ((model.h_own if side == other else h_cross) * x * e * y * f).sum()
    return total


def combinations(data: InteractionMatrix) -> dict[tuple[int, tuple[int, ...]], set[int]]:
    """(user, contexts) -> items: the rows of the matrix whose cells the loss sums over."""
    if data.contexts is None:
        return {(u, ()): set(data.items[data.users == u].tolist()) for u in range(USERS)}
    found: dict[tuple[int, tuple[int, ...]], set[int]] = {}
    for user, item, contexts in zip(data.users, data.items, data.contexts, strict=True):
        found.setdefault((int(user), tuple(contexts.tolist())), set()).add(int(item))
    return found


@pytest.mark.parametrize("case", ["general", "factorisation machine", "nfm", "svdfeature"])
@pytest.mark.parametrize("mix", MIXES)
def test_scores_are_the_double_sum_over_features(mix: tuple[bool, bool, bool], case: str) -> None:
    data = matrix(*mix)
    model = prepared(data)
    with torch.no_grad():
        if case == "factorisation machine":
            model.h_own.fill_(1)
            model.h_cross.fill_(1)
        elif case == "nfm":
            model.h_own.copy_(model.h_cross)
        elif case == "svdfeature":
            model.h_own.fill_(0)
            model.h_cross.fill_(1)
        model.finish()
    wanted = list(combinations(data))
    if mix[0]:
        wanted += [(1, (0, 4)), (3, (-1, -1))]
    users, contexts = torch.tensor([u for u, _ in wanted]), torch.tensor([c for _, c in wanted])
    scores = model.score_given(users, Given(contexts)) if mix[0] else model.score(users)
    for row, (user, values) in enumerate(wanted):
        for item in range(ITEMS):
            expected = machine(model, data, user, values, item)
            assert scores[row, item].item() == pytest.approx(expected.item(), rel=1e-9, abs=1e-9)


def test_the_special_cases_are_the_machines_they_are_named_after() -> None:
    """By formulas that know nothing of h: FM (Rendle 2010), and SVDFeature (Chen 2012)."""
    data = matrix()
    model = prepared(data)
    first = USERS + 3
    left = features(model.user_side, USER_FEATURES, 0, USERS)
    left += [(1.0, model.user_side[first + c, :-1], model.user_side[first + c, -1]) for c in (1, 4)]
    right = features(model.item_side, ITEM_FEATURES, 4, ITEMS)
    linear = model.bias + sum(x * w for x, _, w in left + right)
    given = Given(torch.tensor([[1, 4]]))
    with torch.no_grad():
        model.h_cross.fill_(1)
        model.h_own.fill_(1)
        model.finish()
        pairs = sum(x * y * (e @ f) for (x, e, _), (y, f, _) in itertools.combinations(left + right, 2))
        assert model.score_given(torch.tensor([0]), given)[0, 4].item() == pytest.approx((linear + pairs).item())
        model.h_own.fill_(0)
        model.finish()
        cross = sum(x * e for x, e, _ in left) @ sum(x * e for x, e, _ in right)
        assert model.score_given(torch.tensor([0]), given)[0, 4].item() == pytest.approx((linear + cross).item())


def masks(dropout: float) -> list[tuple[float, Tensor]]:
    """(probability, mask) of every inverted dropout of the DIM entries that cross."""
    found = []
    for kept in itertools.product([False, True], repeat=DIM):
        chance = float(np.prod([1 - dropout if k else dropout for k in kept]))
        if chance:
            found.append((chance, torch.tensor(kept, dtype=torch.float64) / (1 - dropout)))
    return found


@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize("mix", MIXES)
def test_batches_add_up_to_the_square_loss_of_all_cells(mix: tuple[bool, bool, bool], dropout: float) -> None:
    """Eq. (5.12), value and gradient, and its mean over the masks of dropout."""
    data = matrix(*mix)
    model = prepared(data, dropout=dropout)
    batches = list(model.batches(data, Stream(2)))
    assert len(batches) > 1
    value = sum((model.loss(batch) for batch in batches), start=torch.zeros((), dtype=torch.float64))
    expected = torch.zeros((), dtype=torch.float64)
    for chance, mask in masks(dropout):
        for (user, contexts), items in combinations(data).items():
            for item in range(ITEMS):
                cost = 1.0 if item in items else float(model.negative_weights[item])
                error = (float(item in items) - machine(model, data, user, contexts, item, mask)).square()
                expected = expected + chance * cost * error
    positives = sum(len(items) for items in combinations(data).values())
    assert value.item() == pytest.approx(expected.item() - positives, rel=1e-10)
    parameters = list(model.parameters())
    # h_own has no part in the sum where neither side has two features.
    wanted = torch.autograd.grad(expected, parameters, materialize_grads=True, allow_unused=True)
    for got, gradient in zip(torch.autograd.grad(value, parameters), wanted, strict=True):
        assert torch.allclose(got, gradient, rtol=1e-9, atol=1e-9)


def test_what_was_never_seen_contributes_nothing() -> None:
    data = matrix()
    model = prepared(data)
    with torch.no_grad():
        model.finish()
        alone = model.score(torch.tensor([0, 2]))
        unseen = model.score_given(torch.tensor([0, 2]), Given(torch.full((2, 2), -1)))
        assert torch.equal(unseen, alone)
        assert torch.equal(model.score_given(torch.tensor([0, 2]), Given()), alone)
        # Whoever is unknown is ranked by the contexts alone: two strangers in one context get the same scores.
        strangers = model.score_given(torch.tensor([-1, -1, 0]), Given(torch.tensor([[0, 3], [0, 3], [0, 3]])))
        assert torch.equal(strangers[0], strangers[1])
        assert not torch.allclose(strangers[0], strangers[2])


def test_contexts_are_learnt_and_survive_the_weights_alone() -> None:
    """Users like the left half of the items in context 0 and the right half in context 1."""
    users, contexts, items = (part.ravel() for part in np.indices((12, 2, 8)))
    kept = (items // 4 == contexts) & ((items + users) % 4 > 0)
    order = np.lexsort((items[kept], users[kept]))
    data = InteractionMatrix(
        Shape(12, 8, num_contexts=2), users[kept][order], items[kept][order], contexts=contexts[kept][order][:, None]
    )
    model = ENSFM(configure("ensfm", {"embedding_dim": 8, "epochs": 40}), data.shape)
    train(model, data, Stream(1))
    fresh = ENSFM(model.config, data.shape)
    fresh.load_state_dict(model.state_dict())
    everyone = torch.arange(12)
    for context in (0, 1):
        given = Given(torch.full((12, 1), context))
        scores = model.score_given(everyone, given)
        assert torch.equal(fresh.score_given(everyone, given), scores)
        halves = scores.view(12, 2, 4)
        assert (halves[:, context].amin(dim=1) > halves[:, 1 - context].amax(dim=1)).all()
    assert model.factors() is None
