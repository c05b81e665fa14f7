"""What certificates claim, computed again from files alone: Parquet by pyarrow, SQLite, JSON, the operator's key.

    python benchmarks/promise_checker.py count|left|check PROJECT KEYS < ASKS.json > ANSWER.json

It imports nothing of the program that it checks, only tools/check_certificate.py, which doesn't either. ``count``,
before a run, tells what there is of each subject; ``left``, later, how many rows are still there; ``check`` compares
the certificates with both. An ask is {dataset, user, items, also_item, elsewhere}; ``elsewhere``: the same id stays in
another dataset. To ``check`` each also has {request, rows, hidden}, as ``count`` answered, and {source}: how many rows
the source had when it was asked.
"""

from __future__ import annotations

import hashlib
import hmac
import importlib.util
import json
import sqlite3
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

Ask = dict[str, Any]
ROOT = Path(__file__).parent.parent
COLUMNS = ("user", "item", "rating", "timestamp", "timestamp_ms", "timestamp_us", "timestamp_ns")
PEOPLE = ("users.parquet", "friends.parquet")
DISTINCTIVE = 10
"""Letters of an id that no file holds by chance."""


class Files:
    """A project's folder, and the folder of its keys."""

    def __init__(self, project: Path, keys: Path) -> None:
        self.root = project
        self._key = (keys / "hmac.key").read_bytes() if (keys / "hmac.key").is_file() else b""

    # --- digests -----------------------------------------------------------------------------------------------------

    def keyed(self, *named: object) -> str:
        return hmac.new(self._key, repr(named).encode(), hashlib.sha256).hexdigest()

    def subject(self, dataset: str, user: object) -> str:
        return self.keyed(dataset, str(user), None)

    def table(self, dataset: str) -> pa.Table:
        return pq.read_table(self.root / "data" / dataset / "ingested" / "interactions.parquet")

    def tree_root(self, dataset: str) -> str:
        """Root of the Merkle tree over the keyed digests of a dataset's users."""
        users = {self.subject(dataset, user) for user in self.table(dataset)["user"].to_pylist()}
        leaves = sorted({"0" * 64, "f" * 64, *users})
        level = [hashlib.sha256(b"\0" + bytes.fromhex(leaf)).digest() for leaf in leaves]
        while len(level) & (len(level) - 1):
            level.append(hashlib.sha256(b"\2").digest())
        while len(level) > 1:
            pairs = zip(level[::2], level[1::2], strict=True)
            level = [hashlib.sha256(b"\1" + left + right).digest() for left, right in pairs]
        return level[0].hex()

    # --- rows --------------------------------------------------------------------------------------------------------

    def rows(self, ask: Ask) -> int:
        """Rows of the ingested table that an ask is about."""
        return sum(_is_about(ask, row) for row in self.table(ask["dataset"]).to_pylist())

    def left(self, ask: Ask) -> int:
        """Rows, cells and files that still hold what an ask is about, in every table the project keeps."""
        own = [
            self.root / "data" / ask["dataset"],
            self.root / ".lethe" / "bentoml" / "models" / f"lethe-{ask['dataset']}",
        ]
        whole = [self.root / "data", self.root / "artifacts", self.root / ".lethe", self.root / ".dvc"]
        tables = [path for folder in (own if ask["elsewhere"] else whole) for path in _parquet(folder)]
        return sum(_held(path, ask) for path in tables) + (0 if ask["elsewhere"] else self._in_bytes(ask))

    def _in_bytes(self, ask: Ask) -> int:
        """Files, the ledger among them, whose bytes show a distinctive id as it is or as JSON writes it."""
        user = ask["user"]
        if ask["items"] or len(user) < DISTINCTIVE or user.isdigit() or any(user in held for held in self._held_ids()):
            return 0
        if user in _words_of_the_program():
            return 0  # A bento ships the code, which may say the same.
        spelt = {user.encode(), json.dumps(user)[1:-1].encode()}
        folders = ("data", "artifacts", ".lethe", ".dvc", "certificates", "reports", "suppression")
        files = [path for name in folders for path in (self.root / name).rglob("*") if path.is_file()]
        # An id that is written as a number is may be one: 0.3333333333333333 is a figure of many. As text it is quoted.
        quoted = {b'"%b"' % text for text in spelt} if _is_number(user) else spelt
        return sum(
            any(text in path.read_bytes() for text in (quoted if path.suffix == ".json" else spelt)) for path in files
        )

    def _held_ids(self) -> set[str]:
        tables = [pq.read_table(path) for path in sorted(self.root.glob("data/*/ingested/interactions.parquet"))]
        return {str(value) for table in tables for name in ("user", "item") for value in table[name].to_pylist()}

    def hidden(self, ask: Ask) -> bool:
        path = self.root / ".lethe" / "hidden-users.json"
        return path.is_file() and self.subject(ask["dataset"], ask["user"]) in path.read_text()

    # --- claims ------------------------------------------------------------------------------------------------------

    def false_claims(self, ask: Ask, before: dict[str, dict[str, str]]) -> Iterator[str]:
        """Each claim of a request's certificate that the files don't bear out."""
        path, program = self.root / "certificates" / f"{ask['request']}.json", _program()
        if not path.is_file():
            yield "there is no certificate"
            return
        try:
            it = program.check(path.read_bytes(), program.read_key(next(path.parent.glob("*.pem"))))
        except program.Refused as why:
            yield f"the certificate is refused: {why}"
            return
        claims = self._claims if "rows" in it else self._nothing_held
        yield from _differing(claims(ask, it, before[ask["dataset"]], path))
        yield from _differing(self._of_ledger(ask, it, path))

    def _claims(
        self, ask: Ask, it: dict[str, Any], before: dict[str, str], path: Path
    ) -> Iterator[tuple[str, object, object]]:
        """(what is claimed, as it is claimed, as it is)."""
        dataset, request, rows = ask["dataset"], it["request"], it["rows"]
        yield "the request", request["id"], ask["request"]
        yield "the dataset", it["dataset"], dataset
        yield "rows held", rows["held"].get("interactions", 0), ask["rows"]
        yield "rows removed", rows["removed"].get("interactions", 0), ask["rows"]
        yield "rows left", rows["left"], self.left(ask)
        yield "hidden", request["hidden"], ask["hidden"]
        table = f"{dataset}/interactions"
        yield "digest of the table before", it["before"][table], self.keyed("digest", before["digest"])
        yield "digest of the table after", it["after"][table], digest(self.table(dataset))
        yield "keyed digest of the table after", it["after_keyed"][table], self.keyed("digest", it["after"][table])
        if not ask["items"]:
            yield "the subject", request["subject_digest"], self.subject(dataset, ask["user"])
            yield "the users after", it["users"]["after"]["root"], self.tree_root(dataset)
            if ask["rows"] and it["users"]["before"]:
                yield "the users before", it["users"]["before"]["root"], before["users"]
        for name, claimed in it["after"].items():
            if "/shard/" in name:
                _, *laid_in, _, shard = name.split("/")
                file = self.root.joinpath("data", dataset, *laid_in, "shards", f"{shard}.parquet")
                yield f"digest of {name}", claimed, digest(pq.read_table(file))
        yield from self._of_models(it)
        for name, file in (("params.yaml", "params.yaml"), ("suppression list", "suppression/list.csv")):
            yield f"digest of {name}", it["materials"][name], _sha256(self.root / file)

    def _nothing_held(
        self, ask: Ask, it: dict[str, Any], before: dict[str, str], _: Path
    ) -> Iterator[tuple[str, object, object]]:
        """Of a certificate that nothing is held: what was not there when it was asked for, and stays out."""
        dataset, other = ask["dataset"], it["elsewhere"]
        yield "the request", it["request"]["id"], ask["request"]
        yield "the dataset", it["dataset"], dataset
        yield "rows held", it["held"]["ingested tables"], ask["rows"]
        yield "rows of the source", it["source"], ask["source"]
        yield "rows elsewhere", other, {n: self.rows(ask | {"dataset": n, "also_item": False}) for n in other}
        yield "digest of the table", it["interactions"], before["digest"]
        yield "the subject", it["request"]["subject_digest"], self.subject(dataset, ask["user"])
        listed = (self.root / "suppression" / "list.csv").read_text()
        yield "what is suppressed", [digest in listed for digest in it["suppressed"]], [True] * len(it["suppressed"])

    def _of_models(self, it: dict[str, Any]) -> Iterator[tuple[str, object, object]]:
        """What is served is there, file by file, and nothing else is claimed."""
        stored = {_sha256(path) for path in sorted((self.root / "artifacts").glob("*/*/manifest.json"))}
        for family, one in it["families"].items():
            folder = self.root.joinpath(".lethe", "bentoml", "models", *one["version"].split(":"))
            manifest = folder / "manifest.json"
            yield f"package of {family}", it["after"][f"{family}/package"], _sha256(manifest)
            files = json.loads(manifest.read_bytes())["files"]
            yield f"files of {family}", files, {name: _sha256(folder / name) for name in files}
            for name, claimed in it["after"].items():
                if name == f"{family}/ensemble" or name.startswith(f"{family}/sub-model/"):
                    yield f"{name} is stored", True, claimed in stored

    def _of_ledger(self, ask: Ask, it: dict[str, Any], path: Path) -> Iterator[tuple[str, object, object]]:
        """The chain holds, has the certificate's head, and its last word on the request is that it is completed."""
        with sqlite3.connect(f"file:{self.root / '.lethe' / 'ledger.sqlite'}?mode=ro", uri=True) as ledger:
            events = ledger.execute("select seq, request, state, at, detail, prev_hash, hash from events order by seq")
            log = [(*event[:4], json.loads(event[4]), *event[5:]) for event in events]
            (result,) = ledger.execute("select result from requests where id = ?", [ask["request"]]).fetchone()
        heads = [event[-1] for event in log]
        yield "the chain of the ledger", heads, [_sha256_of(_canonical(list(event[:6]))) for event in log]
        yield "its links", [event[5] for event in log], ["0" * 64, *heads[:-1]]
        yield "the head is in it", it["ledger_head"] in heads, True
        yield "the request's end", [event[2] for event in log if event[1] == ask["request"]][-1:], ["completed"]
        yield "digest of the certificate", json.loads(result)["certificate_digest"], _sha256(path)


