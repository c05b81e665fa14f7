"""Worlds that hypothesis draws: two datasets each, with ids of every kind and times in every unit.

Drawn from a named seed, so that they are the same each time; another version of hypothesis may draw others.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import string
import subprocess
import sys
import unicodedata
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

Row = tuple[str, str, int, int]
"""user, item, rating, seconds since 1970."""
SEED = "promise"
USERS, NEWCOMERS = 26, 2
START = 1_600_000_000
FUTURE = 1_924_992_000
NUMBERS: dict[str, pa.DataType | None] = {
    "integers": pa.int64(),
    "far": pa.int64(),
    "uint64": pa.uint64(),
    "decimals": pa.decimal128(20, 0),
    "floats": None,
}
"""Kinds of ids that are numbers, and their type in Parquet; floats come as 7.0 in CSV."""
TIMES = ("none", "s", "ms", "us", "ns", "utc", "zone")
IN_CSV = ("integers", "floats", "prefixes", "nested", "emails", "spellings")
"""Kinds that CSV files carry to the letter; the others come in Parquet, whose texts have no rules of their own."""


@dataclass(frozen=True)
class Shape:
    """One dataset: who is in it, and how it is written."""

    name: str
    kind: str
    users: tuple[str, ...]
    """Ids as the product has them; the last ``NEWCOMERS`` have no rows at first."""
    people: bool
    """Whether the items are users too."""
    time: str
    order: str
    rated: bool
    is_csv: bool
    seed: int

    def rows(self) -> list[Row]:
        """Everybody's rows, six or seven each, of which one is dated in the future."""
        rng, rows = np.random.default_rng(self.seed), list[Row]()
        for place, user in enumerate(self.users):
            items = [item for item in self.items() if item != user]
            for item in rng.choice(len(items), size=6 + place % 2, replace=False):
                rows.append((user, items[int(item)], 1 + len(rows) % 5, START + 3600 * len(rows)))
        rows[3] = (*rows[3][:3], FUTURE)
        return rows

    def items(self) -> list[str]:
        return list(self.users[:-NEWCOMERS]) if self.people else [f"thing-{number:03d}" for number in range(18)]

    def ordered(self, rows: Sequence[Row]) -> list[Row]:
        if self.order == "shuffled":
            return [rows[int(place)] for place in np.random.default_rng(self.seed).permutation(len(rows))]
        return sorted(rows, key=lambda row: row[3], reverse=self.order == "newest first")

    @property
    def file(self) -> str:
        return f"{self.name}.{'csv' if self.is_csv else 'parquet'}"

    @property
    def options(self) -> tuple[str, ...]:
        rated = ("--rating-column", "rating") if self.rated else ()
        return (*rated, *(() if self.time == "none" else ("--timestamp-column", "timestamp")))

    def content(self, rows: Sequence[Row]) -> bytes:
        """The source file with these rows."""
        rows = self.ordered(rows)
        columns: dict[str, list[str] | list[int]] = {"user": [row[0] for row in rows], "item": [row[1] for row in rows]}
        if self.rated:
            columns["rating"] = [row[2] for row in rows]
        if self.time != "none":
            columns["timestamp"] = [_time(self.time, row[3]) for row in rows]  # type: ignore[assignment]
        return self._csv(columns) if self.is_csv else self._parquet(columns)

    def _csv(self, columns: dict[str, list[str] | list[int]]) -> bytes:
        written = {n: [self._number(v) for v in c] if n in self._id_columns else c for n, c in columns.items()}
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerows([list(written), *zip(*written.values(), strict=True)])
        return text.getvalue().encode()

    def _number(self, value: str | int) -> str:
        return f"{value}.0" if self.kind == "floats" else str(value)

    @property
    def _id_columns(self) -> tuple[str, ...]:
        return ("user", "item") if self.people else ("user",)

    def _parquet(self, columns: dict[str, list[str] | list[int]]) -> bytes:
        arrays: dict[str, pa.Array] = {name: pa.array(column) for name, column in columns.items()}
        kind = pa.binary() if self.kind == "binary" else NUMBERS.get(self.kind)
        for name in self._id_columns if kind is not None else ():
            make = Decimal if pa.types.is_decimal(kind) else str.encode if self.kind == "binary" else int
            arrays[name] = pa.array([make(value) for value in columns[name]], kind)  # type: ignore[operator]
        buffer = io.BytesIO()
        pq.write_table(pa.table(arrays), buffer)
        return buffer.getvalue()


@dataclass(frozen=True)
class World:
    """Two datasets of one project. Where they are of one kind, they share half of their ids."""

    number: int
    shapes: tuple[Shape, Shape]
    model: str
    shards: int

    @property
    def name(self) -> str:
        return f"{self.number:02d} " + " and ".join(f"{s.kind} ({s.time}, {s.file[-3:]})" for s in self.shapes)


def _time(unit: str, seconds: int) -> int | str:
    if unit in ("utc", "zone"):
        zone = UTC if unit == "utc" else timezone(timedelta(hours=5, minutes=30))
        return datetime.fromtimestamp(seconds, zone).isoformat()
    return seconds * {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]


# --- what hypothesis draws --------------------------------------------------------------------------------------------

