"""What users of such software bring along, made small: each case is done by the real commands, and is right or wrong.

A case gets a fresh project and raises ``Wrong`` where what it sees is not what was promised. Every kind here stands for
others like it, which ``benchmarks/promise_generated.py`` makes.
"""

from __future__ import annotations

import pyarrow.parquet as pq

from benchmarks.project import Project, Wrong, csv
from benchmarks.promise_files import csv_shapes, duplicates, one_item, time_future, time_iso, time_ms, zeros
from benchmarks.promise_ids import (
    email_case,
    ids_float_csv,
    ids_nan,
    ids_parquet,
    ids_prefix,
    ids_substring,
    odd_ids,
    people_int,
)
from benchmarks.promise_processes import PROCESS_CASES
from benchmarks.promise_shop import DAY, HEADER, START, Case, forgotten, ratings, timed, trained


def not_ingested(project: Project) -> None:
    rows = ratings([f"customer-{n:04d}" for n in range(24)])
    content, options = timed(rows)
    trained(project, content, *options)
    newcomer = [("newcomer-77", item, 4, START + DAY) for item in range(1, 7)]
    (project.root / "r.csv").write_text(csv([*rows, *newcomer], HEADER))
    project.must("forget", "add", "--user", "newcomer-77")
    project.must("train")
    if held := project.holders("newcomer-77"):
        raise Wrong(f"{held[0]} holds somebody who asked before their rows were read")


def keys_other_user(project: Project) -> None:
    rows = ratings(range(1, 25))
    content, options = timed(rows)
    trained(project, content, *options)
    forgotten(project, "7")
    (project.root / "r.csv").write_text(csv([*rows, (8, 24, 5, START + DAY)], HEADER))
    stranger = project.with_keys(project.keys.with_name("other-keys"))
    line = stranger.refused("train")
    if "key" not in line:
        raise Wrong(f"the refusal does not name the key: {line}")
    if held := project.holders("7"):
        raise Wrong(f"{held[0]} holds the forgotten user again")
    project.must("train")
    if held := project.holders("7"):
        raise Wrong(f"{held[0]} holds the forgotten user again")


def reason(project: Project) -> None:
    content, options = timed(ratings([f"p{n:03d}@example.org" for n in range(1, 25)]))
    trained(project, content, *options)
    project.refused("forget", "add", "--user", "p007@example.org", "--reason", "ticket 4711 (p007@example.org)")
    project.refused("forget", "add", "--user", "p007@example.org", "--ticket", "P007@EXAMPLE.ORG")
    project.must("forget", "add", "--user", "p008@example.org")
    request = str(project.requests()[-1]["id"])
    project.must("forget", "cancel", request)
    project.forget("p007@example.org")
    if held := project.holders("p007@example.org"):
        raise Wrong(f"{held[0]} still holds a forgotten user")
    if not project.holders("p008@example.org"):
        raise Wrong("a cancelled request was carried out")


def two_names(project: Project) -> None:
    rows = ratings(range(101, 125))
    content, options = timed(rows)
    project.add_file("r.csv", content, "shop", *options)
    project.add_file("s.csv", content, "store", *options)
    project.serve_only("shop", "store")
    project.must("train")
    done = project.run("forget", "add", "--user", "107", "--dataset", "shop")
    if "store" not in done.out + done.error:
        raise Wrong(f"that another dataset holds the user is not told: {done.line}")
    project.must("forget", "add", "--user", "108", "--everywhere")
    project.must("forget", "run")
    if held := project.holders("108"):
        raise Wrong(f"{held[0]} still holds a user who was to be forgotten everywhere")


def comes_back(project: Project) -> None:
    rows = [row[:3] for row in ratings(range(101, 125))]
    content = csv(rows, HEADER[:3])
    trained(project, content, "--rating-column", "rating")
    forgotten(project, "107")
    old = {row[1] for row in rows if row[0] == 107}
    new = [(107, item, 5) for item in range(1, 25) if item not in old][:8]
    (project.root / "r.csv").write_text(csv([*rows, *new], HEADER[:3]))
    project.must("train")
    if project.holders("107"):
        raise Wrong("rows of a suppressed user entered without a lift")
    project.must("forget", "lift", "--user", "107")
    project.must("train")
    table = pq.read_table(project.root / "data" / "shop" / "ingested" / "interactions.parquet").to_pylist()
    items = {row["item"] for row in table if row["user"] == 107}
    if items != {item for _, item, _ in new}:
        raise Wrong(f"after the lift {len(items)} items of the user are there, must be the {len(new)} new ones alone")


def grown(project: Project) -> None:
    content, options = timed(ratings(range(1, 13)))
    trained(project, content, *options)
    (project.root / "r.csv").write_text(csv(ratings(range(1, 60)), HEADER))
    line = project.refused("train")
    if "epoch" not in line:
        raise Wrong(f"the refusal does not say how to begin a new epoch: {line}")
    project.must("epoch", "begin", "shop")
    project.must("train")


CASES: dict[str, Case] = {
    "time-ms": time_ms,
    "time-future": time_future,
    "time-iso": time_iso,
    "ids-float-csv": ids_float_csv,
    "ids-uint64, ids-decimal, ids-binary, parquet-categorical": ids_parquet,
    "ids-nan": ids_nan,
    "ids-prefix": ids_prefix,
    "ids-substring": ids_substring,
    "email-case": email_case,
    "odd-ids": odd_ids,
    "not-ingested": not_ingested,
    "keys-other-user": keys_other_user,
    "reason": reason,
    "people-int": people_int,
    "two-names": two_names,
    "comes-back": comes_back,
    "zeros": zeros,
    "duplicates": duplicates,
    "grown": grown,
    "one-item": one_item,
    "csv-shapes": csv_shapes,
    **PROCESS_CASES,
}
