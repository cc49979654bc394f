"""treelite's General Tree Inference Library: models walked as data, without compiling."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.models import Model, weighted_mean
from benchmarks.peers._peer import Answer, Peer

__all__ = ["PEERS", "load"]


def load(model: Model, kind: str) -> Any:
    """Return a member as a treelite model."""
    import treelite

    if kind == "lightgbm":
        return treelite.frontend.load_lightgbm_model(str(model.native(kind)))
    if kind == "xgboost":
        return treelite.frontend.load_xgboost_model(str(model.native(kind)))
    import joblib

    return treelite.sklearn.import_model(joblib.load(model.native(kind)))


def _open(model: Model, folder: Path, threads: int) -> Answer:
    return weighted_mean([_answer(model, kind, threads) for kind in model.kinds], model.shares)


def _answer(model: Model, kind: str, threads: int) -> Answer:
    """Return a function of rows; of two classes the second's column alone, which is all that boosted trees give."""
    import numpy as np
    import treelite

    predict, loaded = treelite.gtil.predict, load(model, kind)
    # Thresholds of XGBoost are float32; GTIL walks the others in float64, which wants float64 rows.
    dtype = np.float32 if kind == "xgboost" else np.float64
    columns = slice(-1, None) if model.classes == 2 else slice(None)

    def answer(rows: Any) -> Any:
        return predict(loaded, rows.astype(dtype, copy=False), nthread=threads)[:, 0, columns]

    return answer


PEERS = (
    Peer(
        "treelite", "treelite GTIL", _open, serves_by=("treelite", "joblib"), environment="treelite",
        requirements=("treelite>=4.8", "scikit-learn=={scikit-learn}", "joblib"),
    ),
)  # fmt: skip
