"""What counts as seen and as unknown, against a service whose answers are made up."""

from __future__ import annotations

import json
from collections import Counter

import httpx
import numpy as np

from benchmarks.answers import LENGTHS, _asked, report
from lethe.tables.interactions import Interactions


def test_what_a_user_has_is_seen_and_who_is_not_known_is_told() -> None:
    rows = Interactions.of(np.array([1, 1, 2]), np.array([10, 11, 12]))
    asked = Counter[int]()

    def answer(request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content)
        asked[body["user_id"]] += 1
        items = [{"item_id": item} for item in (10, 13, 14)]
        known = body["user_id"] == 1
        return httpx.Response(200, json={"items": items, "known": known, "source": "model" if known else "popular"})

    with httpx.Client(base_url="http://service", transport=httpx.MockTransport(answer)) as client:
        row = _asked(client, "family", rows)
    each = len(LENGTHS)
    assert asked == {1: each, 2: each}
    assert row == {
        "users": 2,
        "answers": 2 * each,
        "places": 6 * each,
        "seen": each,
        "unknown": each,
        "sources": {"model": each, "popular": each},
    }
    contents, text = report({"family": row, "other": row}, "command")
    assert (contents["answers"], contents["seen"], contents["unknown"]) == (4 * each, 2 * each, 2 * each)
    assert f"| all | 4 | {4 * each} |" in text
