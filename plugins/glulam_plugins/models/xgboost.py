"""XGBoost members.

Rules of prediction as in XGBoost's ``src/predictor``: a row goes left when ``x < threshold`` in
float32, NaN goes the default way; leaf values are added in float32, tree after tree, to the base
score. The model is read from ``save_raw("json")``, the only dump that holds all of it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import xgboost

from glulam.errors import UnsupportedModelError
from glulam.forest import Forest, Tree, float32_below, leaf_ranks
from glulam.hookspecs import ModelPlugin, hookimpl
from glulam.program import Link, LoweredMember, Task
from glulam.schema import FeatureSchema
from glulam_plugins.models._early_stopping import stop_rows

_LINKS: dict[str, Link] = {
    "binary:logistic": "sigmoid",
    "multi:softprob": "softmax",
    "multi:softmax": "softmax",
    "reg:squarederror": "identity",
}


_KINDS = (
    xgboost.XGBClassifier, xgboost.XGBRegressor, xgboost.XGBRFClassifier, xgboost.XGBRFRegressor, xgboost.Booster,
)  # fmt: skip  # not their subclasses, which may predict by other rules
_NO_CATEGORIES = (
    "xgboost: enable_categorical=True is not supported yet; train without it (the schema's category codes are numbers)"
)


class XGBoost(ModelPlugin):
    """Gradient boosting by XGBoost; stored as its UBJSON."""

    name = "xgboost"
    distributions = ("xgboost", "xgboost-cpu")

    def make(self, task: Task, params: Mapping[str, Any], schema: FeatureSchema | None) -> Any:
        """Return an XGBClassifier or XGBRegressor: 200 trees, rate 0.1, depth 8, seed 42."""
        defaults = {"n_estimators": 200, "learning_rate": 0.1, "max_depth": 8, "random_state": 42, "n_jobs": -1}
        made = xgboost.XGBRegressor if task == "regression" else xgboost.XGBClassifier
        return made(**(defaults | dict(params)))

    def accepts(self, model: Any) -> bool:
        """Tell whether this is one of XGBoost's own classifiers and regressors, or a Booster."""
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
        """Refuse models that expect native categories, or give no probability."""
        if task != "regression" and _LINKS.get(_objective(model)) not in ("sigmoid", "softmax"):
            raise UnsupportedModelError(
                f"xgboost: objective {_objective(model)!r} gives no probabilities, which classifiers vote with; "
                "use 'binary:logistic' or 'multi:softprob'"
            )
        if "c" in (_booster(model).feature_types or []):
            raise UnsupportedModelError(_NO_CATEGORIES)

    def votes(self, model: Any, X: npt.NDArray[np.float32], task: Task) -> npt.NDArray[np.float64]:
        """Return XGBoost's own probabilities or values, which it computes in float32."""
        settings = {"iteration_range": (0, _iterations(model)), "missing": _missing(model), "validate_features": False}
        if _objective(model) == "multi:softmax":  # it predicts labels; XGBClassifier makes probabilities like this
            margin = _booster(model).inplace_predict(X, predict_type="margin", **settings)
            powers = np.exp(margin - margin.max(axis=1, keepdims=True))
            return np.asarray(powers / powers.sum(axis=1, keepdims=True), dtype=np.float64)
        answer = _booster(model).inplace_predict(X, **settings)
        if task == "regression":
            return np.asarray(answer, dtype=np.float64).reshape(-1, 1)
        if answer.ndim == 1:
            # As XGBClassifier.predict_proba has it, in float32.
            answer = np.column_stack([np.float32(1.0) - answer, answer])
        return np.asarray(answer, dtype=np.float64)

    def lower(self, model: Any, schema: FeatureSchema) -> LoweredMember:
        """Lower the trees that predict uses (up to the best iteration). Refuses what it cannot do exactly."""
        _refuse_other_missing(model)
        learner = _learner(model)
        booster, settings = learner["gradient_booster"], learner["learner_model_param"]
        _refuse_unsupported(booster, settings)
        objective = learner["objective"]["name"]
        if objective not in _LINKS:
            raise UnsupportedModelError(
                f"xgboost: objective {objective!r} is not supported yet; supported are {sorted(_LINKS)}"
            )
        link = _LINKS[objective]
        trees, groups = _used_trees(booster["model"], _iterations(model))
        forest = Forest.from_trees(
            (_lower_tree(tree, group) for tree, group in zip(trees, groups, strict=True)),
            n_features=int(settings["num_feature"]),
            base=_base(settings["base_score"], link, max(1, int(settings["num_class"]))),
        )
        return LoweredMember(forest, link, "float32")

    def leaves(self, model: Any, X: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
        """Return the leaves that XGBoost says each row reaches."""
        rows = xgboost.DMatrix(X, missing=_missing(model))
        nodes = _booster(model).predict(
            rows, pred_leaf=True, iteration_range=(0, _iterations(model)), validate_features=False
        )
        nodes = np.asarray(nodes, dtype=np.int64).reshape(len(X), -1)
        trees, _ = _used_trees(_learner(model)["gradient_booster"]["model"], _iterations(model))
        first = 0
        for column, tree in enumerate(trees):
            rank = leaf_ranks(tree["left_children"], tree["right_children"])
            nodes[:, column] = first + rank[nodes[:, column]]
            first += int(rank.max()) + 1
        return nodes

    def importance(self, model: Any) -> npt.NDArray[np.float64]:
        """Return the total gain of each feature's splits."""
        booster = _booster(model)
        names = booster.feature_names or [f"f{index}" for index in range(booster.num_features())]
        gain = booster.get_score(importance_type="total_gain")
        return np.array([gain.get(name, 0.0) for name in names])

    def dump(self, model: Any) -> bytes:
        """Return UBJSON of the trees that predict uses. It has no place for ``missing``, which must be NaN."""
        _refuse_other_missing(model)
        booster, used = _booster(model), _iterations(model)
        if used:
            booster = booster[:used]
            booster.set_attr(best_iteration=None, best_score=None)
        return bytes(booster.save_raw("ubj"))

    def restore(self, data: bytes) -> Any:
        """Return a Booster of the UBJSON."""
        return xgboost.Booster(model_file=bytearray(data))


def _booster(model: Any) -> Any:
    return model if isinstance(model, xgboost.Booster) else model.get_booster()


def _iterations(model: Any) -> int:
    """Return how many iterations predict uses; 0 means all. A bare Booster always uses all."""
    if isinstance(model, xgboost.Booster):
        return 0
    best = model.get_booster().attr("best_iteration")
    return 0 if best is None else int(best) + 1


def _missing(model: Any) -> float:
    """Return the value that counts as missing; NaN for a bare Booster, which does not keep it."""
    return float(getattr(model, "missing", np.nan))


def _refuse_other_missing(model: Any) -> None:
    if not np.isnan(_missing(model)):
        raise UnsupportedModelError(
            f"xgboost: missing={_missing(model)!r} is not supported yet; train with NaN as the missing value"
        )


def _objective(model: Any) -> str:
    if isinstance(model, xgboost.Booster):
        return str(json.loads(model.save_config())["learner"]["objective"]["name"])
    return str(model.objective)


def _learner(model: Any) -> Any:
    return json.loads(bytes(_booster(model).save_raw("json")))["learner"]


def _used_trees(model: Mapping[str, Any], iterations: int) -> tuple[list[Any], list[int]]:
    """Return the trees of the iterations in use and the output of each."""
    stop = model["iteration_indptr"][iterations] if iterations else len(model["trees"])
    return model["trees"][:stop], model["tree_info"][:stop]


def _refuse_unsupported(booster: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
    """Raise UnsupportedModelError naming an option whose export is not exact yet."""
    if booster["name"] != "gbtree":
        raise UnsupportedModelError(f"xgboost: booster={booster['name']!r} is not supported yet; use 'gbtree'")
    if int(settings.get("num_target", 1)) > 1:
        raise UnsupportedModelError("xgboost: multi-output models are not supported yet; fit one model an output")
    trees = booster["model"]["trees"]
    if not trees:
        raise UnsupportedModelError("xgboost: the model has no trees; fit it with at least one")
    if any(any(tree["split_type"]) for tree in trees):
        raise UnsupportedModelError(_NO_CATEGORIES)
    if any(int(tree["tree_param"]["size_leaf_vector"]) > 1 for tree in trees):
        raise UnsupportedModelError(
            "xgboost: multi_strategy='multi_output_tree' is not supported yet; use 'one_output_per_tree'"
        )


def _base(text: str, link: Link, outputs: int) -> npt.NDArray[np.float64]:
    """Return where the sums begin, one number an output, from the ``base_score`` of the model."""
    scores = np.array(text.strip("[]").split(","), dtype=np.float32)
    if link == "sigmoid":
        # Only here it is stored as a probability; XGBoost turns it into a margin in float32.
        scores = -np.log(np.float32(1.0) / scores - np.float32(1.0))
    return np.broadcast_to(scores, (outputs,)).astype(np.float64)


def _lower_tree(tree: Mapping[str, Any], output: int) -> Tree:
    """Lower one tree of the JSON; ``split_conditions`` holds thresholds and leaf values alike."""
    conditions = np.array(tree["split_conditions"], dtype=np.float32)
    if not np.isfinite(conditions).all():
        raise UnsupportedModelError("xgboost: a threshold or leaf is infinite; train on finite values")
    return Tree.from_nodes(
        left=tree["left_children"],
        right=tree["right_children"],
        feature=np.array(tree["split_indices"], dtype=np.int64),
        threshold=float32_below(conditions),  # XGBoost splits on <, so step one float32 down
        nan_left=np.array(tree["default_left"], dtype=bool),
        value=conditions,
        output=output,
    )


@hookimpl
def glulam_model() -> type[ModelPlugin]:
    """Offer XGBoost."""
    return XGBoost
