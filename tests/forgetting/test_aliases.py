"""Merged accounts: a request about one id of a person finds the others, and nobody else."""

from __future__ import annotations

from pathlib import Path

import pytest

from lethe.core import keys
from lethe.core.workspace import Workspace
from lethe.errors import ConfigError, DataError, RequestError
from lethe.forgetting.aliases import Aliases
from lethe.forgetting.bulk import read_pairs
from lethe.forgetting.intake import Ask, Terms, submit, submit_all
from lethe.forgetting.rotation import rotate
from lethe.forgetting.standing import alias, ledger, lift
from lethe.serving import hidden
from tests.forgetting.test_cases import EACH, Row, data, of, rows, workspace_of, write
from tests.house import forget, fulfil, train


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setenv("LETHE_KEY_DIR", str(tmp_path / "keys"))
    made = workspace_of(tmp_path / "w", rows())
    train(made)
    return made


def renamed(old: object, new: object) -> list[Row]:
    return [(new if row[0] == old else row[0], *row[1:]) for row in rows()]


def test_the_old_id_finds_the_rows_of_the_new_one(workspace: Workspace) -> None:
    assert alias(workspace, None, [("1007", "7")]) == 1
    assert alias(workspace, None, [("7", "1007")]) == 0, "the same, told the other way round"
    (answer,) = submit_all(workspace, None, [Ask("1007")])
    assert answer.request.state == "completed", "nothing is held under the old id"
    (other,) = answer.same_person
    assert (other.state, other.held.interactions) == ("accepted", EACH)
    assert hidden.read(workspace.hidden_users) == {other.user_digest}
    fulfil(workspace)
    assert ledger(workspace).get(other.id).state == "completed"
    again = data(workspace)
    assert of(again, 7) == 0
    assert len(again) == len(rows()) - EACH


def test_ids_hang_together_by_a_third_that_stands_nowhere(workspace: Workspace) -> None:
    alias(workspace, None, [("7", "1007"), ("1007", "8")])
    ids = {request.id for request in submit_all(workspace, None, [Ask("8")])[0].same_person}
    assert len(ids) == 1
    fulfil(workspace)
    write(workspace.root / "ratings.csv", renamed(9, 1007))
    again = data(workspace)
    assert [of(again, user) for user in (7, 8, 1007)] == [0, 0, 0], "what comes later under the third id stays out"
    assert of(again, 10) == EACH


def test_single_interactions_are_asked_of_all_ids(workspace: Workspace) -> None:
    alias(workspace, None, [("1007", "7")])
    item = next(str(row[1]) for row in rows() if row[0] == 7)
    (answer,) = submit_all(workspace, None, [Ask("1007", (item,))])
    assert [request.held.interactions for request in answer.same_person] == [1]
    fulfil(workspace)
    assert of(data(workspace), 7) == EACH - 1


def test_an_id_that_comes_between_the_steps_is_asked_about_too(workspace: Workspace) -> None:
    alias(workspace, None, [("7", "1007")])
    submit(workspace, None, "7")
    write(workspace.root / "ratings.csv", [*rows(), *((1007, *row[1:]) for row in rows() if row[0] == 9)])
    train(workspace)
    fulfil(workspace)
    assert {request.state for request in ledger(workspace).all()} == {"completed"}
    assert len(ledger(workspace).all()) == 2
    assert of(data(workspace), 1007) == 0


def test_who_takes_one_of_two_back_keeps_its_rows(workspace: Workspace) -> None:
    alias(workspace, None, [("7", "8")])
    (answer,) = submit_all(workspace, None, [Ask("7")])
    ledger(workspace).advance(answer.same_person[0].id, "withdrawn")
    fulfil(workspace)
    again = data(workspace)
    assert (of(again, 7), of(again, 8)) == (0, EACH)


