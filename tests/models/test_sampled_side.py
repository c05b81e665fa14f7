"""SBPR, TranSIV, SAMN, CMF, MC-BPR and NMTR against their formulas in float64 loops."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lethe.core.random import Stream
from lethe.errors import ConfigError
from lethe.learning.training import train
from lethe.models import configure
from lethe.models.cmf import CMF
from lethe.models.mc_bpr import MCBPR
from lethe.models.nmtr import NMTR
from lethe.models.parts.base import Model
from lethe.models.parts.batches import RowBatch, Triples
from lethe.models.parts.behaviour_pairs import LabelledOf
from lethe.models.samn import SAMN
from lethe.models.sbpr import SBPR, SocialQuadruples, of_friends
from lethe.models.solvers.expomf import expomf
from lethe.models.transiv import TranSIV, side_by_side
from lethe.tables.matrix import InteractionMatrix, Shape, Side

USERS, ITEMS, FRIENDS = 4, 6, 3
OWN = {0: {0, 1, 4}, 1: {1, 2}, 2: {3, 4, 5}, 3: {0, 2}}
LINKS = {0: {0, 1}, 1: {2}, 3: {0, 2}}
WHO = [2, -1, 0]
"""Which user each friend is; the second is nobody's row here."""


def matrix(rows: dict[int, set[int]], columns: int = ITEMS, side: Side | None = None) -> InteractionMatrix:
    pairs = np.array([(row, column) for row, own in sorted(rows.items()) for column in sorted(own)])
    return InteractionMatrix(Shape(USERS, columns, FRIENDS), *pairs.T, side=side or Side())


def social() -> InteractionMatrix:
    return matrix(OWN, side=Side(links=matrix(LINKS, FRIENDS), friend_users=np.array(WHO)))


def vectors(table: nn.Parameter) -> np.ndarray:
    return table.detach().double().numpy()


def softplus(x: float) -> float:
    return float(np.log1p(np.exp(x)))


def test_sbpr_counts_what_friends_have_and_the_user_lacks() -> None:
    expected = np.zeros((USERS, ITEMS))
    for user, item in product(range(USERS), range(ITEMS)):
        if item not in OWN[user]:
            expected[user, item] = sum(WHO[f] >= 0 and item in OWN[WHO[f]] for f in LINKS.get(user, ()))
    assert of_friends(social()).toarray().tolist() == expected.tolist()


def test_sbpr_draws_own_then_friends_then_neither() -> None:
    model, data = SBPR(SBPR.Config(batch_size=0), social().shape), social()
    model.prepare(data, Stream(1))
    near, seen = of_friends(data).toarray(), set()
    for epoch in range(30):
        for batch in model.batches(data, Stream(epoch)):
            for user, own, friend, count, other in zip(*(column.tolist() for column in batch), strict=True):
                assert own in OWN[user]
                assert other not in OWN[user]
                assert count == (near[user, friend] if friend >= 0 else 0)
                assert friend < 0 or (count > 0 and near[user, other] == 0)
                seen.add((user, friend >= 0))
    # User 2 has no links; what user 3 and their friends have is everything, which leaves no j.
    assert seen == {(0, True), (1, True), (2, False), (3, False)}


def test_sbpr_puts_friends_items_between() -> None:
    model = SBPR(SBPR.Config(embedding_dim=3, reg=0.2), social().shape)
    model.prepare(social(), Stream(1))
    columns = [0, 2], [0, 3], [3, -1], [2.0, 0.0], [2, 1]
    tensors = [torch.tensor(column) for column in columns]
    p, q = vectors(model.users), vectors(model.items)
    own, friend, other = p[0] @ q[0], p[0] @ q[3], p[0] @ q[2]
    expected = softplus(-(own - friend) / 3) + softplus(-(friend - other)) + softplus(-(p[2] @ q[3] - p[2] @ q[1]))
    expected += 0.1 * sum(np.square(x).sum() for x in (p[0], q[0], q[3], q[2], p[2], q[3], q[1]))
    assert model.loss(SocialQuadruples(*tensors)).item() == pytest.approx(expected, rel=1e-5)


