"""Pipelines of scikit-learn: transformers, then any model that another plugin knows.

Where that model is a forest, its thresholds are moved to the row's own columns (see `_folding`), so
that the transformers need not be in the file. Elsewhere the transformers become steps before the
model. Text columns are codes in the file; their categories are those of the fitted encoders.
"""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.pipeline import Pipeline

from glulam import plugins
from glulam._signature import numeric_schema
from glulam.errors import PluginError, UnsupportedModelError
from glulam.forest import Forest
from glulam.fragments import Recipe
from glulam.hookspecs import ModelPlugin, Signature, hookimpl
from glulam.program import LoweredMember, Steps, Task, Width
from glulam.schema import FeatureSchema
from glulam_plugins.models._columns import Column, Walk, is_identity
from glulam_plugins.models._emitting import CLOSE, EXACT, Emitter
from glulam_plugins.models._folding import Oracle, fold
from glulam_plugins.models._frames import Frames
from glulam_plugins.models._sklearn_base import SklearnModel, answered, asked, dense

__all__ = ["PipelinePlugin", "glulam_model"]

Float64 = npt.NDArray[np.float64]
_NARROW = "a pipeline inside another estimator turns at numbers of float32"
_MOST = 2**24  # whole numbers up to this are categories of a forest


class PipelinePlugin(SklearnModel):
    """A `sklearn.pipeline.Pipeline` whose last step another plugin knows; stored by skops."""

    name = "pipeline"
    fits_wide = True
    kinds = (Pipeline,)

    def make(self, task: Task, params: Mapping[str, Any], schema: FeatureSchema | None) -> Any:
        """Never called: there is nothing to make from a name."""
        raise PluginError("a pipeline is given as (name, estimator), for example ('scaled', make_pipeline(...))")

    def accepts(self, model: Any) -> bool:
        """Tell whether this is a Pipeline, not a subclass, that ends in a model that a plugin accepts."""
        return super().accepts(model) and bool(model.steps) and plugins.model_of(model.steps[-1][1]) is not None

    def signature(self, model: Any) -> Signature:
        """Return what the last step answers, and the columns that the first one takes."""
        whole = _Whole(model)
        answers = plugins.required_model_of(whole.last).signature(whole.last)
        return dataclasses.replace(answers, schema=whole.schema)

    def check(self, model: Any, task: Task) -> None:
        """Refuse what the last step's plugin refuses, and text columns, which an ensemble's matrix does not carry."""
        super().check(model, task)
        last = model.steps[-1][1]
        plugins.required_model_of(last).check(last, task)

    def votes(self, model: Any, X: npt.NDArray[Any], task: Task) -> Float64:
        """Return the pipeline's own answer to rows, text columns decoded."""
        return answered(model, _Whole(model).frames.native(X), task)

    def labels(self, model: Any, X: npt.NDArray[np.floating[Any]]) -> npt.NDArray[Any] | None:
        """Return the pipeline's own predict; None for regression."""
        if not hasattr(model, "classes_") and self.signature(model).task == "regression":
            return None
        return np.asarray(asked(model.predict, _Whole(model).frames.native(X)))

    def lower(self, model: Any, schema: FeatureSchema) -> LoweredMember:
        """Lower the last step by its plugin, and put the transformers into it or before it."""
        made = self._lower(model, "float32")
        if all(is_identity(step) for _, step in model.steps[:-1]):
            return made
        return dataclasses.replace(made, float32_only=_NARROW)  # for those who have it as a part

    def lower_wide(self, model: Any, schema: FeatureSchema) -> LoweredMember:
        """Lower for rows of float64: scikit-learn's scalers keep the type, so that a forest turns at other numbers."""
        return self._lower(model, "float64")

    def _lower(self, model: Any, rows: Width) -> LoweredMember:
        whole = _Whole(model, np.dtype(rows))
        lowered = plugins.required_model_of(whole.last).lower(whole.last, numeric_schema(len(whole.columns)))
        if all(is_identity(step) for _, step in model.steps[:-1]):
            return lowered
        return _folded(whole, lowered) or _emitted(whole, lowered)


