"""Assembling the dataset: features and labels of a raw table, with the rows that each of them reads."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from glulam import plugins
from glulam._encoding import Float32CollisionWarning
from glulam._reading import rows_of
from glulam._task import decide_task
from glulam.dataset import Dataset, Labels, RawTable
from glulam.errors import ConfigError, FeatureError, FeatureTypeError, PluginError
from glulam.program import Task
from glulam.schema import FeatureSchema
from glulam.training._generating import check_and_generate, generate, generators_of
from glulam.training.config import Config
from glulam.trainspecs import Label

__all__ = ["make_dataset", "regenerate"]

Array = npt.NDArray[Any]
Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]


def make_dataset(raw: RawTable, config: Config) -> Dataset:
    """Return features and labels of a raw table, of the rows that have both.

    Rows that a generator's check leaves out are left out of the dataset's ``raw`` too, before labels are made. What
    was found and left out is noted in ``raw.findings``.

    Raises ConfigError for what the config should say otherwise, FeatureError for a table that does not do, naming
    the row of the file, and PluginError for a label or a generator that breaks its contract.
    """
    label = plugins.label(config.label.name, **config.label.params)
    generators = generators_of(config)
    _check_series(raw, config, label)
    if generators:
        names = [name for each in generators for name in each.columns]
        _check_made(config, label, names)
        raw, made, rows = check_and_generate(raw, generators, config)
        columns = dict(zip(names, made.T, strict=True))
        raw = _noting(raw, f"{len(raw) - len(rows):,} rows without all features left out", len(raw) - len(rows))
        labels = _labels(raw, label)
    else:
        labels = _labels(raw, label)  # first: a label that is misspelt would be taken for one more feature
        columns, rows = _plain_columns(raw, config, label), np.arange(len(raw))
    kept = labels.known[rows]
    raw = _noting(raw, f"{int((~kept).sum()):,} rows whose label is not known left out", int((~kept).sum()))
    rows = rows[kept]
    _check_rows(raw, config, label, len(rows))
    file_rows = raw.file_rows[rows].tolist()
    task, classes, y, why = _target(raw, config, label, labels.y[rows], file_rows)
    columns = {name: values[kept] for name, values in columns.items()}
    with rows_of(raw.source, file_rows), warnings.catch_warnings(record=True) as collisions:
        warnings.simplefilter("always", Float32CollisionWarning)
        schema = FeatureSchema.learn(columns, categorical=config.data.categorical)
        X = schema.encode(columns)
    noted = [f"task: {task}: {why}", *_across_gaps(raw, labels, rows), *(str(each.message) for each in collisions)]
    raw = replace(raw, findings=(*raw.findings, *noted))
    return Dataset(
        X, y, schema, task, classes, label.horizon, rows, labels.end[rows], raw, _groups(raw, config, rows),
        tuple((each.name, each.params) for each in config.features.generators),
        (config.label.name, config.label.params),
    )  # fmt: skip


def regenerate(config: Config) -> Callable[[RawTable], tuple[Float64, Int64]] | None:
    """Return what recomputes the features of a raw table that was checked before, or of its first rows.

    None where features are columns of the file. Features are float64 [n, n_features], in the order of the dataset's
    schema, with the int64 row of the table that each belongs to.
    """
    generators = generators_of(config)
    if not generators:
        return None
    return lambda raw: generate(raw, generators, config)


# -- features --------------------------------------------------------------------------------


def _check_made(config: Config, label: Label, names: list[str]) -> None:
    """Refuse what the config says of columns where generators make the features."""
    if label.target in names:
        raise FeatureError(
            f"label: column {label.target!r} is also a feature that a generator makes; a model would only repeat it: "
            "choose another label, or leave the feature out"
        )
    if config.data.categorical:
        raise ConfigError(
            f"data.categorical: {list(config.data.categorical)}: features are made by generators, whose features are "
            "numbers; leave data.categorical or the generators out"
        )
    both = [name for name in config.data.drop if name in names]
    if both:
        raise ConfigError(
            f"data.drop: {both} are made by a generator, which data.drop does not change; leave them out of data.drop, "
            "or take other generators"
        )


def _plain_columns(raw: RawTable, config: Config, label: Label) -> dict[str, Array]:
    """Return the columns that are features."""
    left_out = {label.target, *([config.data.group] if config.data.group else []), *config.data.drop}
    names = [name for name in raw.columns if name not in left_out]
    if "" in names:
        position = list(raw.columns).index("") + 1
        raise FeatureError(
            f"{raw.source}: a column has no name (number {position} without the time); if it is the row numbers that "
            'pandas writes, leave it out by data.drop = [""], else name it'
        )
    wrong = [name for name in config.data.categorical if name not in names]
    if wrong:
        raise ConfigError(f"data.categorical: {wrong}: no feature, as it is the label, time, group or dropped")
    if not names:
        raise FeatureError(f"{raw.source}: no column is left as a feature; drop fewer, or name generators")
    text = [name for name in names if name not in config.data.categorical and _is_text(raw.columns[name])]
    if text:
        row, value = next((row, value) for row, value in enumerate(raw.columns[text[0]]) if isinstance(value, str))
        raise FeatureTypeError(
            f"{raw.source}: columns {text} hold text (row {raw.file_rows[row] + 1}: {value!r}); a feature is a number "
            "or true/false: declare them by data.categorical, or leave them out by data.drop"
        )
    return {name: raw.columns[name] for name in names}


def _is_text(values: Array) -> bool:
    return values.dtype == object and any(isinstance(value, str) for value in values)


# -- labels ----------------------------------------------------------------------------------


def _labels(raw: RawTable, label: Label) -> Labels:
    """Return the labels of the table, checked: a wrong end would let rows to test on leak into those to fit on."""
    with rows_of(raw.source, raw.file_rows.tolist()):
        labels = label.make(raw)
    rows = np.arange(len(raw))
    who = f"label {label.name!r}: make:"
    if not len(labels.y) == len(labels.known) == len(labels.end) == len(raw):
        got = f"{len(labels.y)}, {len(labels.known)} and {len(labels.end)}"
        raise PluginError(f"{who} expected y, known and end of {len(raw)} rows, got {got}")
    reach = labels.end - rows
    if (reach < 0).any() or (reach > label.horizon).any() or (labels.end >= len(raw)).any():
        raise PluginError(
            f"{who} expected end from each row to {label.horizon} rows (horizon) beyond it, within the table, got "
            f"{reach.min()} to {reach.max()}; glulam.testing.check_label finds out more"
        )
    if not labels.known.any():
        raise FeatureError(
            f"{raw.source}: no row of {len(raw):,} has a label; give a longer history, or a shorter label"
        )
    first, last = np.flatnonzero(labels.known)[[0, -1]]
    missing = ~labels.known & (rows > first) & (rows < min(last, len(raw) - label.horizon))
    if missing.any():
        row = int(np.argmax(missing))
        raise FeatureError(
            f"{raw.source}, row {raw.file_rows[row] + 1}: the label is missing ({int(missing.sum())} such rows among "
            "labelled ones); leave such rows out, or fill them in"
        )
    # Near the table's end a label that may come early is known where it did: those rows are chosen by their outcome.
    tail = rows >= len(raw) - label.horizon
    chosen = tail & labels.known & (rows > np.argmax(tail & ~labels.known))
    return replace(labels, known=labels.known & ~tail) if (tail & ~labels.known).any() and chosen.any() else labels


def _target(
    raw: RawTable, config: Config, label: Label, y: Array, file_rows: list[int]
) -> tuple[Task, Array, Array, str]:
    """Return task, classes, class positions or values, and why it is this task."""
    asked = config.ensemble.task
    if label.task is not None:
        if asked not in ("auto", label.task):
            raise ConfigError(
                f'ensemble.task = "{asked}": label {label.name!r} is for {label.task}; leave the task out'
            )
        asked = label.task
    if y.dtype == object:
        y = np.array(y.tolist())
    if (y == y[0]).all():
        raise FeatureError(
            f"{raw.source}: all {len(y):,} labels are {y[0].item()!r}; there is nothing to learn: check label and rows"
        )
    with rows_of(raw.source):
        task, why, y = decide_task(y, asked, file_rows, option='ensemble.task = "{}"')
    why = f"label {label.name!r} is for {label.task}" if label.task is not None else why
    if task == "regression":
        return "regression", np.empty(0), y, why
    classes, positions = np.unique(y, return_inverse=True)
    return "binary" if len(classes) == 2 else "multiclass", classes, positions.astype(np.int64), why


def _across_gaps(raw: RawTable, labels: Labels, rows: Int64) -> tuple[str, ...]:
    """Note how many labels reach across missing rows: they count rows, not time."""
    if raw.time is None:
        return ()
    distances, end = np.diff(raw.time), labels.end[rows]
    # Rows of several groups may have one time.
    steps, counts = np.unique(distances[distances > 0], return_counts=True)
    if not len(steps):
        return ()
    across = int((raw.time[end] - raw.time[rows] > (end - rows) * steps[np.argmax(counts)]).sum())
    finding = f"{across:,} labels reach across a gap in time: they count rows, whatever their distance"
    return (finding,) if across else ()


# -- rows ------------------------------------------------------------------------------------


def _check_rows(raw: RawTable, config: Config, label: Label, n_rows: int) -> None:
    """Refuse a table of which no fold could keep a row beside those that the label's horizon takes."""
    folds = config.evaluation.folds
    needed = (folds + 1) * (label.horizon + config.evaluation.embargo + 2)
    if n_rows < needed:
        raise FeatureError(
            f"{raw.source}: {n_rows:,} rows have features and a label; expected at least {needed:,} for {folds} folds "
            f"and a label that reaches {label.horizon} rows ahead; give more rows, or fewer folds"
        )


