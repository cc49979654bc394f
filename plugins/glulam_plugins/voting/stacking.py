"""Stacking: a linear model on the members' votes, learnt from votes on rows that they were not fitted on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from glulam.errors import ConfigError
from glulam.fragments import sigmoid, softmax, two_classes
from glulam.hookspecs import VotingStrategy, hookimpl
from glulam.program import OnnxFragment, Task

Float64 = npt.NDArray[np.float64]


class Stacking(VotingStrategy):
    """Stacked generalization (Wolpert, 1992), as scikit-learn's StackingClassifier and StackingRegressor.

    For classes a LogisticRegression on the members' probabilities (of two classes, on the second
    one's); for values a Ridge on the members' values, both in units of the standard deviation of y,
    so that ``alpha`` means the same whatever y is measured in.

    cv
        folds that the votes to learn from come from: a number, or a splitter of scikit-learn's.
        With fitted members (``prefit=True``) their votes on the given rows are taken, as with
        scikit-learn's ``cv="prefit"``
    C
        inverse strength of LogisticRegression's penalty
    alpha
        strength of Ridge's penalty
    """

    name = "stacking"
    needs_fit = True

    def __init__(self, cv: Any = 5, C: float = 1.0, alpha: float = 1.0) -> None:
        self.cv, self.C, self.alpha = cv, C, alpha
        self._coef: Float64 = np.empty((0, 0))
        self._intercept: Float64 = np.empty(0)

    def fit(
        self,
        votes: Float64,
        y: npt.NDArray[Any],
        task: Task,
        sample_weight: Float64 | None = None,
        weights: Float64 | None = None,
    ) -> None:
        """Learn coefficients [n_members * n_classes, n_outputs] and intercept [n_outputs]."""
        from sklearn.linear_model import LogisticRegression, Ridge

        flat = votes.reshape(len(votes), -1)
        if task == "regression":
            unit = float(np.sqrt(np.cov(y, ddof=0, aweights=sample_weight))) or 1.0
            ridge = Ridge(alpha=self.alpha).fit(flat / unit, y / unit, sample_weight)
            self._coef, self._intercept = ridge.coef_[:, None], np.array([ridge.intercept_ * unit])
            return
        used = flat[:, 1::2] if task == "binary" else flat
        linear = LogisticRegression(C=self.C, max_iter=1_000).fit(used, y, sample_weight)
        self._coef, self._intercept = linear.coef_.T, linear.intercept_
        if task == "binary":  # what is left to the first class says nothing new
            self._coef = np.column_stack([np.zeros(len(self._coef)), self._coef]).reshape(-1, 1)

    def combine(self, votes: Float64, weights: Float64) -> Float64:
        """Return the linear model's probabilities, or values; the weights are its own."""
        n_classes = votes.shape[2]
        coef = self._fitted(votes.shape[1] * n_classes)
        # Not by matrix product, which adds in another order for few rows than for many.
        sums = (votes.reshape(len(votes), -1, 1) * coef).sum(axis=1) + self._intercept
        if n_classes == 1:
            return np.asarray(sums)
        scores = two_classes().reference(sigmoid().reference(sums)) if n_classes == 2 else softmax().reference(sums)
        return np.asarray(scores)

    def fragment(self, weights: Float64, n_classes: int) -> OnnxFragment:
        """Return the same: the votes side by side, a matrix product, and what makes it probabilities."""
        last = {
            1: "scores = Identity (sums)",
            2: "chance = Sigmoid (sums) rest = Sub (one, chance) scores = Concat <axis = 1> (rest, chance)",
        }.get(n_classes, "scores = Softmax <axis = 1> (sums)")
        coef = self._fitted(len(self._coef))
        constants = {"shape": np.array([-1, len(coef)]), "coef": coef, "intercept": self._intercept}
        if n_classes == 2:
            constants["one"] = np.array(1.0)
        return OnnxFragment(
            text=f"stacking (votes, {', '.join(constants)}) => (scores) {{"
            " flat = Reshape (votes, shape)"
            " weighted = MatMul (flat, coef)"
            " sums = Add (weighted, intercept)"
            f" {last} }}",
            reference=lambda votes: self.combine(votes, weights),
            constants=constants,
        )

    def state(self) -> dict[str, Any]:
        """Return the arguments, and the coefficients, of which JSON keeps every bit."""
        cv = self.cv if isinstance(self.cv, int) else None
        learnt = {"coef": self._coef.tolist(), "intercept": self._intercept.tolist()}
        return {"cv": cv, "C": self.C, "alpha": self.alpha} | learnt

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back what `state` returned."""
        self.cv, self.C, self.alpha = state["cv"], state["C"], state["alpha"]
        self._coef = np.array(state["coef"], dtype=np.float64)
        self._intercept = np.array(state["intercept"], dtype=np.float64)

    def _fitted(self, columns: int) -> Float64:
        """Return the coefficients, or raise ConfigError where they were not learnt from as many votes."""
        if not len(self._coef) == columns > 0:
            raise ConfigError(
                f"voting 'stacking': learnt from {len(self._coef)} columns of votes, got {columns}; fit the ensemble "
                "again with voting='stacking'"
            )
        return self._coef


@hookimpl
def glulam_voting() -> type[VotingStrategy]:
    """Offer stacking."""
    return Stacking
