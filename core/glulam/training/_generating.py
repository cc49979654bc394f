"""Features that generators make of a raw table, and what their checks leave of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from glulam import plugins
from glulam._reading import rows_of
from glulam.dataset import RawTable
from glulam.errors import ConfigError, FeatureError, PluginError
from glulam.hookspecs import FeatureGenerator
from glulam.training.config import Config

__all__ = ["check_and_generate", "generate", "generators_of"]

Array = npt.NDArray[Any]
Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]

TIME = "timestamp"
"""What generators call the time of a row, whatever the file does."""


def generators_of(config: Config) -> list[FeatureGenerator]:
    """Return the generators of a config. Raises ConfigError where two of them make features of one name."""
    found = [plugins.features(each.name, **each.params) for each in config.features.generators]
    maker: dict[str, str] = {}
    for position, generator in enumerate(found):
        who = f"features.generators[{position}] ({generator.name})"
        for name in generator.columns:
            if name in maker:
                raise ConfigError(
                    f"{who} and {maker[name]} both make a feature {name!r}; leave one out, or change its parameters"
                )
            maker[name] = who
    return found


def check_and_generate(
    raw: RawTable, generators: Sequence[FeatureGenerator], config: Config
) -> tuple[RawTable, Float64, Int64]:
    """Return the raw table without the rows that a check left out, its features, and the row that each belongs to."""
    raw, tables = _checked(raw, generators, config)
    with rows_of(raw.source, raw.file_rows.tolist()):
        features, rows = _joined(
            [_generated(each, table, len(raw)) for each, table in zip(generators, tables, strict=True)]
        )
    if not len(rows):
        raise FeatureError(f"{raw.source}: no row has all features of {len(raw):,} rows; give a longer history")
    return raw, features, rows


def generate(raw: RawTable, generators: Sequence[FeatureGenerator], config: Config) -> tuple[Float64, Int64]:
    """Return the features of a table that was checked before, and the row that each belongs to."""
    table = _table(raw, config)
    return _joined([_generated(each, table, len(raw)) for each in generators])


def _table(raw: RawTable, config: Config) -> dict[str, Array]:
    """Return the raw table as generators take it, with the time under the file's name for it and the usual one."""
    if raw.time is None:
        return dict(raw.columns)
    time = raw.time.view("datetime64[us]")
    return {**raw.columns, config.data.time or TIME: time, TIME: time}


def _checked(raw: RawTable, generators: Sequence[FeatureGenerator], config: Config) -> tuple[RawTable, list[Any]]:
    """Return the table that all checks pass, and what each check returned of it."""
    findings: list[str] = []
    while True:
        tables: list[Any] = []
        for generator in generators:
            table = _table(raw, config)
            checked, report = _check(generator, table, raw, config)
            if report is not None:
                findings.append(
                    f"{generator.name}: {'; '.join(' '.join(line.split()) for line in str(report).splitlines())}"
                )
            rows = _rows_left(generator, checked, table, len(raw))
            if len(rows) < len(raw):
                # The other checks have seen rows that are gone now: begin anew.
                raw = raw.take(rows)
                break
            tables.append(checked)
        else:
            return replace(raw, findings=(*raw.findings, *dict.fromkeys(findings))), tables


def _check(generator: FeatureGenerator, table: Mapping[str, Array], raw: RawTable, config: Config) -> tuple[Any, Any]:
    try:
        with rows_of(raw.source, raw.file_rows.tolist()):
            return generator.check(table, drop=config.data.drop_bad)
    except FeatureError as error:
        if config.data.drop_bad or "drop=True" not in str(error):
            raise
        raise type(error)(f"{error}; in the config: data.drop_bad = true") from error


def _rows_left(generator: FeatureGenerator, checked: Any, table: Mapping[str, Array], n_rows: int) -> Int64:
    """Return which rows a check left: those that its own column ``row`` says, all where it has none."""
    if checked is table or not isinstance(checked, Mapping) or "row" not in checked:
        return np.arange(n_rows)
    rows = np.asarray(checked["row"])
    rising = rows.dtype.kind == "i" and rows.ndim == 1 and bool((np.diff(rows) > 0).all())
    if not rising or not len(rows) or rows[0] < 0 or rows[-1] >= n_rows:
        raise PluginError(
            f"features {generator.name!r}: check: expected rising row numbers below {n_rows} in column 'row' of what "
            f"it returns, got {rows.dtype} {rows[:4]}"
        )
    return rows.astype(np.int64)


def _generated(generator: FeatureGenerator, table: Any, n_rows: int) -> tuple[Float64, Int64]:
    """Generate, and check shapes and rows."""
    features, rows = generator.generate(table)
    width = len(generator.columns)
    if (
        features.shape != (len(rows), width)
        or (np.diff(rows) <= 0).any()
        or (len(rows) and not 0 <= rows[0] <= rows[-1] < n_rows)
    ):
        raise PluginError(
            f"features {generator.name!r}: generate: expected {width} columns and rising row numbers below {n_rows}, "
            f"got {features.shape} and rows {rows[:2]} ... {rows[-2:]}; see check_feature_generator"
        )
    return features, rows


def _joined(parts: Sequence[tuple[Float64, Int64]]) -> tuple[Float64, Int64]:
    """Return the features of several generators side by side, of the rows that all of them have."""
    common = parts[0][1]
    for _, rows in parts[1:]:
        common = np.intersect1d(common, rows, assume_unique=True)
    return np.hstack([features[np.searchsorted(rows, common)] for features, rows in parts]), common
