"""Proof of absence: who is in a tree is shown to be, who isn't is shown not to be, and no other proof passes."""

from __future__ import annotations

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from lethe.forgetting.certificate.users import UserTree


def raw(number: int) -> bytes:
    return hashlib.sha256(str(number).encode()).digest()


def digest(number: int) -> str:
    return raw(number).hex()


NUMBERS = st.sets(st.integers(0, 60), max_size=40)


@given(NUMBERS, st.integers(0, 60))
def test_everybody_is_either_shown_to_be_there_or_not_to_be(there: set[int], asked: int) -> None:
    tree, leaf = UserTree(map(raw, there)), digest(asked)
    member, absent = tree.member(leaf), tree.absent(leaf)
    assert (member is not None, absent is None) == (asked in there, asked in there)
    assert member is None or member.shows(leaf)
    assert absent is None or absent.shows(leaf)


@given(NUMBERS, st.integers(0, 60), st.integers(0, 60))
def test_a_proof_shows_nothing_of_somebody_who_is_there(there: set[int], asked: int, other: int) -> None:
    tree = UserTree(map(raw, there))
    absent = tree.absent(digest(asked))
    if absent is not None and other in there:
        assert not absent.shows(digest(other))
    member = tree.member(digest(asked))
    if member is not None and other != asked:
        assert not member.shows(digest(other))


@given(NUMBERS, st.integers(0, 60), st.integers(-2, 70), st.integers(0, 5))
def test_two_leaves_that_do_not_lie_side_by_side_show_nothing(
    there: set[int], asked: int, place: int, apart: int
) -> None:
    """The forger holds the whole tree, and may name any two leaves of it with their own paths."""
    tree, leaf = UserTree(map(raw, there | {asked})), digest(asked)
    leaves = sorted({"0" * 64, "f" * 64, *map(digest, there | {asked})})
    at = leaves.index(leaf)
    left, right = leaves[max(at - 1 - apart, 0)], leaves[min(at + 1 + apart, len(leaves) - 1)]
    absent = UserTree(map(raw, there - {asked})).absent(leaf)
    assert absent is not None
    paths = [tree.member(one) for one in (left, right)]
    forged = absent.model_copy(
        update={"root": tree.root, "place": place, "left": left, "right": right}
        | {f"{side}_path": path.path for side, path in zip(("left", "right"), paths, strict=True) if path}
    )
    assert not forged.shows(leaf)


def test_the_root_says_who_is_there_in_whatever_order() -> None:
    one, other = UserTree(map(raw, [1, 2])), UserTree(map(raw, [2, 1, 1]))
    assert one.root == other.root != UserTree([raw(1)]).root