@dataclass(frozen=True)
class _Whole:
    """A fitted pipeline, its columns followed to the last step. Raises UnsupportedModelError if it is not fitted."""

    model: Any
    dtype: np.dtype[Any] = dataclasses.field(default_factory=lambda: np.dtype(np.float32))

    @property
    def last(self) -> Any:
        return self.model.steps[-1][1]

    @property
    def takes_gaps_for_missing(self) -> bool:
        """Whether the last step is of XGBoost, to which what a sparse row does not hold is missing."""
        return type(self.last).__module__.startswith("xgboost")

    @cached_property
    def walk(self) -> Walk:
        """The columns of a row; knows the categories once `columns` were followed."""
        first = next((step for _, step in self.model.steps if step is not None and step != "passthrough"), None)
        count = getattr(first, "n_features_in_", None)
        if count is None:
            raise UnsupportedModelError(
                f"pipeline: expected a fitted first step with n_features_in_, {type(first).__name__} has none; fit it"
            )
        return Walk(int(count))

    @cached_property
    def columns(self) -> list[Column]:
        """What the last step's columns are made of."""
        columns = self.walk.row
        for _, step in self.model.steps[:-1]:
            columns = self.walk.through(step, columns)
        return columns

    @cached_property
    def frames(self) -> Frames:
        """How rows of codes become rows of the pipeline."""
        _ = self.columns  # the walk learns the categories
        names = getattr(self.model, "feature_names_in_", None)
        return Frames.of(len(self.walk.row), names, self.walk.categories)

    @cached_property
    def schema(self) -> FeatureSchema:
        return self.frames.schema(self.transformed)

    @property
    def is_sparse(self) -> bool:
        """Whether the last step is given sparse rows."""
        return hasattr(self.stepped(self.frames.native(self.oracle.start)), "toarray")

    def stepped(self, table: Any) -> Any:
        """Return the last step's table as the steps before it make it."""
        for _, step in self.model.steps[:-1]:
            if not is_identity(step):
                table = asked(step.transform, table)
        return table

    def transformed(self, table: Any) -> Float64:
        """Return the last step's table, dense. ValueError for rows that a transformer refuses."""
        table = self.stepped(table)
        found = dense(table)
        if hasattr(table, "toarray") and self.takes_gaps_for_missing:
            held = table.copy()
            held.data = np.ones_like(held.data)
            found[held.toarray() == 0] = np.nan
        return found

    @cached_property
    def oracle(self) -> Oracle:
        """The fitted transformers, asked column by column."""
        native, transformed = self.frames.native, self.transformed
        codes: dict[int, Float64] = {}
        for source, known in self.walk.categories.items():
            if source in self.frames.text:
                codes[source] = np.arange(len(self.frames.text[source]), dtype=np.float64)
            else:
                codes[source] = np.asarray(known[known == known], dtype=np.float64)
        start = self.frames.start(transformed, self.dtype)
        for source, values in codes.items():
            start[:, source] = values[0] if values.size else start[0, source]
        return Oracle(lambda rows: transformed(native(rows)), start, codes)


def _folded(whole: _Whole, lowered: LoweredMember) -> LoweredMember | None:
    """Return the model with its forests on the row's own columns; None if they cannot be."""
    body = lowered.body
    if isinstance(body, Forest):
        steps = [body]
    elif isinstance(body, Steps):
        direct = [step for step in body.steps if "features" in step.inputs]
        steps = [step.rule for step in direct if isinstance(step.rule, Forest)]
        if len(steps) < len(direct):
            return None
    else:
        return None
    used = np.unique(np.concatenate([forest.feature for forest in steps])).tolist()
    if not all(_is_foldable(whole, whole.columns[output]) for output in used):
        return None
    if whole.takes_gaps_for_missing and whole.is_sparse and not all(whole.columns[j].coded for j in used):
        raise UnsupportedModelError(
            "pipeline: XGBoost takes the zeros of sparse rows for missing, numbers that happen to be 0 as well; "
            "give its transformers sparse_output=False, or the ColumnTransformer sparse_threshold=0"
        )
    count = len(whole.walk.row)
    folded = {id(forest): fold(forest, whole.columns, whole.oracle, count) for forest in steps}
    if isinstance(body, Forest):
        return dataclasses.replace(lowered, body=folded[id(body)])
    moved = tuple(dataclasses.replace(each, rule=folded.get(id(each.rule), each.rule)) for each in body.steps)
    return dataclasses.replace(lowered, body=dataclasses.replace(body, steps=moved))


def _is_foldable(whole: _Whole, column: Column) -> bool:
    """Tell whether a column depends on one of the row's, and if on its categories, whether a forest can hold them."""
    if column.source is None:
        return False
    if not column.coded:
        return column.source not in whole.oracle.codes
    codes = whole.oracle.codes[column.source]
    return bool(((codes == np.rint(codes)) & (codes >= 0) & (codes <= _MOST)).all())


def _emitted(whole: _Whole, lowered: LoweredMember) -> LoweredMember:
    """Return the model behind the transformers' own steps."""
    recipe = Recipe()
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # of names and of categories that were never seen
        emitter = Emitter(recipe, whole.walk, whole.oracle, whole.frames.native)
        value = emitter.begin()
        for _, step in whole.model.steps[:-1]:
            value = emitter.through(step, value)
    body = lowered.body
    rules = [step.rule for step in body.steps] if isinstance(body, Steps) else [body]
    forests = [rule for rule in rules if isinstance(rule, Forest)]
    if forests:
        _refuse_near_thresholds(whole, forests, value.exact)
    parts = recipe.parts(lowered, value.name)
    choice = parts.pop("choice", "")
    parts.pop("")
    exact = min(value.exact) >= CLOSE
    return recipe.lowered(
        arithmetic=lowered.arithmetic if exact else "float32", decision=lowered.decision, choice=choice, extras=parts
    )


def _refuse_near_thresholds(whole: _Whole, forests: list[Forest], exact: list[int]) -> None:
    """Refuse a forest on columns whose last bits may differ, where a threshold could tell."""
    least = EXACT if any(forest.reads == "float64" for forest in forests) else CLOSE
    if whole.takes_gaps_for_missing and whole.is_sparse:
        least = EXACT + 1
    wrong = [position for position, near in enumerate(exact) if near < least]
    if not wrong:
        return
    names = [type(step).__name__ for _, step in whole.model.steps[:-1]]
    raise UnsupportedModelError(
        f"pipeline: {type(whole.last).__name__} after {names}: column {wrong[0]} of the transformed table is computed "
        "from several columns, or not monotone, and rounded by scikit-learn in its own way, so a row on a threshold "
        "may go the other way; use transformers that work column by column, or another last step"
    )


@hookimpl
def glulam_model() -> type[ModelPlugin]:
    """Offer pipelines."""
    return PipelinePlugin
