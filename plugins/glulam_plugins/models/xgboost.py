"""XGBoost members.

Rules of prediction as in XGBoost's ``src/predictor``: a row is float32, goes left when ``x < threshold``,
NaN and the value given as ``missing`` go the default way, categories are cut to whole numbers; leaf
values are added in float32, tree after tree, to the base score. What is made of the sums is in
``src/objective`` and in the ``predict`` and ``predict_proba`` of ``xgboost/sklearn.py``.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xgboost

from glulam._signature import numeric_schema
from glulam.errors import ArtifactError, UnsupportedModelError
from glulam.forest import leaf_ranks
from glulam.fragments import Recipe
from glulam.hookspecs import ModelPlugin, Signature, hookimpl
from glulam.program import LoweredMember, Scores, Task
from glulam.schema import Feature, FeatureSchema
from glulam_plugins.models._early_stopping import stop_rows
from glulam_plugins.models._fragments import largest
from glulam_plugins.models._xgboost_rows import AS_RULES, as_read, linear, link_of
from glulam_plugins.models._xgboost_saved import HINGE, LOGISTIC, MULTI, Saved
from glulam_plugins.models._xgboost_ubjson import read_ubjson

_CLASSIFIERS = (xgboost.XGBClassifier, xgboost.XGBRFClassifier)
_REGRESSORS = (xgboost.XGBRegressor, xgboost.XGBRFRegressor, xgboost.XGBRanker)
_KINDS = (*_CLASSIFIERS, *_REGRESSORS, xgboost.Booster)  # not their subclasses, which may predict by other rules
_SAVED_BY = {"classifier": xgboost.XGBClassifier, "regressor": xgboost.XGBRegressor, "ranker": xgboost.XGBRanker}
_PROBABILITIES = ("binary:logistic", *MULTI)
_NOTE = "glulam"  # attribute of a stored Booster
_BEYOND = "XGBoost's gblinear refuses numbers beyond float32"


class XGBoost(ModelPlugin):
    """Gradient boosting by XGBoost; stored as its UBJSON."""

    name = "xgboost"
    suffixes = (".json", ".ubj", ".ubjson")
    distributions = ("xgboost", "xgboost-cpu")

    def make(self, task: Task, params: Mapping[str, Any], schema: FeatureSchema | None) -> Any:
        """Return an XGBClassifier or XGBRegressor: 200 trees, rate 0.1, depth 8, seed 42."""
        defaults = {"n_estimators": 200, "learning_rate": 0.1, "max_depth": 8, "random_state": 42, "n_jobs": -1}
        made = xgboost.XGBRegressor if task == "regression" else xgboost.XGBClassifier
        return made(**(defaults | dict(params)))

    def search_space(self, trial: Any, task: Task, n_rows: int) -> dict[str, Any]:
        """Return trees and rate, the size of trees, rows and columns a tree sees, and penalties."""
        return {
            "n_estimators": trial.suggest_int("n_estimators", 50, 600, log=True),
            "learning_rate": trial.suggest_float("learning_rate", 0.01, 0.3, log=True),
            "max_depth": trial.suggest_int("max_depth", 2, 10),
            # Of hessians, which are at most a quarter of a row each for two classes.
            "min_child_weight": trial.suggest_float("min_child_weight", 0.5, max(10.0, n_rows / 200), log=True),
            "subsample": trial.suggest_float("subsample", 0.5, 1.0),
            "colsample_bytree": trial.suggest_float("colsample_bytree", 0.3, 1.0),
            "gamma": trial.suggest_float("gamma", 1e-8, 5.0, log=True),
            "reg_alpha": trial.suggest_float("reg_alpha", 1e-8, 10.0, log=True),
            "reg_lambda": trial.suggest_float("reg_lambda", 1e-3, 10.0, log=True),
        }

    def accepts(self, model: Any) -> bool:
        """Tell whether this is one of XGBoost's own estimators, or a Booster."""
        return type(model) in _KINDS

    def fit(
        self,
        model: Any,
        X: npt.NDArray[np.float32],
        y: npt.NDArray[Any],
        sample_weight: npt.NDArray[np.float64] | None = None,
        eval_set: tuple[npt.NDArray[np.float32], npt.NDArray[Any]] | None = None,
    ) -> Any:
        """Fit; with ``early_stopping_rounds`` among the parameters, stop early on ``eval_set``."""
        stop_on = stop_rows(self.name, model, eval_set)
        rows = None if stop_on is None else [stop_on]
        return model.fit(X, y, sample_weight=sample_weight, eval_set=rows, verbose=False)

    def check(self, model: Any, task: Task) -> None:
        """Refuse models that give no probability or several values, or name their categories."""
        saved = Saved.read(_booster(model))
        if task != "regression" and saved.objective not in _PROBABILITIES:
            raise UnsupportedModelError(
                f"xgboost: objective {saved.objective!r} gives no probabilities, which classifiers vote with; "
                "use 'binary:logistic' or 'multi:softprob'"
            )
        if saved.n_outputs > 1 and (task == "regression" or saved.objective not in MULTI):
            raise UnsupportedModelError(
                f"xgboost: the model gives {saved.n_outputs} values a row, and members vote with one; "
                "fit one model an output"
            )
        if saved.has_categories:
            raise UnsupportedModelError(
                "xgboost: fitted on the named categories of a DataFrame, whose codes an ensemble cannot know; "
                "fit it on category codes"
            )

    def signature(self, model: Any) -> Signature:
        """Return what predict takes and answers; a Booster with a classification objective is a classifier."""
        saved = Saved.read(_booster(model))
        schema, width, answer = _schema(saved), saved.n_outputs, _answer(model)
        if answer == "value":
            return Signature(schema, "regression", n_targets=1 if saved.objective == "multi:softmax" else width)
        multi, sklearn = saved.objective in MULTI, type(model) in _CLASSIFIERS
        if sklearn and model.n_classes_ < 2 and (multi or width > 1):
            raise UnsupportedModelError("xgboost: expected at least two classes in y; it was fitted on one alone")
        if width > 1 and (not multi or (sklearn and saved.objective == "multi:softprob" and width == 2)):
            # XGBClassifier.predict answers yes or no for each column, in the second case as well.
            return Signature(schema, "multioutput", np.tile([0, 1], width), (1,) * width)
        classes = np.arange(max(2, width))
        return Signature(schema, "binary" if len(classes) == 2 else "multiclass", classes, scores=answer)

    def votes(self, model: Any, X: npt.NDArray[np.float32], task: Task) -> npt.NDArray[np.float64]:
        """Return XGBoost's own probabilities or values, which it computes in float32."""
        if task == "regression" or _answer(model) != "probabilities":
            return np.asarray(_predict(model, X), dtype=np.float64).reshape(len(X), -1)
        with np.errstate(all="ignore"):  # gblinear overflows on rows of huge numbers
            if type(model) in _CLASSIFIERS:
                return np.asarray(model.predict_proba(X, validate_features=False), dtype=np.float64)
            if _objective(model) == "multi:softmax":  # it predicts labels; XGBClassifier makes probabilities like this
                margin = _predict(model, X, margin=True)
                powers = np.exp(margin - margin.max(axis=1, keepdims=True))
                return np.asarray(powers / powers.sum(axis=1, keepdims=True), dtype=np.float64)
        answer = _predict(model, X)
        if answer.ndim == 1:
            # As XGBClassifier.predict_proba has it, in float32.
            answer = np.column_stack([np.float32(1.0) - answer, answer])
        return np.asarray(answer, dtype=np.float64)

    def labels(self, model: Any, X: npt.NDArray[np.floating[Any]]) -> npt.NDArray[Any] | None:
        """Return the labels of XGBClassifier.predict, or of a Booster that predicts labels."""
        if type(model) in _CLASSIFIERS:
            return np.asarray(model.predict(X, validate_features=False)).astype(np.int64)
        if _answer(model) == "probabilities" and _objective(model) == "multi:softmax":
            return np.asarray(_predict(model, X)).astype(np.int64)
        return None

    def lower(self, model: Any, schema: FeatureSchema) -> LoweredMember:
        """Lower what predict uses (up to the best iteration). Refuses what it cannot do exactly."""
        saved = Saved.read(_booster(model))
        answer, iterations, missing = _answer(model), _iterations(model), _missing(model)
        link, rules = link_of(saved, answer)
        recipe, value = Recipe(), "features"
        if saved.booster == "gblinear":
            if not np.isnan(missing):
                value = recipe.add(as_read(missing, np.zeros(saved.n_features, dtype=bool)))
            value = recipe.add(linear(*saved.weights()), value)
            # predict reads these labels off the sums, which may be NaN; then no probability is the largest.
            by_sums = answer == "probabilities" and saved.objective == "multi:softmax"
            choice = recipe.add(largest(), value) if by_sums else ""
            for rule in (*AS_RULES[link], *rules):
                value = recipe.add(rule(), value)
            return replace(recipe.lowered(arithmetic="float32", choice=choice), float32_only=_BEYOND)
        codes = saved.categorical(iterations)
        if codes.any() or not np.isnan(missing):
            value = recipe.add(as_read(missing, codes))
        forest = saved.forest(iterations)
        if value == "features" and not rules:
            return LoweredMember(forest, link, "float32")
        value = recipe.add(forest, value)
        for rule in rules:
            value = recipe.add(rule(), value)
        return recipe.lowered(link=link, arithmetic="float32")

    def read(self, path: Path) -> Any | None:
        """Return the estimator that saved a file of XGBoost's, or a Booster; None if another library's is there."""
        data = path.read_bytes()
        if b"learner" not in data[:64]:
            return None
        try:
            if data.startswith(b"{L"):
                read_ubjson(data)  # XGBoost's own reader crashes, or never ends, where UBJSON is damaged
            booster = xgboost.Booster(model_file=bytearray(data))
            kind = json.loads(booster.attr("scikit_learn") or "{}").get("_estimator_type")
            if kind not in _SAVED_BY:
                return booster
            made = _SAVED_BY[kind]()
            made.load_model(bytearray(data))
        except (xgboost.core.XGBoostError, TypeError, ValueError, LookupError, struct.error) as error:
            reason = str(error).splitlines()[0]
            raise ArtifactError(f"{path}: not a model that XGBoost can read: {reason}; save it again") from error
        return made

    def leaves(self, model: Any, X: npt.NDArray[np.float32]) -> npt.NDArray[np.int64] | None:
        """Return the leaves that XGBoost says each row reaches; None for gblinear, and for infinite rows."""
        booster, iterations = _booster(model), _iterations(model)
        saved = Saved.read(booster)
        if saved.booster == "gblinear":
            return None
        try:
            rows = xgboost.DMatrix(X, missing=_missing(model))
        except xgboost.core.XGBoostError:  # infinite rows have an answer, of which leaf is not told
            return None
        nodes = booster.predict(rows, pred_leaf=True, iteration_range=(0, iterations), validate_features=False)
        nodes = np.asarray(nodes, dtype=np.int64).reshape(len(X), -1)
        first = 0
        for column, tree in enumerate(saved.trees(iterations)[0]):
            rank = leaf_ranks(tree["left_children"], tree["right_children"])
            nodes[:, column] = first + rank[nodes[:, column]]
            first += int(rank.max()) + 1
        return nodes

    def importance(self, model: Any) -> npt.NDArray[np.float64] | None:
        """Return the total gain of each feature's splits; None for gblinear, which splits nothing."""
        booster = _booster(model)
        if _config(model)["gradient_booster"]["name"] == "gblinear":
            return None
        names = booster.feature_names or [f"f{index}" for index in range(booster.num_features())]
        gain = booster.get_score(importance_type="total_gain")
        return np.array([gain.get(name, 0.0) for name in names])

    def dump(self, model: Any) -> bytes:
        """Return UBJSON of the trees that predict uses, with a note of what it has no place for."""
        booster, used, missing = _booster(model), _iterations(model), _missing(model)
        booster = booster[:used] if used else booster.copy()
        note = {"value": _answer(model) == "value"} | ({} if np.isnan(missing) else {"missing": missing})
        booster.set_attr(best_iteration=None, best_score=None, **{_NOTE: json.dumps(note)})
        return bytes(booster.save_raw("ubj"))

    def restore(self, data: bytes) -> Any:
        """Return a Booster of the UBJSON."""
        return xgboost.Booster(model_file=bytearray(data))


