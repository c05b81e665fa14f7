"""Where models learn: the choice, its errors, and every model of gradients on a card that is pretended."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import fields
from threading import Event, local
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from lethe.core.random import Stream
from lethe.errors import ConfigError, DeviceError
from lethe.evaluation.ranking import rank_users
from lethe.learning import alone, device, training
from lethe.learning.aggregation import AGGREGATORS
from lethe.learning.aggregation.scoring import scoring
from lethe.learning.device import exactly, fall_back, learns_on, pick_device
from lethe.learning.ensemble import FactorEnsemble
from lethe.learning.training import History, Row, train
from lethe.learning.weighted import SubModel
from lethe.models import MODELS, configure
from lethe.models.enmf import ENMFU
from lethe.models.item_knn import ItemKNN
from lethe.models.parts.base import Config, Model
from lethe.tables.catalogue import Catalogue
from lethe.tables.interactions import Interactions
from lethe.tables.matrix import Shape
from tests import contract
from tests.card import CARD, pretended

WAITS = {
    "sasrec",
    "hstu",
    "xsimgcl",
    "fm",
    "nfm",
    "deepfm",
    "cfm",
    "sbpr",
    "cke",
    "kgat",
    "ripplenet",
}
"""Models whose loss or batches depend on how many cells of some kind there are, which must be known."""
LARGE_BATCHES = {"batch_size": 64}
"""Of pairs: of models whose steps take long, with several batches an epoch still."""
VALUES: dict[str, dict[str, Any]] = {
    **dict.fromkeys(("fm", "nfm", "deepfm", "kgat", "samn", "cke", "xsimgcl", "mc-bpr", "nmtr"), LARGE_BATCHES),
    "wmf, by gradients": {"solver": "gradient"},
    "lightgcn, pairs": {"loss": "bpr"},
    "ehcf": {"graph": {"view": [], "buy": ["view"]}},
    "ghcf": {"behaviours": ["view", "buy"]},
    "convncf": LARGE_BATCHES | {"pretrain_epochs": 1},
    # What is no gradient but rounding of users' biases, Adam would make a whole step of.
    "cfm": LARGE_BATCHES | {"optimizer": "sgd", "learning_rate": 0.01},
}


def config_of(case: str) -> Config:
    """Small enough to be quick; several batches an epoch."""
    sizes = {"epochs": 3, "sweeps": 3, "embedding_dim": 8, "batch_size": 16}
    known = MODELS[model_of(case)].Config.model_fields
    values = {field: size for field, size in sizes.items() if field in known} | VALUES.get(case, {})
    return configure(model_of(case), values)


def model_of(case: str) -> str:
    return case.partition(",")[0]


def two_towers(name: str) -> bool:
    return MODELS[name](config_of(name), Shape(*[2] * len(fields(Shape)))).factors() is not None


CASES = [case for case in {**MODELS, **VALUES} if config_of(case).solver in MODELS[model_of(case)].on_device]


def steady(case: str) -> bool:
    config = config_of(case)
    return config.solver == "gradient" and MODELS[model_of(case)](config, Shape(2, 2)).steady()


def learn(
    case: str, where: torch.device = device.CPU, progress: Callable[[Row], None] | None = None
) -> tuple[Model, History]:
    name = model_of(case)
    catalogue, data = contract.encode(name, contract.table(name))
    model = MODELS[name](config_of(case), catalogue.shape)
    return model, train(model, data, Stream(1), where, progress=progress)


@pytest.mark.parametrize("case", CASES)
def test_a_card_learns_what_the_cpu_learns(case: str) -> None:
    """No tensor of the CPU meets one of the card, and nobody waits for a batch: a loss is read once an epoch."""
    expected, curve = learn(case)
    reads: list[int] = []
    with pretended() as card:
        model, history = learn(case, CARD, lambda row: reads.append(card.reads))
    assert all(value.device.type == "cpu" for value in model.state_dict().values())
    if card.draws:  # Other pairs than the CPU's.
        assert history[-1]["loss"] < history[0]["loss"]
    else:
        assert [row["loss"] for row in history] == pytest.approx([row["loss"] for row in curve], rel=1e-4, abs=1e-3)
        for key, value in expected.state_dict().items():
            gap = (model.state_dict()[key] - value).double().norm()
            assert gap <= 3e-3 * value.double().norm() + 1e-4, key
    if case not in WAITS and model.config.solver == "gradient":
        assert reads == [1, 2, 3]


@pytest.mark.parametrize("case", [case for case in CASES if steady(case)])
def test_a_steady_loss_brings_nothing_to_the_card(case: str) -> None:
    """What a step put there itself, a recording of it would bring again and again, as it was when it was recorded."""
    uploads: list[int] = []
    loss = MODELS[model_of(case)].loss
    with pretended() as card, pytest.MonkeyPatch.context() as patch:

        def counted(self: Model, batch: Any) -> torch.Tensor:
            before = card.uploads
            value = loss(self, batch)
            uploads.append(card.uploads - before)
            return value

        patch.setattr(MODELS[model_of(case)], "loss", counted)
        learn(case, CARD)
    assert len(uploads) > 2
    # What is kept with the batch of all rows is made at the first step.
    assert not any(uploads[1:])


def test_pairs_drawn_on_a_card_are_the_users_own_and_lacked() -> None:
    """As the CPU's are: each interaction once, and every negative one that its user lacks."""
    from lethe.models.parts.batches import labelled_batches, triple_batches
    from lethe.models.parts.placed import placing

    _, data = contract.encode("gmf", contract.table("gmf"))
    owned = torch.from_numpy(data.csr().toarray() > 0)
    with placing(torch.device("cpu")):
        labelled = list(labelled_batches(data, 32, 3, Stream(1).numpy("x")))
        triples = list(triple_batches(data, 32, Stream(1).numpy("x")))
    users, items, labels = (torch.cat(parts) for parts in zip(*labelled, strict=True))
    assert torch.equal(owned[users, items], labels == 1)
    assert int(labels.sum()) == len(data) == len(labels) / 4
    assert len(set(zip(users[labels == 1].tolist(), items[labels == 1].tolist(), strict=True))) == len(data)
    assert all(owned[batch.users, batch.positives].all() for batch in triples)
    assert not any(owned[batch.users, batch.negatives].any() for batch in triples)
    assert sum(len(batch.users) for batch in triples) == len(data)


