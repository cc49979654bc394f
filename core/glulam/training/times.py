"""Times of rows as microseconds since 1970 in UTC; what could be meant in two ways is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from glulam._reading import flat, holds_numbers
from glulam.errors import ConfigError, FeatureError

__all__ = ["read_moment", "read_times", "time_text"]

Int64 = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

_UTC = ("UTC", "Etc/UTC", "GMT", "Z")
_WHOLE = r"^[+-]?\d+(\.0*)?$"
_LOCAL_AND_ZONE = r"^(?P<local>\d{4}-\d\d-\d\d[T ][^A-Za-z+-]*?)\s*(?P<zone>Z|z|UTC|[+-]\d\d(?::?\d\d)?)$"
_FINER = r"(\.\d{6})\d+$"
_EXPECTED = "expected ISO 8601 text such as 2018-01-01T04:00:00Z, datetimes, or whole numbers since 1970"
_EARLIEST = 100_000_000
"""Seconds to March 1973: a smaller number is rather a date such as 20180101, a year or a counter than a time."""


def read_times(column: Any, name: str, timezone: str = "") -> Int64:
    """Return a pyarrow column as int64 microseconds since 1970, UTC.

    Whole numbers count since 1970 in UTC; their unit follows from their size, one by one (seconds below 1e11, then
    milliseconds, microseconds from 1e14, nanoseconds from 1e17), because exchanges have changed it within one series.
    ``timezone`` is the zone of times that name none, and what different offsets must agree with.

    Raises FeatureError, with the row counted from 0, for what is missing or no time, for times with and without a
    zone in one column, for different offsets or none where ``timezone`` is empty, and for local times that a clock
    change skips or repeats; ConfigError for an unknown zone.
    """
    values = flat(column)
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if _is_text(values.type):
        values = pc.utf8_trim_whitespace(values.cast(pa.string()))
        values = pc.if_else(pc.equal(values, ""), pa.scalar(None, pa.string()), values)
    _require_all(values, name)
    if _is_text(values.type):
        return _from_text(values, name, timezone)
    if holds_numbers(values.type):
        return _from_numbers(values, name)
    if pa.types.is_timestamp(values.type):
        microseconds = _as_int64(pc.cast(values, pa.timestamp("us", values.type.tz), safe=False))
        return microseconds if values.type.tz else _to_utc(microseconds, name, timezone)
    if pa.types.is_date(values.type):
        return _to_utc(_as_int64(pc.cast(values, pa.timestamp("us"))), name, timezone)
    raise FeatureError(f"column {name!r}: holds {values.type}, no times; {_EXPECTED}")


def read_moment(text: str, key: str, timezone: str = "") -> int:
    """Return a moment of the config as microseconds since 1970; without a zone it is UTC, or ``timezone``'s."""
    try:
        return int(read_times(pa.array([text]), key, timezone or "UTC")[0])
    except FeatureError as error:
        raise ConfigError(
            f"data.{key}: {text!r} is no moment ({error}); expected such as 2018-01-01 or 2018-01-01T04:00:00Z"
        ) from error


def time_text(microseconds: int | np.int64) -> str:
    """Return microseconds since 1970 as text, such as 2018-01-01T04:00:00Z."""
    return str(np.datetime64(int(microseconds), "us")).removesuffix(".000000") + "Z"


def _is_text(kind: Any) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _as_int64(values: Any) -> Int64:
    return np.asarray(pc.cast(values, pa.int64()).to_numpy(zero_copy_only=False), dtype=np.int64)


def _mask(values: Any) -> Mask:
    return np.asarray(values.to_numpy(zero_copy_only=False), dtype=np.bool_)


def _require_all(values: Any, name: str) -> None:
    if values.null_count:
        row = int(np.argmax(_mask(values.is_null())))
        raise FeatureError(
            f"column {name!r}, row {row}: the time is missing ({values.null_count} such rows); leave such rows out"
        )


# -- numbers ---------------------------------------------------------------------------------


