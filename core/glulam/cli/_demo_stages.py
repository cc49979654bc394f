"""The stages of `glulam demo`, each a function of what the one before returned; nothing is printed here."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from glulam import plugins
from glulam.cli._shipped import shipped
from glulam.errors import ArtifactError, FeatureError, GlulamError, ProofError
from glulam.proof import TOLERANCE
from glulam.runtime import load
from glulam.training.config import Config
from glulam.training.running import Finished, train

__all__ = [
    "BLOCKED", "found_evaluation", "found_export", "found_features", "make_config", "read_candles", "run_training",
    "serve",
]  # fmt: skip

FOLDS = 5
LEAST_CANDLES = 500
SERVED_ROWS = 1_000
BLOCKED = (
    "lightgbm", "xgboost", "sklearn", "scipy", "joblib", "skops", "pandas", "polars", "pyarrow", "onnx",
    "pluggy", "talib", "rich", "typer",
)  # fmt: skip
"""Packages that the serving process cannot import."""

Float32 = npt.NDArray[np.float32]


# -- data -----------------------------------------------------------------------------------


def read_candles(path: Path | None) -> dict[str, Any]:
    """Check the candles, and return the results of this stage.

    path
        a CSV file, or None for the shipped candles

    Raises ArtifactError if the file is missing or no CSV, FeatureError for impossible candles.
    """
    import pyarrow
    from pyarrow import csv

    file = shipped() if path is None else path
    if not file.is_file():
        raise ArtifactError(
            f"demo: no candles at {file}; give a CSV file with timestamp, open, high, low, close and volume, "
            "or install glulam again to have the shipped ones"
        )
    try:
        with resources.as_file(file) as local:
            table = csv.read_csv(local)
        _, report = plugins.features("technical").check(table)
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
    return {"file": file.name, "gaps": gaps, **report.to_dict()}


# -- training -------------------------------------------------------------------------------


def make_config(candles: Path, directory: Path, members: Sequence[Any] | None) -> Config:
    """Return the config of the demo's run: direction of the next bar, by default members and weights."""
    directory = directory.resolve()  # places in a config are relative to the candles
    chosen = {} if members is None else {"members": {name: {"params": params} for name, params in members}}
    return Config.model_validate(
        {
            "data": {"path": candles.name, "time": "timestamp", "timezone": "UTC"},
            "features": {"generators": [{"name": "technical"}]},
            "label": {"name": "next_direction"},
            "evaluation": {"folds": FOLDS},
            # A suspected leak in candles of the user's own is told; the rest is to be seen all the same.
            "leaks": {"allow": True},
            "output": {"path": str(directory / "ensemble.onnx"), "runs": str(directory / "runs")},
            **chosen,
        }
    )


def run_training(file: Path | None, directory: Path, members: Sequence[Any] | None) -> Finished:
    """Evaluate, look for leaks, fit, export, prove and report, as `glulam train` does."""
    with resources.as_file(shipped() if file is None else file) as local:
        return train(make_config(local, directory, members), base=local.parent)


def found_features(finished: Finished) -> dict[str, Any]:
    """Return what features and label there are."""
    data = finished.result.data
    warm_up = int(data.rows[0])
    return {
        "columns": data.schema.names,
        "warm_up": warm_up,
        "unlabelled": len(data.raw) - warm_up - len(data),
        "rows": len(data),
        "up_share": float(data.y.mean()),
    }


def found_evaluation(finished: Finished) -> dict[str, Any]:
    """Return the scores of the ensemble and of two answers that need no model, by fold and on all tested rows."""
    evaluation = finished.result.evaluation
    metrics = {metric.name: metric for metric in evaluation.metrics if metric.name in ("auc", "accuracy", "f1")}
    baselines = {"majority": "majority", "always_up": "always_positive"}

    def of_fold(number: int) -> dict[str, Any]:
        return {
            "ensemble": {name: float(metric.by_fold[number]) for name, metric in metrics.items()},
            **{
                shown: {name: float(metrics[name].baselines_by_fold[known][number]) for name in ("accuracy", "f1")}
                for shown, known in baselines.items()
            },
        }

    auc = metrics["auc"].ensemble
    best = evaluation.best_baseline
    return {
        "folds": [
            {"train": len(known), "test": len(tested), **of_fold(number)}
            for number, (known, tested) in enumerate(evaluation.folds)
        ],
        "all": {
            "ensemble": {name: metric.ensemble.value for name, metric in metrics.items()},
            **{
                shown: {name: metrics[name].baselines[known].value for name in ("accuracy", "f1")}
                for shown, known in baselines.items()
            },
        },
        "auc_interval": [auc.low, auc.high],
        "best_baseline": {"name": best, "auc": metrics["auc"].baselines[best].value},
        "checked_for": list(finished.result.checked_for),
        "suspicions": [str(each) for each in finished.result.suspicions],
    }


def found_export(finished: Finished, file: Path, trained: Path) -> dict[str, Any]:
    """Return what was exported, and its proof."""
    ensemble, facts = finished.ensemble, finished.result.facts
    return {
        "members": dict(zip(ensemble.members_, ensemble.weights_.tolist(), strict=True)),
        "voting": ensemble.voting,
        "fit_seconds": facts["fit_seconds"],
        "export_seconds": facts["export_seconds"],
        "file_bytes": file.stat().st_size,
        "trained_bytes": sum(each.stat().st_size for each in trained.rglob("*") if each.is_file()),
        "parity": finished.result.ensemble["parity"],
    }


# -- serving --------------------------------------------------------------------------------


def serve(ensemble: Any, X: Float32, file: Path, trained: Path) -> dict[str, Any]:
    """Answer rows in a process without the training libraries, and compare the answers.

    They must be the bits that this process gets from the same file, and within the proof's
    tolerance of the training libraries' own. Raises ProofError where they are not, GlulamError
    where the process fails.
    """
    rows = X[np.linspace(0, len(X) - 1, min(SERVED_ROWS, len(X))).astype(np.int64)]
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
