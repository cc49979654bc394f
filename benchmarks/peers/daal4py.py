"""oneDAL by daal4py, which comes with scikit-learn-intelex."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from benchmarks.models import Model, weighted_mean
from benchmarks.peers._peer import Answer, Peer, UnsupportedError
from benchmarks.peers.treelite import load

__all__ = ["PEERS"]


def _open(model: Model, folder: Path, threads: int) -> Answer:
    import daal4py

    daal4py.daalinit(threads)
    return weighted_mean([_answer(model, kind) for kind in model.kinds], model.shares)


def _answer(model: Model, kind: str) -> Answer:
    from daal4py import mb

    if kind != "random_forest":
        predict_proba: Answer = mb.convert_model(_booster(model, kind)).predict_proba
        return predict_proba
    if model.classes > 2:
        raise UnsupportedError("takes a forest as a regression only, which two classes can be read from")
    with warnings.catch_warnings():
        # It says that the forest becomes a regression: of the second class's probability.
        warnings.simplefilter("ignore")
        predict = mb.convert_model(load(model, kind)).predict

    def answer(rows: Any) -> Any:
        import numpy as np

        second = predict(rows)
        return np.stack([1 - second, second], axis=1)

    return answer


def _booster(model: Model, kind: str) -> Any:
    if kind == "lightgbm":
        import lightgbm

        return lightgbm.Booster(model_file=str(model.native(kind)))
    import xgboost

    booster = xgboost.Booster()
    booster.load_model(model.native(kind))
    return booster


PEERS = (
    Peer(
        "daal4py", "daal4py (scikit-learn-intelex)", _open,
        serves_by=("daal4py", "daal4py.mb", "lightgbm", "xgboost", "treelite", "joblib"), environment="daal4py",
        requirements=(
            "scikit-learn-intelex", "scikit-learn=={scikit-learn}", "lightgbm=={lightgbm}",
            "xgboost-cpu=={xgboost-cpu}", "treelite>=4.8", "joblib",
        ),
    ),
)  # fmt: skip
