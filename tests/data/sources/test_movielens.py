"""GroupLens archives from a local server: whole, interrupted, wrong, and rewritten by forgetting."""

from __future__ import annotations

import hashlib
import io
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from lethe.config.source import MovielensSource
from lethe.data import sources
from lethe.errors import ConfigError, DataError
from lethe.tables.interactions import Interactions

MEMBERS = {
    "100k": ("ml-100k/u.data", "1\t10\t4\t100\n2\t11\t5\t200\n1\t12\t1\t300\n"),
    "1m": ("ml-1m/ratings.dat", "1::10::4::100\n2::11::5::200\n1::12::1::300\n"),
    "10m": ("ml-10M100K/ratings.dat", "1::10::4::100\n2::11::5.0::200\n1::12::1::300\n"),
    "latest": ("ml-latest/ratings.csv", "userId,movieId,rating,timestamp\n1,10,4,100\n2,11,5.0,200\n1,12,1.0,300\n"),
}
MEMBERS["latest-small"] = MEMBERS["latest"]


def archive(edition: str, text: str | None = None) -> bytes:
    name, content = MEMBERS[edition]
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        file.writestr("ml/README.txt", "about")
        file.writestr(name, content if text is None else text)
    return packed.getvalue()


class Server:
    """Serves ``content``; ``breaks`` holds, for the next requests, after how many bytes the connection is cut."""

    def __init__(self, *, ranges: bool = True) -> None:
        self.content = b""
        self.breaks: list[int] = []
        self.ranges = ranges
        self.asked: list[str | None] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked = self.headers.get("Range")
                outer.asked.append(asked)
                start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and outer.ranges else 0
                if start and start >= len(outer.content):
                    self.send_error(416)
                    return
                body = outer.content[start:]
                self.send_response(206 if start else 200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body[: outer.breaks.pop(0)] if outer.breaks else body)

            def log_message(self, *_: Any) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/ml.zip"
        threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True).start()

    def source(self, edition: str = "100k", content: bytes | None = None) -> MovielensSource:
        self.content = archive(edition) if content is None else content
        digest = hashlib.sha256(self.content).hexdigest()
        return MovielensSource(kind="movielens", edition=edition, url=self.url, sha256=digest)


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.http.shutdown()
    server.http.server_close()


def read(source: MovielensSource, copy: Path) -> Interactions:
    rows = sources.read(source, root=copy.parent, copy=copy)
    assert isinstance(rows, Interactions)
    return rows


@pytest.mark.parametrize("edition", MEMBERS)
def test_every_edition_reads_to_the_same_rows_and_leaves_only_the_copy(
    server: Server, tmp_path: Path, edition: str
) -> None:
    copy = tmp_path / "data" / "source.parquet"
    rows = read(server.source(edition), copy)
    assert rows.user_ids.tolist() == [1, 1, 2]
    assert rows.item_ids.tolist() == [10, 12, 11]
    assert rows.ratings is not None
    assert rows.ratings.tolist() == [4, 1, 5]
    assert rows.timestamps is not None
    assert rows.timestamps.tolist() == [100, 300, 200]
    assert sorted(p.name for p in copy.parent.iterdir()) == ["source.parquet", "source.parquet.origin"]


def test_what_is_there_is_not_downloaded_again_and_a_rewritten_copy_counts(server: Server, tmp_path: Path) -> None:
    source, copy = server.source(), tmp_path / "source.parquet"
    before = sources.digest(source, root=tmp_path, copy=copy)
    assert before["reach"] == "ours"
    rows = read(source, copy)
    rows.take(rows.user_ids != 1).write(copy)
    assert read(source, copy).user_ids.tolist() == [2]
    assert sources.digest(source, root=tmp_path, copy=copy)["digest"] != before["digest"]
    assert len(server.asked) == 1


def test_another_edition_replaces_the_copy(server: Server, tmp_path: Path) -> None:
    copy = tmp_path / "source.parquet"
    read(server.source("100k"), copy)
    other = server.source("1m", archive("1m", "5::6::1::7\n"))
    assert read(other, copy).user_ids.tolist() == [5]


def test_a_broken_connection_is_resumed(server: Server, tmp_path: Path) -> None:
    source = server.source()
    server.breaks = [50, 60]
    assert len(read(source, tmp_path / "source.parquet")) == 3
    assert server.asked == [None, "bytes=50-", "bytes=110-"]


def test_a_later_run_goes_on_where_the_first_gave_up(server: Server, tmp_path: Path) -> None:
    source, copy = server.source(), tmp_path / "source.parquet"
    server.breaks = [50, 0]
    with pytest.raises(DataError, match="the connection broke at 50 bytes; run again"):
        read(source, copy)
    assert not copy.exists()
    assert len(read(source, copy)) == 3
    assert server.asked[-1] == "bytes=50-"


def test_a_server_without_ranges_is_asked_for_everything_again(tmp_path: Path) -> None:
    server = Server(ranges=False)
    source = server.source()
    server.breaks = [50]
    assert len(read(source, tmp_path / "source.parquet")) == 3
    server.http.shutdown()
    server.http.server_close()


def test_a_wrong_digest_keeps_nothing(server: Server, tmp_path: Path) -> None:
    source = server.source()
    server.content = archive("100k", "9\t9\t9\t9\n")
    with pytest.raises(DataError, match=r"sha256 is [0-9a-f]{64}, must be [0-9a-f]{64}; the file was not kept"):
        read(source, tmp_path / "source.parquet")
    assert list(tmp_path.iterdir()) == []


def test_a_part_that_is_already_whole_is_used(server: Server, tmp_path: Path) -> None:
    source = server.source()
    name = f"ml-100k-{source.sha256[:12] if source.sha256 else ''}.zip.part"
    (tmp_path / name).write_bytes(server.content)
    assert len(read(source, tmp_path / "source.parquet")) == 3


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        (b"no zip at all", "u.data is not readable as edition '100k'"),
        (archive("1m"), "must hold one u.data, it holds 0"),
        (archive("100k", "1\tcanary\t3\t4\n"), "u.data is not readable as edition '100k'"),
    ],
)
def test_a_strange_archive_is_one_line(server: Server, tmp_path: Path, content: bytes, rule: str) -> None:
    with pytest.raises(DataError, match=rule) as caught:
        read(server.source(content=content), tmp_path / "source.parquet")
    assert "canary" not in str(caught.value)
    assert not (tmp_path / "source.parquet").exists()


def test_an_unreachable_server_is_one_line(tmp_path: Path) -> None:
    source = MovielensSource(kind="movielens", edition="100k", url="http://127.0.0.1:9/ml.zip")
    with pytest.raises(DataError, match="not reachable"):
        read(source, tmp_path / "source.parquet")


def test_the_edition_that_changes_needs_a_digest(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"source\.sha256: must be given for edition 'latest'"):
        read(MovielensSource(kind="movielens", edition="latest"), tmp_path / "source.parquet")
