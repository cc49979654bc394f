"""What the plugins for scikit-learn share: making, asking and storing estimators, and tables that point inside."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import skops.io
from sklearn.base import is_regressor
from sklearn.ensemble._hist_gradient_boosting.predictor import TreePredictor
from sklearn.tree._tree import Tree as NativeTree

from glulam._skops import dumps
from glulam.errors import ArtifactError, PluginError, UnsupportedModelError
from glulam.hookspecs import ModelPlugin
from glulam.program import Task
from glulam.schema import FeatureSchema

__all__ = ["TRUSTED", "SklearnModel", "answered", "asked", "dense"]

TRUSTED = (
    "sklearn.tree._tree.Tree",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    # What histogram boosting checks the other columns of models with categories by.
    "functools.partial",
    "sklearn.utils.validation.check_array",
    # What a network was trained by; it predicts without.
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
    "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
)
_MEMBERS = ("binary", "multiclass", "regression")
Rows = npt.NDArray[np.floating[Any]]


class SklearnModel(ModelPlugin):
    """Base of the plugins for estimators of scikit-learn; stored by skops."""

    distributions = ("scikit-learn",)
    kinds: ClassVar[tuple[type, ...]]
    """The estimators themselves, classifier and regressor first; their subclasses may predict by other rules."""
    defaults: ClassVar[Mapping[str, Any]] = {}
    """What `make` gives them beside the seed."""
    trusted: ClassVar[tuple[str, ...]] = TRUSTED
    """Types that skops leaves to its callers; `restore` checks the trees among them."""

    fits_wide: ClassVar[bool] = False
    """Whether members are fitted on their float32 rows as float64: scikit-learn multiplies in the type of the fit."""

    def fit(
        self,
        model: Any,
        X: npt.NDArray[np.float32],
        y: npt.NDArray[Any],
        sample_weight: npt.NDArray[np.float64] | None = None,
        eval_set: tuple[npt.NDArray[np.float32], npt.NDArray[Any]] | None = None,
    ) -> Any:
        """Fit; ``eval_set`` is ignored."""
        rows: Any = X.astype(np.float64) if self.fits_wide else X
        return super().fit(model, rows, y, sample_weight)

    def accepts(self, model: Any) -> bool:
        """Tell whether this is one of the estimators themselves, not a subclass with other rules."""
        return type(model) in self.kinds

    def make(self, task: Task, params: Mapping[str, Any], schema: FeatureSchema | None) -> Any:
        """Return the classifier or regressor: seed 42, the plugin's defaults, then ``params``."""
        classifier, regressor, *_ = self.kinds
        made = regressor if self.member_task(task) == "regression" else classifier
        return made(**({"random_state": 42} | dict(self.defaults) | dict(params)))

    def member_task(self, task: Task) -> Task:
        """Return the task, or raise PluginError for one that members of an ensemble do not have."""
        if task not in _MEMBERS:
            raise PluginError(f"{self.name}: members serve {list(_MEMBERS)}, not {task!r}; export the model by itself")
        return task

    def check(self, model: Any, task: Task) -> None:
        """Refuse models that answer more than members vote on, or read what members are not given."""
        found = self.signature(model)
        if found.task not in _MEMBERS or found.n_targets > 1:
            several = found.n_targets if found.task == "regression" else len(found.blocks)
            what = "finds outliers" if found.task == "outlier" else f"gives {several} outputs a row"
            raise UnsupportedModelError(f"{self.name}: {what}, which members do not vote on; export it by itself")
        if any(feature.kind != "numeric" for feature in found.schema.features):
            raise UnsupportedModelError(
                f"{self.name}: fitted on categories by name, which an ensemble numbers its own way; fit it on category "
                "codes, or export it by itself"
            )

    def votes(self, model: Any, X: Rows, task: Task) -> npt.NDArray[np.float64]:
        """Return scikit-learn's own answer. It refuses rows that it cannot read by ValueError."""
        return answered(model, self.fed(model, X), task)

    def labels(self, model: Any, X: Rows) -> npt.NDArray[Any] | None:
        """Return scikit-learn's own ``predict`` of a classifier or outlier detector."""
        return None if is_regressor(model) else np.asarray(asked(model.predict, self.fed(model, X)))

    def fed(self, model: Any, X: Rows) -> npt.NDArray[Any]:
        """Return rows of the schema as the estimator takes them."""
        return X

    def dump(self, model: Any) -> bytes:
        """Return the skops form; refuse what `restore` would not take back."""
        data = dumps(model)
        unknown = set(skops.io.get_untrusted_types(data=data)) - set(self.trusted)
        if unknown:
            raise UnsupportedModelError(
                f"{self.name}: cannot be saved: skops does not trust {sorted(unknown)}; keep the model "
                "yourself and pass it fitted, by prefit=True"
            )
        return data

    def restore(self, data: bytes) -> Any:
        """Return the estimator. skops builds only types that are trusted; nothing is executed.

        Raises ArtifactError for trees that point outside their tables: scikit-learn follows node
        numbers without looking, which is why skops leaves this type to its callers.
        """
        model = skops.io.loads(data, trusted=list(self.trusted))
        if not self.accepts(model):
            raise ArtifactError(f"{self.name}: expected a saved {self.name}, got {type(model).__name__}")
        _check_tables(model)
        return model