def _from_numbers(values: Any, name: str) -> Int64:
    try:
        whole = _as_int64(values)
    except pa.lib.ArrowInvalid:
        numbers = np.asarray(pc.cast(values, pa.float64(), safe=False).to_numpy(zero_copy_only=False))
        # nan is not below anything, so it is refused too.
        bad = ~(np.abs(numbers) < 2.0**63) | (numbers != np.trunc(numbers))
        row = int(np.argmax(bad))
        raise FeatureError(f"column {name!r}, row {row}: {values[row].as_py()} is no time; {_EXPECTED}") from None
    size = np.abs(whole)
    # The size of the smallest int64 is negative again.
    odd = size < _EARLIEST
    if odd.any():
        row = int(np.argmax(odd))
        raise FeatureError(
            f"column {name!r}, row {row}: {whole[row]} is no time: as seconds since 1970 it would be "
            f"{_nearby(int(whole[row]))}; write dates as 2018-01-01, times before March 1973 as text, and give no time "
            "for rows that have a mere counter"
        )
    units = [size < 10**11, size < 10**14, size < 10**17]
    return np.select(units, [whole * 1_000_000, whole * 1_000, whole], whole // 1_000)


def _nearby(seconds: int) -> str:
    return time_text(seconds * 1_000_000) if abs(seconds) < _EARLIEST else "beyond any date"


# -- text ------------------------------------------------------------------------------------


def _from_text(values: Any, name: str, timezone: str) -> Int64:
    whole = _mask(pc.match_substring_regex(values, _WHOLE))
    if whole.all():
        digits = pc.utf8_ltrim(pc.replace_substring_regex(values, r"\.0*$", ""), "+")
        try:
            return _from_numbers(pc.cast(digits, pa.int64()), name)
        except pa.lib.ArrowInvalid:
            row = _first_failing(digits, lambda part: pc.cast(part, pa.int64()))
            raise FeatureError(f"column {name!r}, row {row}: {values[row].as_py()} is no time; {_EXPECTED}") from None
    if whole.any():
        row = int(np.argmax(whole))
        raise FeatureError(
            f"column {name!r}, row {row}: {values[row].as_py()!r} is a whole number, but {int((~whole).sum())} of "
            f"{len(whole)} times are other text; write all of them in one way"
        )
    parts = pc.extract_regex(values, _LOCAL_AND_ZONE)
    zoned = ~_mask(parts.is_null())
    local = _local(pc.coalesce(pc.struct_field(parts, "local"), values), values, name)
    if not zoned.any():
        return _to_utc(local, name, timezone)
    if not zoned.all():
        row = int(np.argmax(~zoned))
        raise FeatureError(
            f"column {name!r}, row {row}: {values[row].as_py()!r} names no zone, but {int(zoned.sum())} of "
            f"{len(zoned)} times do; write all of them in one way"
        )
    zones = pc.struct_field(parts, "zone").dictionary_encode()
    minutes = np.array([_minutes(zone) for zone in zones.dictionary.to_pylist()], dtype=np.int64)
    offsets = minutes[_as_int64(zones.indices)]
    instants = local - offsets * 60_000_000
    _check_offsets(instants, local, offsets, name, timezone)
    return instants


def _local(texts: Any, values: Any, name: str) -> Int64:
    """Return text without a zone as microseconds since 1970 by the clock on the wall."""
    texts = pc.replace_substring_regex(texts, _FINER, r"\1")

    def parse(part: Any) -> Any:
        return pc.cast(part, pa.timestamp("us"))

    try:
        return _as_int64(parse(texts))
    except pa.lib.ArrowInvalid:
        row = _first_failing(texts, parse)
        raise FeatureError(f"column {name!r}, row {row}: {values[row].as_py()!r} is no time; {_EXPECTED}") from None


def _first_failing(values: Any, convert: Callable[[Any], Any]) -> int:
    """Return the first row that cannot be converted; there is one."""
    low, high = 0, len(values)  # values[low:high] has it
    while high - low > 1:
        middle = (low + high) // 2
        try:
            convert(values[low:middle])
            low = middle
        except pa.lib.ArrowInvalid:
            high = middle
    return low


def _minutes(zone: str) -> int:
    """Return the offset that a text such as Z, +01, +0100 or -05:30 means."""
    if zone in ("Z", "z", "UTC"):
        return 0
    digits = zone[1:].replace(":", "").ljust(4, "0")
    return (-1 if zone[0] == "-" else 1) * (int(digits[:2]) * 60 + int(digits[2:]))


def _check_offsets(instants: Int64, local: Int64, offsets: Int64, name: str, timezone: str) -> None:
    """Refuse different offsets, unless they are those that the clock of ``timezone`` has at these moments."""
    found = np.unique(offsets)
    if len(found) == 1:
        return
    shown = ", ".join(_offset_text(minutes) for minutes in found[:4].tolist()) + (", ..." if len(found) > 4 else "")
    if not timezone:
        raise FeatureError(
            f"column {name!r}: times have different offsets from UTC ({shown}); write all of them in UTC, or if they "
            'are the clock of one place, say of which: data.timezone = "Europe/Berlin"'
        )
    clock = instants
    if timezone not in _UTC:
        with_zone = _in_zone(lambda: pc.cast(pa.array(instants.view("M8[us]")), pa.timestamp("us", timezone)), timezone)
        clock = _as_int64(_in_zone(lambda: pc.local_timestamp(with_zone), timezone))
    if (clock != local).any():
        row = int(np.argmax(clock != local))
        raise FeatureError(
            f"column {name!r}, row {row}: the offset {_offset_text(int(offsets[row]))} is not that of data.timezone "
            f"{timezone!r} at {time_text(instants[row])}, and times have different offsets ({shown}); write all of "
            "them in UTC"
        )


def _offset_text(minutes: int) -> str:
    return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"


# -- zones -----------------------------------------------------------------------------------


def _to_utc(local: Int64, name: str, timezone: str) -> Int64:
    """Return local times as UTC. Raises FeatureError where the clock of the zone skips or repeats them."""
    if not timezone:
        raise FeatureError(
            f'column {name!r}: times name no zone; set data.timezone = "UTC" if that is what they are, or the place '
            'whose clock they are, such as "Europe/Berlin"'
        )
    if timezone in _UTC:
        return local
    naive = pa.array(local.view("M8[us]"))

    def assumed(ambiguous: str, nonexistent: str) -> Int64:
        return _as_int64(
            _in_zone(
                lambda: pc.assume_timezone(naive, timezone, ambiguous=ambiguous, nonexistent=nonexistent), timezone
            )
        )

    found = assumed("earliest", "earliest")
    for other, why in (
        (assumed("latest", "earliest"), "comes twice, as the clock is put back"),
        (assumed("earliest", "latest"), "does not exist, as the clock is put forward"),
    ):
        odd = found != other
        if odd.any():
            row = int(np.argmax(odd))
            raise FeatureError(
                f"column {name!r}, row {row}: {time_text(local[row]).removesuffix('Z')} {why} in {timezone} "
                f"({int(odd.sum())} such rows); write times in UTC, or with their offset"
            )
    return found


def _in_zone(convert: Callable[[], Any], timezone: str) -> Any:
    try:
        return convert()
    except pa.lib.ArrowInvalid as error:
        if "timezone" not in str(error):
            raise
        raise ConfigError(
            f"data.timezone: unknown zone {timezone!r} ({' '.join(str(error).split())}); expected a name such as UTC "
            "or Europe/Berlin"
        ) from error
