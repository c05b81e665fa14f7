"""What is popular in a context, for whom nothing else is known; and never what a few people took."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lethe.core.keys import subject_digest
from lethe.errors import ArtifactError
from lethe.learning.ensemble import FactorEnsemble
from lethe.serving.deployment import Deployment
from lethe.serving.desk import BadRequest, Desk
from lethe.serving.hidden import HiddenUsers, publish
from lethe.serving.package import Package
from lethe.serving.packing import write_package
from lethe.serving.situations import FILE
from lethe.tables.catalogue import Catalogue
from lethe.tables.interactions import Interactions
from tests.serving.conftest import package_info

# In the morning everybody takes item 1 and in the evening item 2; item 3 is the most popular, at no time; user 9 alone
# is a night owl.
USERS = np.array([*np.repeat(np.arange(1, 7), 2), *range(1, 9), 9])
ITEMS = np.array([*np.tile([1, 2], 6), *[3] * 8, 4])
TIMES = np.array([*np.tile(["morning", "evening"], 6), *["noon"] * 8, "night"], dtype=object)


def write(folder: Path, contexts: bool = True) -> Package:
    rows = Interactions.of(USERS, ITEMS, contexts={"daytime": TIMES} if contexts else None)
    catalogue = Catalogue.of(rows)
    shape = catalogue.shape
    ensemble = FactorEnsemble(
        catalogue, np.ones((shape.num_users, 1), np.float32), np.ones((shape.num_items, 1), np.float32)
    )
    write_package(folder, ensemble, rows, package_info())
    return Package.load(folder)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    publish(tmp_path / "hidden.json", [subject_digest("tiny", 1)])
    deployment = Deployment.parse({"bento": "b:1", "families": {"f": "t:1"}, "default": "f"}, "test")
    return Desk(deployment, {"f": write(tmp_path / "package")}, HiddenUsers(tmp_path / "hidden.json"))


@pytest.mark.parametrize(
    ("context", "best"),
    [({"daytime": "morning"}, 1), ({"daytime": "evening"}, 2), ({"daytime": "never"}, 3), ({"other": "x"}, 3), ({}, 3)],
)
def test_who_is_unknown_gets_what_is_popular_in_the_context(desk: Desk, context: dict[str, str], best: int) -> None:
    answer = desk.recommend("new", 3, context=context)
    assert answer.items[0].item_id == best
    assert answer.source == "popular"
    assert answer == desk.recommend(1, 3, context=context), "to the letter what a hidden user gets"


def test_what_a_few_people_took_is_popular_in_no_context(desk: Desk) -> None:
    night = desk.recommend("new", 4, context={"daytime": "night"})
    assert night == desk.recommend("new", 4)


def test_equal_ones_follow_in_the_order_of_popularity_everywhere(desk: Desk) -> None:
    morning = desk.recommend("new", 4, context={"daytime": "morning"})
    assert [item.item_id for item in morning.items] == [1, 3, 2, 4]


def test_without_contexts_a_request_must_have_none(tmp_path: Path) -> None:
    served = write(tmp_path / "plain", contexts=False)
    assert not (tmp_path / "plain" / FILE).exists()
    deployment = Deployment.parse({"bento": "b:1", "families": {"f": "t:1"}, "default": "f"}, "test")
    with pytest.raises(BadRequest, match=r"^context: model wmf looks at none, leave it out$"):
        Desk(deployment, {"f": served}, HiddenUsers(None)).recommend("new", 3, context={"daytime": "morning"})


def test_its_bytes_are_a_function_of_the_rows_and_a_foreign_file_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "one")
    write(tmp_path / "two")
    assert (tmp_path / "one" / FILE).read_bytes() == (tmp_path / "two" / FILE).read_bytes()
    (tmp_path / "one" / FILE).write_bytes(b"foreign")
    with pytest.raises(ArtifactError, match="not a package"):
        Package.load(tmp_path / "one")
