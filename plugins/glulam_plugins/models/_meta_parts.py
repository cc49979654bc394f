"""Fitted estimators inside another one: what each can be asked for, in library-free form."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline

from glulam import plugins
from glulam._signature import numeric_schema
from glulam.decision import Decision
from glulam.errors import UnsupportedModelError
from glulam.forest import Forest
from glulam.fragments import Recipe, sigmoid, softmax, two_classes
from glulam.program import LoweredMember, Steps
from glulam.schema import FeatureSchema
from glulam_plugins.models._fragments import by_decision, by_index
from glulam_plugins.models._linear import is_linear, scores_of
from glulam_plugins.models._sklearn_parts import narrowest, vote_width
from glulam_plugins.models._sklearn_trees import fractions, lowered_tree

__all__ = ["Composition", "Part", "Scored"]

Array = npt.NDArray[Any]


class Composition(Recipe):
    """A recipe of parts: fitted estimators, each lowered by its own plugin."""

    def __init__(self, owner: Any) -> None:
        super().__init__()
        self.owner = type(owner).__name__
        self._parts: list[Part] = []

    def part(
        self,
        model: Any,
        name: str,
        schema: FeatureSchema,
        *,
        source: str = "features",
        rounded: Collection[int] = (),
    ) -> Part:
        """Lower a part that is asked about ``source``, whose columns ``rounded`` are answers of other parts.

        Raises UnsupportedModelError naming the owner and the part.
        """
        while type(model) is FrozenEstimator:
            model = model.estimator
        where = f"{self.owner}: {name}"
        try:
            plugin = plugins.required_model_of(model)
            signature = plugin.signature(model)
            lowered = plugin.lower(model, schema)
        except UnsupportedModelError as error:
            raise UnsupportedModelError(f"{where}: {error}") from error
        part = Part(self, model, where, lowered, source)
        if any(feature.kind == "categorical" for feature in signature.schema.features):
            raise part.refusal(
                "was fitted on the categorical columns of a table; export it by itself, or encode them as numbers"
            )
        if _splits_on(lowered, rounded):
            raise part.refusal(
                "splits on other models' answers, whose last digit may send a row the other way; use a linear model "
                "there, as LogisticRegression or Ridge"
            )
        self._parts.append(part)
        return part

    def finish(self, *, decision: Decision | None = None, choice: str = "") -> LoweredMember:
        """Return the steps, the last of which is the vote. They are no more exact than their parts."""
        width = narrowest(part.lowered for part in self._parts)
        return self.lowered(arithmetic=width, decision=decision, choice=choice)


class Part:
    """One fitted estimator inside another; each answer is added to the recipe when it is first asked for."""

    def __init__(self, recipe: Composition, model: Any, where: str, lowered: LoweredMember, source: str) -> None:
        self.model, self.where, self.lowered = model, where, lowered
        self._recipe, self._source = recipe, source
        self._names: dict[str, str] = {}

    @property
    def classes(self) -> Array:
        """The labels of a classifier; empty for a regressor."""
        return np.asarray(getattr(self.model, "classes_", np.empty(0)))

    @property
    def by_margin(self) -> bool:
        """Whether the lowered forest's own sums are the decision function.

        So in ``sklearn/ensemble/_gb.py``, but for the exponential loss, ``_hist_gradient_boosting`` and
        LightGBM's ``sklearn.py`` (since 4.7), but for a factor ``sigmoid``.
        """
        model = self.model
        known = (
            type(model) is HistGradientBoostingClassifier
            or (type(model) is GradientBoostingClassifier and model.loss == "log_loss")
            or (type(model).__name__ == "LGBMClassifier" and model.get_params().get("sigmoid", 1.0) == 1.0)
        )
        return known and isinstance(self.lowered.last, Forest) and self.lowered.link in ("sigmoid", "softmax")

    def refusal(self, problem: str) -> UnsupportedModelError:
        """Return the error that says which part has the problem."""
        return UnsupportedModelError(f"{self.where}: {type(self.model).__name__} {problem}")

    def answer(self, method: str) -> str:
        """Add what a method gives: ``predict_proba``, ``decision_function`` or ``predict``."""
        if method == "predict_proba":
            return self.probabilities()
        if method == "decision_function":
            return self.scores()
        if method == "predict":
            return self.predicted()
        raise self.refusal(f"is asked for {method}, which has no exact form; use predict_proba")

    def vote(self) -> str:
        """Add what the part is lowered to: probabilities, a decision function, or values."""
        if "" not in self._names:
            if self.by_margin:
                margin = self._margin()
                last = softmax() if self.lowered.link == "softmax" else two_classes()
                value = margin if self.lowered.link == "softmax" else self._recipe.add(sigmoid(), margin)
                self._names[""] = self._recipe.add(last, value)
            else:
                self._names |= self._recipe.parts(self.lowered, self._source)
        return self._names[""]

    def with_all_classes(self) -> Part:
        """Return the part; a forest adds up its first class as well, which it else leaves to the rest.

        Then classes tie, and a probability is 0, just where they do in scikit-learn.
        """
        if self.lowered.link == "complement" and type(self.model) in (RandomForestClassifier, ExtraTreesClassifier):
            trees = [each.tree_ for each in self.model.estimators_]
            counts = np.atleast_1d(self.model.n_classes_)
            forest = Forest.from_trees(
                (lowered_tree(tree, fractions(tree, counts)) for tree in trees),
                n_features=self.model.n_features_in_,
                base=np.zeros(counts[0]),
                divisor=len(trees),
                reads="float32",
            )
            self.lowered = replace(self.lowered, body=forest, link="identity")
        return self

    def _margin(self) -> str:
        if "margin" not in self._names:
            sums = replace(self.lowered, link="identity")
            self._names["margin"] = self._recipe.parts(sums, self._source)[""]
        return self._names["margin"]

    def probabilities(self) -> str:
        """Add the classes' probabilities [n, n_classes]."""
        if not hasattr(self.model, "predict_proba"):
            raise self.refusal("gives no probabilities")
        return self.vote()

    def scores(self) -> str:
        """Add the decision function, [n, 1] for two classes."""
        if not hasattr(self.model, "predict_proba"):
            return self.vote()
        if self.by_margin:
            return self._margin()
        if is_linear(self.model):
            if "scores" not in self._names:
                self._names["scores"] = self._recipe.add(scores_of(self.model), self._source)
            return self._names["scores"]
        if type(self.model) is Pipeline:
            return self._scores_of_pipeline()
        raise self.refusal(
            "is asked for its decision function, which has no exact form beside its probabilities; use a linear model, "
            "boosted trees, or an estimator without decision_function"
        )

    def _scores_of_pipeline(self) -> str:
        """Add the last step's decision function behind the same transformers."""
        if "scores" not in self._names:
            *before, (name, last) = self.model.steps
            twin = Pipeline([*before, (name, Scored(last))])
            try:
                lowered = plugins.required_model_of(twin).lower(twin, numeric_schema(int(self.model.n_features_in_)))
            except UnsupportedModelError as error:
                raise UnsupportedModelError(f"{self.where}: {error}") from error
            self._names["scores"] = self._recipe.member(lowered, self._source)
        return self._names["scores"]

    def predicted(self) -> str:
        """Add ``predict`` [n, 1]: a regressor's value, or a classifier's label, which must be a number."""
        if not self.classes.size:
            return self.vote()
        if self.classes.ndim != 1 or self.classes.dtype.kind not in "iufb":
            raise self.refusal(
                f"predicts labels of type {self.classes.dtype}, which are no numbers; encode y as integers"
            )
        return self._labelled(self.classes)

    def chosen(self) -> str:
        """Add the index [n, 1] of the predicted class."""
        return self._labelled(np.arange(len(self.classes)))

    @property
    def choice(self) -> str:
        """The step that gives the index of the predicted class where that is not read off the vote, or nothing."""
        self.vote()
        return self._names.get("choice", "")

    def _labelled(self, table: Array) -> str:
        """Add what a table holds for the predicted class."""
        self.with_all_classes()
        column = table.astype(np.float64)[:, None]
        if self.choice:
            return self._recipe.add(by_index(column), self.choice)
        width = vote_width(self.model, len(self.classes))
        return self._recipe.add(by_decision(self.lowered.decision, width, column), self.vote())


@dataclass(frozen=True)
class Scored:
    """A classifier of which only the decision function is wanted."""

    estimator: Any

    def lower(self, schema: FeatureSchema) -> LoweredMember:
        """Return the decision function."""
        recipe = Composition(self.estimator)
        recipe.part(self.estimator, "decision_function", schema).scores()
        return recipe.finish()


def _splits_on(lowered: LoweredMember, columns: Collection[int]) -> bool:
    """Tell whether a tree of this model compares one of these columns, or what was made of them."""
    if not columns:
        return False
    rules = lowered.body.steps if isinstance(lowered.body, Steps) else ()
    later = any(isinstance(step.rule, Forest) and step.inputs != ("features",) for step in rules)
    return later or any(np.isin(forest.feature, list(columns)).any() for forest in lowered.forests)