def test_auto_is_the_gpu_where_it_pays(monkeypatch: pytest.MonkeyPatch) -> None:
    gradient, solver = configure("enmf-u", {"embedding_dim": 64}), configure("item-knn", {})
    monkeypatch.setattr(device, "fault", lambda: None)
    assert pick_device("auto").type == learns_on(ENMFU, gradient, "auto").type == "cuda"
    assert learns_on(ItemKNN, solver, "cuda").type == learns_on(ENMFU, gradient, "cpu").type == "cpu"
    small = device.WORTH // 64 - 1
    assert [learns_on(ENMFU, gradient, "auto", rows).type for rows in (small, small + 1)] == ["cpu", "cuda"]
    assert learns_on(ENMFU, gradient, "cuda", small).type == "cuda"
    monkeypatch.setattr(device, "fault", lambda: "its memory is in use")
    assert pick_device("auto").type == learns_on(ENMFU, gradient, "auto", 10**9).type == "cpu"
    with pytest.raises(ConfigError, match=r"^training\.device: 'cuda' was asked for, but its memory is in use; use"):
        pick_device("cuda")


@pytest.mark.skipif(torch.version.cuda is not None, reason="this torch is built for a GPU")
def test_a_build_without_cuda_is_one_line() -> None:
    with pytest.raises(ConfigError, match=r"^training\.device: 'cuda' was asked for, but torch sees no GPU: [^\n]+$"):
        pick_device("cuda")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 MiB"), "its memory is in use"),
        (
            RuntimeError("The NVIDIA driver on your system is too old (found version 11040). Please update\nyour"),
            "The NVIDIA driver on your system is too old (found version 11040)",
        ),
        (RuntimeError("No CUDA GPUs are available"), "No CUDA GPUs are available"),
    ],
)
def test_why_a_gpu_can_not_be_used_is_one_line(
    monkeypatch: pytest.MonkeyPatch, error: RuntimeError, reason: str
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch, "zeros", fail)
    assert device.fault() == reason


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> Iterator[torch.device]:
    monkeypatch.setenv(device.WORKSPACE, ":4096:8")
    monkeypatch.setattr(device, "_settings", lambda repeatable: None)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (2**30, 2**34))
    cards(monkeypatch, "H100")
    yield torch.device("cuda")
    device._cards.cache_clear()


def cards(monkeypatch: pytest.MonkeyPatch, *names: str) -> local:
    """A machine of pretended GPUs: ``number`` of what is returned is the one that "cuda" means in a thread."""
    current = local()

    @contextmanager
    def chosen(number: int) -> Iterator[None]:
        before, current.number = getattr(current, "number", 0), number
        yield
        current.number = before

    def properties(number: int) -> SimpleNamespace:
        return SimpleNamespace(name=names[number], major=9, minor=0, multi_processor_count=132)

    monkeypatch.setattr(torch.cuda, "device", chosen)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: len(names))
    monkeypatch.setattr(torch.cuda, "get_device_properties", properties)
    device._cards.cache_clear()
    return current


