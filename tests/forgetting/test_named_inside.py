"""Whose id stands inside of what others' features, contexts and facts say ("sold by anna@example.org"): asked about,
taken out or left like one that is all that is said, and never taken for an id that it is a part of."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from lethe.config.params import Params
from lethe.core.workspace import Workspace
from lethe.data.gates.look import look_at
from lethe.data.stages import build_data
from lethe.data.suppression import SuppressionList
from lethe.errors import RequestError
from lethe.forgetting.intake import Ask, Terms, retry, submit, submit_all
from lethe.forgetting.removal import take_out
from lethe.forgetting.rotation import rotate
from lethe.forgetting.standing import ledger, lift
from lethe.tables.inside import KnownIds
from lethe.tables.interactions import Interactions
from lethe.tables.side_tables import SideTables
from tests.forgetting.test_named import OTHER, PERSON, REFERRED, by_person, data, referred, signed, workspace, write
from tests.house import fulfil, train

__all__ = ["workspace"]

BY, FROM = f"sold by {PERSON}, used", f"link:{PERSON}|mail"
LONGER, WORD = f"{PERSON} jr", f"{PERSON}1"
"""Other people, whose ids have that of the person in them."""
ASKED = r"1 of 1 ids are items of tiny too, or named by facts, features or contexts; say --also-item .* or --not-item"


def said(workspace: Workspace) -> set[str]:
    """What contexts and features say, shops and nothing aside."""
    there = Interactions.read(workspace.interactions("tiny"))
    tables = SideTables.read(workspace.side("tiny")).tables
    words = {str(word) for word in there.contexts["referrer"]}
    words |= {
        str(word)
        for name in ("value", "relation", "entity")
        for t in tables.values()
        for word in t.columns.get(name, ())
    }
    return words - {"missing", "a shop"}


def everybody(**others: str) -> list[str]:
    """People, of whom some have other ids: those of ``others``, by number."""
    return [others.get(f"n{n}", f"person-{n:03d}") for n in range(24)]


def test_who_is_named_among_other_words_is_asked_about_and_taken_out_for_good(workspace: Workspace) -> None:
    """The real way: trained, asked, forgotten, searched, ingested again."""
    write(workspace, referred(FROM), {3: BY, 4: PERSON, 5: f"sold by {OTHER}"})
    train(workspace)
    before = len(data(workspace))
    with pytest.raises(RequestError, match=ASKED):
        submit(workspace, None, PERSON)
    request = submit(workspace, None, PERSON, terms=Terms(also_item=True))
    assert (request.held.interactions, request.held.contexts, request.held.features) == (6, REFERRED, 2)
    fulfil(workspace)
    assert ledger(workspace).get(request.id).state == "completed"
    certificate = signed(workspace, request)
    assert (certificate.scan.found, certificate.scan.typed_only) == (0, 0), "it was searched for in every text"
    assert (certificate.rows.removed["contexts"], certificate.rows.removed["features"]) == (REFERRED, 2)
    assert len(data(workspace)) == before - 6, "others keep their rows"
    assert said(workspace) == {f"sold by {OTHER}"}, "the source still says it, and the ingest keeps it out"
    assert PERSON.encode() not in workspace.suppression.read_bytes()


def test_who_also_asks_for_single_interactions_is_asked_too(workspace: Workspace) -> None:
    write(workspace, {}, {3: BY})
    thing = str(next(item for user, item in zip(*columns(data(workspace)), strict=True) if user == PERSON))
    with pytest.raises(RequestError, match="1 of 2 ids"):
        submit_all(workspace, None, [Ask(PERSON, (thing,)), Ask(PERSON)])


def columns(there: Interactions) -> tuple[list[str], list[str]]:
    return there.user_ids.tolist(), there.item_ids.tolist()


def test_what_new_data_say_in_other_words_stays_out_until_a_lift_and_what_was_removed_after_it(
    workspace: Workspace,
) -> None:
    write(workspace, referred(FROM), {3: BY})
    train(workspace)
    submit(workspace, None, PERSON, terms=Terms(also_item=True))
    fulfil(workspace)
    again, bought = f"again by {PERSON}", f"bought from {PERSON}!"
    write(workspace, referred(FROM) | referred(again, by_person(9)), {3: BY, 4: bought})
    data(workspace)
    assert said(workspace) == set()
    lift(workspace, None, PERSON)
    data(workspace)
    assert said(workspace) == {again, bought}


def test_the_gates_count_what_the_list_names_inside(workspace: Workspace) -> None:
    write(workspace, referred(FROM), {3: BY})
    train(workspace)
    kept = {path: path.read_bytes() for path in workspace.ingested("tiny").rglob("*.parquet")}
    submit(workspace, None, PERSON, terms=Terms(also_item=True))
    fulfil(workspace)
    assert counted(workspace) == (0, 0)
    for path, content in kept.items():
        path.write_bytes(content)
    assert counted(workspace) == (6 + REFERRED, 1)


def test_of_ready_parts_each_loses_what_names_the_person_and_keeps_its_rows(workspace: Workspace) -> None:
    """Who is known stands in all parts together, so their contexts are emptied once all are read."""
    write(workspace, referred(FROM) | {100: LONGER, 101: BY}, {}, everybody(n9=LONGER))
    lines = (workspace.root / "ratings.csv").read_text().splitlines()
    (workspace.root / "parts").mkdir()
    for part, some in (("train", lines[1::2]), ("test", lines[2::2])):
        (workspace.root / "parts" / f"{part}.csv").write_text("\n".join([lines[0], *some]) + "\n")
    params = yaml.safe_load(workspace.params.read_text())
    dataset = params["datasets"]["tiny"]
    dataset["source"] = {k: v for k, v in dataset["source"].items() if k in ("ids", "columns")}
    dataset["source"] |= {"kind": "folder", "path": "parts", "train": "train.csv", "test": "test.csv"}
    dataset["split"] = {"by": "ready"}
    del dataset["side"]
    workspace.params.write_text(yaml.safe_dump(params, sort_keys=False))
    before = referrers(workspace)
    assert {word for words in before.values() for word in words} == {FROM, LONGER, BY, "missing"}
    request = submit(workspace, None, PERSON, terms=Terms(also_item=True))
    take_out(workspace, Params.read(workspace.params), "tiny", [request])
    after = referrers(workspace)
    assert {word for words in after.values() for word in words} == {LONGER, "missing"}, "one who is known is not named"
    own = {part: sum(user == PERSON for user in users) for part, users in people(workspace).items()}
    assert own == {"interactions": 0, "train": 0, "test": 0}
    assert [len(after[part]) for part in ("train", "test")] == [len(before[part]) - 3 for part in ("train", "test")]


def parts_of(workspace: Workspace) -> dict[str, Interactions]:
    build_data(workspace, Params.read(workspace.params), "tiny", ["whole"])
    laid = {part: workspace.split("tiny") / f"{part}.parquet" for part in ("train", "test")}
    return {n: Interactions.read(p) for n, p in ({"interactions": workspace.interactions("tiny")} | laid).items()}


def referrers(workspace: Workspace) -> dict[str, list[str]]:
    return {part: rows.contexts["referrer"].tolist() for part, rows in parts_of(workspace).items()}


def people(workspace: Workspace) -> dict[str, list[str]]:
    return {part: rows.user_ids.tolist() for part, rows in parts_of(workspace).items()}


def counted(workspace: Workspace) -> tuple[int, int]:
    """Rows of interactions, and of features, that the list keeps out and that are there."""
    rows, listed = workspace.interactions("tiny"), SuppressionList.read(workspace.suppression)
    tables = SideTables.read(workspace.side("tiny"))
    allowed = listed.drop_side(tables, "tiny", KnownIds((rows,)))
    count = len(tables.tables["item_features"]) - len(allowed.tables["item_features"])
    return look_at(rows, None, "tiny", Params.read(workspace.params), listed).suppressed, count


@pytest.mark.parametrize("answer", ["asked", "retried"])
def test_what_is_said_to_be_another_stays_and_the_certificate_tells(workspace: Workspace, answer: str) -> None:
    write(workspace, referred(FROM) if answer == "asked" else {}, {3: BY} if answer == "asked" else {})
    train(workspace)
    request = submit(workspace, None, PERSON, terms=Terms(also_item=False if answer == "asked" else None))
    if answer == "retried":
        other = submit(workspace, None, OTHER)
        write(workspace, referred(FROM, by_person(9)), {3: BY})
        train(workspace)
        fulfil(workspace)
        assert ledger(workspace).get(other.id).state == "completed", "nobody else waits for the answer"
        assert ledger(workspace).get(request.id).failure == "unsaid-item"
        retry(workspace, request.id, also_item=False)
    fulfil(workspace)
    assert ledger(workspace).get(request.id).state == "completed"
    assert said(workspace) == {FROM, BY}
    assert signed(workspace, request).scan.typed_only == 1


def test_who_is_named_so_by_data_that_came_later_is_asked_about_and_taken_out(workspace: Workspace) -> None:
    write(workspace, {}, {})
    train(workspace)
    request, _ = submit(workspace, None, PERSON), submit(workspace, None, OTHER)
    write(workspace, referred(FROM, by_person(9)), {3: BY})
    train(workspace)
    fulfil(workspace)
    assert ledger(workspace).get(request.id).failure == "unsaid-item"
    held = retry(workspace, request.id, also_item=True).held
    assert (held.interactions, held.contexts, held.features) == (6, REFERRED, 1)
    fulfil(workspace)
    assert ledger(workspace).get(request.id).state == "completed"
    assert said(workspace) == set()


def test_ids_that_contain_each_other_are_never_confused(workspace: Workspace) -> None:
    """Neither a longer word nor a longer id that is known; a word that the id is not the whole of is no hit at all."""
    people = everybody(n9=LONGER, n10=WORD)
    others = {3: f"sold by {LONGER}", 4: f"sold by {WORD}", 5: f"sold by x{PERSON}"}
    write(workspace, referred(f"link:{LONGER}"), others, people)
    train(workspace)
    request = submit(workspace, None, PERSON)
    assert request.state == "accepted", "nobody names this one"
    ledger(workspace).advance(request.id, "withdrawn")
    write(workspace, referred(f"link:{LONGER}"), others | {6: BY}, people)
    train(workspace)
    with pytest.raises(RequestError, match=ASKED):
        submit(workspace, None, PERSON)
    with pytest.raises(RequestError, match=ASKED):
        submit(workspace, None, LONGER)
    request = submit(workspace, None, PERSON, terms=Terms(also_item=True))
    assert (request.held.contexts, request.held.features) == (0, 1)
    fulfil(workspace)
    assert ledger(workspace).get(request.id).state == "completed"
    assert signed(workspace, request).scan.typed_only == 0
    data(workspace)
    assert said(workspace) == {f"link:{LONGER}", *others.values()}
    assert counted(workspace) == (0, 0)


def test_an_id_that_texts_hold_by_chance_is_asked_about_only_where_it_is_all_that_is_said(workspace: Workspace) -> None:
    people = everybody(n7="wine")
    write(workspace, {}, {3: "red wine"}, people)
    train(workspace)
    request = submit(workspace, None, "wine")
    fulfil(workspace)
    assert ledger(workspace).get(request.id).state == "completed"
    assert said(workspace) == {"red wine"}
    assert signed(workspace, request).scan.typed_only == 1


def taken_out(workspace: Workspace, user: str) -> None:
    """Somebody whom two features or facts name is asked about, forgotten as an item too, and ingested without."""
    with pytest.raises(RequestError, match=ASKED):
        submit(workspace, None, user)
    request = submit(workspace, None, user, terms=Terms(also_item=True))
    assert request.held.features == 2
    fulfil(workspace)
    assert ledger(workspace).get(request.id).state == "completed"
    data(workspace)


def test_another_spelling_is_the_same_id(workspace: Workspace) -> None:
    anna, links = (
        "anna ö@example.org",
        {3: "https://x.org/?by=anna+%C3%B6%40example.org", 4: "x.org/anna%20%C3%B6%40example.org/1"},
    )
    people = everybody(n7=anna)
    write(workspace, {}, links, people)
    train(workspace)
    taken_out(workspace, anna)
    assert said(workspace) == set()


def test_facts_that_name_somebody_go_and_others_stay(workspace: Workspace) -> None:
    facts = [("thing-3", f"sold by {PERSON}", "a town"), ("thing-4", "made by", f"{PERSON}'s brother")]
    facts += [("thing-5", "made by", f"{PERSON}s"), ("thing-6", "made in", "a town")]
    write(workspace, {}, {})
    (workspace.root / "facts.csv").write_text("head,relation,tail\n" + "".join(f"{','.join(fact)}\n" for fact in facts))
    params = yaml.safe_load(workspace.params.read_text())
    params["datasets"]["tiny"]["side"]["triples"] = {"path": "facts.csv"}
    workspace.params.write_text(yaml.safe_dump(params, sort_keys=False))
    train(workspace)
    taken_out(workspace, PERSON)
    assert said(workspace) == {"made by", f"{PERSON}s", "made in", "a town"}


def test_a_new_key_still_keeps_out_what_names_them(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LETHE_KEY_DIR", str(tmp_path / "keys"))
    write(workspace, referred(FROM), {3: BY})
    train(workspace)
    submit(workspace, None, PERSON, terms=Terms(also_item=True))
    fulfil(workspace)
    assert rotate(workspace, tmp_path / "before.json").dropped == 0
    data(workspace)
    assert said(workspace) == set()
    lift(workspace, None, PERSON)
    data(workspace)
    assert said(workspace) == set(), "what was removed stays out under the new key too"