def test_what_is_removed_again_binds_nobody(workspace: Workspace) -> None:
    alias(workspace, None, [("7", "8")])
    assert alias(workspace, None, [("8", "7")], remove=True) == 1
    forget(workspace, "7")
    assert of(data(workspace), 8) == EACH
    with pytest.raises(RequestError, match="alias: pair 1 is not recorded for tiny, nothing was removed"):
        alias(workspace, None, [("8", "7")], remove=True)


@pytest.mark.parametrize("how", ["lifted", "another person after all"])
def test_an_id_that_was_kept_out_with_another_comes_back_with_it(workspace: Workspace, how: str) -> None:
    alias(workspace, None, [("7", "1007"), ("8", "1008")])
    forget(workspace, "7", "8")
    later = [(user, row[1], 5, 1_800_000_000) for user in (7, 1007, 1008) for row in rows()[:1]]
    write(workspace.root / "ratings.csv", [*rows(), *later])
    assert {1007, 1008}.isdisjoint(data(workspace).user_ids)
    if how == "lifted":
        lift(workspace, None, "7")
    else:
        alias(workspace, None, [("7", "1007")], remove=True)
    again = data(workspace)
    assert [of(again, user) for user in (7, 1007, 1008)] == [int(how == "lifted"), 1, 0]


def test_an_alias_makes_nobody_of_nobody(workspace: Workspace) -> None:
    alias(workspace, None, [("1007", "1008")])
    with pytest.raises(RequestError, match="nobody has this id"):
        submit(workspace, None, "1007")
    assert submit(workspace, None, "1007", terms=Terms(confirm_unknown=True)).state == "completed"


def test_the_file_holds_digests_alone_and_is_of_one_key(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alias(workspace, None, [("distinctive-one", "distinctive-two")])
    content = workspace.aliases.read_text()
    assert "distinctive" not in content
    workspace.aliases.write_text(content.replace("\ntiny,", "\ntiny,x"))
    with pytest.raises(DataError, match=r"aliases.csv: line 3 must be a dataset and two digests"):
        Aliases.read(workspace.aliases)
    workspace.aliases.write_text(content)
    monkeypatch.setenv("LETHE_KEY_DIR", str(tmp_path / "others"))
    with pytest.raises(ConfigError, match=r"key: aliases.csv was made under the key"):
        Aliases.read(workspace.aliases)


def test_another_key_takes_along_whom_it_knows(workspace: Workspace, tmp_path: Path) -> None:
    alias(workspace, None, [("7", "8")])
    rotate(workspace, tmp_path / "one.json")
    assert Aliases.read(workspace.aliases).of("tiny", keys.subject_digest("tiny", 7)) == (
        keys.subject_digest("tiny", 8),
    )
    alias(workspace, None, [("7", "1007")])
    with pytest.raises(RequestError, match=r"and 1 of 2 aliases name somebody"):
        rotate(workspace, tmp_path / "two.json")
    assert rotate(workspace, tmp_path / "two.json", drop_unknown=True).dropped_aliases == 1
    assert len(Aliases.read(workspace.aliases).pairs) == 1


@pytest.mark.parametrize(
    ("content", "line"),
    [("1,2,3\n", "line 1 has 3 columns"), ("user,same_as\n", "a line of two ids"), ("", "a line of two ids")],
)
def test_files_of_pairs_that_are_none(tmp_path: Path, content: str, line: str) -> None:
    path = tmp_path / "merged.csv"
    path.write_text(content)
    with pytest.raises(RequestError, match=line):
        read_pairs(str(path))


def test_files_of_pairs(tmp_path: Path) -> None:
    path = tmp_path / "merged.csv"
    path.write_text('user,same_as\n7,"a,b"\n\n8, 9\n')
    assert read_pairs(str(path)) == [("7", "a,b"), ("8", " 9")]


@pytest.mark.parametrize("pair", [("7", "7"), ("", "7"), ("7", "")])
def test_pairs_that_are_none(workspace: Workspace, pair: tuple[str, str]) -> None:
    with pytest.raises(RequestError, match="alias: pair 2 must be two different ids"):
        alias(workspace, None, [("1", "2"), pair])
    assert not workspace.aliases.exists()
