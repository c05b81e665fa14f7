"""The list of mutants is one, and a mutant that is made is seen or told."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from benchmarks.mutants import LIST, Mutant, is_stale, read_mutants, run_mutants
from lethe.errors import ConfigError

RANDOM = "tests/core/test_random.py"
OF_THE_BYTES = ("locality", "isolation", "equality", "order")
OF_THE_PROMISE = ("absence", "recovery", "meaning", "signing", "keys", "hiding")


def test_every_mutant_of_the_list_still_stands_in_the_code() -> None:
    mutants = read_mutants(LIST)
    assert len(mutants) >= 45
    assert [mutant.name for mutant in mutants if is_stale(mutant)] == []
    assert all(mutant.before != mutant.after and mutant.tests for mutant in mutants)


def test_every_law_has_mutants() -> None:
    laws = Counter(mutant.law for mutant in read_mutants(LIST))
    known = {
        "locality",
        "isolation",
        "equality",
        "order",
        "absence",
        "recovery",
        "meaning",
        "signing",
        "keys",
        "hiding",
    }
    assert set(laws) == known


def test_a_fault_is_seen_and_one_that_changes_nothing_survives(tmp_path: Path) -> None:
    seen = Mutant(
        "the seed is left out",
        "isolation",
        "src/lethe/core/random.py",
        "repr((self.seed, *self.names, *names))",
        "repr((0, *self.names, *names))",
        (RANDOM,),
    )
    harmless = Mutant("a comment", "isolation", seen.file, "# repr() keeps", "# It keeps", (RANDOM,))
    gone = Mutant("not there", "isolation", seen.file, "no such text", "x", (RANDOM,))
    outcomes = run_mutants([seen, harmless, gone], tmp_path, workers=2)
    assert outcomes == {seen.name: "killed", harmless.name: "survived", gone.name: "stale"}


def test_a_test_that_fails_on_the_code_as_it_is_sees_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.mutants._outcome", lambda mutant, copy: "killed")
    never = Mutant("any", "isolation", "src/lethe/core/random.py", "# repr()", "# It", (f"{RANDOM}::test_of_no_name",))
    with pytest.raises(ConfigError, match="tests: must pass on the code as it is; ERROR: not found"):
        run_mutants([never], tmp_path)


def test_an_entry_that_is_no_mutant_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "mutants.yaml"
    path.write_text("- {name: x, tests: []}\n")
    with pytest.raises(ConfigError, match="entry 1 must have exactly name, law, file"):
        read_mutants(path)