def answered(model: Any, X: Any, task: Task) -> npt.NDArray[np.float64]:
    """Return probabilities, decision function or values by scikit-learn's conventions, float64 [n, width]."""
    if task == "regression":
        answer = asked(model.predict, X)
    elif hasattr(model, "predict_proba") and task != "outlier":
        answer = asked(model.predict_proba, X)
    else:
        answer = asked(model.decision_function, X)
    if isinstance(answer, list):  # several outputs, each with its classes
        answer = np.concatenate(answer, axis=1)
    return np.asarray(answer, dtype=np.float64).reshape(len(X), -1)


def asked(method: Any, X: Any) -> Any:
    """Return what a method answers, without warnings about rows that the proof makes on purpose."""
    # scikit-learn adds up all values to find infinities; those of both signs would warn.
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        # A model that was fitted on a DataFrame elsewhere is asked by position here.
        warnings.filterwarnings("ignore", message="X does not have valid feature names")
        warnings.filterwarnings("ignore", message="Found unknown categories")
        warnings.simplefilter("ignore", RuntimeWarning)
        return method(X)


def dense(table: Any) -> npt.NDArray[np.float64]:
    """Return a table that may be sparse as an array."""
    return np.asarray(table.toarray() if hasattr(table, "toarray") else table, dtype=np.float64)


def _reachable(model: Any) -> Iterator[Any]:
    """Yield a model and every object in it, each once, parts in their order."""
    waiting, seen = [model], set()
    for item in waiting:  # grows as it goes
        if id(item) in seen or isinstance(item, (str, bytes, int, float, type)):
            continue
        seen.add(id(item))
        yield item
        if isinstance(item, dict):
            waiting += item.values()
        elif isinstance(item, np.ndarray):
            waiting += item.flat if item.dtype == object else ()
        elif isinstance(item, (list, tuple)):
            waiting += item
        waiting += getattr(item, "__dict__", {}).values()


def _check_tables(model: Any) -> None:
    """Raise ArtifactError unless every tree in a model points at its own nodes and at columns that it is given."""
    number = 0
    for item in _reachable(model):
        width = getattr(item, "n_features_in_", None)
        if isinstance(item, TreePredictor):
            _require(_histogram_is_sound(item), number)
            number += 1
        tree = vars(item).get("tree_") if hasattr(item, "__dict__") else None
        if isinstance(tree, NativeTree):
            _require(tree.n_features == width and _tree_is_sound(tree), number)
            number += 1
        if isinstance(getattr(item, "_predictors", None), list):
            _require(_rows_are_sound(item), number)
        parts = getattr(item, "estimators_", None)
        if parts is None or width is None:
            continue
        # Ensembles hand rows to their trees unchecked.
        flat = list(parts.flat) if isinstance(parts, np.ndarray) else parts
        columns = getattr(item, "estimators_features_", None) or [None] * len(flat)
        for part, own in zip(flat, columns, strict=True):
            inner, wanted = getattr(part, "tree_", None), width if own is None else len(own)
            _require(not isinstance(inner, NativeTree) or inner.n_features == wanted <= width, number)


def _rows_are_sound(model: Any) -> bool:
    """Tell whether a histogram boosting's rows have the columns and the category maps that its nodes name."""
    width, mapper = model.n_features_in_, model._bin_mapper
    known = mapper.is_categorical_
    if model._preprocess_X(np.zeros((1, width), dtype=object), reset=False).shape[1] != width or len(known) != width:
        return False
    for nodes in (predictor.nodes for each in model._predictors for predictor in each):
        inner = nodes["is_leaf"] == 0
        feature = nodes["feature_idx"][inner]
        if (feature >= width).any() or not known[feature[nodes["is_categorical"][inner] != 0]].all():
            return False
    return bool(len(mapper.bin_thresholds_) == width)


def _require(sound: bool, number: int) -> None:
    if not sound:
        raise ArtifactError(f"tree {number}: damaged: node numbers point outside the tree")


def _children_are_sound(inner: npt.NDArray[np.bool_], *children: npt.NDArray[Any]) -> bool:
    """Tell whether children come after their parents, as scikit-learn grows trees, so that no walk is endless."""
    own = np.arange(len(inner))
    return all(bool(((child > own) & (child < len(inner)))[inner].all()) for child in children)


def _tree_is_sound(tree: Any) -> bool:
    if not 0 < tree.node_count <= tree.capacity:
        return False
    left, right, feature = tree.children_left, tree.children_right, tree.feature
    inner = left != -1
    columns = ((feature >= 0) & (feature < tree.n_features))[inner].all()
    return np.array_equal(inner, right != -1) and bool(columns) and _children_are_sound(inner, left, right)


def _histogram_is_sound(predictor: Any) -> bool:
    nodes = predictor.nodes
    inner = nodes["is_leaf"] == 0
    sets = nodes["bitset_idx"][inner & (nodes["is_categorical"] != 0)]
    return (
        len(nodes) > 0
        and bool((nodes["feature_idx"][inner] >= 0).all())
        and bool((sets < len(predictor.raw_left_cat_bitsets)).all())
        and predictor.raw_left_cat_bitsets.shape[1:] == (8,)
        and _children_are_sound(inner, nodes["left"].astype(np.int64), nodes["right"].astype(np.int64))
    )