def used_at_once(cuda: torch.device, current: local, count: int) -> list[int]:
    """The GPUs of so many computations that are in progress together, in the order in which they began."""
    begun, ended = [Event() for _ in range(count)], Event()

    def compute(place: int) -> int:
        with exactly(cuda, "x"):
            begun[place].set()
            assert ended.wait(20)
            return int(current.number)

    with ThreadPoolExecutor(count) as pool:
        running = []
        for place in range(count):
            running.append(pool.submit(compute, place))
            assert begun[place].wait(20)
        ended.set()
        return [one.result() for one in running]


def test_what_is_computed_at_once_is_spread_over_cards_of_one_kind(
    cuda: torch.device, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    current = cards(monkeypatch, "H100", "H100")
    assert used_at_once(cuda, current, 5) == [0, 1, 0, 1, 0]
    with pytest.raises(DeviceError), exactly(cuda, "x"):
        raise torch.OutOfMemoryError  # What fails gives its card back too.
    assert used_at_once(cuda, current, 2) == [0, 1]
    assert not caplog.messages


@pytest.mark.parametrize(("place", "used"), [(0, [0, 1, 2, 0]), (1, [1, 2, 0, 1]), (5, [2, 0, 1, 2])])
def test_processes_side_by_side_begin_with_cards_of_their_own(
    place: int, used: list[int], cuda: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    current = cards(monkeypatch, "H100", "H100", "H100")
    monkeypatch.setattr(device, "_PLACE", 0)
    device.take_place(place)
    assert used_at_once(cuda, current, 4) == used


def test_a_card_of_another_kind_is_left_alone_with_one_line(
    cuda: torch.device, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    current = cards(monkeypatch, "H100", "T4", "H100")
    assert used_at_once(cuda, current, 3) == [0, 2, 0]
    (line,) = caplog.messages
    assert line.startswith("training.device: only the GPUs of the first one's kind, H100, are used")
    assert "T4 left alone: choose by CUDA_VISIBLE_DEVICES" in line
    assert "\n" not in line


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory."),
        RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be"),
        RuntimeError("cusolver error: CUSOLVER_STATUS_ALLOC_FAILED, when calling `cusolverDnDpotrf(...)`"),
    ],
)
def test_a_card_that_is_too_small_says_how_much_it_has(cuda: torch.device, error: RuntimeError) -> None:
    with (
        pytest.raises(
            DeviceError, match=r"^training\.device: ENMFU needs more memory than the GPU .*1\.0 of 16\.0 GiB"
        ),
        exactly(cuda, "ENMFU"),
    ):
        raise error


def test_a_card_that_fails_is_one_line(cuda: torch.device) -> None:
    line = r"^training\.device: ENMFU failed on the GPU \(CUDA error: uncorrectable ECC error\); use device: cpu$"
    with pytest.raises(DeviceError, match=line), exactly(cuda, "ENMFU"):
        raise RuntimeError("CUDA error: uncorrectable ECC error\nCompile with TORCH_USE_CUDA_DSA")


def test_a_bug_stays_what_it_is(cuda: torch.device) -> None:
    with pytest.raises(RuntimeError, match="size of tensor a"), exactly(cuda, "ENMFU"):
        raise RuntimeError("The size of tensor a (3) must match that of b")


def test_a_model_alone_takes_the_cpu_where_the_card_is_too_small(
    cuda: torch.device, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    places = []

    def learn(model: Model, data: Any, stream: Stream, where: torch.device) -> None:
        places.append(where.type)
        with exactly(where, "WMF"):
            if where.type == "cuda":
                raise torch.OutOfMemoryError

    monkeypatch.setattr(device, "fault", lambda: None)
    monkeypatch.setattr(device, "WORTH", 0)
    monkeypatch.setattr(alone, "train", learn)
    frame = pd.DataFrame({"user": ["a", "b"], "item": ["x", "y"]})
    assert alone.Recommender.of("wmf").fit(frame, device="auto")
    assert places == ["cuda", "cpu"]
    assert "the CPU takes over" in caplog.text
    with pytest.raises(DeviceError, match=r"^training\.device: WMF needs more memory"):
        alone.Recommender.of("wmf").fit(frame, device="cuda")
    with pytest.raises(ConfigError, match=r"^device: 'gpu' must be one of auto, cpu, cuda$"):
        alone.Recommender.of("slim").fit(frame, device="gpu")


def test_an_operation_that_can_not_be_repeated_is_named(cuda: torch.device) -> None:
    with (
        pytest.raises(ConfigError, match=r"^training\.device: Mine uses cumsum_cuda, which has no repeatable form"),
        exactly(cuda, "Mine"),
    ):
        raise RuntimeError("cumsum_cuda does not have a deterministic implementation, but you set ...")


def test_a_gpu_without_its_setting_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(device.WORKSPACE, raising=False)
    with (
        pytest.raises(ConfigError, match=r"^CUBLAS_WORKSPACE_CONFIG: must be :4096:8"),
        exactly(torch.device("cuda"), "x"),
    ):
        raise AssertionError("nothing is computed")


def test_only_auto_falls_back(caplog: pytest.LogCaptureFixture) -> None:
    fall_back(DeviceError("no room"), "auto")
    assert "no room; the CPU takes over" in caplog.text
    with pytest.raises(DeviceError, match="no room"):
        fall_back(DeviceError("no room"), "cuda")


def test_the_cpu_asks_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(device.WORKSPACE, raising=False)
    assert not torch.are_deterministic_algorithms_enabled()
    learn("enmf-u")
    assert not torch.are_deterministic_algorithms_enabled()
    assert training.CPU.type == "cpu"


@pytest.mark.parametrize("name", [name for name, aggregator in AGGREGATORS.items() if aggregator.on_device])
def test_an_aggregator_combines_on_a_card_as_on_the_cpu(name: str) -> None:
    rows = contract.checkerboard()
    of, values = ("cooccurrence", {}) if name == "ease" else ("wmf", {"embedding_dim": 4})
    sub_models = []
    for shard in range(3):
        own = rows.take(rows.user_ids % 3 == shard)
        catalogue = Catalogue.of(own)
        model = MODELS[of](configure(of, values), catalogue.shape)
        train(model, catalogue.encode(own), Stream(1)("sub-model", shard))
        sub_models.append(SubModel(str(shard), model, catalogue))
    aggregator = AGGREGATORS[name]
    settings = aggregator.Config.parse({"steps": 20} if name == "attention" else {}, "aggregator")
    expected, curve = aggregator.fit(sub_models, rows, settings, Stream(2))
    with pretended():
        combined, history = aggregator.fit(sub_models, rows, settings, Stream(2), CARD)
    assert [row["loss"] for row in history] == pytest.approx([row["loss"] for row in curve], rel=1e-4)
    people = np.arange(len(expected.catalogue.users))
    assert combined.score(people) == pytest.approx(expected.score(people), rel=1e-2, abs=1e-3)


def test_rankings_on_a_card_are_those_of_the_cpu() -> None:
    """Whole numbers, so that scores are exact and many are equal; seen items, cold users and unknown items too."""
    generator = np.random.default_rng(4)
    towers = (
        generator.integers(-2, 3, (30, 3)).astype(np.float32),
        generator.integers(-2, 3, (40, 3)).astype(np.float32),
    )
    rows = Interactions.of(np.repeat(np.arange(30), 40), np.tile(np.arange(40), 30))
    chosen = generator.random(len(rows)) < 0.2
    seen, known = rows.take(chosen), Catalogue.of(rows)
    held_out = Interactions.of(generator.integers(0, 33, 300), generator.integers(0, 43, 300))
    ensemble = FactorEnsemble(known, *towers)
    expected = rank_users(ensemble.score, known, seen, held_out, cutoffs=(1, 5, 20, 50))
    with pretended():
        ranked = rank_users(scoring(ensemble, CARD), known, seen, held_out, cutoffs=(1, 5, 20, 50))
    assert expected.values["recall@20"].mean() > 0.1
    for metric, values in expected.values.items():
        assert (ranked.values[metric] == values).all(), metric
    assert (ranked.shown == expected.shown).all()


@pytest.mark.parametrize("name", [name for name in MODELS if not two_towers(name)])
def test_whoever_has_no_two_towers_scores_on_a_card_as_on_the_cpu(name: str) -> None:
    """By three sub-models that share users and items, so that some cells are nobody's."""
    rows, sub_models = contract.table(name), []
    for shard in range(3):
        own = rows.take(np.random.default_rng(shard).random(len(rows)) < 0.5)
        catalogue, data = contract.encode(name, own)
        model = MODELS[name](config_of(name), catalogue.shape)
        train(model, data, Stream(1)("sub-model", shard))
        sub_models.append(SubModel(str(shard), model, catalogue))
    ensemble, _ = AGGREGATORS["mean"].fit(sub_models, rows, AGGREGATORS["mean"].Config(), Stream(2))
    people = np.arange(len(ensemble.catalogue.users))
    expected = ensemble.score(people)
    with pretended():
        made = scoring(ensemble, CARD)(people)
        assert isinstance(made, torch.Tensor)
        scores = made.to("cpu").numpy()
    assert scores == pytest.approx(expected, rel=1e-4, abs=1e-4)
    assert (ensemble.score(people) == expected).all()  # The sub-models stay where they were.