def test_transiv_is_expomf_of_items_and_friends_side_by_side() -> None:
    data = social()
    links = data.side.links
    assert links is not None
    both = side_by_side(data, links)
    assert both.csr().toarray().tolist() == np.hstack([data.csr().toarray(), links.csr().toarray()]).tolist()
    model = TranSIV(TranSIV.Config(embedding_dim=2, reg=0.5, sweeps=3), data.shape)
    train(model, data, Stream(1))
    start = TranSIV(model.config, data.shape)
    start.prepare(data, Stream(1)("prepare"))
    friends = torch.randn((FRIENDS, 2), generator=Stream(1)("train").torch("friends")) * model.config.init_std
    users, columns = (part.detach().double().numpy() for part in (start.users, torch.cat([start.items, friends])))
    exposure = np.full(ITEMS + FRIENDS, model.config.initial_exposure)
    for _ in expomf(both, users, columns, exposure, precision=3.0, reg=0.5, prior=(1.0, 1.0), sweeps=3, steps=3):
        pass
    expected = users @ columns[:ITEMS].T
    assert model.score(torch.arange(USERS)).numpy() == pytest.approx(expected, abs=1e-3)


def test_samn_attends_to_aspects_then_to_friends() -> None:
    data = social()
    model = SAMN(SAMN.Config(embedding_dim=3, memory_size=2, attention_size=4, init_std=0.7), data.shape)
    model.prepare(data, Stream(1))
    with torch.no_grad():
        model.aspects.add_(torch.randn(model.aspects.shape, generator=Stream(2).torch("aspects")))
        model.item_bias.copy_(torch.arange(ITEMS) / 10)
    t = {name: vectors(parameter) for name, parameter in model.named_parameters()}
    fused = t["users"].copy()
    for user, friends in LINKS.items():
        parts, scores = [], []
        for friend in sorted(friends):
            p, g = t["users"][user], t["friends"][friend]
            shares = np.exp(t["keys"].T @ (p * g / np.linalg.norm(p) / np.linalg.norm(g)))
            parts.append(g * (shares / shares.sum() @ t["aspects"]))
            hidden = np.maximum(t["attention"].T @ parts[-1] + t["attention_bias"], 0)
            scores.append(np.exp(t["attention_out"] @ hidden))
        fused[user] += np.array(scores) / np.sum(scores) @ np.array(parts)
    model.finish()
    expected = fused @ t["items"].T + t["item_bias"]
    assert model.score(torch.arange(USERS)).numpy() == pytest.approx(expected, abs=1e-5)
    triples = Triples(torch.tensor([0, 3]), torch.tensor([1, 0]), torch.tensor([2, 5]))
    links = data.side.links
    assert links is not None
    (batch,) = model.batches(data, Stream(1))
    assert batch.friends.indptr.diff().tolist() == [len(LINKS.get(u, ())) for u in batch.triples.users.tolist()]
    rows = RowBatch(triples.users, torch.tensor([0, 2, 4]), torch.tensor([0, 1, 0, 2]))
    loss = softplus(expected[0, 2] - expected[0, 1]) + softplus(expected[3, 5] - expected[3, 0])
    norm = sum(np.square(t["users"][u]).sum() for u in (0, 3))
    norm += sum(np.square(t["items"][v]).sum() + t["item_bias"][v] ** 2 for v in (1, 0, 2, 5))
    maps = np.square(t["attention"]).sum() + np.square(t["attention_out"]).sum()
    loss += 0.01 * norm + 0.005 * 2 / len(data) * maps
    assert model.loss(batch._replace(triples=triples, friends=rows)).item() == pytest.approx(loss, rel=1e-5)


LEVELS = ({0: {0, 1, 2}, 1: {3}, 2: {4, 5}}, {0: {1, 2}, 2: {3}}, {0: {2}, 1: {1}, 3: {0}})
"""Views, carts and purchases."""


def behaviours() -> InteractionMatrix:
    view, cart, buy = LEVELS
    return matrix(buy, side=Side(behaviours={"view": matrix(view), "cart": matrix(cart)}))


def highest(user: int, item: int) -> int:
    return max((level for level, rows in enumerate(LEVELS) if item in rows.get(user, ())), default=-1)


