"""Work in pieces: in order, each once, whatever the number of threads and whoever asks."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from lethe.core import cores


@pytest.fixture(params=[1, 2, 5])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    cores.use(request.param)
    yield request.param
    cores.use(1)


def test_each_piece_is_done_once_and_they_come_in_order(threads: int) -> None:
    assert cores.in_pieces(10, 3, lambda first, end: (first, end)) == [(0, 3), (3, 6), (6, 9), (9, 10)]
    assert cores.in_pieces(0, 3, lambda first, end: (first, end)) == []


def test_several_are_done_at_once_where_there_are_several_cores() -> None:
    cores.use(2)
    both = threading.Barrier(2, timeout=20)
    assert cores.in_pieces(2, 1, lambda first, end: both.wait() >= 0) == [True, True]
    cores.use(1)
    assert {*cores.in_pieces(4, 1, lambda first, end: threading.get_ident())} == {threading.get_ident()}


def test_pieces_inside_of_pieces_wait_for_nobody(threads: int) -> None:
    inner = lambda first, end: sum(cores.in_pieces(6, 2, lambda a, b: b - a))  # noqa: E731
    assert cores.in_pieces(8, 1, inner) == [6] * 8


def test_a_fault_of_a_piece_is_the_callers(threads: int) -> None:
    def fails(first: int, end: int) -> None:
        raise ValueError(f"rows {first} to {end}")

    with pytest.raises(ValueError, match="rows 0 to 1"):
        cores.in_pieces(3, 1, fails)


def test_many_who_ask_at_once_share_the_threads(threads: int) -> None:
    got: list[int] = []
    askers = [threading.Thread(target=lambda: got.extend(cores.in_pieces(50, 1, lambda a, b: a))) for _ in range(4)]
    for one in askers:
        one.start()
    for one in askers:
        one.join(60)
    assert sorted(got) == sorted([*range(50)] * 4)


FORKS = """
import multiprocessing
from lethe.core import cores

def first_rows():
    return cores.in_pieces(4, 1, lambda first, end: first)

def in_child(answer):
    answer.send(first_rows())

cores.use(2)
first_rows()
answer, child_end = multiprocessing.Pipe(duplex=False)
child = multiprocessing.get_context("fork").Process(target=in_child, args=(child_end,))
child.start()
print(answer.recv() if answer.poll(60) else "no answer")
child.join(60)
print(child.exitcode)
"""


def test_a_process_that_is_forked_off_has_threads_of_its_own() -> None:
    # From a process of its own: what else this one has loaded has rules of its own for forks.
    ran = subprocess.run([sys.executable, "-c", FORKS], capture_output=True, text=True, timeout=120)
    assert ran.stdout.splitlines() == ["[0, 1, 2, 3]", "0"], ran.stderr


def test_all_cores_are_those_that_the_process_may_run_on() -> None:
    assert cores.available() >= 1
    cores.use(None)
    assert cores._own.count == cores.available()
    cores.use(1)
