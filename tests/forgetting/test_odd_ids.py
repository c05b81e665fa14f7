"""Everybody whom a gate lets in can be forgotten, whatever their id is part of, or is a word of."""

from __future__ import annotations

import platform
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import yaml

from lethe.core.workspace import Workspace
from lethe.forgetting import certificate, standing
from lethe.tables.interactions import Interactions
from tests.conftest import make_workspace, taste_blocks
from tests.house import forget, train

ODD = {
    **{n: f"user_{n}" for n in range(12)},  # user_1 is the beginning of user_10 and of user_11.
    12: "anna@example.org",
    13: "hanna@example.org",
    14: "wmf",
    15: "model",
    16: "sub-model",
    17: "an id of blanks",
    18: "an id of blanks and more",
    19: "👩\u200d👩\u200d👧 family",
    20: "a/b\\c[d-e]*",
    21: "123456",
    22: "1234567",
    23: "item-001",
    24: "lethe-of-the-shop",  # What versions of a family of this name are called.
    25: "interactions",  # What the ledger counts, and what tables are called.
    26: platform.python_version(),  # Artifacts say what made them, and when.
    27: f"{datetime.now(UTC):%Y-%m-%dT%H}",
}
GONE = [1, 12, 14, 15, 16, 17, 19, 20, 21, 23, 24, 25, 26, 27]


def odd_workspace(folder: Path) -> Workspace:
    plain = taste_blocks(users=len(ODD))
    ids = np.array([ODD[int(str(user).removeprefix("user-"))] for user in plain.user_ids], dtype=object)
    workspace = make_workspace(folder, Interactions.of(ids, plain.item_ids, plain.ratings, plain.timestamps))
    params = yaml.safe_load(workspace.params.read_text())
    params["datasets"]["tiny"]["items_are_users"] = False
    params["families"]["of-the-shop"] = params["families"].pop("sharded")
    workspace.params.write_text(yaml.safe_dump(params, sort_keys=False))
    return workspace


def test_ids_that_are_part_of_one_another_or_words_of_ours(tmp_path: Path) -> None:
    workspace = odd_workspace(tmp_path / "odd")
    train(workspace)
    first = forget(workspace, ODD[1])
    rest = forget(workspace, *(ODD[number] for number in GONE[1:]))
    done = standing.ledger(workspace).get_all([*first, *rest])
    assert {request.state for request in done} == {"completed"}
    left = set(Interactions.read(workspace.interactions("tiny")).user_ids)
    assert left == {name for number, name in ODD.items() if number not in GONE}
    signed = certificate.read(workspace.root / str(done[-1].certificate))
    assert signed.scan.needles["subjects"] == len(rest)
    assert signed.scan.typed_only == 9, "four words and a number of ours, a family, an item, a version and an hour"
