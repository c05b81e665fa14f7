"""Requests over connections that are kept: kinds of them in turns of a second, and what each answer took."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

import numpy as np

from lethe.serving.server import Server


@dataclass
class Load:
    """What one kind of request took: seconds of each answer, over ``seconds`` of asking."""

    took: list[float]
    seconds: float = 0.0

    def figures(self) -> dict[str, float]:
        """Requests a second, and milliseconds that half and 99 of 100 took at most."""
        p50, p99 = np.percentile(self.took, [50, 99]) * 1000
        per_second = len(self.took) / self.seconds
        return {"per_second": round(per_second, 1), "p50_ms": round(p50, 2), "p99_ms": round(p99, 2)}


def request_of(server: Server, method: str, path: str, body: bytes) -> bytes:
    head = f"{method} {path} HTTP/1.1\r\nHost: {server.host}\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"Content-Type: application/json\r\n\r\n" + body


async def in_turns(server: Server, connections: int, kinds: dict[str, list[bytes]], seconds: float) -> dict[str, Load]:
    loads = {name: Load([]) for name in kinds}
    lines = [await asyncio.open_connection(server.host, server.port) for _ in range(connections)]
    for turn in range(max(int(seconds), 1) + 1):
        for name, requests in kinds.items():
            began = time.perf_counter()
            asked = [_ask(line, requests, place, began + 1.0) for place, line in enumerate(lines)]
            took = [value for part in await asyncio.gather(*asked) for value in part]
            if turn:  # the first turn warms up
                loads[name].took += took
                loads[name].seconds += time.perf_counter() - began
    for _, writer in lines:
        writer.close()
    return loads


async def _ask(
    line: tuple[asyncio.StreamReader, asyncio.StreamWriter], requests: list[bytes], place: int, until: float
) -> list[float]:
    reader, writer = line
    took = []
    while (began := time.perf_counter()) < until:
        writer.write(requests[(place * 131 + len(took)) % len(requests)])
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"the service answered {head[:40]!r}")
        length = next(int(part[15:]) for part in head.lower().split(b"\r\n") if part.startswith(b"content-length:"))
        await reader.readexactly(length)
        took.append(time.perf_counter() - began)
    return took