@pytest.mark.parametrize("model", [CMF, NMTR])
def test_cmf_and_nmtr_take_log_loss_of_each_behaviour(model: type[CMF] | type[NMTR]) -> None:
    config = model.Config(embedding_dim=3, reg=0.3, weights={"view": 1.0, "cart": 1.0, "buy": 2.0})
    made: Model = model(config, behaviours().shape)
    made.prepare(behaviours(), Stream(1))
    if isinstance(made, NMTR):
        with torch.no_grad():
            made.h.copy_(torch.randn((3, 3), generator=Stream(1).torch("h")))
            made.bias.copy_(torch.tensor([0.1, 0.2, 0.4]))
    p = vectors(made.users)  # type: ignore[arg-type]
    for place, share in ((0, 0.25), (1, 0.25), (2, 0.5)):
        batch = LabelledOf(place, torch.tensor([0, 2]), torch.tensor([1, 3]), torch.tensor([1.0, 0.0]))
        expected = 0.0
        for user, item, label in ((0, 1, 1), (2, 3, 0)):
            if isinstance(made, CMF):
                q = vectors(made.items[place])  # type: ignore[arg-type]
                score = p[user] @ q[item]
            else:
                assert isinstance(made, NMTR)
                q, h, b = vectors(made.items), vectors(made.h), vectors(made.bias)
                score = sum(h[k] @ (p[user] * q[item]) + b[k] for k in range(place + 1))
            expected += softplus(-score if label else score)
            expected += 0.3 * (np.square(p[user]).sum() + np.square(q[item]).sum())
        assert made.loss(batch).item() == pytest.approx(share * expected, rel=1e-5)


def test_the_behaviours_take_turns_and_each_row_is_seen_once_an_epoch() -> None:
    model = NMTR(NMTR.Config(batch_size=1, num_negatives=1), behaviours().shape)
    batches = list(model.batches(behaviours(), Stream(1)))
    assert [batch.place for batch in batches[:6]] == [0, 1, 2, 0, 1, 2]
    for place, rows in enumerate(LEVELS):
        pairs = {(int(b.users[0]), int(b.items[0])) for b in batches if b.place == place}
        assert pairs == {(user, item) for user, own in rows.items() for item in own}
    none = NMTR(NMTR.Config(weights={"view": 0.0, "cart": 0.0, "buy": 1.0}), behaviours().shape)
    assert {batch.place for batch in none.batches(behaviours(), Stream(1))} == {2}


def test_mc_bpr_draws_by_behaviour_and_compares_with_lower_levels_or_none() -> None:
    model = MCBPR(MCBPR.Config(weights={"view": 1.0, "cart": 2.0, "buy": 5.0}, lower_share=0.5), behaviours().shape)
    model.prepare(behaviours(), Stream(1))
    chances: dict[tuple[int, int], float] = {}
    for weight, rows in zip((1.0, 2.0, 5.0), LEVELS, strict=True):
        for user, own in rows.items():
            for item in own:
                chances[user, item] = chances.get((user, item), 0.0) + weight
    union = model._union
    drawn = {(u, v): c for u, v, c in zip(union.users.tolist(), union.items.tolist(), model._chances, strict=True)}
    total = sum(chances.values())
    assert drawn == pytest.approx({pair: chance / total for pair, chance in chances.items()})
    kinds = set()
    for epoch in range(60):
        for batch in model.batches(behaviours(), Stream(epoch)):
            for user, own, other in zip(*(column.tolist() for column in batch), strict=True):
                assert highest(user, own) > highest(user, other)
                kinds.add((highest(user, own), highest(user, other)))
    assert kinds == {(0, -1), (1, -1), (2, -1), (1, 0), (2, 0), (2, 1)}


def test_mc_bpr_is_bpr_of_its_triples() -> None:
    model = MCBPR(MCBPR.Config(embedding_dim=3, reg=0.2), behaviours().shape)
    model.prepare(behaviours(), Stream(1))
    p, q = vectors(model.users), vectors(model.items)
    expected = softplus(p[1] @ q[4] - p[1] @ q[3]) + 0.1 * sum(np.square(x).sum() for x in (p[1], q[3], q[4]))
    triple: list[Tensor] = [torch.tensor([n]) for n in (1, 3, 4)]
    assert model.loss(Triples(*triple)).item() == pytest.approx(expected, rel=1e-5)


def test_levels_name_the_target_last() -> None:
    with pytest.raises(ConfigError, match=r"^models\.nmtr\.behaviours: .*the target 'buy' last$"):
        configure("nmtr", {"behaviours": ["buy", "view"]})
    lacking = matrix(LEVELS[2], side=Side(behaviours={"view": matrix(LEVELS[0])}))
    for model in (CMF(CMF.Config(), lacking.shape), MCBPR(MCBPR.Config(), lacking.shape)):
        with pytest.raises(ConfigError, match=r"behaviour 'cart' is not in the data, which have view"):
            train(model, lacking, Stream(1))
