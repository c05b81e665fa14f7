"""Whose id others' rows name: in a context (a referrer), or in what a feature says (a seller). It is asked whether that
is the person, when a request is taken and when data that came later name them; and either answer comes to its end."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import yaml

from lethe.config.params import Params
from lethe.core.workspace import Workspace
from lethe.data.stages import build_data
from lethe.errors import LetheError, RequestError
from lethe.forgetting import certificate, completion, erasure
from lethe.forgetting import run as runs
from lethe.forgetting.aside import left_out
from lethe.forgetting.certificate import Erasure
from lethe.forgetting.intake import Terms, retry, submit
from lethe.forgetting.ledger.requests import ForgetRequest
from lethe.forgetting.standing import ledger, lift
from lethe.proof.daily import check_suppression
from lethe.tables.interactions import Interactions
from lethe.tables.side_tables import SideTables
from tests.forgetting.test_cases import rows, workspace_of
from tests.house import fulfil, rebuild, train

PERSON, OTHER, SHORT = "person-007", "person-008", "p7"
THINGS = 20
REFERRED = 4


def write(
    workspace: Workspace, referrers: dict[int, str], sellers: dict[int, str], people: list[str] | None = None
) -> None:
    """Rows of people with things; who referred which row, and who sells which thing."""
    people = people or [f"person-{n:03d}" for n in range(24)]
    with (workspace.root / "ratings.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["user", "item", "rating", "timestamp", "referrer"])
        for number, (user, item, rating, time) in enumerate(rows(list(range(24)))):
            writer.writerow([people[int(str(user))], f"thing-{item}", rating, time, referrers.get(number, "")])
    with (workspace.root / "things.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["item", "seller"])
        writer.writerows([f"thing-{item}", sellers.get(item, "a shop")] for item in range(THINGS))


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    made = workspace_of(tmp_path / "w", rows())
    params = yaml.safe_load(made.params.read_text())
    dataset = params["datasets"]["tiny"]
    dataset["source"] |= {"ids": "text"}
    dataset["source"]["columns"]["context"] = ["referrer"]
    dataset["side"] = {"item_features": {"path": "things.csv", "fields": {"seller": {"kind": "category"}}}}
    made.params.write_text(yaml.safe_dump(params, sort_keys=False))
    return made


def data(workspace: Workspace) -> Interactions:
    build_data(workspace, Params.read(workspace.params), "tiny", ["whole"])
    return Interactions.read(workspace.interactions("tiny"))


def named(workspace: Workspace, who: str) -> tuple[int, int]:
    """How often contexts and features say this."""
    there = Interactions.read(workspace.interactions("tiny"))
    features = SideTables.read(workspace.side("tiny")).tables["item_features"]
    return int((there.contexts["referrer"] == who).sum()), int((features["value"] == who).sum())


def signed(workspace: Workspace, request: ForgetRequest) -> Erasure:
    content = certificate.check(workspace.certificates / f"{request.id}.json").content
    assert isinstance(content, Erasure)
    return content


def by_person(number: int) -> range:
    """The places of a person's rows."""
    return range(6 * number, 6 * number + 6)


def referred(person: str, places: range = by_person(8)) -> dict[int, str]:
    return dict.fromkeys(places[:REFERRED], person)


@pytest.mark.parametrize("person", [PERSON, SHORT], ids=["long", "short"])
def test_who_is_named_in_a_context_is_asked_about_and_taken_out_of_it(workspace: Workspace, person: str) -> None:
    people = [f"person-{n:03d}" if n != 7 else person for n in range(24)]
    write(workspace, referred(person), {}, people)
    train(workspace)
    before = len(data(workspace))
    with pytest.raises(RequestError, match=r"named by facts, features or contexts; say --also-item .* or --not-item"):
        submit(workspace, None, person)
    assert submit(workspace, None, OTHER).state == "accepted", "whose own rows have a context is not named by it"
    ledger(workspace).advance(ledger(workspace).open()[0].id, "withdrawn")
    request = submit(workspace, None, person, terms=Terms(also_item=True))
    assert (request.held.interactions, request.held.contexts) == (6, REFERRED)
    fulfil(workspace)
    assert ledger(workspace).get(request.id).state == "completed"
    assert signed(workspace, request).rows.removed["contexts"] == REFERRED
    left = data(workspace)
    assert len(left) == before - 6, "others keep their rows"
    assert named(workspace, person) == (0, 0)
    assert set(left.contexts["referrer"]) == {"missing"}
    lift(workspace, None, person)
    assert named(workspace, person) == (0, 0), "what was taken out stays out"
    again = data(workspace)
    assert person not in set(again.contexts["referrer"])
    write(workspace, referred(person) | referred(person, by_person(9)), {}, people)
    data(workspace)
    assert named(workspace, person) == (REFERRED, 0), "after a lift new rows may name them"


def test_rows_that_are_one_without_the_context_are_no_error(workspace: Workspace) -> None:
    write(workspace, referred(PERSON), {})
    source = workspace.root / "ratings.csv"
    lines = source.read_text().splitlines()
    place = by_person(8)[0] + 1
    twin = lines[place].removesuffix(PERSON)
    source.write_text("\n".join([*lines, twin]) + "\n")
    train(workspace)
    before = len(data(workspace))
    request = submit(workspace, None, PERSON, terms=Terms(also_item=True))
    fulfil(workspace)
    assert ledger(workspace).get(request.id).state == "completed"
    assert len(data(workspace)) == before - 6 - 1


