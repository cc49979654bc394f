"""LightGBM members.

Rules of prediction as in LightGBM 4's ``src/io/tree.cpp`` and ``c_api.cpp``: a row goes left when
``x <= threshold`` in float64; values with ``|x| <= 1e-35`` are read as 0; NaN goes the default way
where the node's missing type is NaN, the default way together with 0 where it is Zero, and counts as
0 where it is None. Codes of categories are truncated toward zero; those that are negative, NaN or
not in the node's set go right.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import numpy.typing as npt

from glulam.errors import ArtifactError, UnsupportedModelError
from glulam.hookspecs import ModelPlugin, Signature, hookimpl
from glulam.program import LoweredMember, Task
from glulam.schema import FeatureSchema
from glulam_plugins.models._early_stopping import stop_rows
from glulam_plugins.models._lightgbm_forest import lower_trees
from glulam_plugins.models._lightgbm_rules import PROBABILITIES, lower_answer, margin_factor
from glulam_plugins.models._lightgbm_schema import schema_of
from glulam_plugins.models._lightgbm_text import ModelText, read

_STOPS = ("early_stopping_round", "early_stopping_rounds", "early_stopping", "n_iter_no_change")
_VALUES = b"glulam: values\n"
"""Before the text of an estimator that answers values by an objective which otherwise means classes."""


class _Values(lightgbm.Booster):  # type: ignore[misc]  # the library has no types here
    """A restored Booster whose answers are values, whatever its objective is."""


_KINDS = (
    lightgbm.LGBMClassifier, lightgbm.LGBMRegressor, lightgbm.LGBMRanker, lightgbm.LGBMModel, lightgbm.Booster,
    _Values,
)  # fmt: skip  # not their other subclasses, which may predict by other rules


class LightGBM(ModelPlugin):
    """Gradient boosting by LightGBM; stored as its model text."""

    name = "lightgbm"
    suffixes = (".txt", ".lgb", ".lgbm", ".model")
    distributions = ("lightgbm",)

    def make(self, task: Task, params: Mapping[str, Any], schema: FeatureSchema | None) -> Any:
        """Return an LGBMClassifier or LGBMRegressor: 200 trees, rate 0.1, depth 8, 31 leaves, seed 42."""
        defaults = {
            "n_estimators": 200, "learning_rate": 0.1, "max_depth": 8, "num_leaves": 31, "random_state": 42,
            "n_jobs": -1, "verbose": -1, "deterministic": True, "force_row_wise": True,
        }  # fmt: skip
        made = lightgbm.LGBMRegressor if task == "regression" else lightgbm.LGBMClassifier
        return made(**(defaults | dict(params)))

    def search_space(self, trial: Any, task: Task, n_rows: int) -> dict[str, Any]:
        """Return trees and rate, the size of trees, rows and columns a tree sees, and penalties."""
        return {
            "n_estimators": trial.suggest_int("n_estimators", 50, 600, log=True),
            "learning_rate": trial.suggest_float("learning_rate", 0.01, 0.3, log=True),
            "max_depth": trial.suggest_int("max_depth", 3, 12),
            "num_leaves": trial.suggest_int("num_leaves", 4, 128, log=True),
            "min_child_samples": trial.suggest_int("min_child_samples", 5, max(50, n_rows // 50), log=True),
            "subsample": trial.suggest_float("subsample", 0.5, 1.0),
            "subsample_freq": 1,  # without it LightGBM does not sample rows at all
            "colsample_bytree": trial.suggest_float("colsample_bytree", 0.3, 1.0),
            "reg_alpha": trial.suggest_float("reg_alpha", 1e-8, 10.0, log=True),
            "reg_lambda": trial.suggest_float("reg_lambda", 1e-8, 10.0, log=True),
        }

    def accepts(self, model: Any) -> bool:
        """Tell whether this is one of LightGBM's own estimators, or a Booster."""
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
        stop_on = stop_rows(self.name, model, eval_set, _STOPS)
        if stop_on is None:
            return model.fit(X, y, sample_weight=sample_weight)
        # LightGBM 4.7 deprecates eval_set for a pair of arguments.
        if "eval_X" in inspect.signature(model.fit).parameters:
            return model.fit(X, y, sample_weight=sample_weight, eval_X=stop_on[0], eval_y=stop_on[1])
        return model.fit(X, y, sample_weight=sample_weight, eval_set=[stop_on])

    def check(self, model: Any, task: Task) -> None:
        """Refuse models that do not answer a plain matrix with every tree in its full extent, or no probability."""
        objective = _head(model).objective or "of one's own"
        if task != "regression" and objective not in PROBABILITIES:
            raise UnsupportedModelError(
                f"lightgbm: objective {objective!r} gives no probabilities, which classifiers vote "
                f"with; use one of {list(PROBABILITIES)}"
            )
        _refuse_early_stop(model)
        if _booster(model).pandas_categorical:
            raise UnsupportedModelError(
                "lightgbm: fitted on native categories of a DataFrame, which an ensemble does not know; "
                "fit it on category codes, or export it by itself"
            )

    def signature(self, model: Any) -> Signature:
        """Return the columns of the Booster, with their categories if they are pandas'; classes if it has any.

        A bare Booster of an objective with probabilities is a classifier of the classes 0, 1, ...
        """
        text = _booster(model).model_to_string(num_iteration=1)
        schema, outputs = schema_of(_booster(model), text), read(text).n_outputs
        if not _has_classes(model):
            return Signature(schema, "regression", n_targets=outputs)
        classes = np.asarray(getattr(model, "classes_", np.arange(max(2, outputs))))
        if len(classes) < 2:
            raise UnsupportedModelError(
                f"lightgbm: expected at least two classes, it was fitted on {classes.tolist()} alone"
            )
        return Signature(schema, "binary" if len(classes) == 2 else "multiclass", classes)

    def votes(self, model: Any, X: npt.NDArray[np.floating[Any]], task: Task) -> npt.NDArray[np.float64]:
        """Return LightGBM's own probabilities or values."""
        answer = np.asarray(_booster(model).predict(X), dtype=np.float64)
        if task != "regression" and answer.ndim == 1:
            return np.column_stack([1.0 - answer, answer])
        return answer.reshape(len(X), -1)

    def labels(self, model: Any, X: npt.NDArray[np.floating[Any]]) -> npt.NDArray[Any] | None:
        """Return LGBMClassifier's own labels; a Booster has none."""
        if not isinstance(model, lightgbm.LGBMClassifier) or not _has_classes(model):
            return None
        with warnings.catch_warnings():
            # X is the matrix of a table's columns, in their order.
            warnings.filterwarnings("ignore", message="X does not have valid feature names")
            return np.asarray(model.predict(X))

    def lower(self, model: Any, schema: FeatureSchema) -> LoweredMember:
        """Lower the trees that predict uses (up to the best iteration). Refuses what it cannot do exactly."""
        _refuse_early_stop(model)
        text = read(_booster(model).model_to_string())
        classes = _has_classes(model)
        count = len(getattr(model, "classes_", range(text.n_outputs)))
        if classes and text.n_outputs > 1 and count != text.n_outputs:
            raise UnsupportedModelError(
                f"lightgbm: num_class={text.n_outputs}, but it was fitted on {count} classes; leave num_class away"
            )
        trees = lower_trees(text, margin_factor(text))
        return lower_answer(text, trees, pair=classes and text.n_outputs == 1)

    def read(self, path: Path) -> Any | None:
        """Return a Booster of the text that ``save_model`` writes."""
        data = path.read_bytes()
        if not data.startswith(b"tree\n"):
            return None
        try:
            if b"\nend of trees" not in data:
                raise ValueError("it ends before its trees do")
            return self.restore(data)
        except (ValueError, lightgbm.basic.LightGBMError) as error:
            raise ArtifactError(f"{path}: a damaged LightGBM model: {error}; save it again") from error

    def leaves(self, model: Any, X: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.int64] | None:
        """Return the leaves that LightGBM says each row reaches; None for linear trees, which are lowered to others."""
        trees = list(read(_booster(model).model_to_string()).trees())
        if not trees or any(tree.linear is not None for tree in trees):
            return None
        first = np.cumsum([0, *(len(tree.leaf_value) for tree in trees[:-1])])
        leaves = np.asarray(_booster(model).predict(X, pred_leaf=True), dtype=np.int64)
        return np.asarray(leaves.reshape(len(X), -1) + first)

    def importance(self, model: Any) -> npt.NDArray[np.float64]:
        """Return the total gain of each feature's splits."""
        return np.asarray(_booster(model).feature_importance(importance_type="gain"), dtype=np.float64)

    def dump(self, model: Any) -> bytes:
        """Return the model text."""
        text = str(_booster(model).model_to_string()).encode()
        values = read(text.decode()).objective in PROBABILITIES and not _has_classes(model)
        return _VALUES + text if values else text

    def restore(self, data: bytes) -> Any:
        """Return a Booster of the model text."""
        made = _Values if data.startswith(_VALUES) else lightgbm.Booster
        return made(model_str=data.removeprefix(_VALUES).decode())


def _booster(model: Any) -> Any:
    if isinstance(model, lightgbm.Booster):
        return model
    if not model.__sklearn_is_fitted__():
        raise UnsupportedModelError(f"lightgbm: this {type(model).__name__} is not fitted; fit it first")
    return model.booster_


def _head(model: Any) -> ModelText:
    """Return the model's header, with one of its iterations."""
    return read(_booster(model).model_to_string(num_iteration=1))


def _has_classes(model: Any) -> bool:
    """Tell whether predict gives probabilities: not by an objective of the user's own, nor of a regressor."""
    if isinstance(model, lightgbm.LGBMClassifier):
        return not callable(model.objective_)
    return type(model) is lightgbm.Booster and _head(model).objective in PROBABILITIES


def _refuse_early_stop(model: Any) -> None:
    # A Booster's predict takes such parameters as arguments only, an estimator's from the estimator.
    if not isinstance(model, lightgbm.Booster) and model.get_params().get("pred_early_stop"):
        raise UnsupportedModelError("lightgbm: pred_early_stop=True leaves trees out; use pred_early_stop=False")


@hookimpl
def glulam_model() -> type[ModelPlugin]:
    """Offer LightGBM."""
    return LightGBM