def _check_series(raw: RawTable, config: Config, label: Label) -> None:
    """Refuse to count rows across the series that share a table: the next row would be another series' one."""
    if not config.data.group or raw.time is None or (label.target and not config.features.generators):
        return
    groups = np.unique([str(value) for value in raw.columns[config.data.group].tolist()], return_inverse=True)[1]
    if 1 + np.count_nonzero(np.diff(groups)) > groups.max() + 1:
        what = "generators" if config.features.generators else f"label {label.name!r}"
        raise FeatureError(
            f"{raw.source}: rows of {groups.max() + 1} groups of data.group = {config.data.group!r} alternate, but "
            f"{what} would take the next row for the same series; train one series at a time, or make features and "
            "label columns before"
        )


def _groups(raw: RawTable, config: Config, rows: Int64) -> Array | None:
    if not config.data.group:
        return None
    found = raw.columns[config.data.group][rows]
    missing = np.array([value is None or value != value for value in found.tolist()])
    if missing.any():
        row = raw.file_rows[rows[int(np.argmax(missing))]]
        raise FeatureError(
            f"{raw.source}, row {row + 1}, column {config.data.group!r}: the group is missing ({int(missing.sum())} "
            "such rows); fill it in, or leave such rows out"
        )
    return np.array(found.tolist())


def _noting(raw: RawTable, finding: str, count: int) -> RawTable:
    return replace(raw, findings=(*raw.findings, finding)) if count else raw
