"""What a leak check must do."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from glulam.dataset import Dataset, RawTable
from glulam.schema import Feature, FeatureSchema
from glulam.testing._shared import Array, Float64, instance_of, require
from glulam.trainspecs import Fold, LeakCase, LeakCheck, Suspicion

__all__ = ["check_leak_check"]

_ROWS = 400
_Int64 = npt.NDArray[np.int64]


def check_leak_check(
    check_class: type[LeakCheck], planted: LeakCase | None = None, params: Mapping[str, Any] | None = None
) -> None:
    """Check a leak check on small cases without a leak, and on one that is full of them.

    planted
        a case in which it must find something; with none it need not
    params
        what one is made with; nothing by default

    The rules: nothing is found where there is no leak, in rows of an order or of none. What is found is a list of
    `Suspicion` under the check's own name: one line each of ``what`` and ``advice``, numbers that JSON holds as
    evidence, features of the schema. The same case gives the same again, and is left as it is.
    """
    check = instance_of(check_class, LeakCheck, params)
    who = f"leak check {check.name!r}"
    require(isinstance(getattr(check, "title", None), str), f"{who}: title: expected a string on the class")
    for what, case in (("rows in no order", _unordered()), ("rows in time", _in_time(leaky=False))):
        found = _found(check, f"{who}, {what}", case)
        require(not found, f"{who}: find: expected nothing in {what} without a leak, got {found[:1]}")
    _found(check, f"{who}, rows full of leaks", _in_time(leaky=True))
    if planted is not None:
        found = _found(check, f"{who}, the planted case", planted)
        require(found, f"{who}: find: expected a suspicion in the planted case, got none")


def _found(check: LeakCheck, who: str, case: LeakCase) -> list[Suspicion]:
    """Return what a check finds; nothing where it does not apply."""
    applies = check.applies(case)
    require(isinstance(applies, bool), f"{who}: applies: expected True or False, got {applies!r}")
    if not applies:
        return []
    before = [each.copy() for each in _arrays(case)]
    found = check.find(case)
    require(
        all(_equal(one, other) for one, other in zip(before, _arrays(case), strict=True)),
        f"{who}: find: changes the case that it is given; work on copies",
    )
    require(isinstance(found, list), f"{who}: find: expected a list, got {type(found).__name__}")
    for suspicion in found:
        _require_sound(check, who, case, suspicion)
    again = [str(suspicion) for suspicion in check.find(case)]
    require(
        again == [str(suspicion) for suspicion in found],
        f"{who}: find: finds something else when asked again; draw from a generator seeded with case.seed",
    )
    return found


def _require_sound(check: LeakCheck, who: str, case: LeakCase, suspicion: Suspicion) -> None:
    """Check one suspicion."""
    require(isinstance(suspicion, Suspicion), f"{who}: find: expected Suspicions in the list, got {suspicion!r:.80}")
    require(
        suspicion.check == check.name,
        f"{who}: find: expected suspicions under its own name {check.name!r}, got {suspicion.check!r}",
    )
    for what, text in (("what", suspicion.what), ("advice", suspicion.advice)):
        require(
            isinstance(text, str) and text.strip() and "\n" not in text,
            f"{who}: find: {what}: expected a sentence on one line, got {text!r}",
        )
    try:
        json.dumps(dict(suspicion.evidence), allow_nan=False)
    except (TypeError, ValueError) as error:
        require(False, f"{who}: find: evidence: expected what JSON holds, by name: {error}; turn arrays into lists")
    unknown = [name for name in suspicion.features if name not in case.data.schema.names]
    require(not unknown, f"{who}: find: features: expected some of {case.data.schema.names}, got {unknown}")


def _arrays(case: LeakCase) -> list[Array]:
    """Return all that a check could change."""
    data = case.data
    given = [data.X, data.y, data.rows, data.label_end, *data.raw.columns.values()]
    given += [part for fold in case.folds for part in fold]
    return [*given, *(each for each in (case.scores, data.groups, data.raw.time) if each is not None)]


def _equal(one: Array, other: Array) -> bool:
    if one.dtype == object:
        return bool(one.tolist() == other.tolist())
    return np.array_equal(one, other, equal_nan=one.dtype.kind == "f")


# -- cases -----------------------------------------------------------------------------------


def _unordered() -> LeakCase:
    """Return rows in no order, whose label follows loosely from one of four features, and five honest folds."""
    random = np.random.default_rng(0)
    X = random.normal(size=(_ROWS, 4))
    y = (X[:, 1] + random.normal(size=_ROWS) > 0).astype(np.int64)
    positions = np.arange(_ROWS, dtype=np.int64)
    folds = [(positions[positions % 5 != number], positions[positions % 5 == number]) for number in range(5)]
    columns = {f"x{index}": X[:, index] for index in range(4)}
    return LeakCase(_dataset(X, y, tuple(columns), RawTable(columns, None, positions, "made", "0" * 64), 0), folds)


def _in_time(*, leaky: bool) -> LeakCase:
    """Return a random walk of prices whose next direction nothing knows, and a walk-forward with a gap.

    With ``leaky`` features read a later row and the label itself, rows repeat, and folds and scores know it all.
    """
    random = np.random.default_rng(1)
    close = 100 * np.exp(np.cumsum(random.normal(0, 0.01, _ROWS + 20)))
    time = np.arange(len(close), dtype=np.int64) * 3_600_000_000
    raw = RawTable({"close": close}, time, np.arange(len(close), dtype=np.int64), "made", "0" * 64)

    def generate(table: RawTable) -> tuple[Float64, _Int64]:
        price = np.asarray(table.columns["close"], dtype=np.float64)
        rows = np.arange(10, len(price), dtype=np.int64)
        features = [price[rows] / price[rows - step] - 1 for step in (1, 3, 10)]
        if leaky:
            features[0] = price[np.minimum(rows + 1, len(price) - 1)] / price[rows] - 1
        return np.stack(features, axis=1), rows

    features, rows = generate(raw)
    features, rows = features[:_ROWS], rows[:_ROWS]
    y = (close[rows + 1] > close[rows]).astype(np.int64)
    if leaky:
        features[:, 1] = y
        features[_ROWS // 2 :], y[_ROWS // 2 :] = features[: _ROWS // 2], y[: _ROWS // 2]
    data = _dataset(features, y, ("back_1", "back_3", "back_10"), raw, 1, rows)
    scores = np.eye(2)[y] if leaky else None
    return LeakCase(data, _folds(leaky=leaky), scores=scores, generate=generate)


def _folds(*, leaky: bool) -> list[Fold]:
    """Return four folds in time's order, with a gap of a row; if ``leaky`` without order, and overlapping."""
    positions = np.arange(_ROWS, dtype=np.int64)
    if leaky:
        return [(positions[positions % 5 != number], positions[positions % 4 == number]) for number in range(4)]
    starts = range(_ROWS // 5, _ROWS, _ROWS // 5)
    return [(positions[: start - 1], positions[start : start + _ROWS // 5]) for start in starts]


def _dataset(
    X: Float64, y: _Int64, names: tuple[str, ...], raw: RawTable, horizon: int, rows: _Int64 | None = None
) -> Dataset:
    at = np.arange(len(X), dtype=np.int64) if rows is None else rows
    return Dataset(
        X=X.astype(np.float32),
        y=y,
        schema=FeatureSchema(tuple(Feature(name) for name in names)),
        task="binary",
        classes=np.arange(2),
        horizon=horizon,
        rows=at,
        label_end=at + horizon,
        raw=raw,
    )
