"""What users of such software bring along, made small: each case is done by the real commands, and is right or wrong.

A case gets a fresh project and raises ``Wrong`` where what it sees is not what was promised. Every kind here stands for
others like it, which ``benchmarks/promise_generated.py`` makes.
"""

from __future__ import annotations

import gzip
import io
import unicodedata
import zipfile
from collections.abc import Callable, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.project import Project, Wrong, csv, people
from benchmarks.promise_processes import PROCESS_CASES

Case = Callable[[Project], None]
DAY = 86_400
START = 1_700_000_000
HEADER = ("user", "item", "rating", "timestamp")


def ratings(users: Sequence[object], items: int = 24, each: int = 8, unit: int = 1) -> list[tuple[object, ...]]:
    """Rows of users who like what their neighbours like, ten seconds apart; times in 1/unit seconds."""
    rows: list[tuple[object, ...]] = []
    for place, user in enumerate(users):
        for step in range(each):
            item = 1 + (place % 2 * items // 2 + (place + step * 5) % (items // 2))
            rows.append((user, item, 1 + (place + step) % 5, (START + 10 * len(rows)) * unit))
    return rows


def trained(project: Project, content: str | bytes, *options: str, name: str = "r.csv", dataset: str = "shop") -> None:
    """Add a source and train on it alone."""
    done = project.add_file(name, content, dataset, *options)
    if done.code:
        raise Wrong(f"data add: {done.line}")
    project.serve_only(dataset)
    project.must("train")


def timed(content: Sequence[Sequence[object]], header: Sequence[str] = HEADER) -> tuple[str, tuple[str, ...]]:
    return csv(content, header), ("--rating-column", "rating", "--timestamp-column", "timestamp")


def must_be_gone(project: Project, *users: str) -> None:
    """Completed with a certificate that an independent program believes, and in no table any more."""
    for user in users:
        if held := project.holders(user):
            raise Wrong(f"{len(held)} tables still hold a forgotten user, the first is {held[0]}")
    states = {str(request["state"]) for request in project.requests()}
    if states != {"completed"}:
        raise Wrong(f"states of the requests: {sorted(states)}, must be completed alone")
    if project.check_certificates() < 1:
        raise Wrong("no certificate was written")


def forgotten(project: Project, *users: str) -> None:
    """Forget users one after the other."""
    for user in users:
        if not project.holders(user):
            raise Wrong("a user who is to be forgotten is in no table before")
        project.forget(user)
    must_be_gone(project, *users)
    verified = project.run("verify")
    if verified.code or "equal" not in verified.out:
        raise Wrong(f"verify: {verified.line}")


def time_ms(project: Project) -> None:
    content, options = timed(ratings(range(1, 25), unit=1000))
    trained(project, content, *options)
    forgotten(project, "7")


def time_future(project: Project) -> None:
    rows = ratings(range(1, 25))
    rows.append((7, 24, 5, 1_924_992_000))
    content, options = timed(rows)
    trained(project, content, *options)
    forgotten(project, "7")


def time_iso(project: Project) -> None:
    from datetime import UTC, datetime

    kinds = {
        "z": "%Y-%m-%dT%H:%M:%SZ",
        "offset": "%Y-%m-%dT%H:%M:%S+00:00",
        "fractions": "%Y-%m-%dT%H:%M:%S.250Z",
        "minute": "%Y-%m-%d %H:%M",
        "day": "%Y-%m-%d",
        "compact": "%Y%m%d",
        "american": "%m/%d/%Y",
    }
    for kind, form in kinds.items():
        rows = [
            (*row[:3], datetime.fromtimestamp(int(str(row[3])) + 40 * DAY * n // 100, UTC).strftime(form))
            for n, row in enumerate(ratings(range(1, 13)))
        ]
        content, options = timed(rows)
        done = project.add_file(f"{kind}.csv", content, f"t-{kind}", *options)
        if kind == "american":
            if done.code == 0 and "note" not in done.out:
                raise Wrong("m/d/Y is read without a word")
            if done.code and "--time-format" not in done.line:
                raise Wrong(f"m/d/Y is refused without the option to give: {done.line}")
        elif done.code:
            raise Wrong(f"{kind}: {done.line}")
    project.serve_only("t-compact")
    project.must("data", "repro")
    stamps = pq.read_table(project.root / "data" / "t-compact" / "ingested" / "interactions.parquet")["timestamp"]
    if min(stamps.to_pylist()) < START - 2 * DAY:
        raise Wrong("a compact day is read as a second of 1970")


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


def must_be_gone_or_unknown(project: Project, user: str) -> None:
    if held := project.holders(user):
        raise Wrong(f"{held[0]} still holds a forgotten user")
    if not any(request["state"] == "completed" for request in project.requests()):
        raise Wrong("the request was not completed")


def odd_ids(project: Project) -> None:
    odd = ["👩‍💻 dev", "no\u00a0break", "tab\there", "x" * 300, "a/b?c=d&e", "(.*)[a-z]+"]
    content, options = timed(ratings([*odd, *(f"user-{n}" for n in range(20))], each=6))
    trained(project, content, *options)
    for user in odd:
        project.must("forget", "add", "--user", user)
    project.must("forget", "run")
    must_be_gone(project, *odd)


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


def zeros(project: Project) -> None:
    rows = [
        (u, i, -1 if (u + i) % 3 == 0 else 0 if (u + i) % 3 == 1 else 1) for u in range(1, 25) for i in range(1, 10)
    ]
    done = project.add_file("r.csv", csv(rows, HEADER[:3]), "shop", "--rating-column", "rating")
    if "--positive" not in done.out + done.error:
        raise Wrong(f"ratings that may be no likes are read without a word: {done.line or 'nothing'}")


def duplicates(project: Project) -> None:
    rows = ratings(range(1, 25))
    content, options = timed([*rows, rows[3]])
    done = project.add_file("r.csv", content, "shop", *options)
    if "--duplicates" not in done.out + done.error:
        raise Wrong(f"repeated pairs are read without a word: {done.line}")
    project.must("data", "add", "shop-2", "r.csv", *options, "--duplicates", "latest")
    project.serve_only("shop-2")
    project.must("train")


def grown(project: Project) -> None:
    content, options = timed(ratings(range(1, 13)))
    trained(project, content, *options)
    (project.root / "r.csv").write_text(csv(ratings(range(1, 60)), HEADER))
    line = project.refused("train")
    if "epoch" not in line:
        raise Wrong(f"the refusal does not say how to begin a new epoch: {line}")
    project.must("epoch", "begin", "shop")
    project.must("train")


def one_item(project: Project) -> None:
    content, options = timed([(user, 1, 4, START + user) for user in range(1, 25)])
    trained(project, content, *options)
    project.forget("7")
    must_be_gone_or_unknown(project, "7")


def shapes() -> dict[str, tuple[str, bytes, tuple[str, ...]]]:
    """{name: (file, content, options)} of one table in the shapes in which users have it; the people are 101 to 124."""
    rows = ratings(range(101, 125))
    plain = csv(rows, HEADER)
    names = ("--rating-column", "rating", "--timestamp-column", "timestamp")
    semicolons = csv([(*row[:2], f"{row[2]},5", row[3]) for row in rows], HEADER, ";")
    gz, packed = io.BytesIO(), io.BytesIO()
    with gzip.GzipFile(fileobj=gz, mode="wb", mtime=0) as file:
        file.write(plain.encode())
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("r.csv", plain)
    bare = csv(rows[1:], rows[0])  # type: ignore[arg-type]
    return {
        "plain": ("plain.csv", plain.encode(), names),
        "bom": ("bom.csv", b"\xef\xbb\xbf" + plain.encode(), names),
        "semicolon": ("semi.csv", plain.replace(",", ";").encode(), names),
        "tab": ("tab.tsv", plain.replace(",", "\t").encode(), names),
        "tab-named": ("named.tsv", plain.replace(",", "\t").encode(), (*names, "--separator", "\\t")),
        "carriage-return": ("cr.csv", plain.replace("\n", "\r\n").encode(), names),
        "utf-16": ("utf16.csv", plain.encode("utf-16"), names),
        "excel-sep": ("sep.csv", ("sep=;\n" + plain.replace(",", ";")).encode(), names),
        "blanks": ("blanks.csv", plain.replace(",", ", ").encode(), names),
        "decimal-comma": ("comma.csv", semicolons.encode(), names),
        "gzip": ("r.csv.gz", gz.getvalue(), names),
        "zip": ("r.zip", packed.getvalue(), names),
        "colons": ("r.dat", bare.replace(",", "::").encode(), ("--no-header",)),
        "headerless": ("bare.csv", bare.encode(), ("--no-header",)),
        "trailing-total": ("total.csv", (plain + f"Total,,{len(rows)},\n").encode(), names),
    }


def csv_shapes(project: Project) -> None:
    read = []
    for name, (file, content, options) in shapes().items():
        done = project.add_file(file, content, f"s-{name}", *options)
        if done.code == 0:
            read.append(f"s-{name}")
        elif "--" not in done.line:
            raise Wrong(f"{name}: refused without an option that would read it: {done.line}")
    must_be_read = {"s-plain", "s-bom", "s-semicolon", "s-tab", "s-carriage-return", "s-gzip", "s-zip", "s-colons"}
    if missing := sorted(must_be_read - set(read)):
        raise Wrong(f"not read: {', '.join(missing)}")
    project.serve_only(*read, model="mostpop")
    project.must("data", "repro")
    for name in read:
        users = people(project.root / "data" / name / "ingested" / "interactions.parquet")
        if users != {str(number) for number in range(101, 125)}:
            raise Wrong(f"{name}: {len(users)} users were read, must be 24")


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
