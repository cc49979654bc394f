"""The stages of `glulam demo`, each a function of what the one before returned; nothing is printed here."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from glulam import plugins
from glulam.errors import ArtifactError, FeatureError, GlulamError, ProofError
from glulam.proof import TOLERANCE
from glulam.runtime import load
from glulam.schema import Feature, FeatureSchema

__all__ = [
    "BLOCKED", "Labelled", "evaluate", "fit_and_export", "make_ensemble", "make_labelled",
    "read_candles", "serve",
]  # fmt: skip

CANDLES = "btcusdt_4h_2018_2023.csv.gz"
HORIZON = 1
"""Bars from the features' row to the close that the label compares with; also the gap between folds."""
FOLDS = 5
LEAST_CANDLES = 500
SERVED_ROWS = 1_000
BLOCKED = (
    "lightgbm", "xgboost", "sklearn", "scipy", "joblib", "skops", "pandas", "polars", "pyarrow", "onnx",
    "pluggy", "talib", "rich", "typer",
)  # fmt: skip
"""Packages that the serving process cannot import."""

Float32 = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Labelled:
    """Features float32 [n_rows, n_features] in time order; y is 1 where the next close is higher, else 0."""

    X: Float32
    y: Labels
    schema: FeatureSchema


# -- data -----------------------------------------------------------------------------------


def _shipped() -> Traversable:
    """Return the candles in the installed package, or those of the checkout."""
    packaged = resources.files("glulam.cli") / "data" / CANDLES
    return packaged if packaged.is_file() else Path(__file__).parents[3] / "examples" / "data" / CANDLES


def read_candles(path: Path | None) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
    """Return checked candles by column, and the results of this stage.

    path
        a CSV file, or None for the shipped candles

    Raises ArtifactError if the file is missing or no CSV, FeatureError for impossible candles.
    """
    import pyarrow
    from pyarrow import csv

    file = _shipped() if path is None else path
    if not file.is_file():
        raise ArtifactError(
            f"demo: no candles at {file}; give a CSV file with timestamp, open, high, low, close and volume, "
            "or install glulam again to have the shipped ones"
        )
    try:
        with resources.as_file(file) as local:
            table = csv.read_csv(local)
        candles, report = plugins.features("technical").check(table)
    except UnicodeDecodeError as error:  # of column names, which pyarrow decodes when they are asked for
        raise ArtifactError(f"demo: {file} is not UTF-8; save it as UTF-8") from error
    except (OSError, pyarrow.ArrowInvalid) as error:
        raise ArtifactError(f"demo: {file} cannot be read as CSV: {error}") from error
    if report.kept < LEAST_CANDLES:
        raise FeatureError(
            f"demo: expected at least {LEAST_CANDLES} candles, got {report.kept} in {file}; "
            f"{FOLDS} folds of fewer say nothing"
        )
    gaps = sum(finding.count for finding in report.findings if finding.kind == "gap")
    return candles, {"file": file.name, "gaps": gaps, **report.to_dict()}


def make_labelled(candles: dict[str, npt.NDArray[Any]]) -> tuple[Labelled, dict[str, Any]]:
    """Return features with the direction of the next bar as label, and the results of this stage."""
    generator = plugins.features("technical")
    features, rows = generator.generate(candles)
    close = candles["close"]
    known = rows + HORIZON < len(close)
    features, rows = features[known], rows[known]
    y = (close[rows + HORIZON] > close[rows]).astype(np.int64)
    # Members are trained on the float32 rows that they will serve.
    schema = FeatureSchema(tuple(Feature(name) for name in generator.columns))
    return Labelled(features.astype(np.float32), y, schema), {
        "columns": list(generator.columns),
        "warm_up": generator.warm_up,
        "unlabelled": int(np.count_nonzero(~known)),
        "rows": len(y),
        "up_share": float(y.mean()),
    }


# -- training -------------------------------------------------------------------------------


def make_ensemble(schema: FeatureSchema, members: Sequence[Any] | None) -> Any:
    """Return an unfitted EnsembleClassifier; with None as members the default ones and weights."""
    from glulam.ensemble import EnsembleClassifier
    from glulam.members import DEFAULT_MEMBERS, DEFAULT_WEIGHTS

    weights = DEFAULT_WEIGHTS if members is None else None
    chosen = [_alone(name) for name in DEFAULT_MEMBERS] if members is None else list(members)
    return EnsembleClassifier(chosen, weights=weights, schema=schema, n_jobs=2, progress=False)


def _alone(name: str) -> tuple[str, dict[str, Any]]:
    """Return a member that does not share its work among OpenMP threads, which changes no tree.

    On rows this few that saves little, and where other processes want the same cores the threads
    spin while they wait for each other: fits were seen to take five times as long.
    """
    return name, {} if name == "random_forest" else {"n_jobs": 1}


def evaluate(data: Labelled, members: Sequence[Any] | None) -> dict[str, Any]:
    """Return walk-forward scores of the ensemble and of two baselines, by fold and on average.

    Folds expand, and leave out the rows whose label reaches into the rows that are tested.
    """
    from sklearn.model_selection import TimeSeriesSplit

    begun = time.perf_counter()
    folds: list[dict[str, Any]] = []
    for train, test in TimeSeriesSplit(n_splits=FOLDS, gap=HORIZON).split(data.X):
        model = make_ensemble(data.schema, members).fit(data.X[train], data.y[train])
        folds.append({"train": len(train), "test": len(test), **_scores(model, data, train, test)})
    mean = {
        name: {key: float(np.mean([fold[name][key] for fold in folds])) for key in folds[0][name]}
        for name in ("ensemble", "majority", "always_up")
    }
    return {"folds": folds, "mean": mean, "seconds": time.perf_counter() - begun}


