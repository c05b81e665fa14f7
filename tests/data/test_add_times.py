"""``lethe data add``, times: the unit or format is found from the values, or asked for; a user's rows stay in order."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from lethe.config.dataset import NewestSplit
from lethe.config.params import Params
from lethe.config.table import TICKS, TableFormat
from lethe.core.random import Stream
from lethe.core.workspace import Workspace
from lethe.data.ingest import ingest
from lethe.data.sources.find_times import find_times
from lethe.data.sources.times import FIRST, LAST, read_times
from lethe.data.split import split
from lethe.errors import DataError
from lethe.tables.interactions import Interactions
from tests.data.made_sources import FIRST_SECOND, ROWS, add, expected, table

Written = Callable[[int], object]
EARLY = 631_152_000
"""1990 in seconds: earlier numbers are no seconds by themselves."""
LAST_OF_1990 = 662_380_416
AMERICAN = "%m/%d/%Y %I:%M:%S %p"


def moment(second: int) -> datetime:
    return datetime.fromtimestamp(second, UTC)


def at(form: str, zone: str = "UTC") -> Written:
    """The second as a clock somewhere writes it."""
    return lambda second: moment(second).astimezone(ZoneInfo(zone)).strftime(form)


@pytest.mark.parametrize(
    ("written", "options"),
    [
        (str, {"timestamp_unit": "s"}),
        (lambda s: s * 10**3, {"timestamp_unit": "ms"}),
        (lambda s: s * 10**6, {"timestamp_unit": "us"}),
        (lambda s: s * 10**9, {"timestamp_unit": "ns"}),
        (lambda s: f"{s}.0", {"timestamp_unit": "s"}),
        (at("%Y-%m-%dT%H:%M:%SZ"), {"timestamp_unit": "iso"}),
        (at("%Y-%m-%d %H:%M:%S"), {"timestamp_unit": "iso"}),
        (at("%Y-%m-%d %H:%M:%S UTC"), {"timestamp_unit": "iso"}),
        (at("%Y-%m-%dT%H:%M:%S%z", "Asia/Shanghai"), {"timestamp_unit": "iso"}),
        (lambda s: moment(s).astimezone(ZoneInfo("Asia/Kolkata")).isoformat(), {"timestamp_unit": "iso"}),
        (lambda s: moment(s).isoformat(" ") + "", {"timestamp_unit": "iso"}),
        (at("%Y%m%d%H%M%S"), {"time_format": "%Y%m%d%H%M%S"}),
        (at("%m/%d/%Y %H:%M:%S"), {"time_format": "%m/%d/%Y %H:%M:%S"}),
        (at("%d.%m.%Y %H:%M:%S"), {"time_format": "%d.%m.%Y %H:%M:%S"}),
        (at("%d-%b-%Y %H:%M:%S"), {"time_format": "%d-%b-%Y %H:%M:%S"}),
        (at("%m/%d/%Y %I:%M:%S %p"), {"time_format": "%m/%d/%Y %I:%M:%S %p"}),
        (at("%a %b %d %H:%M:%S %z %Y"), {"time_format": "%a %b %d %H:%M:%S %z %Y"}),
        (at("%d-%b-%y %H:%M:%S"), {"time_format": "%d-%b-%y %H:%M:%S"}),
        (at("%Y%m%dT%H%M%SZ"), {"time_format": "%Y%m%dT%H%M%S%z"}),
        (at("%Y-%m-%d %I:%M:%S %p"), {"time_format": "%Y-%m-%d %I:%M:%S %p"}),
        (at("%Y-%m-%dt%H:%M:%Sz"), {"timestamp_unit": "iso"}),
        (at("%Y-%m-%d %H:%M:%S GMT"), {"timestamp_unit": "iso"}),
        (at('"%Y-%m-%dT%H:%M:%S,000Z"'), {"timestamp_unit": "iso"}),
        (at("%Y-%m-%dT%H:%M:%S+01:00[Europe/Berlin]", "Etc/GMT-1"), {"timestamp_unit": "iso"}),
        (at('"%m/%d/%Y, %I:%M:%S\u202f%p"'), {"time_format": "%m/%d/%Y, %I:%M:%S %p"}),
        (
            lambda s: moment(s).strftime("%m/%d/%Y %I:%M:%S ") + "ap"[moment(s).hour > 11] + ".m.",
            {"time_format": AMERICAN},
        ),
        (at('"%d.%m.%Y, %H:%M:%S"'), {"time_format": "%d.%m.%Y, %H:%M:%S"}),
        (at('"%a, %d %b %Y %H:%M:%S GMT"'), {"time_format": "%a, %d %b %Y %H:%M:%S GMT"}),
        (at("%Y%m%d_%H%M%S"), {"time_format": "%Y%m%d_%H%M%S"}),
        (lambda s: f" {s} ", {"timestamp_unit": "s"}),
    ],
)
def test_units_and_formats_are_found(
    tiny: Workspace, tmp_path: Path, written: Written, options: dict[str, str]
) -> None:
    added = add(tiny, table(tmp_path / "r.csv", time=written))
    assert added.rows.digest() == expected().digest()
    assert {k: v for k, v in added.source.items() if k.startswith("time") or k == "resolution"} == options


@pytest.mark.parametrize(("sign", "zone"), [(".", None), (",", None), (".", "Europe/Berlin")])
def test_days_of_a_spreadsheet_are_asked_for_and_read_to_the_second(
    tiny: Workspace, tmp_path: Path, sign: str, zone: str | None
) -> None:
    def serial(second: int) -> str:
        local = second if zone is None else second + 3_600
        return f"{local / 86_400 + 25_569:.10f}".replace(".", sign)

    path = table(tmp_path / "r.csv", time=serial, separator=";")
    with pytest.raises(DataError, match=r"days as spreadsheets count them .*; give --timestamp-unit excel, or pos"):
        add(tiny, path)
    with pytest.raises(DataError, match="lie outside 1970 to 2100 as timestamp_unit 'excel'"):
        add(tiny, table(tmp_path / "s.csv"), timestamp_unit="excel")
    added = add(tiny, path, timestamp_unit="excel", **({} if zone is None else {"timezone": zone}))
    assert added.rows.digest() == expected().digest()
    assert ("the times name no zone and are taken as UTC" in added.notes) == (zone is None)


def test_times_that_are_written_as_missing_are_counted(tiny: Workspace, tmp_path: Path) -> None:
    path = table(tmp_path / "r.csv", time=lambda s: "NA" if s % 1000 == 50 else s)
    with pytest.raises(DataError, match="must have no empty values, 20 are written as nan, NULL or the like"):
        add(tiny, path)


@pytest.mark.parametrize(
    ("written", "coarse", "unit"),
    [
        (at("%Y-%m-%d %H:%M"), 60, "iso"),
        (at("%Y-%m-%dT%H:%MZ"), 60, "iso"),
        (at("%Y-%m-%d"), 86400, "day"),
        (at("%Y%m%d"), 86400, "day"),
    ],
)
def test_minutes_and_days(tiny: Workspace, tmp_path: Path, written: Written, coarse: int, unit: str) -> None:
    added = add(tiny, table(tmp_path / "r.csv", time=written))
    assert added.rows.timestamps is not None
    assert set(added.rows.timestamps) == {time // coarse * coarse for *_, time in ROWS}
    assert added.source["timestamp_unit"] == unit


@pytest.mark.parametrize(
    ("written", "resolution", "late"),
    [
        (lambda s: s * 10**3 + 7, "ms", 7),
        (lambda s: f"{s}.250", "ms", 250),
        (lambda s: s * 10**6 + 7000, "ms", 7),
        (lambda s: s * 10**6 + 7, "us", 7),
        (lambda s: f"{s}.000007", "us", 7),
        (lambda s: s * 10**9 + 7, "ns", 7),
        (at("%Y-%m-%d %H:%M:%S.123456"), "us", 123456),
        (at("%Y-%m-%dT%H:%M:%S.123456789Z"), "ns", 123456789),
    ],
)
def test_parts_of_a_second_are_kept(
    tiny: Workspace, tmp_path: Path, written: Written, resolution: str, late: int
) -> None:
    added = add(tiny, table(tmp_path / "r.csv", time=written))
    assert added.rows.digest() == expected(ticks=TICKS[resolution], late=late).digest()
    assert added.source["resolution"] == resolution
    assert added.rows.seconds is not None
    assert sorted(added.rows.seconds) == sorted(time for *_, time in ROWS)


def test_rows_within_a_second_keep_their_order_in_a_split_by_time(tiny: Workspace, tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    lines = [f"{user},{item},3,{FIRST_SECOND * 1000 + 5 * item}" for user in range(1, 21) for item in range(1, 11)]
    path.write_text("user,item,rating,timestamp\n" + "\n".join(lines) + "\n")
    rows = add(tiny, path).rows
    rows.write(tmp_path / "rows.parquet")
    again = Interactions.read(tmp_path / "rows.parquet")
    assert again.digest() == rows.digest()
    parts = split(again, NewestSplit(by="newest", valid=0.1, test=0.1), Stream(1)("split"))
    assert set(parts["test"].item_ids) == {10}
    assert set(parts["valid"].item_ids) == {9}
    cut = split(again, NewestSplit(by="newest", test_from=FIRST_SECOND), Stream(1)("split"))
    assert len(cut["test"]) == 200


@pytest.mark.parametrize(
    ("column", "naive"),
    [
        (pa.array([moment(FIRST_SECOND)] * 3, pa.timestamp("ns", tz="Asia/Shanghai")), False),
        (pa.array([moment(FIRST_SECOND).replace(tzinfo=None)] * 3, pa.timestamp("us")), True),
        (pa.array([moment(FIRST_SECOND).replace(tzinfo=None)] * 3, pa.timestamp("s")), True),
        (pa.array(["2023-11-14T22:13:20Z"] * 3).dictionary_encode(), False),
        (pa.array([FIRST_SECOND * 1000.0] * 3), False),
        (pa.array([FIRST_SECOND] * 3, pa.uint32()), False),
    ],
)
def test_columns_of_parquet_by_type(tiny: Workspace, tmp_path: Path, column: pa.Array, naive: bool) -> None:
    pq.write_table(pa.table({"user": [1, 2, 3], "item": [4, 5, 6], "when": column}), tmp_path / "r.parquet")
    added = add(tiny, tmp_path / "r.parquet", {"rating": None, "timestamp": "when"})
    assert added.rows.timestamps is not None
    assert set(added.rows.timestamps) == {FIRST_SECOND}
    assert ("are taken as UTC" in added.notes) == naive


def test_days_by_type(tiny: Workspace, tmp_path: Path) -> None:
    days = pa.array([moment(FIRST_SECOND).date()] * 3, pa.date32())
    pq.write_table(pa.table({"user": [1, 2, 3], "item": [4, 5, 6], "when": days}), tmp_path / "r.parquet")
    added = add(tiny, tmp_path / "r.parquet", {"rating": None, "timestamp": "when"})
    assert added.rows.timestamps is not None
    assert set(added.rows.timestamps) == {FIRST_SECOND // 86400 * 86400}


@pytest.mark.parametrize(
    ("written", "zone"),
    [
        (at("%Y-%m-%d %H:%M:%S", "Europe/Berlin"), "Europe/Berlin"),
        (at("%d.%m.%Y %H:%M:%S", "Asia/Shanghai"), "Asia/Shanghai"),
    ],
)
def test_times_without_a_zone_are_those_of_the_zone_that_is_given(
    tiny: Workspace, tmp_path: Path, written: Written, zone: str
) -> None:
    path = table(tmp_path / "r.csv", time=written)
    added = add(tiny, path, timezone=zone)
    assert added.rows.digest() == expected().digest()
    assert "UTC" not in added.notes


def test_times_without_a_zone_are_told_to_be_taken_as_utc(tiny: Workspace, tmp_path: Path) -> None:
    added = add(tiny, table(tmp_path / "r.csv", time=at("%Y-%m-%d %H:%M:%S")))
    assert "column 'timestamp': the times name no zone and are taken as UTC; --timezone" in added.notes


def test_a_zone_that_some_times_name_holds_for_them(tiny: Workspace, tmp_path: Path) -> None:
    def mixed(second: int) -> str:
        local = moment(second).astimezone(ZoneInfo("Europe/Berlin"))
        return local.strftime("%Y-%m-%d %H:%M:%S") if second % 20 else moment(second).isoformat()

    added = add(tiny, table(tmp_path / "r.csv", time=mixed), timezone="Europe/Berlin")
    assert added.rows.digest() == expected().digest()


def test_the_hour_that_a_clock_shows_twice_or_never_is_read(tmp_path: Path) -> None:
    column = pa.chunked_array([["2023-10-29 02:30", "2023-03-26 02:30"]])
    times = read_times(column, TableFormat(timestamp_unit="iso", timezone="Europe/Berlin"), "x")
    assert [moment(time).isoformat() for time in times] == ["2023-10-29T00:30:00+00:00", "2023-03-26T01:00:00+00:00"]


@pytest.mark.parametrize(
    ("written", "words"),
    [
        (at("%d/%m/%Y"), ["2 readings", "--time-format '%d/%m/%Y'", "--time-format '%m/%d/%Y'"]),
        (at("%m-%d-%Y %H:%M"), ["2 readings", "'%m-%d-%Y %H:%M'", "'%d-%m-%Y %H:%M'"]),
    ],
)
def test_days_and_months_that_may_be_either_are_asked_about(
    tiny: Workspace, tmp_path: Path, written: Written, words: list[str]
) -> None:
    # All of 2 November 2023.
    path = table(tmp_path / "r.csv", time=lambda s: written(1_698_883_200 + s % 86400))
    with pytest.raises(DataError, match=r"^r\.csv: column 'timestamp': its times have ") as caught:
        add(tiny, path)
    for word in words:
        assert word in str(caught.value)
    option = words[1].split("'")[1]
    rows = add(tiny, path, time_format=option).rows
    assert rows.timestamps is not None
    assert {moment(time).date().isoformat() for time in rows.timestamps} <= {"2023-11-02", "2023-02-11"}


@pytest.mark.parametrize(
    ("written", "words"),
    [
        (lambda s: (s - FIRST_SECOND) // 10, "no times of 1990 to 2100 in one unit .*--timestamp-unit.* position"),
        (lambda s: s * 1000 if s % 20 else s, "in one unit .* as s, .* as ms of 200"),
        (lambda s: s if s % 20 else -1, "in one unit"),
        (lambda s: 45244.9, "days as spreadsheets count them"),
        (lambda s: 19675.9, "in one unit"),
        (lambda s: f"{s / 1e9:.2f}E+09", "in exponent form"),
        (lambda s: (s + 62_135_596_800) * 10**7, r"may be ticks of \.NET .* give --timestamp-unit ns"),
        (lambda s: f'"{s:,}"', "marks between the thousands; export the column as plain numbers"),
        (lambda s: "0000-00-00" if s % 20 else "2023-11-14", "are written as nan, NULL or the like"),
        (lambda s: "2016-12-31T24:00:00Z", "name no day or hour that there is; mend them"),
        (lambda s: "soon", "in no way that is known; give --time-format"),
        (lambda s: "2023-13-45", "some values name no day|not written as time_format"),
        (lambda s: f"2023111{s % 10}22", "may be seconds, or written as %Y%m%d%H; give --timestamp-unit s or"),
    ],
)
def test_times_of_no_unit_are_refused_with_the_option(
    tiny: Workspace, tmp_path: Path, written: Written, words: str
) -> None:
    before = tiny.params.read_bytes()
    with pytest.raises(DataError, match=words) as caught:
        add(tiny, table(tmp_path / "r.csv", time=written))
    assert str(caught.value).startswith("r.csv: column 'timestamp'")
    assert tiny.params.read_bytes() == before


@pytest.mark.parametrize("given", [{}, {"timestamp_unit": "day"}])
def test_times_of_few_bits_have_lost_their_seconds(tiny: Workspace, tmp_path: Path, given: dict[str, Any]) -> None:
    times = pa.array([1_700_000_000.0, 1_700_000_001.0], pa.float32())
    pq.write_table(pa.table({"user": [1, 2], "item": [4, 5], "when": times}), tmp_path / "r.parquet")
    with pytest.raises(DataError, match="'when': times of type float have lost digits; write them as numbers of 64"):
        add(tiny, tmp_path / "r.parquet", {"rating": None, "timestamp": "when"}, **given)


def test_seconds_of_another_beginning_are_told(tiny: Workspace, tmp_path: Path) -> None:
    words = "all times are before 1996; if they are seconds since 2001, as Apple counts"
    assert words in add(tiny, table(tmp_path / "r.csv", time=lambda s: s - 978_307_200)).notes


def test_positions_are_read_when_it_is_said(tiny: Workspace, tmp_path: Path) -> None:
    path = table(tmp_path / "r.csv", time=lambda s: (s - FIRST_SECOND) // 10)
    rows = add(tiny, path, timestamp_unit="position").rows
    assert rows.timestamps is not None
    assert set(rows.timestamps) == {(s - FIRST_SECOND) // 10 for *_, s in ROWS}


def test_a_row_of_the_future_is_a_row(tiny: Workspace, tmp_path: Path) -> None:
    late = int((datetime.now(UTC) + timedelta(days=2000)).timestamp())
    path = table(tmp_path / "r.csv", after=[f"7,40,5,{late}"])
    assert len(add(tiny, path).rows) == len(ROWS) + 1


@pytest.mark.parametrize(
    ("unit", "time"),
    [
        *[("s", 1_700_000_000_000), ("ms", 1_700_000_000_000_000), ("us", -1), ("s", -5), ("s", LAST)],
        *[("ms", 1_700_000_000), ("us", 1_700_000_000_000), ("ns", 1_700_000_000), ("ms", 0)],
    ],
)
def test_ingest_refuses_times_that_are_none_in_the_stated_unit(
    tiny: Workspace, tmp_path: Path, unit: str, time: int
) -> None:
    path = table(tmp_path / "r.csv", time=lambda s: s * TICKS[unit])
    add(tiny, path)
    table(path, time=lambda s: s * TICKS[unit], after=[f"7,40,5,{time}"])
    first = 1970 if unit == "s" else 1971
    words = (
        rf"column 'timestamp': 1 of 201 values lie outside {first} to 2100 as timestamp_unit '{unit}'.*--timestamp-unit"
    )
    with pytest.raises(DataError, match=words):
        ingest(tiny, Params.read(tiny.params), "shop")


@pytest.mark.parametrize(
    ("how", "text"),
    [
        ({"timestamp_unit": "s"}, "2023-11-14"),
        ({"timestamp_unit": "iso"}, "11/14/2023"),
        ({"timestamp_unit": "day"}, "2023-11-14 22:13"),
        ({"time_format": "%d/%m/%Y"}, "11/14/2023"),
        ({"timestamp_unit": "position"}, "first"),
        ({"timestamp_unit": "s"}, "1.6E+09"),
    ],
)
def test_a_time_that_is_not_written_as_stated_names_the_option(how: dict[str, Any], text: str) -> None:
    with pytest.raises(DataError, match=r"^x.*(timestamp|time|position)") as caught:
        read_times(pa.chunked_array([[text]]), TableFormat(**how), "x")
    assert text not in str(caught.value)


@given(
    st.lists(st.integers(EARLY, LAST - 1), min_size=1, max_size=50),
    st.sampled_from(["s", "ms", "us", "ns"]),
    st.integers(0, 999),
)
def test_the_unit_of_any_numbers_since_1990_is_found(seconds: list[int], unit: str, part: int) -> None:
    ticks = TICKS[unit]
    late = part if ticks > 1 else 0
    column = pa.chunked_array([pa.array([second * ticks + late for second in seconds])])
    # Ten digits that may also be an hour (2023111422) are asked about: see above.
    assume(ticks > 1 or any(second < 1_900_000_000 for second in seconds))
    # So are nanoseconds of 1990, which may be .NET's ticks of our days.
    assume(unit != "ns" or any(second >= LAST_OF_1990 for second in seconds))
    found = find_times(column, "x", TableFormat(), {})
    assert found.options["timestamp_unit"] == unit
    how = TableFormat(**found.options)
    times = read_times(column, how, "x")
    assert [int(time) // how.ticks for time in times] == seconds
    assert np.array_equal(np.argsort(times, kind="stable"), np.argsort([s * ticks for s in seconds], kind="stable"))


@given(st.lists(st.integers(FIRST, LAST - 1), min_size=1, max_size=20))
def test_iso_times_of_any_day_are_their_seconds(seconds: list[int]) -> None:
    column = pa.chunked_array([[moment(second).strftime("%Y-%m-%dT%H:%M:%SZ") for second in seconds]])
    found = find_times(column, "x", TableFormat(), {})
    assert read_times(column, TableFormat(**found.options), "x").tolist() == seconds
