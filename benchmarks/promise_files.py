"""Cases of what stands in a file: times, values, repeated rows, and the shapes of one table."""

from __future__ import annotations

import gzip
import io
import zipfile

import pyarrow.parquet as pq

from benchmarks.project import Project, Wrong, csv, people
from benchmarks.promise_shop import DAY, HEADER, START, forgotten, must_be_gone_or_unknown, ratings, timed, trained


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
