"""LightGBM members.

Rules of prediction as in LightGBM 4's ``src/io/tree.cpp`` and ``c_api.cpp``: a row goes left when
``x <= threshold`` in float64; values with ``|x| <= 1e-35`` are read as 0; NaN goes the default way
where the node's missing type is NaN, and counts as 0 where it is None.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from typing import Any

import lightgbm
import numpy as np
import numpy.typing as npt

from glulam.errors import UnsupportedModelError
from glulam.forest import Forest, Tree, float32_at_or_below, float32_below
from glulam.hookspecs import ModelPlugin, hookimpl
from glulam.program import Link, LoweredMember, Task
from glulam.schema import FeatureSchema
from glulam_plugins.models._early_stopping import stop_rows

_ZERO = np.float32(1e-35)  # LightGBM's kZeroThreshold, a float32 constant there too
_CATEGORICAL, _DEFAULT_LEFT = 1, 2  # bits of decision_type; bits 2 and 3 are the missing type
_PROBABILITIES = ("binary", "cross_entropy", "multiclass", "multiclassova")
_STOPS = ("early_stopping_round", "early_stopping_rounds", "early_stopping", "n_iter_no_change")
_LINKS: dict[str, Link] = {"binary": "sigmoid", "multiclass": "softmax", "regression": "identity"}


class LightGBM(ModelPlugin):
    """Gradient boosting by LightGBM; stored as its model text."""

    name = "lightgbm"
    distributions = ("lightgbm",)

    def make(self, task: Task, params: Mapping[str, Any], schema: FeatureSchema | None) -> Any:
        """Return an LGBMClassifier or LGBMRegressor: 200 trees, rate 0.1, depth 8, 31 leaves, seed 42."""
        defaults = {
            "n_estimators": 200, "learning_rate": 0.1, "max_depth": 8, "num_leaves": 31, "random_state": 42,
            "n_jobs": -1, "verbose": -1, "deterministic": True, "force_row_wise": True,
        }  # fmt: skip
        made = lightgbm.LGBMRegressor if task == "regression" else lightgbm.LGBMClassifier
        return made(**(defaults | dict(params)))

    def accepts(self, model: Any) -> bool:
        """Tell whether this is an LGBMClassifier, an LGBMRegressor or a Booster, not a subclass with other rules."""
        return type(model) in (lightgbm.LGBMClassifier, lightgbm.LGBMRegressor, lightgbm.Booster)

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
        objective = _parse(_booster(model).model_to_string(num_iteration=1))[0].get("objective", "of one's own").split()
        if task != "regression" and objective[0] not in _PROBABILITIES:
            raise UnsupportedModelError(
                f"lightgbm: objective {' '.join(objective)!r} gives no probabilities, which classifiers vote with; "
                f"use one of {list(_PROBABILITIES)}"
            )
        params = model.params if isinstance(model, lightgbm.Booster) else model.get_params()
        if params.get("pred_early_stop"):
            raise UnsupportedModelError("lightgbm: pred_early_stop=True leaves trees out; use pred_early_stop=False")
        if _booster(model).pandas_categorical:
            raise UnsupportedModelError(
                "lightgbm: fitted on native categories of a DataFrame, which is not supported yet; "
                "fit it on category codes"
            )

    def votes(self, model: Any, X: npt.NDArray[np.float32], task: Task) -> npt.NDArray[np.float64]:
        """Return LightGBM's own probabilities or values."""
        answer = np.asarray(_booster(model).predict(X), dtype=np.float64)
        if task == "regression":
            return answer.reshape(-1, 1)
        return np.column_stack([1.0 - answer, answer]) if answer.ndim == 1 else answer

    def lower(self, model: Any, schema: FeatureSchema) -> LoweredMember:
        """Lower the trees that predict uses (up to the best iteration). Refuses what it cannot do exactly."""
        header, trees = _parse(_booster(model).model_to_string())
        link, factor = _link_of(header)
        outputs = int(header["num_tree_per_iteration"])
        forest = Forest.from_trees(
            (_lower_tree(tree, index, index % outputs, factor) for index, tree in enumerate(trees)),
            n_features=int(header["max_feature_idx"]) + 1,
            base=np.zeros(outputs),
        )
        return LoweredMember(forest, link, "float64")

    def leaves(self, model: Any, X: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
        """Return the leaves that LightGBM says each row reaches."""
        _, trees = _parse(_booster(model).model_to_string())
        counts = [int(tree["num_leaves"]) for tree in trees]
        first = np.cumsum([0, *counts[:-1]])
        leaves = np.asarray(_booster(model).predict(X, pred_leaf=True), dtype=np.int64)
        return np.asarray(leaves.reshape(len(X), -1) + first)

    def importance(self, model: Any) -> npt.NDArray[np.float64]:
        """Return the total gain of each feature's splits."""
        return np.asarray(_booster(model).feature_importance(importance_type="gain"), dtype=np.float64)

    def dump(self, model: Any) -> bytes:
        """Return the model text."""
        return str(_booster(model).model_to_string()).encode()

    def restore(self, data: bytes) -> Any:
        """Return a Booster of the model text."""
        return lightgbm.Booster(model_str=data.decode())


def _booster(model: Any) -> Any:
    return model if isinstance(model, lightgbm.Booster) else model.booster_


def _parse(text: str) -> tuple[dict[str, str], list[dict[str, str]]]:
    """Return the header and the trees of a model text, each as key and value."""

    def fields(block: str) -> Iterator[tuple[str, str]]:
        for line in block.split("\n"):
            key, equals, value = line.partition("=")
            if equals or key == "average_output":
                yield key, value

    head, *blocks = text.partition("\nend of trees")[0].split("\nTree=")
    return dict(fields(head)), [dict(fields(block)) for block in blocks]


def _link_of(header: Mapping[str, str]) -> tuple[Link, float]:
    """Return the link of the objective and the factor of its margin, or refuse by name."""
    if "average_output" in header:
        raise UnsupportedModelError("lightgbm: boosting='rf' is not supported yet; use boosting='gbdt'")
    objective, *options = header.get("objective", "custom").split()
    settings = dict(option.partition(":")[::2] for option in options)
    if objective not in _LINKS or "sqrt" in settings:
        what = f"{objective} with reg_sqrt" if "sqrt" in settings else objective
        raise UnsupportedModelError(
            f"lightgbm: objective {what!r} is not supported yet; supported are {sorted(_LINKS)}"
        )
    return _LINKS[objective], float(settings.get("sigmoid", 1.0))


def _lower_tree(tree: Mapping[str, str], index: int, output: int, factor: float) -> Tree:
    """Lower one tree of the model text."""
    if tree.get("is_linear", "0") != "0":
        raise UnsupportedModelError("lightgbm: linear_tree=True is not supported yet; train with linear_tree=False")

    def numbers(key: str, dtype: type) -> npt.NDArray[Any]:
        return np.array(tree.get(key, "").split(), dtype=dtype)

    values = numbers("leaf_value", np.float64) * factor
    if int(tree["num_leaves"]) == 1:
        return Tree([], [], [], [], [], values, output)
    kind = numbers("decision_type", np.int64)
    if (kind & _CATEGORICAL).any():
        raise UnsupportedModelError(
            f"lightgbm: tree {index} splits on a native categorical feature, which is not supported yet; "
            "train without categorical_feature (the schema's category codes are numbers)"
        )
    missing_type = kind >> 2 & 3
    if (missing_type == 1).any():
        raise UnsupportedModelError(
            f"lightgbm: zero_as_missing=True (tree {index}) is not supported yet; train with zero_as_missing=False"
        )
    threshold = numbers("threshold", np.float64)
    nan_left = np.where(missing_type == 0, threshold >= 0, (kind & _DEFAULT_LEFT) > 0)
    return Tree(
        feature=numbers("split_feature", np.int64),
        threshold=_as_compared(threshold),
        left=numbers("left_child", np.int64),
        right=numbers("right_child", np.int64),
        nan_left=nan_left,
        leaf_value=values,
        output=output,
    )


def _as_compared(threshold: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """Return float32 thresholds that decide as LightGBM does on values it reads as 0."""
    exact = float32_at_or_below(threshold)
    # All of [-1e-35, 1e-35] is 0 there: left of a threshold in [0, 1e-35), right of one in [-1e-35, 0).
    exact[(threshold >= 0) & (threshold < _ZERO)] = _ZERO
    exact[(threshold < 0) & (threshold >= -_ZERO)] = float32_below(-_ZERO)
    return exact


@hookimpl
def glulam_model() -> type[ModelPlugin]:
    """Offer LightGBM."""
    return LightGBM
