"""Hummingbird: trees as tensor operations of PyTorch."""

from __future__ import annotations

import warnings
from pathlib import Path

from benchmarks.models import Model, weighted_mean
from benchmarks.peers._peer import Answer, Peer

__all__ = ["PEERS"]


def _convert(model: Model, folder: Path) -> None:
    from hummingbird.ml import convert

    test_rows = model.rows()[:100]
    for kind, estimator in model.estimators().items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of tracing, which is what it does
            convert(estimator, "torch.jit", test_rows).save(str(folder / kind))


def _open(model: Model, folder: Path, threads: int) -> Answer:
    import torch
    from hummingbird.ml import load

    torch.set_num_threads(threads)
    # The files were written by `_convert`: no digest is needed to trust them.
    opened = [load(str(folder / kind), override_flag=True) for kind in model.kinds]
    return weighted_mean([each.predict_proba for each in opened], model.shares)


PEERS = (
    Peer(
        "hummingbird", "Hummingbird, TorchScript", _open, _convert, ("hummingbird.ml",),
        ("hummingbird.ml", "lightgbm", "xgboost"), environment="hummingbird",
        requirements=(
            "hummingbird-ml", "scikit-learn=={scikit-learn}", "lightgbm=={lightgbm}", "xgboost-cpu=={xgboost-cpu}",
            "joblib",
        ),
    ),
)  # fmt: skip
