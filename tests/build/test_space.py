"""Where each model is searched: what its Config declares, with the defaults inside."""

from __future__ import annotations

import pytest

from lethe.build.space import Axis, Space
from lethe.config.search import Choice, Linear, Log
from lethe.core.canonical import digest_json
from lethe.models import MODELS, configure

WITHOUT_OPTIONS = {"mostpop", "cooccurrence", "weighted-cooccurrence"}


@pytest.mark.parametrize("name", MODELS)
def test_every_model_says_where_it_is_searched_and_its_defaults_lie_inside(name: str) -> None:
    declared, config = MODELS[name].Config.searched(), MODELS[name].Config
    assert bool(declared) == (name not in WITHOUT_OPTIONS)
    start = configure(name, {}).plain()
    for option, within in declared.items():
        assert option in config.model_fields
        values = within.values()
        assert len(values) == len({digest_json(value) for value in values}) > 1
        for value in values:
            configure(name, start | {option: value})
        if isinstance(within, Choice):
            assert start[option] in values
        else:
            assert values == sorted(values)
            assert values[0] <= start[option] <= values[-1]
    for option, axis in Space(name).axes().items():
        assert axis.values[axis.start] == start[option]


def test_ranges_have_their_ends_and_equal_steps_or_ratios() -> None:
    assert Linear(0.0, 0.9, 10).values() == [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
    assert Linear(1, 4, 4).values() == [1, 2, 3, 4]
    assert Log(0.001, 10.0, 5).values() == [0.001, 0.01, 0.1, 1.0, 10.0]
    assert Log(8, 256, 6).values() == [8, 16, 32, 64, 128, 256]
    assert Log(0.1, 10.0, 3, zero=True).values() == [0.0, 0.1, 1.0, 10.0]
    assert Log(1, 4, 9).values() == [1, 2, 3, 4], "whole numbers, each once"


def test_the_starting_value_takes_its_place_among_the_others() -> None:
    space = Space("item-knn", {"shrinkage": 12.5})
    axis = space.axes()["shrinkage"]
    assert axis.ordered
    assert list(axis.values) == sorted({*Log(0.1, 1000.0, zero=True).values(), 12.5})
    assert axis.values[axis.start] == 12.5
    assert space.axes()["neighbours"].values[space.axes()["neighbours"].start] == 50


def test_an_option_that_the_solver_does_not_look_at_is_not_searched() -> None:
    exact, descent = Space("wmf").axes(), Space("wmf", {"solver": "gradient"}).axes()
    assert set(descent) - set(exact) == {"learning_rate", "epochs"}
    assert set(exact) - set(descent) == {"sweeps", "reg_exponent"}


def test_an_option_that_is_held_is_not_searched() -> None:
    held = Space("wmf", {"sweeps": 2}, held=frozenset({"sweeps"}))
    assert set(Space("wmf").axes()) - set(held.axes()) == {"sweeps"}
    assert held.start()["sweeps"] == 2
    listed = Space("wmf", {"sweeps": 2}, {"sweeps": [3]}, held=frozenset({"sweeps"}))
    assert listed.axes() == {"sweeps": Axis((2, 3))}, "what is listed varies"


def test_a_class_is_heard_before_its_bases() -> None:
    assert MODELS["convncf"].Config.searched()["learning_rate"] == Log(2e-4, 0.02, 7)
    assert MODELS["enmf-i"].Config.searched() == MODELS["enmf-u"].Config.searched()


def test_the_sizes_that_are_searched_go_by_how_much_data_there_are() -> None:
    def sizes(smaller: int | None, model: str = "wmf") -> list[int]:
        return list(Space(model, smaller=smaller).axes()["embedding_dim"].values)

    assert sizes(None) == sizes(1_000) == [8, 16, 32, 64, 128, 256]
    assert sizes(100) == [8, 16, 32, 64]
    assert sizes(20) == [8, 16, 64], "what the search begins with is always tried"
    assert sizes(200_000) == [8, 16, 32, 64, 128, 256, 512, 1024]
    assert sizes(200_000, "convncf") == [16, 32, 64], "a choice has no values beyond it"
    space = Space("wmf", {"embedding_dim": 64}, smaller=100)
    assert space.edges({"embedding_dim": 64}) == (), "the data carry no more"


def test_edges_are_named_except_where_an_option_ends_there() -> None:
    ease = Space("ease")
    assert ease.edges({"reg": 20_000.0}) == ("reg (highest)",)
    assert ease.edges({"reg": 1.0}) == ("reg (lowest)",)
    assert ease.edges({"reg": 200.0}) == ()
    assert Space("wmf").edges({"dropout": 0.0, "reg": 0.0, "reg_exponent": 1.0, "negative_weight": 2.0}) == (
        "negative_weight (highest)",
    )
    assert Space("wmf", grid={"dropout": [0.1]}).axes() == {"dropout": Axis((0.5, 0.1))}
    assert Space("wmf", grid={"dropout": [0.1]}).edges({"dropout": 0.1}) == ()
