"""Verification's comparison."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lethe.errors import NotComparable
from lethe.proof.compare import compare, same_environment

ENVIRONMENT = {"torch": "2.13.0", "device": "cpu", "threads": 1}
DIGESTS = st.dictionaries(st.text(min_size=1), st.sampled_from(["a", "b"]), min_size=1)


@given(DIGESTS, DIGESTS)
def test_equal_exactly_when_both_sides_name_the_same_digests(deployed, rebuilt):
    comparison = compare(deployed, rebuilt)
    assert comparison.equal == (deployed == rebuilt)
    assert set(comparison.differing) == {name for name, _ in deployed.items() ^ rebuilt.items()}


def test_what_is_on_one_side_only_differs():
    comparison = compare({"a": "1", "b": "2"}, {"a": "1", "c": "3"})
    assert comparison.to_json() == {
        "result": "different",
        "compared": 3,
        "differing": ["b", "c"],
        "left_out": [],
        "seed": None,
    }


def test_another_environment_is_neither_equal_nor_different():
    same_environment(ENVIRONMENT, dict(ENVIRONMENT))
    with pytest.raises(NotComparable, match=r"another environment, device, torch differ"):
        same_environment(ENVIRONMENT, ENVIRONMENT | {"device": "H100", "torch": "2.14.0"})


def test_what_other_code_made_is_said_to_be_that_whatever_else_differs():
    with pytest.raises(NotComparable, match=r"^not comparable: made by other code; run lethe train"):
        same_environment(ENVIRONMENT | {"code": "a"}, ENVIRONMENT | {"code": "b", "torch": "2.14.0"})


def test_comparing_nothing_is_not_equality():
    with pytest.raises(AssertionError):
        compare({}, {})