def test_what_is_said_to_be_another_stays_and_the_certificate_tells(workspace: Workspace) -> None:
    """A word of six characters or more would be searched as text, were it not told that it is something else too."""
    write(workspace, referred(PERSON), {3: PERSON})
    train(workspace)
    request = submit(workspace, None, PERSON, terms=Terms(also_item=False))
    fulfil(workspace)
    assert ledger(workspace).get(request.id).state == "completed"
    assert named(workspace, PERSON) == (REFERRED, 1)
    assert signed(workspace, request).scan.typed_only == 1


@pytest.mark.parametrize("where", ["context", "feature"])
def test_who_is_named_by_data_that_came_later_is_asked_about_before_a_run(workspace: Workspace, where: str) -> None:
    write(workspace, {}, {})
    train(workspace)
    request, other = submit(workspace, None, PERSON), submit(workspace, None, OTHER)
    write(
        workspace,
        referred(PERSON, by_person(9)) if where == "context" else {},
        {3: PERSON} if where == "feature" else {},
    )
    train(workspace)
    fulfil(workspace)
    book = ledger(workspace)
    assert book.get(other.id).state == "completed", "nobody else waits for the answer"
    assert (book.get(request.id).state, book.get(request.id).failure) == ("failed", "unsaid-item")
    (line,) = left_out(workspace)
    assert line.startswith(
        f"{request.id} is left out: it failed (unsaid-item, its user's id is an item now, or named by"
    )
    assert line.endswith(f"lethe forget retry {request.id} --also-item, or --not-item")
    with pytest.raises(RequestError, match=r"^also_item: .*: is that the person\? say --also-item or --not-item$"):
        retry(workspace, request.id)
    held = retry(workspace, request.id, also_item=True).held
    assert (held.interactions, held.contexts, held.features) == (6, *((REFERRED, 0) if where == "context" else (0, 1)))
    fulfil(workspace)
    assert ledger(workspace).get(request.id).state == "completed"
    assert named(workspace, PERSON) == (0, 0)


def test_alone_it_is_told_in_a_line_and_may_be_another(workspace: Workspace) -> None:
    write(workspace, {}, {})
    train(workspace)
    request = submit(workspace, None, PERSON)
    write(workspace, referred(PERSON, by_person(9)), {})
    train(workspace)
    with pytest.raises(
        LetheError, match=rf"^{request.id}: its user's id is .* retry {request.id} --also-item, or --not-"
    ):
        runs.begin(workspace)
    assert runs.begin(workspace) is None, "once"
    retry(workspace, request.id, also_item=False)
    fulfil(workspace)
    assert ledger(workspace).get(request.id).state == "completed"
    assert named(workspace, PERSON) == (REFERRED, 0)


def test_who_is_named_by_what_the_run_itself_takes_in_is_set_aside_and_ends_by_an_answer(workspace: Workspace) -> None:
    write(workspace, {}, {})
    train(workspace)
    request = submit(workspace, None, PERSON)
    write(workspace, referred(PERSON, by_person(9)), {})
    with pytest.raises(LetheError, match="set aside as failed, once known: lethe forget retry"):
        rebuild(workspace)
    assert ledger(workspace).get(request.id).failure == "unsaid-item"
    assert PERSON not in set(data(workspace).user_ids), "the rows of their own are gone already"
    held = retry(workspace, request.id, also_item=True).held
    assert (held.interactions, held.contexts) == (6, REFERRED)
    fulfil(workspace)
    assert ledger(workspace).get(request.id).state == "completed"
    assert signed(workspace, request).rows.removed["interactions"] == 6
    assert named(workspace, PERSON) == (0, 0)


def test_what_was_answered_is_not_asked_again(workspace: Workspace) -> None:
    write(workspace, {}, {})
    train(workspace)
    request = submit(workspace, None, PERSON, terms=Terms(also_item=False))
    write(workspace, referred(PERSON, by_person(9)), {})
    completion.complete(workspace, erasure.erase(workspace, rebuild(workspace)))
    assert ledger(workspace).get(request.id).state == "completed"


@pytest.mark.parametrize("answer", [True, False], ids=["the person", "a thing"])
def test_who_was_certified_unasked_and_is_an_item_since_is_told_of_until_it_is_said(
    workspace: Workspace, answer: bool
) -> None:
    write(workspace, {}, {})
    data(workspace)
    asked = {who: submit(workspace, None, who, terms=Terms(confirm_unknown=True)).id for who in ("newcomer", "nobody")}
    said = submit(workspace, None, "thing-20", terms=Terms(confirm_unknown=True, also_item=False))
    assert {ledger(workspace).get(id).state for id in (*asked.values(), said.id)} == {"completed"}
    assert check_suppression(workspace)["unsaid"] == []
    with (workspace.root / "ratings.csv").open("a") as file:
        file.writelines(f"person-00{n},{item},4,1800000000,\n" for n in (1, 2) for item in ("newcomer", "thing-20"))
    assert "newcomer" in set(data(workspace).item_ids)
    assert check_suppression(workspace)["unsaid"] == [asked["newcomer"]]
    again = submit(workspace, None, "newcomer", terms=Terms(also_item=answer))
    assert again.state == ("accepted" if answer else "completed")
    assert check_suppression(workspace)["unsaid"] == ([asked["newcomer"]] if answer else []), "a run takes them out"