def digest(table: pa.Table) -> str:
    """SHA-256 of the names, types and values of a table of interactions."""
    state = hashlib.sha256()
    contexts = sorted(name for name in table.column_names if name.startswith("context."))
    for name in (*(name for name in COLUMNS if name in table.column_names), *contexts):
        column = table[name].combine_chunks()
        if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
            state.update(f"{name}:{column.to_numpy().dtype.name}:{len(column)};".encode())
            state.update(column.to_numpy().tobytes())
        else:
            state.update(f"{name}:str:{len(column)};".encode())
            for value in column.to_pylist():
                state.update(len(value.encode()).to_bytes(4, "little") + value.encode())
    return state.hexdigest()


def _is_about(ask: Ask, row: dict[str, Any]) -> bool:
    if ask["items"]:
        return str(row["user"]) == ask["user"] and str(row["item"]) in ask["items"]
    return str(row["user"]) == ask["user"] or (ask["also_item"] and str(row["item"]) == ask["user"])


def _held(path: Path, ask: Ask) -> int:
    table = pq.read_table(path)
    names = set(table.column_names)
    if {"user", "item"} <= names:
        return sum(_is_about(ask, row) for row in table.select(["user", "item"]).to_pylist())
    if ask["items"]:
        return 0
    people = [name for name in ("user", "friend") if name in names]
    people += ["id"] if "id" in names and path.name in PEOPLE else []
    people += ["id"] if "id" in names and ask["also_item"] and path.name == "items.parquet" else []
    return sum(str(value) == ask["user"] for name in people for value in table[name].to_pylist())


