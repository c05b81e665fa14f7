"""The one loop: what it records, how it decays, when it stops, which weights it keeps."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lethe.core.random import Stream
from lethe.errors import ConfigError
from lethe.learning import training
from lethe.learning.training import fit, train
from lethe.models import MODELS, configure
from lethe.models.mostpop import MostPop
from lethe.models.parts.base import READABLE, GradientConfig, Model
from lethe.models.wmf import WMF
from lethe.tables.catalogue import Catalogue
from lethe.tables.interactions import Interactions
from lethe.tables.matrix import InteractionMatrix, Shape, Side
from tests.contract import checkerboard
from tests.side import in_order, in_situations, side_tables

DATA = InteractionMatrix(Shape(2, 2), np.array([0, 1]), np.array([0, 1]))


class Slide(Model):
    """One weight that slides down a constant slope: it tells its own epoch and rate."""

    Config = GradientConfig

    def __init__(self, **values: Any) -> None:
        super().__init__(GradientConfig(optimizer="sgd", learning_rate=0.1, **values), DATA.shape)
        self.weight = nn.Parameter(torch.zeros(()))
        self.finished = 0

    def batches(self, data: InteractionMatrix, stream: Stream) -> Iterator[tuple[Tensor, ...]]:
        yield (torch.tensor(1.0), torch.tensor(2.0))
        yield (torch.tensor(1.0), torch.tensor(0.0))

    def loss(self, batch: tuple[Tensor, ...]) -> Tensor:
        return self.weight * batch[0] + batch[1]

    def finish(self) -> None:
        self.finished += 1


def test_history_sums_the_batches_and_progress_sees_each_row() -> None:
    seen: list[dict[str, float]] = []
    history = train(Slide(epochs=2), DATA, Stream(1), progress=seen.append)
    assert [row["epoch"] for row in history] == [0, 1]
    # Losses 0 + 2 and -0.1 + 0, then -0.2 + 2 and -0.3 + 0.
    assert [row["loss"] for row in history] == pytest.approx([1.9, 1.5])
    assert seen == history


def test_linear_decay_ends_near_zero() -> None:
    model = Slide(epochs=4, decay="linear")
    fit(model, DATA, Stream(1))
    assert model.weight.item() == pytest.approx(-0.1 * 2 * (1 + 0.75 + 0.5 + 0.25))


def test_validation_keeps_the_best_weights_and_patience_stops() -> None:
    values = iter([0.1, 0.3, 0.3, 0.2, 0.9])
    model = Slide(epochs=5, patience=2)
    history = train(model, DATA, Stream(1), valid=lambda _: next(values))
    assert [row["valid"] for row in history] == [0.1, 0.3, 0.3, 0.2]
    assert model.weight.item() == pytest.approx(-0.4)
    assert model.finished == len(history) + 1


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_stops_with_one_line(loss: float) -> None:
    model = Slide(epochs=3)
    model.loss = lambda batch: model.weight * batch[0] + (loss if model.weight < -0.3 else 0.0)  # type: ignore[method-assign]
    seen: list[dict[str, float]] = []
    with pytest.raises(
        ConfigError, match=rf"^Slide: the loss is {loss} in epoch 2 at learning_rate 0\.1; lower the learning rate"
    ):
        train(model, DATA, Stream(1), progress=seen.append, valid=lambda _: 1.0)
    assert [row["epoch"] for row in seen] == [0, 1]


def test_a_solver_that_diverges_stops_too() -> None:
    model = WMF(configure("wmf", {"sweeps": 3}), DATA.shape)
    model.solve = lambda data, stream: iter([1.0, float("nan")])  # type: ignore[method-assign]
    with pytest.raises(ConfigError, match=r"^WMF: the loss is nan in epoch 1 of solver als; lower"):
        train(model, DATA, Stream(1))


def test_without_patience_validation_never_stops() -> None:
    values = iter([0.9, 0.1, 0.1])
    model = Slide(epochs=3)
    assert len(fit(model, DATA, Stream(1), valid=lambda _: next(values))) == 3
    assert model.weight.item() == pytest.approx(-0.2)


def test_solvers_report_through_the_same_history() -> None:
    seen: list[dict[str, float]] = []
    model = WMF(configure("wmf", {"sweeps": 3}), DATA.shape)
    history = train(model, DATA, Stream(1), progress=seen.append)
    assert [row["epoch"] for row in history] == [0, 1, 2]
    assert seen == history
    assert history[-1]["loss"] <= history[0]["loss"]


def test_trained_models_are_ready_to_score() -> None:
    model = Slide(epochs=1)
    train(model, DATA, Stream(1))
    assert not model.training
    assert model.finished == 1


class Looks(MostPop):
    """Notes what it is handed."""

    optional = frozenset({"user_features", "timestamps"})

    def prepare(self, data: InteractionMatrix, stream: Stream) -> None:
        self.handed = data
        super().prepare(data, stream)


def test_a_model_is_handed_what_it_says_it_reads_and_nothing_else() -> None:
    rows = in_situations(in_order(checkerboard()))
    tables = side_tables(rows)
    catalogue = Catalogue.of(rows, tables)
    everything = catalogue.encode(rows, tables)
    model = Looks(configure("mostpop", {}), catalogue.shape)
    train(model, everything, Stream(1))
    handed = model.handed
    assert handed.side.user_features is everything.side.user_features
    assert handed.side == Side(user_features=everything.side.user_features)
    assert handed.contexts is None
    assert (handed.timestamps is None) == (everything.timestamps is None)
    assert len(handed) == len(everything)


def test_what_models_say_they_read_exists_and_what_they_accept_they_read() -> None:
    for name, model in MODELS.items():
        assert model.reads() <= READABLE, name
        assert model.accepts <= {"history"} | model.reads(), name
        assert not model.needs & model.optional, name


def test_adagrad_is_fused_on_the_cpu_alone() -> None:
    config = configure("enmf-u", {"optimizer": "adagrad"})
    model = MODELS["enmf-u"](config, Shape(2, 2))
    assert training._optimizer(model, config).defaults["fused"]
    assert not training._optimizer(model.to("meta"), config).defaults["fused"]


def test_a_pair_of_several_contexts_counts_that_often_where_the_model_can() -> None:
    rows = Interactions.of(
        np.array([1, 1, 1, 2, 2]),
        np.array([5, 5, 6, 5, 6]),
        contexts={"time": np.array(["am", "pm", "am", "am", "pm"], object)},
    )
    data = Catalogue.of(rows).encode(rows)

    def learnt(name: str, data: InteractionMatrix) -> Tensor:
        model = MODELS[name](configure(name, {}), data.shape)
        train(model, data, Stream(3))
        return model.score(torch.arange(data.num_users))

    assert learnt("mostpop", data).tolist() == [[3, 2], [3, 2]]
    assert not torch.equal(learnt("wmf", data), learnt("wmf", data.distinct()))
    assert torch.equal(learnt("ease", data), learnt("ease", data.distinct()))
