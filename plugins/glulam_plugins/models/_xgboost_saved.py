"""What XGBoost saves of a model, as flat tables: the trees that predict uses, the base margins, the categories.

Rules as in XGBoost's ``src/learner.cc`` (base score), ``src/tree/tree_model.cc`` and
``multi_target_tree_model.cc`` (tables), ``include/xgboost/predictor.h`` and
``src/predictor/predict_fn.h`` (``x < threshold``; a category of the set goes right, all else left).
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from glulam.errors import UnsupportedModelError
from glulam.forest import Forest, Tree, float32_below
from glulam_plugins.models._xgboost_ubjson import read_ubjson

__all__ = ["EXPONENTIAL", "HINGE", "IDENTITY", "LOGISTIC", "MULTI", "Saved"]

LOGISTIC = ("binary:logistic", "reg:logistic")
HINGE = ("binary:hinge",)
MULTI = ("multi:softprob", "multi:softmax")
EXPONENTIAL = ("count:poisson", "reg:gamma", "reg:tweedie", "survival:cox", "survival:aft")
IDENTITY = (
    "reg:squarederror", "reg:linear", "reg:squaredlogerror", "reg:pseudohubererror", "reg:absoluteerror",
    "reg:quantileerror", "binary:logitraw", "rank:ndcg", "rank:pairwise", "rank:map",
)  # fmt: skip

_CATEGORICAL = 1  # of split_type
_LEAST = np.float32(1e-6)  # base scores of logistic objectives are kept this far from 0 and 1


@dataclass(frozen=True, slots=True)
class Saved:
    """One model, read.

    n_outputs
        sums a row: classes, targets or quantiles
    categories
        for each feature the categories that a DataFrame brought, in the order of their codes
    """

    objective: str
    booster: str
    n_features: int
    n_outputs: int
    names: tuple[str, ...]
    types: tuple[str, ...]
    categories: tuple[tuple[str | int, ...], ...]
    _learner: Mapping[str, Any]

    @classmethod
    def read(cls, booster: Any) -> Saved:
        """Read a Booster, from the only dump that holds all of it."""
        learner = read_ubjson(bytes(booster.save_raw("ubj")))["learner"]
        settings = learner["learner_model_param"]
        n_features = int(settings["num_feature"])
        return cls(
            objective=learner["objective"]["name"],
            booster=learner["gradient_booster"]["name"],
            n_features=n_features,
            n_outputs=max(1, int(settings["num_class"]), int(settings.get("num_target", 1))),
            names=tuple(learner.get("feature_names", ())),
            types=tuple(learner.get("feature_types", ())),
            categories=_categories(learner["gradient_booster"], n_features),
            _learner=learner,
        )

    @property
    def has_categories(self) -> bool:
        """Whether the model knows categories by name, and re-codes those of a DataFrame."""
        return any(self.categories)

    def base(self) -> npt.NDArray[np.float64]:
        """Return where each sum begins: ``base_score`` as a margin, which XGBoost computes in float32."""
        scores = np.atleast_1d(np.asarray(json.loads(self._learner["learner_model_param"]["base_score"]), np.float32))
        if self.objective in LOGISTIC:
            chance = np.clip(scores, _LEAST, np.float32(1.0) - _LEAST)
            scores = -_log(np.float32(1.0) / chance - np.float32(1.0))
        elif self.objective in EXPONENTIAL:
            with np.errstate(divide="ignore"):
                scores = _log(scores)
        if not np.isfinite(scores).all():
            raise UnsupportedModelError(
                f"xgboost: the base score of objective {self.objective!r} has no finite margin (a target that is "
                "always 0); train on targets that are not, or give base_score"
            )
        return np.broadcast_to(scores, (self.n_outputs,)).astype(np.float64)

    def weights(self) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Return the weights [n_features, n_outputs] of gblinear, and where its sums begin [n_outputs].

        That is at their bias and the first output's base margin (``src/gbm/gblinear.cc``).
        """
        flat = np.asarray(self._learner["gradient_booster"]["model"]["weights"], dtype=np.float32)
        table = flat.reshape(self.n_features + 1, self.n_outputs)
        return table[:-1], table[-1] + np.float32(self.base()[0])

    def trees(self, iterations: int) -> tuple[list[Any], list[int]]:
        """Return the saved trees of the first iterations (0: of all), and the output of each."""
        model = _tree_model(self._learner["gradient_booster"])
        stop = int(model["iteration_indptr"][iterations]) if iterations else len(model["trees"])
        return model["trees"][:stop], [int(output) for output in model["tree_info"][:stop]]

    def categorical(self, iterations: int) -> npt.NDArray[np.bool_]:
        """Return which features the trees split by category, bool [n_features]."""
        found = np.zeros((2, self.n_features), dtype=bool)
        for tree in self.trees(iterations)[0]:
            inner = np.asarray(tree["left_children"]) >= 0
            kind = np.asarray(tree["split_type"])[inner] == _CATEGORICAL
            found[kind.astype(np.intp), np.asarray(tree["split_indices"])[inner]] = True
        both = np.flatnonzero(found.all(axis=0))
        if both.size:
            raise UnsupportedModelError(
                f"xgboost: feature {both[0]} is split as a number in some trees and by category in others, which is "
                "not supported; train all of the model with one feature type"
            )
        return np.asarray(found[_CATEGORICAL])

    def forest(self, iterations: int) -> Forest:
        """Return the trees as a forest of margins, which reads categories as whole numbers."""
        trees, outputs = self.trees(iterations)
        if not trees:
            raise UnsupportedModelError("xgboost: the model has no trees; fit it with at least one")
        base = self.base()
        shares = np.asarray(self._learner["gradient_booster"].get("weight_drop", ()), dtype=np.float32)
        return Forest.from_trees(
            (
                _lower_tree(
                    tree, output, base.size, _Share(shares[index], np.float32(base[output])) if shares.size else None
                )
                for index, (tree, output) in enumerate(zip(trees, outputs, strict=True))
            ),
            n_features=self.n_features,
            base=base,
            reads="float32",
        )


