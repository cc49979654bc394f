"""The libraries that trained the members, by each way that they offer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.models import Model, weighted_mean
from benchmarks.peers._peer import Answer, Peer, UnsupportedError

__all__ = ["PEERS"]


def _predict_proba(model: Model, folder: Path, threads: int) -> Answer:
    """Ask each member's predict_proba and take the mean: a service without an export."""
    estimators = model.estimators()
    for estimator in estimators.values():
        estimator.set_params(n_jobs=threads)
    return weighted_mean([estimator.predict_proba for estimator in estimators.values()], model.shares)


def _voting(model: Model, folder: Path, threads: int) -> Answer:
    """Ask scikit-learn's VotingClassifier of the fitted members."""
    if len(model.kinds) == 1:
        raise UnsupportedError("a VotingClassifier has several members")
    from benchmarks.voting_by_skl2onnx import voting_classifier

    estimators = model.estimators()
    for estimator in estimators.values():
        estimator.set_params(n_jobs=threads)
    answer: Answer = voting_classifier(estimators, list(model.shares)).predict_proba
    return answer


def _booster(model: Model, folder: Path, threads: int) -> Answer:
    """Ask the Booster under scikit-learn's wrapper: LightGBM's predict, XGBoost's inplace_predict."""
    kind = _only(model)
    if kind == "lightgbm":
        import lightgbm

        predict = lightgbm.Booster(model_file=str(model.native(kind))).predict
        return lambda rows: predict(rows, num_threads=threads)
    if kind == "xgboost":
        return _xgboost(model, threads).inplace_predict  # type: ignore[no-any-return]
    raise UnsupportedError("only LightGBM and XGBoost have a Booster")


def _dmatrix(model: Model, folder: Path, threads: int) -> Answer:
    """Ask XGBoost's predict, with the DMatrix that it takes made in each call."""
    if _only(model) != "xgboost":
        raise UnsupportedError("only XGBoost has a DMatrix")
    import xgboost

    predict, matrix = _xgboost(model, threads).predict, xgboost.DMatrix
    return lambda rows: predict(matrix(rows, nthread=threads))


def _xgboost(model: Model, threads: int) -> Any:
    import xgboost

    booster = xgboost.Booster({"nthread": threads})
    booster.load_model(model.native("xgboost"))
    booster.set_param({"nthread": threads})
    return booster


def _only(model: Model) -> str:
    if len(model.kinds) > 1:
        raise UnsupportedError("one library's Booster is not the ensemble")
    return model.kinds[0]


TRAINERS = ("joblib", "lightgbm", "xgboost", "sklearn.ensemble")
PEERS = (
    Peer("native", "native libraries, predict_proba", _predict_proba, serves_by=TRAINERS),
    Peer("voting", "scikit-learn VotingClassifier", _voting, serves_by=(*TRAINERS, "benchmarks.voting_by_skl2onnx")),
    Peer("booster", "native Booster", _booster, serves_by=("lightgbm", "xgboost")),
    Peer("dmatrix", "native Booster, DMatrix", _dmatrix, serves_by=("xgboost",)),
)