def _booster(model: Any) -> Any:
    if isinstance(model, xgboost.Booster):
        return model
    if not model.__sklearn_is_fitted__():
        raise UnsupportedModelError(f"xgboost: expected a fitted {type(model).__name__}; fit it first")
    return model.get_booster()


def _config(model: Any) -> Any:
    return json.loads(_booster(model).save_config())["learner"]


def _objective(model: Any) -> str:
    """Return the objective that makes the answer: with one's own function for training, the library's beside it."""
    return str(_config(model)["objective"]["name"])


def _iterations(model: Any) -> int:
    """Return how many iterations predict uses; 0 means all. A bare Booster always uses all, gblinear as well."""
    if isinstance(model, xgboost.Booster) or model.booster == "gblinear":
        return 0
    best = _booster(model).attr("best_iteration")
    return 0 if best is None else int(best) + 1


def _note(model: Any) -> Any:
    """Return what `dump` noted in a Booster."""
    return json.loads(_booster(model).attr(_NOTE) or "{}")


def _missing(model: Any) -> float:
    """Return the value that counts as missing beside NaN; NaN for a bare Booster, which does not keep it."""
    if isinstance(model, xgboost.Booster):
        return float(_note(model).get("missing", np.nan))
    return float(model.missing)


def _answer(model: Any) -> Scores:
    """Return what predict's answer, or predict_proba's, is."""
    if type(model) in _REGRESSORS or (isinstance(model, xgboost.Booster) and _note(model).get("value")):
        return "value"
    objective = _objective(model)
    if type(model) in _CLASSIFIERS:
        return "probabilities" if objective in (*LOGISTIC, *MULTI, *HINGE) else "decision_function"
    return "probabilities" if objective in ("binary:logistic", *MULTI, *HINGE) else "value"


