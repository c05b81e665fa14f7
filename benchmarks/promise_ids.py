"""Cases of ids: the types they are read from, ids inside other ids, spellings, people who are items."""

from __future__ import annotations

import unicodedata

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.project import Project, Wrong
from benchmarks.promise_shop import START, forgotten, must_be_gone, must_be_gone_or_unknown, ratings, timed, trained


def ids_float_csv(project: Project) -> None:
    rows = [(f"{row[0]}.0", *row[1:]) for row in ratings(range(1, 25))]
    content, options = timed(rows)
    trained(project, content, *options)
    forgotten(project, "7")


def _parquet(project: Project, users: pa.Array, name: str) -> None:
    rows = ratings(range(1, 25))
    table = pa.table({"user": users, "item": [row[1] for row in rows], "timestamp": [row[3] for row in rows]})
    pq.write_table(table, project.root / f"{name}.parquet")
    path = str(project.root / f"{name}.parquet")
    project.must("data", "add", name, path, "--timestamp-column", "timestamp")


def ids_parquet(project: Project) -> None:
    from decimal import Decimal

    numbers = [row[0] for row in ratings(range(1, 25))]
    kinds = {
        "uint64": pa.array(numbers, pa.uint64()),
        "decimal": pa.array([Decimal(str(n)) for n in numbers], pa.decimal128(12, 0)),
        "binary": pa.array([f"customer-{n}".encode() for n in numbers], pa.binary()),
        "categorical": pa.array([f"customer-{n}" for n in numbers]).dictionary_encode(),
    }
    for name, users in kinds.items():
        _parquet(project, users, name)
    project.serve_only(*kinds, model="mostpop")
    project.must("train")
    for name in kinds:
        project.must(
            "forget", "add", "--dataset", name, "--user", "7" if name in ("uint64", "decimal") else "customer-7"
        )
    project.must("forget", "run")
    states = {str(request["state"]) for request in project.requests()}
    if states != {"completed"} or project.check_certificates() != len(kinds):
        raise Wrong(f"states {sorted(states)}, {len(project.certificates())} certificates of {len(kinds)}")
    if held := [*project.holders("customer-7"), *project.holders("7")]:
        raise Wrong(f"{held[0]} still holds a forgotten user")


def ids_nan(project: Project) -> None:
    rows = ratings(range(1, 25))
    users = [None if n == 3 else float(str(row[0])) for n, row in enumerate(rows)]
    table = pa.table({"client": pa.array(users, pa.float64()), "item": [row[1] for row in rows]})
    pq.write_table(table, project.root / "r.parquet")
    line = project.refused("data", "add", "shop", "r.parquet", "--user-column", "client")
    if "client" not in line or "1" not in line:
        raise Wrong(f"the refusal names neither the column nor the count: {line}")


def ids_prefix(project: Project) -> None:
    content, options = timed(ratings([f"user_{n}" for n in range(1, 40)], each=5))
    trained(project, content, *options)
    forgotten(project, "user_1", "user_33")
    if not project.holders("user_10"):
        raise Wrong("user_10 went with user_1")


def ids_substring(project: Project) -> None:
    users = ["anna@example.org", "hanna@example.org", "johanna@example.org", "anna@example.org.uk"]
    content, options = timed(ratings([*users, *(f"p{n}@example.org" for n in range(20))], each=6))
    trained(project, content, *options)
    forgotten(project, "anna@example.org")
    if not project.holders("hanna@example.org"):
        raise Wrong("hanna@ went with anna@")


def email_case(project: Project) -> None:
    users = ["José@example.org", *(f"person-{n}@example.org" for n in range(20))]
    content, options = timed(ratings(users, each=6))
    trained(project, content, *options)
    for spelling in ("josé@example.org", unicodedata.normalize("NFD", "José@example.org"), "José@example.org "):
        done = project.run("forget", "add", "--user", spelling)
        if done.code == 0 and "completed" in done.out:
            raise Wrong("another spelling is completed: nothing held")
        if "1 ids" not in done.line or "--confirm-unknown" not in done.line:
            raise Wrong(f"another spelling is not told to be near one that is held: {done.line}")
    project.forget("José@example.org")
    must_be_gone_or_unknown(project, "José@example.org")


def odd_ids(project: Project) -> None:
    odd = ["👩‍💻 dev", "no\u00a0break", "tab\there", "x" * 300, "a/b?c=d&e", "(.*)[a-z]+"]
    content, options = timed(ratings([*odd, *(f"user-{n}" for n in range(20))], each=6))
    trained(project, content, *options)
    for user in odd:
        project.must("forget", "add", "--user", user)
    project.must("forget", "run")
    must_be_gone(project, *odd)


def people_int(project: Project) -> None:
    rows = [(u, 1 + (u * 7 + s * 3) % 24, 4, START + 10 * u + s) for u in range(1, 25) for s in range(8)]
    rows = [row for row in rows if row[0] != row[1]]
    content, options = timed(rows)
    trained(project, content, *options)
    if "--also-item" not in project.must("forget", "add", "--user", "7").out:
        raise Wrong("that the user is an item too is not told")
    project.forget("7", "--also-item")
    must_be_gone(project, "7")
    items = pq.read_table(project.root / "data" / "shop" / "ingested" / "interactions.parquet")["item"].to_pylist()
    if 7 in items:
        raise Wrong("the person is still recommended to others")
