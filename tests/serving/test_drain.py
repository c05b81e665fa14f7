from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
import uvicorn
from starlette.responses import PlainTextResponse

from lethe.serving import drain
from lethe.serving.drain import Drain


async def _until(condition: Callable[[], object]) -> None:
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("never happened")


def test_a_connection_accepted_before_the_end_is_answered_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uvicorn.Server, "shutdown", uvicorn.Server.shutdown)
    monkeypatch.setattr(Drain, "ending", False)
    monkeypatch.setattr(drain, "GRACE", 2.0)
    drain.drain_before_shutdown()
    config = uvicorn.Config(Drain(PlainTextResponse("hello")), port=0, lifespan="off", log_config=None)
    server = uvicorn.Server(config)

    async def scene() -> bytes:
        serving = asyncio.create_task(server.serve())
        await _until(lambda: server.started)
        host, port = server.servers[0].sockets[0].getsockname()
        reader, writer = await asyncio.open_connection(host, port)
        await _until(lambda: server.server_state.connections)
        server.should_exit = True
        await _until(lambda: Drain.ending)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(host, port)
        writer.write(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n")
        answer = await reader.read()
        writer.close()
        await serving
        return answer

    answer = asyncio.run(scene())
    assert answer.startswith(b"HTTP/1.1 200")
    assert b"connection: close" in answer.lower()
    assert answer.endswith(b"hello")
