"""The folds of an evaluation: which splitter, and whether its folds can be believed."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from glulam import plugins
from glulam.dataset import Dataset
from glulam.errors import ConfigError
from glulam.training.config import EvaluationConfig
from glulam.trainspecs import Fold, Splitter

__all__ = ["choose_splitter", "make_folds"]


def choose_splitter(config: EvaluationConfig, data: Dataset) -> Splitter:
    """Return the splitter of the config; by default walk-forward for rows that have a time.

    Raises ConfigError for one that shuffles rows with a time, unless that is allowed.
    """
    name = config.splitter
    if name == "auto":
        if data.time is not None or data.horizon:
            name = "walk_forward"
        else:
            name = "group_k_fold" if data.groups is not None else "stratified_k_fold"
    shuffles = plugins.splitter(name).shuffles
    if shuffles and data.time is not None and not config.allow_shuffled:
        raise ConfigError(
            f"evaluation.splitter: {name!r} tests rows with models that were fitted on later ones, which flatters "
            "them; the rows have a time, so use 'walk_forward' or 'purged_k_fold', or set "
            "evaluation.allow_shuffled = true"
        )
    # Rows that are torn out of their order cannot be kept apart from labels that reach others: forced is forced.
    apart = {} if shuffles else {"horizon": data.horizon, "embargo": config.embargo}
    return plugins.splitter(name, **{"n_splits": config.folds, **apart, **config.params})


def make_folds(config: EvaluationConfig, data: Dataset) -> tuple[Splitter, tuple[Fold, ...]]:
    """Return the splitter and its folds. Raises ConfigError for folds in which nothing can be learnt or measured."""
    splitter = choose_splitter(config, data)
    folds = tuple(
        (np.asarray(train, dtype=np.int64), np.asarray(test, dtype=np.int64))
        for train, test in splitter.split(data.X, data.y, data.groups)
    )
    for number, (train, test) in enumerate(folds, 1):
        for what, rows in (("fit", train), ("test", test)):
            _check_labels(data, rows, f"fold {number} of {len(folds)}", what)
    return splitter, folds


def _check_labels(data: Dataset, rows: npt.NDArray[np.int64], where: str, what: str) -> None:
    """Refuse a fold whose rows all have one label."""
    if len(rows) and data.task != "regression" and len(np.unique(data.y[rows])) == 1:
        label = data.classes[data.y[rows[0]]]
        raise ConfigError(
            f"{where}: all {len(rows):,} rows to {what} on have the label {str(label)!r}; use fewer folds, more "
            "data, or a label that is less rare"
        )
