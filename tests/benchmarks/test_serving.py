"""The load and its report, on what answers at once: no service is started."""

from __future__ import annotations

import asyncio
import time
from itertools import groupby
from typing import Any

import pytest

from benchmarks.serving import report
from benchmarks.serving_load import Load, _ask, in_turns
from lethe.serving.server import Server


def test_figures_are_of_what_was_asked_in_the_time_it_took() -> None:
    figures = Load([0.001] * 98 + [0.1] * 2, seconds=2.0).figures()
    assert figures == {"per_second": 50.0, "p50_ms": 1.0, "p99_ms": 100.0}


def test_kinds_take_turns_over_the_same_connections_and_the_first_turn_counts_nothing() -> None:
    paths: list[str] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readline():
            paths.append(head.decode().split()[1])
            rest = await reader.readuntil(b"\r\n\r\n")
            length = int(rest.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
            await asyncio.sleep(0.05)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

    async def run() -> dict[str, Load]:
        listening = await asyncio.start_server(answer, "127.0.0.1", 0)
        server = Server(0, 0, "127.0.0.1", listening.sockets[0].getsockname()[1], 1)
        kinds = {name: [f"POST /{name} HTTP/1.1\r\nContent-Length: 1\r\n\r\nx".encode()] for name in ("one", "two")}
        return await in_turns(server, 2, kinds, 1)

    loads = asyncio.run(run())
    turns = [(path, len(list(asked))) for path, asked in groupby(paths)]
    assert [path for path, _ in turns] == ["/one", "/two"] * 2
    assert [("/one", len(loads["one"].took)), ("/two", len(loads["two"].took))] == turns[2:]
    assert all(load.seconds >= 1.0 for load in loads.values()), "a turn is a second of asking"


def test_an_answer_that_is_not_200_ends_the_benchmark() -> None:
    async def run() -> None:
        reader = asyncio.StreamReader()
        reader.feed_data(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")

        class Writer:
            def write(self, _: bytes) -> None: ...

        line: Any = reader, Writer()
        await _ask(line, [b""], 0, time.perf_counter() + 1)

    with pytest.raises(RuntimeError, match="503 Busy"):
        asyncio.run(run())


def test_the_report_has_a_row_for_each_load() -> None:
    one = {"per_second": 100.0, "p50_ms": 1.0, "p99_ms": 2.0}
    load = {"recommend": one, "constant": one, "ratio": 1.0}
    worker = {"start_seconds": 3.0, "loads": {"1": load, "8": load}, "memory": [{"rss_mb": 9.0, "own_mb": 4.0}]}
    size = {"size": "demo", "package_mb": 1.0, "stack_mb": 2.5, "second_worker": 1.9, "workers_2": worker}
    size["workers_1"] = worker | {"batch_of_1000_ms": 5.0, "with_100k_hidden": load}
    _, text = report([size], "command")
    assert text.count("| demo | 1 |") == text.count("| demo | 2 |") == 2
    assert "| demo | 1.0 | 4.0 | 2.5 | 3.0 | 5.0 | 1.00 | 1.90 × |" in text
