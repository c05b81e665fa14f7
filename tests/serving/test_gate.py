"""The gate: who may ask what, how much, and what is said of it; in process, without BentoML."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import httpx
import pytest
from anyio import Event, create_task_group, run
from starlette.testclient import TestClient

from lethe.config.serving import Events, Limits
from lethe.core.logs import JsonLines
from lethe.errors import ConfigError
from lethe.serving import access
from lethe.serving.access import ROUTES, ApiKey, Keys, Role, allowed, route_of
from lethe.serving.deployment import Deployment
from lethe.serving.desk import Desk
from lethe.serving.events import EventBuffer
from lethe.serving.gate import Gate, Rates
from lethe.serving.hidden import HiddenUsers
from lethe.serving.routes import application
from tests.serving.test_package import SEEN, package

KEYS = {role: f"{role}-key-of-thirty-characters" for role in Role}
ASK = {"user_id": 1, "k": 2}
BODIES = {
    "/recommend": ASK,
    "/recommend/batch": {"user_ids": [1, 2]},
    "/similar_items": {"item_id": 10},
    "/score": {"user_id": 1, "item_ids": [10]},
    "/explain": {"user_id": 1, "item_id": 10},
    "/events": {"user_id": 1, "item_ids": [10]},
    "/person": {"user_id": 1},
}


class Deaf(EventBuffer):
    """Takes everything and keeps nothing."""

    def __init__(self) -> None:
        super().__init__(Path("nowhere"), Events())

    def take(self, *_: Any) -> None:
        pass


def served(keyed: bool = True, events: EventBuffer | None = None, **limits: Any) -> Gate:
    import numpy as np

    app = application()
    values = {"bento": "b:1", "families": {"f": "t:1"}, "default": "f", "limits": limits}
    scores = np.arange(16, dtype=np.float32).reshape(4, 4)
    packages = {"f": package(SEEN, scores)}
    app.state.desk = Desk(Deployment.parse(values, "test"), packages, HiddenUsers(None), events=events or Deaf())
    entries = tuple(ApiKey.of(role.value, role, key) for role, key in KEYS.items()) if keyed else ()
    app.state.keys = Keys(None, entries)
    return Gate(app, app.state)


def client(gate: Gate, role: Role | None = None, host: str = "10.0.0.7") -> TestClient:
    headers = {"Authorization": f"Bearer {KEYS[role]}"} if role else {}
    return TestClient(gate, client=(host, 50000), headers=headers)


@pytest.mark.parametrize("prefix", ["", "/v1"])
@pytest.mark.parametrize("role", list(Role))
def test_each_role_may_do_what_the_table_says_and_no_more(role: Role, prefix: str) -> None:
    asking = client(served(), role)
    for route, body in BODIES.items():
        answer = asking.post(prefix + route, json=body)
        assert answer.status_code == (200 if role in ROUTES[route] else 403), route
    assert asking.get(f"{prefix}/model").status_code == (200 if role in ROUTES["/model"] else 403)
    assert asking.get("/metrics").status_code == (200 if role in ROUTES["/metrics"] else 403)
    assert asking.get("/schema.json").status_code == (404 if role is Role.OPERATOR else 403), "BentoML's own paths too"


@pytest.mark.parametrize(
    ("headers", "status", "line"),
    [
        ({}, 401, "key: missing, send it as Authorization: Bearer KEY"),
        ({"Authorization": "Bearer wrong"}, 401, "key: is not one of this service"),
        ({"X-API-Key": "wr\u00f6ng"}, 401, "key: is not one of this service"),
        ({"Authorization": "Basic abc"}, 401, "key: missing, send it as Authorization: Bearer KEY"),
        ({"Authorization": f"Bearer {KEYS[Role.PRIVACY_OFFICER]}"}, 403, None),
    ],
)
def test_a_missing_or_wrong_key_is_one_line(headers: dict[str, str], status: int, line: str | None) -> None:
    raw = {name: value.encode("latin-1") for name, value in headers.items()}
    answer = client(served()).post("/recommend", json=ASK, headers=raw)  # type: ignore[arg-type]
    assert answer.status_code == status
    assert answer.json() == {"error": line or "key: is of the role privacy-officer, this needs operator or reader"}


def test_probes_need_no_key_and_say_from_what_it_answers() -> None:
    gate = served()

    async def alive(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"\n"})

    gate.app = alive
    assert client(gate).get("/readyz").json() == {"ready": True, "answers": "models"}
    assert client(gate).get("/livez").json() == {"alive": True}


def test_without_keys_only_this_machine_is_answered() -> None:
    gate = served(keyed=False)
    assert client(gate, host="127.0.0.1").post("/recommend", json=ASK).status_code == 200
    assert client(gate, host="::1").post("/recommend", json=ASK).json()["known"] is True
    for asking, headers in (
        (client(gate), {}),
        (client(gate, host="127.0.0.1"), {"X-Forwarded-For": "10.0.0.7"}),
        (client(gate, host="testclient"), {}),
    ):
        answer = asking.post("/recommend", json=ASK, headers=headers)
        assert (answer.status_code, list(answer.json())) == (403, ["error"])


def test_only_operators_see_who_is_known() -> None:
    gate = served()
    assert client(gate, Role.OPERATOR).post("/recommend", json=ASK).json()["known"] is True
    reader = client(gate, Role.READER)
    assert "known" not in reader.post("/recommend", json=ASK).json()
    assert "known" not in reader.post("/v1/recommend/batch", json={"user_ids": [1]}).json()["answers"][0]


def test_every_answer_is_kept_nowhere_and_loads_nothing() -> None:
    gate = served()
    for answer in (
        client(gate, Role.READER).post("/recommend", json=ASK),
        client(gate, Role.READER).get("/"),
        client(gate).get("/anything"),
    ):
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")
        assert "http" not in answer.text.replace("openapi", ""), "no page names a foreign host"
    assert client(gate, Role.READER).get("/").json()["name"] == "lethe"


def test_a_body_too_large_is_refused_whether_or_not_it_says_how_large_it_is() -> None:
    reader = client(served(body=200), Role.READER)
    line = {"error": "body: more than 200 bytes, at most so many are read"}
    large = json.dumps({"user_id": "x" * 300}).encode()
    said = reader.post("/recommend", content=large)
    unsaid = reader.post("/recommend", content=iter([large[:100], large[100:]]))
    assert (said.status_code, said.json()) == (unsaid.status_code, unsaid.json()) == (413, line)
    assert reader.post("/recommend", json=ASK).status_code == 200


def test_more_than_its_rate_is_refused_for_one_key_alone() -> None:
    gate = served(rate=2)
    gate.rates.clock = lambda: 0.0
    reader, operator = client(gate, Role.READER), client(gate, Role.OPERATOR)
    answers = [reader.post("/recommend", json=ASK) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[2].headers["retry-after"] == "1"
    assert operator.post("/recommend", json=ASK).status_code == 200
    gate.rates.clock = lambda: 0.5
    assert [reader.post("/recommend", json=ASK).status_code for _ in range(2)] == [200, 429]


def test_callers_who_were_quiet_longest_are_let_go() -> None:
    rates = Rates(1.0, lambda: 0.0)
    assert rates.take("first")
    assert not rates.take("first")
    for number in range(10_000):
        rates.take(str(number))
    assert rates.take("first"), "whose bucket is forgotten starts anew"


def test_an_overloaded_worker_says_so_at_its_stated_length_and_recovers() -> None:
    gate = served(queue=2)
    held, free = 0, Event()

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        nonlocal held
        held += 1
        await free.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    gate.app = slow
    statuses: list[int] = []

    async def all_at_once() -> None:
        headers = {"Authorization": f"Bearer {KEYS[Role.READER]}"}
        transport = httpx.ASGITransport(gate, client=("10.0.0.7", 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://x", headers=headers) as asking:

            async def ask() -> None:
                answer = await asking.post("/recommend", json=ASK)
                statuses.append(answer.status_code)
                if answer.status_code == 503:
                    assert answer.headers["retry-after"] == "1"
                    assert answer.json() == {"error": "service: 2 requests wait already, ask again in 1 s"}
                    free.set()

            async with create_task_group() as group:
                for _ in range(3):
                    group.start_soon(ask)
            await ask()

    run(all_at_once)
    assert sorted(statuses) == [200, 200, 200, 503]
    assert held == 3


def test_a_body_that_does_not_arrive_gives_its_place_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lethe.serving.gate.PATIENCE", 0.01)
    gate, sent = served(), list[Any]()

    async def ask() -> None:
        parts = [{"type": "http.request", "body": b"{", "more_body": True}]

        async def receive() -> Any:
            return parts.pop() if parts else await Event().wait()

        async def send(message: Any) -> None:
            sent.append(message)

        head = [(b"authorization", f"Bearer {KEYS[Role.READER]}".encode())]
        scope = {"type": "http", "method": "POST", "path": "/v1/recommend", "headers": head, "client": ("10.0.0.7", 1)}
        await gate(scope, receive, send)

    run(ask)
    assert sent[0]["status"] == 408
    assert json.loads(sent[1]["body"]) == {"error": "body: must arrive within 0.01 s"}
    assert gate.held == 0


def test_a_rate_below_one_a_second_says_how_long_to_wait() -> None:
    gate = served(rate=0.1)
    gate.rates.clock = lambda: 0.0
    reader = client(gate, Role.READER)
    answers = [reader.post("/recommend", json=ASK) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 429]
    assert answers[1].headers["retry-after"] == "10"
    assert answers[1].json() == {"error": "key: more than 0.1 requests a second, ask again in 10 s"}


def test_a_web_page_reads_why_it_is_refused_where_it_may_ask() -> None:
    gate = served(origins=["https://shop.example"])
    refused = client(gate).post("/recommend", json=ASK, headers={"Origin": "https://shop.example"})
    assert refused.status_code == 401
    assert refused.headers["access-control-allow-origin"] == "https://shop.example"
    assert "access-control-allow-origin" not in client(gate).post("/recommend", json=ASK).headers


def test_without_keys_no_web_page_of_elsewhere_asks_through_a_browser_of_this_machine() -> None:
    here = client(served(keyed=False, origins=["https://shop.example"]), host="127.0.0.1")
    for origin in ("http://127.0.0.1:8080", "http://localhost", "http://[::1]:3000", "https://shop.example"):
        assert here.post("/recommend", json=ASK, headers={"Origin": origin}).status_code == 200, origin
    for origin in ("http://evil.example:3000", "null", "http://localhost.evil.example", "http://[::1"):
        assert here.post("/recommend", json=ASK, headers={"Origin": origin}).status_code == 403, origin


def test_web_pages_may_ask_only_where_it_is_set() -> None:
    preflight = {"Origin": "https://shop.example", "Access-Control-Request-Method": "POST"}
    closed = client(served()).options("/recommend", headers=preflight)
    assert "access-control-allow-origin" not in closed.headers
    gate = served(origins=["https://shop.example"])
    opened = client(gate).options("/recommend", headers=preflight)
    assert opened.headers["access-control-allow-origin"] == "https://shop.example"
    other = client(gate).options("/recommend", headers=preflight | {"Origin": "https://other.example"})
    assert "access-control-allow-origin" not in other.headers


def test_the_log_is_json_of_routes_and_no_ids(caplog: pytest.LogCaptureFixture) -> None:
    reader = client(served(), Role.READER)
    with caplog.at_level(logging.INFO, "lethe.access"):
        reader.post("/v1/recommend", json={"user_id": "anna-schmidt"})
        reader.post("/recommend", json={"user_id": "anna-schmidt", "k": 0})
        reader.get("/users/anna-schmidt?name=anna-schmidt")
    lines = [json.loads(JsonLines().format(record)) for record in caplog.records if record.name == "lethe.access"]
    assert [(line["route"], line["status"], line["key"]) for line in lines] == [
        ("/recommend", 200, "reader"),
        ("/recommend", 422, "reader"),
        ("other", 403, "reader"),
    ]
    assert "anna" not in caplog.text


def test_keys_in_a_file_are_hashed_and_stop_working_when_taken_out(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "api-keys.json"
    key = access.add(path, "shop", Role.READER)
    assert key not in path.read_text()
    assert path.stat().st_mode & 0o077 == 0
    keys = Keys(path)
    entry = keys.find(key)
    assert entry is not None
    assert (entry.name, entry.role) == ("shop", Role.READER)
    assert keys.find(key + "x") is None
    with pytest.raises(ConfigError, match=r"^name: there is a key 'shop' already"):
        access.add(path, "shop", Role.OPERATOR)
    access.remove(path, "shop")
    assert keys.find(key) is None
    with pytest.raises(ConfigError, match=r"^name: no key 'shop'; known keys: none"):
        access.remove(path, "shop")


def test_a_file_of_keys_that_is_damaged_or_gone_opens_nothing(tmp_path: Path) -> None:
    path = tmp_path / "api-keys.json"
    key = access.add(path, "shop", Role.READER)
    keys = Keys(path)
    assert keys.find(key)
    path.write_text("{")
    assert keys.find(key) is None
    assert keys, "whoever asks still needs a key"
    path.unlink()
    assert keys


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("nokey", "LETHE_API_KEYS: entry 1 must be role:key, with one of reader, operator, privacy-officer, monitor"),
        ("reader:abcdefghijklmnopqrstuv boss:x", "LETHE_API_KEYS: entry 2 must be role:key"),
        ("reader:short", "LETHE_API_KEYS: key 1 has 5 characters, must have at least 20"),
    ],
)
def test_keys_of_the_environment_are_checked_and_not_shown(text: str, line: str, monkeypatch: Any) -> None:
    monkeypatch.setenv("LETHE_API_KEYS", text)
    with pytest.raises(ConfigError, match=f"^{line}") as caught:
        Keys.from_environment()
    assert "abcdefghij" not in str(caught.value)


def test_who_has_the_workspaces_secret_is_its_operator() -> None:
    access.keys.secret(access.keys.HMAC)
    own = access.own_key()
    assert own is not None
    entry = Keys(None, (ApiKey.of("shop", Role.READER, KEYS[Role.READER]),)).find(own)
    assert entry is not None
    assert entry.role is Role.OPERATOR


def test_every_route_of_the_service_is_in_the_table_of_roles() -> None:
    paths = {route_of(path) for path in application().openapi()["paths"]}
    assert None not in paths
    assert paths <= set(ROUTES)
    assert allowed("/whatever/else") == {Role.OPERATOR}
    assert Limits().queue > 0