def _scores(
    model: Any, data: Labelled, train: npt.NDArray[np.int64], test: npt.NDArray[np.int64]
) -> dict[str, dict[str, float]]:
    """Return the scores of the model and of two answers that need no model, on the test rows."""
    from sklearn.metrics import accuracy_score, f1_score, roc_auc_score

    truth = data.y[test]
    majority = np.full(len(test), int(data.y[train].mean() > 0.5))

    def score(answers: Labels) -> dict[str, float]:
        f1 = f1_score(truth, answers, zero_division=0.0)
        return {"accuracy": float(accuracy_score(truth, answers)), "f1": float(f1)}

    auc = float(roc_auc_score(truth, model.predict_proba(data.X[test])[:, 1]))
    return {
        "ensemble": {"auc": auc, **score(model.predict(data.X[test]))},
        "majority": score(majority),
        "always_up": score(np.ones_like(truth)),
    }


def fit_and_export(
    data: Labelled, members: Sequence[Any] | None, file: Path, trained: Path
) -> tuple[Any, dict[str, Any]]:
    """Fit on all rows, export to ``file``, save to ``trained``; return the ensemble and the results."""
    begun = time.perf_counter()
    ensemble = make_ensemble(data.schema, members).fit(data.X, data.y)
    fitted = time.perf_counter()
    report = ensemble.export(file)
    exported = time.perf_counter()
    ensemble.save(trained)
    return ensemble, {
        "members": dict(zip(ensemble.members_, ensemble.weights_.tolist(), strict=True)),
        "voting": ensemble.voting,
        "fit_seconds": fitted - begun,
        "export_seconds": exported - fitted,
        "file_bytes": file.stat().st_size,
        "trained_bytes": sum(each.stat().st_size for each in trained.rglob("*") if each.is_file()),
        "parity": json.loads(json.dumps(report.to_dict())),
    }


# -- serving --------------------------------------------------------------------------------


def serve(ensemble: Any, data: Labelled, file: Path, trained: Path) -> dict[str, Any]:
    """Answer rows in a process without the training libraries, and compare the answers.

    They must be the bits that this process gets from the same file, and within the proof's
    tolerance of the training libraries' own. Raises ProofError where they are not, GlulamError
    where the process fails.
    """
    rows = data.X[np.linspace(0, len(data.X) - 1, min(SERVED_ROWS, len(data.X))).astype(np.int64)]
    with tempfile.TemporaryDirectory() as directory:
        table = Path(directory) / "rows.npy"
        np.save(table, rows, allow_pickle=False)
        served = _ask_process("file", file, table, BLOCKED)
        native = _ask_process("trained", trained, table, ())
    compared = _compare(ensemble, file, rows, served)
    facts = ("packages", "blocked_imported", "refused", "memory_bytes", "seconds_to_first")
    return {
        "rows": len(rows),
        "blocked": list(BLOCKED),
        **{key: served[key] for key in facts},
        **compared,
        "native": {key: native[key] for key in ("memory_bytes", "seconds_to_first")},
    }


def _ask_process(kind: str, model: Path, rows: Path, blocked: Sequence[str]) -> dict[str, Any]:
    """Run `_demo_serving` in a new interpreter and return what it says."""
    script = Path(__file__).with_name("_demo_serving.py")
    order = {
        "kind": kind,
        "model": str(model),
        "rows": str(rows),
        "blocked": list(blocked),
        "started": time.monotonic(),
    }
    # -P: without it the script's own directory would come first on the path.
    command = [sys.executable, "-P", str(script), json.dumps(order)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise GlulamError(
            f"demo: the process that serves {model.name} ended with code {done.returncode}:\n{done.stderr.strip()}"
        )
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def _compare(ensemble: Any, file: Path, rows: Float32, served: dict[str, Any]) -> dict[str, Any]:
    """Compare served answers with this process's and the native ones; raise ProofError where they differ."""
    here = load(file)
    got = np.array(served["probabilities"], dtype=served["dtype"])
    expected = here.predict_proba(rows)
    if got.dtype != expected.dtype or got.tobytes() != expected.tobytes():
        raise ProofError("demo: the serving process and this one answer the same file with different bits")
    native = ensemble.predict_proba(rows)
    tolerance = TOLERANCE["float32"]  # XGBoost computes in float32, whatever the file's arithmetic
    largest = float(np.abs(got - native).max())
    if largest > tolerance:
        raise ProofError(f"demo: served probabilities are {largest:.2e} from the native ones, more than {tolerance:g}")
    different = np.array(served["labels"]) != ensemble.predict(rows)
    if (different & (np.abs(native[:, 1] - 0.5) > tolerance)).any():
        raise ProofError("demo: a served label differs from the native one where its probability is no tie")
    return {
        "bitwise_equal": True,
        "largest_difference": largest,
        "tolerance": tolerance,
        "labels_equal": int(np.count_nonzero(~different)),
    }