def _parquet(folder: Path) -> Iterator[Path]:
    """By what they begin with: in DVC's cache they have no names."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            with path.open("rb") as file:
                if file.read(4) == b"PAR1":
                    yield path


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _differing(claims: Iterable[tuple[str, object, object]]) -> Iterator[str]:
    for name, claimed, is_so in claims:
        if claimed != is_so:
            yield (
                f"{name}: is not as it is claimed"
                if isinstance(is_so, (str, list, dict))
                else (f"{name}: {claimed} is claimed, it is {is_so}")
            )


def _canonical(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _sha256_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _sha256(path: Path) -> str:
    return _sha256_of(path.read_bytes()) if path.is_file() else "missing"


@cache
def _words_of_the_program() -> str:
    return "\n".join(path.read_text() for path in sorted((ROOT / "src").rglob("*.py")))


def _program() -> Any:
    """tools/check_certificate.py, which is no package."""
    path = ROOT / "tools" / "check_certificate.py"
    spec = importlib.util.spec_from_file_location("check_certificate", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main(what: str, project: str, keys: str) -> None:
    files, given = Files(Path(project), Path(keys)), json.load(sys.stdin)
    answer: dict[str, Any] = {}
    if what == "count":
        datasets = sorted(path.parts[-3] for path in files.root.glob("data/*/ingested/interactions.parquet"))
        answer["before"] = {n: {"digest": digest(files.table(n)), "users": files.tree_root(n)} for n in datasets}
        answer["users"] = {n: sorted({str(v) for v in files.table(n)["user"].to_pylist()}) for n in datasets}
        answer["asks"] = [ask | {"rows": files.rows(ask), "hidden": files.hidden(ask)} for ask in given["asks"]]
    if what in ("left", "check"):
        answer["left"] = [files.left(ask) for ask in given["asks"]]
    if what == "check":
        answer["false"] = [list(files.false_claims(ask, given["before"])) for ask in given["asks"]]
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
