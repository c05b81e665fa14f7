"""In which unit or format a column of times is written: found where there is one reading, else refused."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lethe.config.table import TICKS, TableFormat
from lethe.data.sources.columns import count_like, is_text, must_be_whole, refuse_missing_words, simple
from lethe.data.sources.findings import Findings
from lethe.data.sources.times import (
    DAY,
    DAY_SECONDS,
    EXCEL_DAYS,
    ISO,
    as_text,
    in_unit,
    number_column,
    plain_iso,
    read_times,
    refuse_exponents,
    strptime,
)
from lethe.errors import DataError

EARLY = 631_152_000
"""1990 in seconds: between it and 2100 no number is a time in two units."""
LATE = 4_102_444_800
_OLD = 820_454_400
"""1996 in seconds: before, hardly anybody noted who took what."""
_TICKS_2100 = 662_380_416 * 10**9
"""2100 as .NET counts ticks, which as nanoseconds is a day of 1990."""
_DATES = ["%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%d-%m-%Y", "%m-%d-%Y", "%Y/%m/%d", "%Y.%m.%d"]
_DATES += ["%d/%m/%y", "%m/%d/%y", "%d.%m.%y", "%d-%b-%Y", "%d %b %Y", "%b %d, %Y", "%d %B %Y", "%B %d, %Y"]
_DATES += ["%d-%b-%y", "%d %b %y", "%b %d %Y", "%Y-%b-%d", "%Y-%m-%d", "%Y年%m月%d日"]
_CLOCKS = ["", " %H:%M", " %H:%M:%S", " %H:%M:%S.%f", "T%H:%M:%S", " %I:%M %p", " %I:%M:%S %p", " %I:%M%p"]
_CLOCKS += [", %H:%M", ", %H:%M:%S", ", %I:%M %p", ", %I:%M:%S %p"]
_OTHERS = ["%Y%m%dT%H%M%S%z", "%Y%m%dT%H%M%S", "%Y%m%d %H:%M:%S", "%Y%m%d_%H%M%S", "%d-%b-%y %I.%M.%S.%f %p"]
_OTHERS += ["%a, %d %b %Y %H:%M:%S %z", "%a %b %d %H:%M:%S %z %Y", "%a %b %d %H:%M:%S %Y", "%d/%b/%Y:%H:%M:%S %z"]
_OTHERS += ["%a, %d %b %Y %H:%M:%S GMT", "%a %b %d %H:%M:%S UTC %Y"]
_FORMATS = [date + clock for date, clock in product(_DATES, _CLOCKS)] + _OTHERS
_COMPACT = {14: "%Y%m%d%H%M%S", 12: "%Y%m%d%H%M", 10: "%Y%m%d%H"}
_ZONED = r"(Z|[+-]\d\d(:?\d\d)?)$"


def find_times(column: pa.ChunkedArray, where: str, how: TableFormat, given: Mapping[str, Any]) -> Findings:
    """``timestamp_unit`` or ``time_format``, and ``resolution``. Raises DataError with the option to give."""
    must_be_whole(column, where)
    column = simple(column)
    found = Findings()
    if not {"timestamp_unit", "time_format"} & set(given):
        found = _find(column, where)
    how = how.model_copy(update=dict(found.options))
    if how.timestamp_unit == "position":
        return found
    times = read_times(column, how, where)
    if number_column(column) is not None and times.max(initial=0) < _OLD * how.ticks:
        note = f"{where}: all times are before 1996; if they are seconds since 2001, as Apple counts, write them as"
        found |= Findings(notes=(f"{note} seconds since 1970 (978307200 more)",))
    if _is_local(column, how) and how.timezone is None:
        note = f"{where}: the times name no zone and are taken as UTC; --timezone Europe/Berlin (or another) says where"
        found |= Findings(notes=(f"{note} they were taken",))
    resolution = _resolution(column, how, where)
    return found if resolution == "s" else found | Findings({"resolution": resolution})


def _find(column: pa.ChunkedArray, where: str) -> Findings:
    if pa.types.is_temporal(column.type):
        return Findings({"timestamp_unit": "day" if pa.types.is_date(column.type) else "iso"})
    numbers = number_column(column)
    if numbers is not None:
        return _of_numbers(column, numbers, where)
    if not is_text(column):
        raise DataError(f"{where} must be numbers or times, got {column.type}; give another, or '-' to do without")
    refuse_missing_words(column, where)
    return _of_text(pc.utf8_trim_whitespace(column), where)


def _of_numbers(column: pa.ChunkedArray, numbers: np.ndarray, where: str) -> Findings:
    if is_text(column):
        refuse_exponents(column, where)
    compact = _compact(column)
    counts = {unit: int(((numbers >= EARLY * ticks) & (numbers < LATE * ticks)).sum()) for unit, ticks in TICKS.items()}
    units = [unit for unit, count in counts.items() if count == len(numbers)]
    if units == ["ns"] and np.all(numbers < _TICKS_2100):
        raise DataError(
            f"{where}: its numbers may be ticks of .NET (a second has ten million, since the year 1); write them as"
            " 2023-11-14T22:13:20Z, or give --timestamp-unit ns if they are nanoseconds of 1990"
        )
    if units and compact:
        raise DataError(
            f"{where}: may be seconds, or written as {compact}; give --timestamp-unit {units[0]} or"
            f" --time-format {compact}"
        )
    if units:
        return _told(where, timestamp_unit=units[0])
    if compact == "%Y%m%d":
        return _told(where, timestamp_unit="day")
    if compact:
        return _told(where, time_format=compact)
    if np.all((numbers >= EXCEL_DAYS + EARLY / DAY_SECONDS) & (numbers < EXCEL_DAYS + LATE / DAY_SECONDS)):
        raise DataError(
            f"{where}: its numbers may be days as spreadsheets count them (45244.5 is noon of 2023-11-14); give"
            " --timestamp-unit excel, or position where they only order a user's rows"
        )
    fit = ", ".join(f"{count} as {unit}" for unit, count in counts.items() if count)
    raise DataError(
        f"{where}: its numbers are no times of 1990 to 2100 in one unit ({fit or 'none are in s, ms, us or ns'} of"
        f" {len(numbers)}); give --timestamp-unit position where they only order a user's rows, or another unit, or"
        " --timestamp-column - to do without them"
    )


def _compact(column: pa.ChunkedArray) -> str | None:
    """The format of 20231114 and its kin, if all are written so."""
    text = as_text(column)
    lengths = set(pc.unique(pc.utf8_length(text)).to_pylist())
    if len(lengths) != 1 or count_like(text, r"^(19[7-9]|20)[0-9]+$") < len(text):
        return None
    time_format = {8: "%Y%m%d", **_COMPACT}.get(lengths.pop())
    return time_format if time_format and not strptime(text, time_format).isna().any() else None


def _of_text(text: pa.ChunkedArray, where: str) -> Findings:
    if count_like(text, DAY) == len(text):
        return _told(where, timestamp_unit="day")
    if count_like(plain_iso(text), ISO) == len(text):
        return _told(where, timestamp_unit="iso")
    few = text.slice(0, 200)
    likely = [one for one in _FORMATS if not strptime(few, one).isna().any()]
    formats = [one for one in likely if not strptime(text, one).isna().any()]
    if count_like(text, r"^[0-9]{1,3}([,.' _\x{a0}\x{202f}][0-9]{3})+$") == len(text):
        raise DataError(f"{where}: its times have marks between the thousands; export the column as plain numbers")
    if len(formats) == 1:
        return _told(where, time_format=formats[0])
    if formats:
        options = " or ".join(f"--time-format {one!r}" for one in formats)
        raise DataError(f"{where}: its times have {len(formats)} readings; give {options}")
    raise DataError(
        f"{where}: its times are written in no way that is known; give --time-format, such as '%d/%m/%Y %H:%M'"
    )


def _told(where: str, **options: str) -> Findings:
    name, value = next(iter(options.items()))
    if value == "s":
        return Findings(options)
    flag = f"--{name.replace('_', '-')}"
    return Findings(options, (f"{where}: {name} is {value!r}, found from the values; {flag} says otherwise",))


def _is_local(column: pa.ChunkedArray, how: TableFormat) -> bool:
    """Whether some times are those of a clock on the wall whose place is not known."""
    if pa.types.is_timestamp(column.type):
        return column.type.tz is None
    if pa.types.is_temporal(column.type) or how.time_format is not None:
        return "%z" not in (how.time_format or "")
    if how.timestamp_unit == "iso":
        # The dashes of the day itself are no offset.
        clock = pc.replace_substring_regex(pc.utf8_trim_whitespace(column), r"^.{10}", "")
        return count_like(plain_iso(clock), _ZONED) < len(column)
    return how.timestamp_unit in ("day", "excel")


def _resolution(column: pa.ChunkedArray, how: TableFormat, where: str) -> str:
    """The coarsest unit that keeps every moment apart from the others."""
    numbers = None if pa.types.is_temporal(column.type) else number_column(column)
    # The digits of floating-point seconds end at a microsecond.
    finest = "us" if numbers is not None and numbers.dtype != np.int64 else "ns"
    times = in_unit(column, how, where, finest)
    return next(unit for unit, ticks in TICKS.items() if not np.any(times % (TICKS[finest] // ticks)) or unit == finest)
