"""What random forests and extra trees of scikit-learn share: an average of trees.

Rules of prediction as in ``sklearn/tree/_tree.pyx``: the row is float32, the threshold float64, a
row goes left when ``x <= threshold``; NaN goes where ``missing_go_to_left`` says, also in forests
that saw none. Leaves hold class fractions, or means; the forest's answer is their mean.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import skops.io

from glulam.errors import ArtifactError, UnsupportedModelError
from glulam.forest import Forest, Tree, float32_at_or_below, leaf_ranks
from glulam.hookspecs import ModelPlugin
from glulam.program import LoweredMember, Task
from glulam.schema import FeatureSchema

_TREE = "sklearn.tree._tree.Tree"


class AveragedTrees(ModelPlugin):
    """Base of the scikit-learn forests; stored by skops."""

    distributions = ("scikit-learn",)
    classifier: ClassVar[type]
    regressor: ClassVar[type]

    def make(self, task: Task, params: Mapping[str, Any], schema: FeatureSchema | None) -> Any:
        """Return the classifier or regressor: 200 trees, depth 12, seed 42, all cores."""
        defaults = {"n_estimators": 200, "max_depth": 12, "random_state": 42, "n_jobs": -1}
        made = self.regressor if task == "regression" else self.classifier
        return made(**(defaults | dict(params)))

    def accepts(self, model: Any) -> bool:
        """Tell whether this is the classifier or the regressor itself, not a subclass with other rules."""
        return type(model) in (self.classifier, self.regressor)

    def votes(self, model: Any, X: npt.NDArray[np.float32], task: Task) -> npt.NDArray[np.float64]:
        """Return scikit-learn's own probabilities or values. It refuses infinities by ValueError."""
        # scikit-learn adds up all values to find infinities; those of both signs would warn.
        with warnings.catch_warnings(), np.errstate(invalid="ignore"):
            # A forest that was fitted on a DataFrame elsewhere is asked by position here.
            warnings.filterwarnings("ignore", message="X does not have valid feature names")
            answer = model.predict(X) if task == "regression" else model.predict_proba(X)
        return np.asarray(answer, dtype=np.float64).reshape(len(X), -1)

    def lower(self, model: Any, schema: FeatureSchema) -> LoweredMember:
        """Lower the forest. Several outputs are refused."""
        if model.n_outputs_ != 1:
            raise UnsupportedModelError(
                f"{self.name}: {model.n_outputs_} outputs are not supported yet; fit one forest an output"
            )
        classes = getattr(model, "n_classes_", 1)
        # Classifiers keep all classes but the first: what is left of the sum is the first's.
        columns = slice(0, 1) if isinstance(model, self.regressor) else slice(1, classes)
        trees = (
            Tree.from_nodes(
                left=tree.children_left,
                right=tree.children_right,
                feature=tree.feature,
                threshold=float32_at_or_below(tree.threshold),
                nan_left=tree.missing_go_to_left.astype(bool),
                value=tree.value[:, 0, columns],
            )
            for tree in _trees(model)
        )
        outputs = columns.stop - columns.start
        forest = Forest.from_trees(
            trees,
            n_features=model.n_features_in_,
            base=np.zeros(outputs),
            divisor=len(model.estimators_),
        )
        return LoweredMember(forest, "identity" if isinstance(model, self.regressor) else "complement", "float64")

    def leaves(self, model: Any, X: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
        """Return the leaves that scikit-learn's trees say each row reaches."""
        nodes = np.empty((len(X), len(model.estimators_)), dtype=np.int64)
        first = 0
        for column, tree in enumerate(_trees(model)):
            rank = leaf_ranks(tree.children_left, tree.children_right)
            nodes[:, column] = first + rank[tree.apply(np.ascontiguousarray(X))]
            first += int(rank.max()) + 1
        return nodes

    def dump(self, model: Any) -> bytes:
        """Return the skops form; refuse what `restore` would not take back."""
        data = bytes(skops.io.dumps(model))
        unknown = set(skops.io.get_untrusted_types(data=data)) - {_TREE}
        if unknown:
            raise UnsupportedModelError(f"{self.name}: cannot be saved: skops does not trust {sorted(unknown)}")
        return data

    def restore(self, data: bytes) -> Any:
        """Return the estimator. skops builds only types that are trusted; nothing is executed.

        Raises ArtifactError for trees that point outside their tables: scikit-learn follows node
        numbers without looking, which is why skops leaves this type to its callers.
        """
        model = skops.io.loads(data, trusted=[_TREE])
        if not self.accepts(model):
            raise ArtifactError(f"{self.name}: expected a saved {self.name}, got {type(model).__name__}")
        for number, tree in enumerate(_trees(model)):
            _check_bounds(tree, number, model.n_features_in_)
        return model


def _trees(model: Any) -> Iterator[Any]:
    return (estimator.tree_ for estimator in model.estimators_)


def _check_bounds(tree: Any, number: int, n_features: int) -> None:
    """Raise ArtifactError unless every node of a tree points at later nodes and real columns."""
    problem = f"tree {number}: damaged: node numbers point outside the tree"
    if not 0 < tree.node_count <= tree.capacity or tree.n_features != n_features:
        raise ArtifactError(problem)
    left, right, feature = tree.children_left, tree.children_right, tree.feature
    inner = left != -1
    own = np.arange(tree.node_count)
    # Children come after their parents in every tree that scikit-learn grows, so no walk is endless.
    sound = np.array_equal(inner, right != -1)
    for child in (left, right):
        sound = sound and bool(((child > own) & (child < tree.node_count))[inner].all())
    sound = sound and bool(((feature >= 0) & (feature < n_features))[inner].all())
    if not sound:
        raise ArtifactError(problem)
