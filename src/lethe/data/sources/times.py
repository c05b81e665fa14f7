"""Columns of times: numbers of any unit since 1970, ISO 8601, days, other formats and typed times -> integers.

All are kept in one unit, the source's ``resolution``: seconds, or a finer one where the order of a user's rows hangs on
it. Times before 1970 or from 2100 on are refused, and milliseconds and finer parts of 1970: they are those of another
unit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lethe.config.table import TICKS, TableFormat
from lethe.data.sources.columns import EXPONENT, cast, count_like, is_text, kind_of, simple
from lethe.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

FIRST, LAST = 0, 4_102_444_800
"""1970 and 2100 in seconds."""
ISO = r"^\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d([.]\d{1,9})?)?( ?(Z|[+-]\d\d(:?\d\d)?))?)?$"
"""Of what ``plain_iso`` makes of a text."""
DAY = r"^(\d{4}-\d\d-\d\d|\d{8})$"
FIRST_PART = 31_536_000
"""1971 in seconds: milliseconds and finer parts of 1970 are times in a coarser unit, or 0 for want of one."""
DAY_SECONDS = 86_400
_DOUBLE = 64
"""Bits of a floating-point number that holds a second of today."""
EXCEL_DAYS = 25_569
"""1970 as spreadsheets count days."""
_ZONED = r"(Z|[+-]\d\d(:?\d\d)?)$"
_NO_DAY = "some values name no day or hour that there is; mend them, or do without the column ('-' for its name)"
_AFTER_TIME = r":\d\d.*"


def read_times(column: pa.ChunkedArray, how: TableFormat, where: str) -> np.ndarray:
    """[n] int64 in units of ``how.resolution``, or positions. Raises DataError, which opens with ``where``."""
    column = simple(column)
    if how.timestamp_unit == "position":
        return _positions(column, where)
    times = in_unit(column, how, where, how.resolution)
    ticks = TICKS[how.resolution]
    outside = int(((times < FIRST * ticks) | (times >= LAST * ticks)).sum())
    if outside:
        written = f"time_format {how.time_format!r}" if how.time_format else f"timestamp_unit {how.timestamp_unit!r}"
        first = 1971 if how.time_format is None and how.timestamp_unit in ("ms", "us", "ns") else 1970
        raise DataError(
            f"{where}: {outside} of {len(times)} values lie outside {first} to 2100 as {written};"
            " give the right one (--timestamp-unit, --time-format)"
        )
    return times


def in_unit(column: pa.ChunkedArray, how: TableFormat, where: str, resolution: str) -> np.ndarray:
    """[n] int64: the times, whatever they are, in units of ``resolution``, rounded down."""
    if pa.types.is_temporal(column.type):
        return _typed(column, how, where, resolution)
    if pa.types.is_floating(column.type) and column.type.bit_width < _DOUBLE:
        raise DataError(f"{where}: times of type {column.type} have lost digits; write them as numbers of 64 bits")
    if how.time_format is not None:
        return _since_1970(_formatted(as_text(column), how.time_format, where), how.timezone, resolution)
    if how.timestamp_unit == "iso":
        return _iso(as_text(column), how, where, resolution)
    if how.timestamp_unit == "day":
        return _days(as_text(column), how, where, resolution)
    if how.timestamp_unit == "excel":
        return _serials(column, how, where, resolution)
    return _numbers(column, how, where, resolution)


def as_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_floating(column.type):
        column = cast(column, pa.int64()) or column
    return pc.utf8_trim_whitespace(column.cast(pa.string()))


def refuse_exponents(column: pa.ChunkedArray, where: str) -> None:
    """Raises DataError where times were written by a spreadsheet that cut their digits."""
    if count_like(pc.utf8_trim_whitespace(column), EXPONENT):
        raise DataError(f"{where}: times in exponent form (1.7E+09) have lost digits; export the column as text")


def fits(numbers: np.ndarray, unit: str) -> np.ndarray:
    """[n] bool: which numbers are times of 1970 to 2100 in a unit, of 1971 on where that is a part of a second."""
    return np.asarray(
        (numbers >= (FIRST if unit == "s" else FIRST_PART) * TICKS[unit]) & (numbers < LAST * TICKS[unit])
    )


def number_column(column: pa.ChunkedArray) -> np.ndarray | None:
    """[n] int64, or float64 where there are fractions; None where it is no column of numbers."""
    if pa.types.is_boolean(column.type) or pa.types.is_temporal(column.type):
        return None
    if is_text(column):
        column = pc.utf8_trim_whitespace(column)
    whole = cast(column, pa.int64())
    if whole is None and is_text(column):
        whole = cast(pc.replace_substring_regex(column, r"\.0*$", ""), pa.int64())
        # A comma behind more than three digits stands before decimals.
        column = pc.replace_substring_regex(column, r"^(\d{4,}),(\d+)$", r"\1.\2")
    numbers = whole if whole is not None else cast(column, pa.float64())
    if numbers is None or numbers.null_count:
        return None
    values = numbers.to_numpy()
    return values if np.isfinite(values).all() else None


def _positions(column: pa.ChunkedArray, where: str) -> np.ndarray:
    numbers = number_column(column)
    if numbers is None:
        raise DataError(f"{where} must be numbers, as timestamp_unit 'position' says, got {kind_of(column)}")
    if numbers.dtype != np.int64:
        if np.any(numbers != np.floor(numbers)):
            raise DataError(f"{where} must be integers, as timestamp_unit 'position' says, got fractions")
        numbers = numbers.astype(np.int64)
    return numbers


def _serials(column: pa.ChunkedArray, how: TableFormat, where: str, resolution: str) -> np.ndarray:
    """Days of a clock on the wall since 1899-12-30, to the second: their fractions hold no finer ones."""
    import pandas as pd

    numbers = number_column(column)
    if numbers is None:
        raise DataError(f"{where} must be numbers, as timestamp_unit 'excel' says, got {kind_of(column)}")
    seconds = np.rint((numbers.astype(np.float64) - EXCEL_DAYS) * DAY_SECONDS)
    # Beyond 1970 to 2100 they might overflow; a second before 1970 is refused with the others.
    seconds = np.where((seconds >= FIRST) & (seconds < LAST), seconds, -1).astype(np.int64)
    return _since_1970(pd.Series(seconds.astype("datetime64[s]")), how.timezone, resolution)


def _numbers(column: pa.ChunkedArray, how: TableFormat, where: str, resolution: str) -> np.ndarray:
    unit = how.timestamp_unit
    numbers = number_column(column)
    if numbers is None:
        hint = "; give --timestamp-unit iso or day, or --time-format" if is_text(column) else ""
        raise DataError(f"{where} must be numbers or times, got {kind_of(column)}{hint}")
    if numbers.dtype != np.int64 and is_text(column):
        refuse_exponents(column, where)
    times, per_unit = TICKS[resolution], TICKS[unit]
    if numbers.dtype == np.int64:
        # Beyond 1970 to 2100 a product might overflow into it.
        scaled = numbers // (per_unit // times) if per_unit >= times else numbers * (times // per_unit)
        return np.where(fits(numbers, unit), scaled, np.int64(-1))
    scaled = numbers * (times / per_unit)
    nearest = np.rint(scaled)
    # What a fraction lacks by rounding alone is no earlier moment.
    same = np.abs(scaled - nearest) <= np.spacing(np.abs(numbers)) * max(1.0, times / per_unit)
    return np.where(fits(numbers, unit), np.where(same, nearest, np.floor(scaled)), -1).astype(np.int64)


def _typed(column: pa.ChunkedArray, how: TableFormat, where: str, resolution: str) -> np.ndarray:
    if pa.types.is_date(column.type):
        column = column.cast(pa.timestamp("s"))
    if not pa.types.is_timestamp(column.type):
        raise DataError(f"{where} must be numbers or times, got {column.type}; give another, or '-' to do without")
    zoned = column.type.tz is not None
    return _since_1970(column.to_pandas(), None if zoned else how.timezone, resolution)


def _iso(text: pa.ChunkedArray, how: TableFormat, where: str, resolution: str) -> np.ndarray:
    text = plain_iso(text)
    others = len(text) - count_like(text, ISO)
    if others:
        raise DataError(
            f"{where}: {others} of {len(text)} values are not written as timestamp_unit 'iso' says"
            " (2023-11-14T22:13:20Z); give --timestamp-unit or --time-format"
        )
    import pandas as pd

    zoned = pc.match_substring_regex(pc.replace_substring_regex(text, r"^.{10}", ""), _ZONED).to_numpy()
    try:
        moments = pd.to_datetime(text.to_pandas(), format="ISO8601", utc=True)
    except ValueError:
        raise DataError(f"{where}: {_NO_DAY}") from None
    times = _since_1970(moments, None, resolution)
    if how.timezone is not None and not zoned.all():
        local = moments[~zoned].dt.tz_localize(None)
        times = times.copy()
        times[~zoned] = _since_1970(local, how.timezone, resolution)
    return times


def plain_iso(text: pa.ChunkedArray) -> pa.ChunkedArray:
    """ISO 8601 in its one spelling: capitals, a point before the parts of a second, Z for UTC and GMT, and no name of a
    zone behind an offset (``+01:00[Europe/Berlin]``)."""
    text = pc.replace_substring_regex(text, r"\[[\w/+-]+\]$", "")
    text = pc.replace_substring_regex(pc.utf8_upper(text), r" ?(UTC|GMT)$", "Z")
    return pc.replace_substring_regex(text, r"(:\d\d),(\d)", r"\1.\2")


def _days(text: pa.ChunkedArray, how: TableFormat, where: str, resolution: str) -> np.ndarray:
    others = len(text) - count_like(text, DAY)
    if others:
        raise DataError(
            f"{where}: {others} of {len(text)} values are not written as timestamp_unit 'day' says"
            " (2023-11-14 or 20231114); give --timestamp-unit or --time-format"
        )
    days = strptime(pc.replace_substring(text, "-", ""), "%Y%m%d")
    if days.isna().any():
        raise DataError(f"{where}: {_NO_DAY}")
    return _since_1970(days, how.timezone, resolution)


def _formatted(text: pa.ChunkedArray, time_format: str, where: str) -> pd.Series:
    moments = strptime(text, time_format)
    missing = int(moments.isna().sum())
    if missing:
        raise DataError(
            f"{where}: {missing} of {len(moments)} values are not written as time_format {time_format!r} says;"
            " give the right one (--time-format)"
        )
    return moments


def strptime(text: pa.ChunkedArray, time_format: str) -> pd.Series:
    """Moments by a format of strptime, NaT where a value is not written so."""
    import pandas as pd

    # What word processors and browsers make of blanks and of am and pm.
    text = pc.replace_substring_regex(text, r"[\x{a0}\x{202f}]", " ")
    text = pc.replace_substring_regex(text, r"(?i)([ap])\. ?m\.$", r"\1m")
    try:
        return pd.to_datetime(text.to_pandas(), format=time_format, errors="coerce", utc="%z" in time_format)
    except ValueError:
        raise DataError(f"time_format: {time_format!r} must be a format of Python's strptime") from None


def _since_1970(moments: pd.Series, zone: str | None, resolution: str) -> np.ndarray:
    if zone is not None and moments.dt.tz is None:
        # Of an hour that a clock shows twice the first is taken; one that it skips begins when it goes on.
        first = np.ones(len(moments), dtype=bool)
        moments = moments.dt.tz_localize(zone, ambiguous=first, nonexistent="shift_forward")
    if moments.dt.tz is not None:
        moments = moments.dt.tz_convert("UTC").dt.tz_localize(None)
    # Divided, because a conversion of units may round; a finer unit is exact.
    fine = moments.dt.unit
    ticks = moments.to_numpy().astype(f"datetime64[{fine}]").astype(np.int64)
    if TICKS[fine] >= TICKS[resolution]:
        return np.asarray(ticks // (TICKS[fine] // TICKS[resolution]))
    return np.asarray(ticks * (TICKS[resolution] // TICKS[fine]))
