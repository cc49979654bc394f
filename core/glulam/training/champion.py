"""The present ensemble, the champion, asked about the rows that a new one is judged on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from glulam.dataset import Dataset
from glulam.errors import ConfigError
from glulam.runtime import ProductionEnsemble

__all__ = ["answers_of", "check_champion", "unseen_rows"]

Array = npt.NDArray[Any]
Float64 = npt.NDArray[np.float64]

LEAST_ROWS = 30
"""Fewer rows than this say nothing about which ensemble is better."""


def check_champion(path: Path, data: Dataset) -> ProductionEnsemble:
    """Open the champion. Raises ConfigError where it cannot be asked about these rows, ArtifactError for a bad file."""
    who = "gates.not_worse_than"
    if not path.is_file():
        raise ConfigError(
            f"{who}: no file {path}; name the present ensemble.onnx, or leave the gate out for the first one"
        )
    model = ProductionEnsemble(path)
    info = model.info()
    lacking = [name for name in info["feature_names"] if name not in data.schema.names]
    if lacking:
        raise ConfigError(
            f"{who}: {path} reads the features {lacking[:5]}, which these data do not have; leave the gate out once, "
            "and compare from then on"
        )
    if info["task"] != data.task or list(info["classes"]) != data.classes.tolist():
        raise ConfigError(
            f"{who}: {path} answers {info['task']} {list(info['classes'])}, the label is {data.task} "
            f"{data.classes.tolist()}; leave the gate out once, and compare from then on"
        )
    return model


def unseen_rows(model: ProductionEnsemble, data: Dataset, rows: npt.NDArray[np.int64]) -> tuple[Array, str]:
    """Return which of some rows to compare the champion on, bool [n], and which these are in words.

    None where they are too few, or the champion was fitted on these very data, which it would know by heart. Where
    nobody can tell which rows it knows, all are taken, which is to its advantage.
    """
    none, training = np.zeros(len(rows), dtype=bool), model.info()["training"]
    until, time = training.get("until_us"), data.time
    if time is not None and until is not None:
        fresh = np.asarray(time[rows] > until)
        number = int(fresh.sum())
        if number < LEAST_ROWS:
            return none, f"only {number} tested rows are later than the champion's training data"
        return fresh, f"on {number:,} rows later than the champion's training data"
    if training.get("data", {}).get("sha256") == data.raw.sha256:
        return none, "the champion was fitted on these very data"
    return ~none, f"on {len(rows):,} rows, some of which the champion may have been fitted on"


def answers_of(model: ProductionEnsemble, data: Dataset, rows: npt.NDArray[np.int64]) -> tuple[Float64, Array]:
    """Return the champion's scores [n, n_outputs] and chosen class positions, or values, for some rows."""
    columns = data.schema.decode(data.X[rows])
    X = {name: columns[name] for name in model.info()["feature_names"]}
    if data.task == "regression":
        values = np.asarray(model.predict(X), dtype=np.float64).reshape(-1, 1)
        return values, values[:, 0]
    scores = np.asarray(model.predict_proba(X), dtype=np.float64)
    return scores, scores.argmax(axis=1)
