"""What a feature selector must do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from glulam.dataset import Dataset, RawTable
from glulam.program import Task
from glulam.schema import Feature, FeatureSchema
from glulam.testing._shared import instance_of, require
from glulam.trainspecs import FeatureSelector, Fold, Selection

__all__ = ["check_selector"]

_SIGNAL = "signal"
_ROWS = 600


def check_selector(selector_class: type[FeatureSelector], params: Mapping[str, Any] | None = None) -> None:
    """Check a feature selector on rows whose label follows from one of six features.

    params
        what one is made with; nothing by default

    The rules, for classes and for values: what is kept are names of the schema, in its order, at least one, and that
    one feature among them; importance is float64 [n_features, n_rounds], frequency float64 [n_features] from 0 to 1;
    the same rows give the same choice; the rows are not changed; rows that no fold names are not read.
    """
    tasks: tuple[Task, ...] = ("binary", "multiclass", "regression")
    for task in tasks:
        _check(instance_of(selector_class, FeatureSelector, params), task)


def _check(selector: FeatureSelector, task: Task) -> None:
    who = f"selector {selector.name!r}, {task}"
    data, folds = _planted(task)
    X, y = data.X.copy(), data.y.copy()
    found = selector.select(data, folds, _quick(task))
    _require_sound(who, data, found)
    require(
        _SIGNAL in found.kept, f"{who}: select: expected {_SIGNAL!r}, which the label follows from, got {found.kept}"
    )
    require(
        np.array_equal(X, data.X) and np.array_equal(y, data.y),
        f"{who}: select: expected the rows to stay as they are; work on a copy",
    )
    require(
        _same(found, selector.select(data, folds, _quick(task))),
        f"{who}: select: expected the same choice of the same rows; draw from a generator that is seeded in select",
    )
    others = data.X.copy()
    others[_ROWS:] = 1e6
    known = Dataset(
        others, data.y, data.schema, data.task, data.classes, data.horizon, data.rows, data.label_end, data.raw
    )
    require(
        _same(found, selector.select(known, folds, _quick(task))),
        f"{who}: select: the choice changes with rows that are in no fold; read those of the folds alone",
    )


def _require_sound(who: str, data: Dataset, found: Selection) -> None:
    """Check types, shapes and names."""
    names = data.schema.names
    require(isinstance(found, Selection), f"{who}: select: expected a Selection, got {type(found).__name__}")
    require(
        isinstance(found.kept, tuple) and bool(found.kept)
        and list(found.kept) == [name for name in names if name in found.kept],
        f"{who}: select: kept: expected a tuple of some of {names}, each once and in that order, got {found.kept!r}",
    )  # fmt: skip
    shape = np.shape(found.importance)
    require(
        getattr(found.importance, "dtype", None) == np.float64 and len(shape) == 2 and shape[0] == len(names),
        f"{who}: select: importance: expected float64 [{len(names)}, n_rounds], got "
        f"{getattr(found.importance, 'dtype', type(found.importance).__name__)} {shape}",
    )
    require(
        getattr(found.frequency, "dtype", None) == np.float64 and np.shape(found.frequency) == (len(names),)
        and bool(((found.frequency >= 0) & (found.frequency <= 1)).all()),
        f"{who}: select: frequency: expected float64 [{len(names)}] from 0 to 1, got {found.frequency!r}",
    )  # fmt: skip


def _same(first: Selection, second: Selection) -> bool:
    return first.kept == second.kept and np.array_equal(first.frequency, second.frequency)


def _planted(task: Task) -> tuple[Dataset, list[Fold]]:
    """Return rows whose label follows from the fourth feature, and two folds that leave some rows out."""
    n_rows = _ROWS + 100
    random = np.random.default_rng(0)
    X = random.normal(size=(n_rows, 6)).astype(np.float32)
    score = X[:, 3] + 0.3 * random.normal(size=n_rows)
    y = score if task == "regression" else np.digitize(score, [0.0] if task == "binary" else [-0.5, 0.5])
    names = [f"noise_{index}" for index in range(3)] + [_SIGNAL, "noise_3", "noise_4"]
    rows = np.arange(n_rows, dtype=np.int64)
    data = Dataset(
        X=X,
        y=np.asarray(y, dtype=np.float64 if task == "regression" else np.int64),
        schema=FeatureSchema(tuple(Feature(name) for name in names)),
        task=task,
        classes=np.arange({"regression": 0, "binary": 2}.get(task, 3)),
        horizon=0,
        rows=rows,
        label_end=rows,
        raw=RawTable({}, None, rows, "check_selector", "0" * 64),
    )
    third = _ROWS // 3
    return data, [(rows[:third], rows[third : 2 * third]), (rows[: 2 * third], rows[2 * third : _ROWS])]


def _quick(task: Task) -> Any:
    """Return what makes a small forest for rows."""
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

    kind = RandomForestRegressor if task == "regression" else RandomForestClassifier
    return lambda rows: kind(n_estimators=10, max_depth=4, random_state=0, n_jobs=1)