def _predict(model: Any, X: npt.NDArray[np.floating[Any]], *, margin: bool = False) -> npt.NDArray[np.float32]:
    """Return what XGBoost's own predict answers: inplace, but for gblinear, as XGBModel.predict does."""
    booster, missing = _booster(model), _missing(model)
    if _config(model)["gradient_booster"]["name"] == "gblinear":
        rows = xgboost.DMatrix(X, missing=missing)
        return np.asarray(booster.predict(rows, output_margin=margin, validate_features=False))
    answer = booster.inplace_predict(
        X,
        iteration_range=(0, _iterations(model)),
        predict_type="margin" if margin else "value",
        missing=missing,
        validate_features=False,
    )
    return np.asarray(answer)


def _schema(saved: Saved) -> FeatureSchema:
    """Return names, and the categories that the model knows by name. Others are refused, as XGBoost does."""
    schema = numeric_schema(saved.n_features, saved.names or None)
    features = (
        Feature(feature.name, "categorical", categories, missing="allow") if categories else feature
        for feature, categories in zip(schema.features, saved.categories, strict=True)
    )
    return FeatureSchema(tuple(features), named=schema.named)


@hookimpl
def glulam_model() -> type[ModelPlugin]:
    """Offer XGBoost."""
    return XGBoost
