"""CatBoost members.

Rules of prediction as in CatBoost's ``catboost/libs/model`` and ``python-package/catboost/core.py``:
a row goes right when ``x > border`` in float32; leaf values are added in float64, times a scale, plus
a bias; what ``predict`` makes of the sums depends on the class and on the loss.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import catboost
import numpy as np
import numpy.typing as npt

from glulam._signature import numeric_schema
from glulam.errors import ArtifactError, UnsupportedModelError
from glulam.forest import Forest
from glulam.fragments import Recipe, concat
from glulam.hookspecs import ModelPlugin, Signature, hookimpl
from glulam.program import LoweredMember, Task
from glulam.schema import FeatureSchema
from glulam_plugins.models import _catboost_answers as answers
from glulam_plugins.models import _catboost_categories as categories
from glulam_plugins.models._catboost_categories import name_categories
from glulam_plugins.models._catboost_document import document_of, leaf_ranks, lower_trees, model_bytes
from glulam_plugins.models._catboost_statistics import statistics
from glulam_plugins.models._early_stopping import stop_rows

__all__ = ["CatBoost", "name_categories"]

Rows = npt.NDArray[np.floating[Any]]
Float64 = npt.NDArray[np.float64]

_KINDS = {
    kind.__name__: kind
    for kind in (catboost.CatBoost, catboost.CatBoostClassifier, catboost.CatBoostRegressor, catboost.CatBoostRanker)
}
_SYNONYMS = (
    ("iterations", "n_estimators", "num_boost_round", "num_trees"),
    ("learning_rate", "eta"),
    ("depth", "max_depth"),
    ("random_seed", "random_state"),
    ("verbose", "silent", "logging_level", "verbose_eval"),
)
_STOPS = ("early_stopping_rounds", "od_wait", "od_type", "od_pval", "use_best_model")


class CatBoost(ModelPlugin):
    """Gradient boosting by CatBoost; stored as its binary format."""

    not_reproducible = "CatBoost writes a date and a random id into its own files; what they answer is the same"
    name = "catboost"
    suffixes = (".cbm", ".json")
    distributions = ("catboost",)

    def make(self, task: Task, params: Mapping[str, Any], schema: FeatureSchema | None) -> Any:
        """Return a CatBoostClassifier or CatBoostRegressor: 200 trees, rate 0.1, depth 6, seed 42, silent, no files."""
        defaults = {
            "iterations": 200, "learning_rate": 0.1, "depth": 6, "random_seed": 42, "thread_count": -1, "verbose": 0,
            "allow_writing_files": False,
        }  # fmt: skip
        for name, *others in _SYNONYMS:
            if any(other in params for other in others):
                del defaults[name]
        made = catboost.CatBoostRegressor if task == "regression" else catboost.CatBoostClassifier
        return made(**(defaults | dict(params)))

    def search_space(self, trial: Any, task: Task, n_rows: int) -> dict[str, Any]:
        """Return trees and rate, depth, rows and columns a tree sees, and penalties."""
        return {
            "iterations": trial.suggest_int("iterations", 50, 600, log=True),
            "learning_rate": trial.suggest_float("learning_rate", 0.01, 0.3, log=True),
            "depth": trial.suggest_int("depth", 3, 8),
            "l2_leaf_reg": trial.suggest_float("l2_leaf_reg", 0.1, 30.0, log=True),
            "random_strength": trial.suggest_float("random_strength", 1e-3, 10.0, log=True),
            "bootstrap_type": "Bernoulli",  # CatBoost's default for some tasks takes no subsample
            "subsample": trial.suggest_float("subsample", 0.5, 1.0),
            "rsm": trial.suggest_float("rsm", 0.3, 1.0),
        }

    def accepts(self, model: Any) -> bool:
        """Tell whether this is one of CatBoost's own classes, not a subclass with other rules."""
        return type(model) in _KINDS.values()

    def fit(
        self,
        model: Any,
        X: npt.NDArray[np.float32],
        y: npt.NDArray[Any],
        sample_weight: npt.NDArray[np.float64] | None = None,
        eval_set: tuple[npt.NDArray[np.float32], npt.NDArray[Any]] | None = None,
    ) -> Any:
        """Fit; with ``early_stopping_rounds`` among the parameters, stop early on ``eval_set``."""
        return model.fit(X, y, sample_weight=sample_weight, eval_set=stop_rows(self.name, model, eval_set, _STOPS))

    def check(self, model: Any, task: Task) -> None:
        """Refuse classifiers that give no probability of each class."""
        if task in ("binary", "multiclass") and (not answers.is_classifier(model) or answers.is_multi_label(model)):
            what = "probabilities of several labels" if answers.is_classifier(model) else "raw values, no probabilities"
            raise UnsupportedModelError(
                f"catboost: {type(model).__name__} with loss {answers.loss(model)!r} gives {what}, which classifiers "
                "cannot vote with; use a CatBoostClassifier with Logloss or MultiClass"
            )

    def signature(self, model: Any) -> Signature:
        """Return features by CatBoost's own names, and the task by the class of the model.

        Only a CatBoostClassifier is a classifier; the others predict values.
        """
        _require_trees(model)
        # Not n_features_in_, which is 0 in a model that was loaded.
        names = list(model.feature_names_)
        # Numbers are names as well: CatBoost orders the columns of a DataFrame by them.
        schema = numeric_schema(len(names), names)
        known = categories.known_categories(model)
        schema = replace(
            schema,
            features=tuple(
                categories.feature(each.name, known[column]) if column in known else each
                for column, each in enumerate(schema.features)
            ),
        )
        width = answers.outputs(model)
        if not answers.is_classifier(model):
            return Signature(schema, "regression", n_targets=width)
        if answers.is_multi_label(model):
            return Signature(schema, "multioutput", np.tile([0, 1], width), (1,) * width)
        classes = answers.classes(model)
        return Signature(schema, "binary" if len(classes) == 2 else "multiclass", classes)

    def votes(self, model: Any, X: Rows, task: Task) -> Float64:
        """Return what CatBoost's predict_proba, or predict of the other classes, gives."""
        rows = _as_taken(model, X)
        answer = model.predict_proba(rows) if answers.is_classifier(model) else model.predict(rows)
        return np.asarray(answer, dtype=np.float64).reshape(len(X), -1)

    def labels(self, model: Any, X: Rows) -> npt.NDArray[Any] | None:
        """Return what a CatBoostClassifier predicts."""
        if not answers.is_classifier(model):
            return None
        found = np.asarray(model.predict(_as_taken(model, X)))
        return found if answers.is_multi_label(model) else np.asarray(found.ravel().tolist())

    def lower(self, model: Any, schema: FeatureSchema) -> LoweredMember:
        """Lower all trees, and what predict makes of their sums. Refuses what it cannot do exactly."""
        _require_trees(model)
        names = categories.known_categories(model)
        for column, known in names.items():
            given = schema.features[column]
            if given != categories.feature(given.name, known):
                raise UnsupportedModelError(
                    f"catboost: feature {given.name!r} was trained on native categories, and the rows of an ensemble "
                    "are other codes; export the model by itself, or train it on category codes"
                )
        document = document_of(model, categories.hash_pool(model, names) if names else None)
        hashes = categories.hashes_of_codes(document, names)
        rules, order = statistics(document, hashes)
        width = len(model.feature_names_)
        forest = Forest.from_trees(
            lower_trees(document, categories.codes_of_hashes(document, hashes), [width + column for column in order]),
            n_features=width + len(order),
            base=np.broadcast_to(np.float64(document["scale_and_bias"][1]), (answers.outputs(model),)),
            reads="float32",
        )
        lowered = answers.classified(model, forest) if answers.is_classifier(model) else answers.valued(model, forest)
        if not rules:
            return lowered
        recipe = Recipe()
        parts = ["features", *(recipe.add(rule) for rule in rules)]
        found = recipe.parts(lowered, recipe.add(concat(len(parts)), *parts))
        return recipe.lowered(decision=lowered.decision, choice=found.get("choice", ""))

    def leaves(self, model: Any, X: Rows) -> npt.NDArray[np.int64]:
        """Return the leaves that CatBoost says each row reaches."""
        counts = np.asarray(model.get_tree_leaf_counts(), dtype=np.int64)
        found = np.asarray(model.calc_leaf_indexes(_as_taken(model, X)), dtype=np.int64).reshape(len(X), -1)
        if not model._object._is_oblivious():
            for tree in range(len(counts)):
                found[:, tree] = leaf_ranks(model, tree)[found[:, tree]]
        return found + (np.cumsum(counts) - counts)

    def importance(self, model: Any) -> Float64 | None:
        """Return how much predictions change with each feature, on average."""
        try:
            return np.asarray(model.get_feature_importance(type="PredictionValuesChange"), dtype=np.float64)
        except catboost.CatBoostError:  # a sum of models does not keep what this is computed from
            return None

    def dump(self, model: Any) -> bytes:
        """Return the class that predicts like the model, a new line, and CatBoost's binary format."""
        kind = catboost.CatBoost if answers.prediction(model) == "RawFormulaVal" else type(model)
        return kind.__name__.encode() + b"\n" + model_bytes(model, "cbm")

    def restore(self, data: bytes) -> Any:
        """Return a model of the class that was dumped."""
        kind, _, blob = data.partition(b"\n")
        with TemporaryDirectory(prefix="glulam-") as folder:
            # Not load_model(blob=...): it forgets the loss, by which a CatBoostRegressor predicts.
            path = Path(folder) / "model"
            path.write_bytes(blob)
            return _KINDS[kind.decode()]().load_model(str(path), format="cbm")

    def read(self, path: Path) -> Any | None:
        """Return the model in a .cbm or .json file of CatBoost's: a classifier if it knows classes, else a regressor.

        The file does not tell the class of the model that was saved.
        """
        data = path.read_bytes()
        if data.startswith(b"CBM1"):
            kind = "cbm"
        elif data.lstrip().startswith(b"{") and b'"features_info"' in data and b'"scale_and_bias"' in data:
            kind = "json"
        else:
            return None
        try:
            if kind == "json":
                json.loads(data)  # CatBoost ends the process where this fails
            model = catboost.CatBoostClassifier().load_model(str(path), format=kind)
            if len(model.classes_):
                return model
            return catboost.CatBoostRegressor().load_model(str(path), format=kind)
        except (ValueError, catboost.CatBoostError) as error:
            raise ArtifactError(f"{path}: a damaged CatBoost model: {error}; save it again") from error


def _as_taken(model: Any, X: Rows) -> Any:
    """Return rows as CatBoost takes them: codes of native categories as what they stand for."""
    names = categories.known_categories(model)
    return categories.decoded(model, X, names) if names else X


def _require_trees(model: Any) -> None:
    if not model.is_fitted() or not model.tree_count_:
        raise UnsupportedModelError(f"catboost: {type(model).__name__} has no trees; fit it first")


@hookimpl
def glulam_model() -> type[ModelPlugin]:
    """Offer CatBoost."""
    return CatBoost