_WORD = st.text(string.ascii_lowercase, min_size=3, max_size=8)
_ODD = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=12).filter(str.strip)
_LOOKS = ("nan", "NaN", "None", "null", "NA", "N/A", "inf", "-inf", "true", "FALSE", "-", "--", "0x1F", "1_000", "1e5")


def _some(ids: SearchStrategy[str]) -> SearchStrategy[list[str]]:
    return st.lists(ids, min_size=USERS, max_size=USERS, unique=True)


def _numbers(least: int, most: int) -> SearchStrategy[list[str]]:
    return st.lists(st.integers(least, most), min_size=USERS, max_size=USERS, unique=True).map(
        lambda numbers: [str(number) for number in numbers]
    )


def _nested(words: list[str]) -> list[str]:
    """anna@x.org, hanna@x.org, anna@x.org.uk: ids inside ids."""
    return [f"{left}{word}@x.org{right}" for word in words for left, right in (("", ""), ("h", ""), ("", ".uk"))]


def _spellings(words: list[str]) -> list[str]:
    """José in two Unicode forms, another case, and with marks that nobody sees."""
    forms = [[f"{w} José", unicodedata.normalize("NFD", f"{w} José"), f"{w} JOSÉ", f"{w} jo\u200dsé"] for w in words]
    return [form for of_word in forms for form in of_word]


def _blanks(words: list[str]) -> list[str]:
    return [spelt for word in words for spelt in (f"{word}  x", f" {word} x", f"{word} x ", f"{word}\u00a0x")]


def _words(count: int) -> SearchStrategy[list[str]]:
    return st.lists(_WORD, min_size=count, max_size=count, unique=True)


KINDS: dict[str, SearchStrategy[list[str]]] = {
    "integers": st.just([str(number) for number in range(1, USERS + 1)]),
    "far": _numbers(-(2**62), 2**62),
    "uint64": _numbers(2**63 - 8, 2**63 + 2**16),
    "decimals": _numbers(10**9, 10**12),
    "floats": _numbers(1, 10**6),
    "prefixes": _WORD.map(lambda word: [f"{word}_{number}" for number in range(1, USERS + 1)]),
    "nested": _words(9).map(lambda words: _nested(words)[:USERS]),
    "emails": st.lists(st.emails(), min_size=USERS, max_size=USERS, unique=True),
    "spellings": _words(7).map(lambda words: _spellings(words)[:USERS]),
    "blanks": _words(7).map(lambda words: _blanks(words)[:USERS]),
    "odd": _some(_ODD),
    "binary": _some(_ODD),
    "looks like numbers": st.lists(
        st.floats(allow_nan=False).map(repr) | st.integers(0, 99).map(lambda n: f"{n:04d}"),
        min_size=USERS - len(_LOOKS),
        max_size=USERS - len(_LOOKS),
        unique=True,
    ).map(lambda drawn: [*_LOOKS, *drawn]),
}


def _shape(name: str, kind: str, users: SearchStrategy[list[str]]) -> SearchStrategy[Shape]:
    return st.builds(
        Shape,
        name=st.just(name),
        kind=st.just(kind),
        users=users.map(tuple),
        people=st.booleans(),
        time=st.sampled_from(TIMES),
        order=st.sampled_from(("oldest first", "newest first", "shuffled")),
        rated=st.booleans(),
        is_csv=st.booleans() if kind in IN_CSV and kind != "floats" else st.just(kind == "floats"),
        seed=st.integers(0, 2**32 - 1),
    )


@st.composite
def _world(draw: st.DrawFn, number: int) -> World:
    kinds = list(KINDS)
    first, second = kinds[number % len(kinds)], kinds[(3 * number + 1) % len(kinds)]
    one = draw(_shape("shop", first, KINDS[first]))
    # Every third world has the same people in both.
    shared = number % 3 == 0
    kind = first if shared else second
    other = draw(_shape("club", kind, st.just(list(one.users)) if shared else KINDS[kind]))
    return World(number, (one, other), draw(st.sampled_from(("mostpop", "wmf"))), draw(st.sampled_from((1, 3))))


def worlds(count: int) -> list[World]:
    """The first worlds of the seed. hypothesis also draws what stands in the modules that are loaded, so this is done
    in a process that loads this one alone."""
    command = [sys.executable, "-m", "benchmarks.promise_worlds", str(count)]
    root = Path(__file__).parent.parent
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    return [_world_of(values) for values in json.loads(done.stdout)]


def _world_of(values: dict[str, Any]) -> World:
    one, other = (Shape(**{**shape, "users": tuple(shape["users"])}) for shape in values["shapes"])
    return World(**{**values, "shapes": (one, other)})


def _drawn(number: int) -> World:
    drawn: list[World] = []

    # The first that hypothesis makes is the simplest of all; the third is one by chance.
    @seed(int.from_bytes(hashlib.sha256(f"{SEED} {number}".encode()).digest()[:8]))
    @settings(
        max_examples=3, database=None, phases=[Phase.generate], deadline=None, suppress_health_check=list(HealthCheck)
    )
    @given(_world(number))
    def draw(world: World) -> None:
        drawn.append(world)

    draw()
    return drawn[-1]


if __name__ == "__main__":
    print(json.dumps([asdict(_drawn(number)) for number in range(int(sys.argv[1]))]))