@dataclass(frozen=True, slots=True)
class _Share:
    """What a tree of DART counts. XGBoost rounds on the way: it takes the base off again (``src/gbm/gbtree.cc``)."""

    weight: np.float32
    base: np.float32

    def of(self, values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        return ((values + self.base) - self.base) * self.weight


def _log(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return the logarithm as C's logf has it; numpy's own in float32 may be a digit off, and all sums with it."""
    return np.log(values.astype(np.float64)).astype(np.float32)


def _tree_model(booster: Mapping[str, Any]) -> Any:
    """Return the part that holds the trees, which DART keeps one level down."""
    return booster.get("gbtree", booster)["model"]


def _categories(booster: Mapping[str, Any], n_features: int) -> tuple[tuple[str | int, ...], ...]:
    """Return the categories by name, or refuse them.

    XGBoost cuts names from pandas by characters out of UTF-8 bytes (``_data_utils.py``). Where one is not
    ASCII those it keeps are not those it was given, some may be equal, and predict confuses them.
    """
    found: list[tuple[str | int, ...]] = []
    # XGBoost 3.0 keeps none, gblinear neither.
    trees = {} if booster["name"] == "gblinear" else _tree_model(booster)
    for encoder in trees.get("cats", {}).get("enc", ()):
        values = np.asarray(encoder["values"])
        if "offsets" not in encoder:
            found.append(tuple(values.tolist()))
            continue
        text, ends = values.astype(np.int8).tobytes(), np.asarray(encoder["offsets"]).tolist()
        parts = [text[start:end] for start, end in itertools.pairwise(ends)]
        if not text.isascii():
            raise UnsupportedModelError(
                f"xgboost: feature {len(found)} has categories that are not ASCII, which XGBoost cuts in pieces and "
                "confuses when it predicts for a DataFrame; train on category codes, or on ASCII names"
            )
        found.append(tuple(part.decode() for part in parts))
    return tuple(found) if len(found) == n_features else ((),) * n_features


def _lower_tree(tree: Mapping[str, Any], output: int, n_outputs: int, share: _Share | None) -> Tree:
    """Lower one saved tree; ``split_conditions`` holds thresholds and leaf values alike."""
    left, right = np.asarray(tree["left_children"]), np.asarray(tree["right_children"])
    inner = left >= 0
    conditions = np.asarray(tree["split_conditions"], dtype=np.float32)
    nan_left = np.asarray(tree["default_left"]).astype(bool)
    by_category = inner & (np.asarray(tree["split_type"]) == _CATEGORICAL)
    if not (conditions > -np.inf)[inner & ~by_category].all():
        raise UnsupportedModelError(
            "xgboost: a split at -infinity or NaN, which no number is below, is not supported; train on finite values"
        )
    if int(tree["tree_param"]["size_leaf_vector"]) > 1:
        values = _leaf_vectors(tree, right, n_outputs)
    else:
        values = np.where(inner, np.float32(0), conditions)
        values = values if share is None else share.of(values)
    if not np.isfinite(values).all():
        raise UnsupportedModelError("xgboost: a leaf value is infinite or NaN; train on finite targets")
    sets: dict[int, npt.ArrayLike] = {}
    starts, sizes = np.asarray(tree["categories_segments"]), np.asarray(tree["categories_sizes"])
    for node, start, size in zip(np.asarray(tree["categories_nodes"]).tolist(), starts, sizes, strict=True):
        sets[node] = np.asarray(tree["categories"])[start : start + size]
    return Tree.from_nodes(
        # Matched categories go right in XGBoost, left in a Forest.
        left=np.where(by_category, right, left),
        right=np.where(by_category, left, right),
        feature=np.asarray(tree["split_indices"], dtype=np.int64),
        threshold=float32_below(np.where(inner & ~by_category, conditions, 0)),  # XGBoost splits on <
        nan_left=nan_left ^ by_category,
        value=values,
        output=output,
        sets=sets,
    )


def _leaf_vectors(tree: Mapping[str, Any], right: npt.NDArray[Any], n_outputs: int) -> npt.NDArray[np.float32]:
    """Return the values of leaves that hold all outputs, a row a node."""
    if "leaf_weights" not in tree:  # XGBoost before 3.2 keeps a row for every node
        return np.asarray(tree["base_weights"], dtype=np.float32).reshape(-1, n_outputs)
    rows = np.asarray(tree["leaf_weights"], dtype=np.float32).reshape(-1, n_outputs)
    # A leaf's right child is the number of its row.
    return np.asarray(rows[np.clip(right, 0, len(rows) - 1)])
