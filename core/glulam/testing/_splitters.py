"""What a splitter must do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from glulam.errors import ConfigError
from glulam.testing._shared import Array, ContractError, instance_of, require
from glulam.trainspecs import Fold, Splitter

__all__ = ["check_splitter"]

_ROWS = 300


def check_splitter(splitter_class: type[Splitter], params: Mapping[str, Any] | None = None) -> None:
    """Check a splitter, made with ``params`` beside ``n_splits``, ``horizon`` and ``embargo``, on 300 rows.

    The rules: ``split(X, y, groups)`` gives as many folds as ``get_n_splits``, the same ones each time; rows to fit
    on and rows to test on are positions, at least one of each and none in both; no row is tested twice. If ``ordered``
    all rows to fit on come before those to test on. With a horizon no label of a row to fit on reads a row that a label
    of a row to test on reads, and ``embargo`` rows more after those are left out; a splitter with ``shuffles`` may
    raise ConfigError for a horizon instead. Too few rows are a ConfigError.
    """
    given = dict(params or {})
    splitter = instance_of(splitter_class, Splitter, given | {"n_splits": 3})
    who = f"splitter {splitter.name!r}"
    for what in ("ordered", "shuffles"):
        require(isinstance(getattr(splitter, what, None), bool), f"{who}: {what}: expected True or False on the class")
    _check_folds(who, splitter, 0, 0)
    for horizon, embargo in ((1, 0), (7, 0), (7, 5)):
        try:
            made = splitter_class(**(given | {"n_splits": 3, "horizon": horizon, "embargo": embargo}))
        except ConfigError:
            require(
                splitter.shuffles,
                f"{who}: expected horizon={horizon} to be taken; only a splitter with shuffles = True may refuse it",
            )
            continue
        _check_folds(f"{who}, horizon={horizon}, embargo={embargo}", made, horizon, embargo)
    _check_refusal(who, splitter)


def _check_folds(who: str, splitter: Splitter, horizon: int, embargo: int) -> None:
    """Check the folds of a splitter, and that they are the same again."""
    X, y, groups = _rows(_ROWS)
    folds = list(splitter.split(X, y, groups))
    expected = splitter.get_n_splits(X, y, groups)
    require(len(folds) == expected, f"{who}: get_n_splits says {expected} folds, split gives {len(folds)}")
    again = list(splitter.split(X, y, groups))
    same = all(
        np.array_equal(one, other) for a, b in zip(folds, again, strict=True) for one, other in zip(a, b, strict=True)
    )
    require(same, f"{who}: split gives other folds when called again; take a seed as a parameter")
    for number, fold in enumerate(folds):
        _check_fold(f"{who}, fold {number}", splitter, fold, horizon, embargo)
    tested = np.concatenate([test for _, test in folds])
    twice = np.flatnonzero(np.bincount(tested) > 1)
    require(not len(twice), f"{who}: row {twice[:1]} is tested more than once; test each row once at most")


def _check_fold(who: str, splitter: Splitter, fold: Fold, horizon: int, embargo: int) -> None:
    """Check one fold."""
    for what, positions in zip(("rows to fit on", "rows to test on"), fold, strict=True):
        require(
            isinstance(positions, np.ndarray) and positions.dtype.kind == "i" and len(positions) > 0
            and positions.min() >= 0 and positions.max() < _ROWS and len(np.unique(positions)) == len(positions),
            f"{who}: {what}: expected distinct positions from 0 to {_ROWS - 1} in an array of integers, got "
            f"{positions!r:.80}",
        )  # fmt: skip
    train, test = fold
    both = np.intersect1d(train, test)
    require(not len(both), f"{who}: row {both[:1]} is fitted on and tested on")
    if splitter.ordered:
        require(
            train.max() < test.min(),
            f"{who}: ordered: expected all rows to fit on before row {test.min()}, the first tested one, got row "
            f"{train.max()}",
        )
    if not horizon:
        return
    shared = train[np.array([_reads(test, row - horizon, row + horizon) for row in train])]
    require(
        not len(shared),
        f"{who}: purge: the label of row {shared[:1]}, which is fitted on, reads a row that the label of a tested row "
        "reads too; leave out rows within the horizon of those to test on",
    )
    near = train[np.array([_reads(test, row - horizon - embargo, row) for row in train])]
    require(
        not len(near),
        f"{who}: embargo: row {near[:1]} is fitted on, within {embargo} rows after the labels of tested rows; leave it "
        "out",
    )


def _reads(test: npt.NDArray[np.int64], first: int, last: int) -> bool:
    """Return whether a tested row lies from one row to another."""
    return bool(np.any((test >= first) & (test <= last)))


def _check_refusal(who: str, splitter: Splitter) -> None:
    """Check that too few rows are refused as a ConfigError."""
    X, y, groups = _rows(1)
    try:
        list(splitter.split(X, y, groups))
    except ConfigError:
        return
    except Exception as error:
        raise ContractError(
            f"{who}: split: expected ConfigError for 1 row in 3 folds, got {type(error).__name__}: {error}"
        ) from error
    raise ContractError(f"{who}: split: expected ConfigError for 1 row in 3 folds, got folds")


def _rows(n_rows: int) -> tuple[Array, Array, Array]:
    """Return features, classes, and groups of ten rows each."""
    random = np.random.default_rng(0)
    return random.normal(size=(n_rows, 2)), random.integers(0, 2, n_rows), np.arange(n_rows) // 10
