"""The files that every other runtime is given, with rows, and onnxruntime's answers from Python."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from lightgbm import LGBMClassifier
from sklearn.ensemble import HistGradientBoostingRegressor

import glulam
from glulam import EnsembleClassifier, EnsembleRegressor

SMALL = {"n_estimators": 20}
MEMBERS = [("lightgbm", SMALL), ("xgboost", SMALL), ("random_forest", SMALL)]
N_ROWS = 300


@dataclass(frozen=True, slots=True)
class Exported:
    """An exported file, rows [n, n_features] in the type that it takes, and its outputs by name."""

    path: Path
    rows: np.ndarray
    answers: dict[str, np.ndarray]


def one_thread() -> onnxruntime.SessionOptions:
    """Return options under which leaves are added in one order."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return options


def answered(path: Path, rows: np.ndarray) -> Exported:
    """Return the file with what onnxruntime's own kernels answer."""
    session = onnxruntime.InferenceSession(path, one_thread(), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return Exported(path, rows, dict(zip(names, session.run(None, {"features": rows}), strict=True)))


def _default(path: Path, X: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Two classes, three libraries, soft vote."""
    EnsembleClassifier(MEMBERS, weights=[0.4, 0.4, 0.2]).fit(X, y).export(path, proof_rows=1_000)
    return X[:N_ROWS]


def _standard(path: Path, X: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Two classes again, in nodes of ONNX's own domains only."""
    EnsembleClassifier(MEMBERS, weights=[0.4, 0.4, 0.2]).fit(X, y).export(path, proof_rows=1_000, standard=True)
    return X[:N_ROWS]


def _missing(path: Path, X: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Rows with NaN, which the ensemble has learnt to take."""
    X = X.copy()
    X[::3, ::4] = np.nan
    EnsembleClassifier(MEMBERS).fit(X, y).export(path, proof_rows=1_000)
    return X[:N_ROWS]


def _labels(path: Path, X: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Three classes, named by text that is more than ASCII."""
    names = np.array(["fällt", "steigt", "横ばい"])[y + (X[:, 0] > 1)]
    EnsembleClassifier(MEMBERS).fit(X, names).export(path, proof_rows=1_000)
    return X[:N_ROWS]


def _regression(path: Path, X: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Numbers of some size."""
    EnsembleRegressor(MEMBERS).fit(X, X[:, 0] * 100 + X[:, 1]).export(path, proof_rows=1_000)
    return X[:N_ROWS]


def _float64(path: Path, X: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Rows of float64, of which float32 would tell too few apart."""
    wide = X.astype(np.float64) + 1e6
    model = HistGradientBoostingRegressor(max_iter=20).fit(wide, X[:, 0])
    glulam.export(model, path, wide, precision="float64")
    return wide[:N_ROWS]


def _sets(path: Path, X: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Trees that ask whether a category is one of a set."""
    coded = np.column_stack([np.abs(X[:, 0] * 40).astype(int) % 37, X[:, 1:5]]).astype(np.float32)
    target = (coded[:, 0] % 3 == 1) ^ (X[:, 1] > 0)
    model = LGBMClassifier(n_estimators=20, min_data_per_group=1, verbose=-1)
    glulam.export(model.fit(coded, target, categorical_feature=[0]), path, coded)
    return coded[:N_ROWS]


MAKERS: dict[str, Callable[[Path, np.ndarray, np.ndarray], np.ndarray]] = {
    "default": _default,
    "standard": _standard,
    "missing": _missing,
    "labels": _labels,
    "regression": _regression,
    "float64": _float64,
    "sets": _sets,
}


def export_all(folder: Path, X: np.ndarray, y: np.ndarray) -> Iterator[tuple[str, Exported]]:
    """Train and export each kind of file into the folder."""
    for name, make in MAKERS.items():
        path = folder / f"{name}.onnx"
        rows = np.ascontiguousarray(make(path, X, y))
        yield name, answered(path, rows)
