"""Exporting a fitted model that is no glulam ensemble: by itself, whole, proven like one."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from glulam import plugins
from glulam._modelfiles import read_model
from glulam._native import Native
from glulam._rows import rows_like
from glulam._signature import numeric_schema
from glulam._tables import as_table, is_array
from glulam.errors import ConfigError, UnsupportedModelError
from glulam.exporting import Subject, check_request, write
from glulam.hookspecs import ModelPlugin, Signature
from glulam.program import EnsembleProgram, Guard, OnnxFragment
from glulam.proof import ParityReport
from glulam.schema import FeatureSchema

__all__ = ["export"]

Rows = npt.NDArray[np.floating[Any]]
_TO_FLOAT32 = float(np.nextafter(2.0**128 - 2.0**103, 0))
"""The largest float64 that float32 does not round to infinity."""
_PROBED_ALONE = 64
"""Features up to which each is asked by itself whether it may be missing."""


def export(
    model: Any,
    path: str | os.PathLike[str],
    X: Any = None,
    *,
    exporter: str = "onnx",
    overwrite: bool = False,
    precision: str = "auto",
    proof_rows: int = 20_000,
    **options: Any,
) -> ParityReport:
    """Write any fitted model as one ONNX file, after proving that it gives the model's own answers.

    model
        an `EnsembleClassifier` or `EnsembleRegressor`; a fitted estimator or raw Booster of LightGBM,
        XGBoost or CatBoost; a fitted scikit-learn estimator, a Pipeline or a meta-estimator of such;
        or the path of a library's own model file
    path
        file to write; its directory must exist
    X
        rows as the model takes them, for the proof to start from: a table, or an array, which holds
        categories by their codes. Without them it starts from rows around the model's own thresholds
    exporter, overwrite, proof_rows, options
        as of `EnsembleClassifier.export`
    precision
        ``auto``: rows of float32; sums in float32, or in float64 where float32 cannot keep the
        promised 1e-6. ``float32``: both. ``float64``: rows and sums of float64, for models that
        were trained on numbers which float32 cannot tell apart

    Rows are answered as by the model's own ``predict`` and ``predict_proba``; rows that it refuses
    (NaN or infinity, for most of scikit-learn) fail the file's check ``finite``. Returns the proof's
    report. Raises UnsupportedModelError naming what cannot be exact, ProofError, ConfigError or
    ArtifactError; then nothing is written.
    """
    target = Path(path)
    check_request(target, overwrite=overwrite, precision=precision, proof_rows=proof_rows)
    if isinstance(model, (str, os.PathLike)):
        model = read_model(Path(model))
    from glulam._base import Ensemble

    if isinstance(model, Ensemble):
        return model.export(
            target, exporter=exporter, overwrite=overwrite, precision=precision, proof_rows=proof_rows, **options
        )
    subject = _subject(model, X, "float64" if precision == "float64" else "float32")
    return write(
        subject, target, exporter=exporter, overwrite=overwrite, precision=precision, proof_rows=proof_rows,
        options=options,
    )  # fmt: skip


def _subject(model: Any, X: Any, rows: str) -> Subject:
    """Return a fitted model as something to export."""
    plugin = plugins.required_model_of(model)
    kind = type(model).__name__
    signature = plugin.signature(model)
    schema = signature.schema
    lowered = plugin.lower(model, schema) if rows == "float32" else plugin.lower_wide(model, schema)
    if rows == "float64" and lowered.float32_only:
        raise UnsupportedModelError(
            f"{kind}: precision='float64' is not supported: {lowered.float32_only}; "
            "use precision='auto', for float32 rows"
        )
    dtype = np.dtype(rows)
    if X is None:
        start = rows_like(lowered.forests_of(len(schema)), schema, dtype)
    else:
        schema = _with_blanks(schema, X, kind)
        known = numeric_schema(len(schema), schema.names) if is_array(X) else schema
        start = known.encode(X, reorder=True, owner=kind, dtype=dtype)

    def votes(index: int, given: Rows) -> npt.NDArray[np.float64]:
        return np.asarray(plugin.votes(model, given, signature.task), dtype=np.float64).reshape(len(given), -1)

    start, schema, guards = _accepted(votes, start, schema, kind)
    program = EnsembleProgram(
        schema=schema,
        task=signature.task,
        classes=_checked_classes(signature, kind),
        names=(plugin.name,),
        members=(lowered,),
        weights=np.ones(1),
        voting="",
        vote=None,
        decision=lowered.decision,
        guards=guards,
        blocks=signature.blocks,
        n_targets=signature.n_targets,
        scores="value" if signature.task == "regression" else signature.scores,
        rows="float64" if rows == "float64" else "float32",
    )
    native = Native(
        votes,
        labels=lambda given: _labels(plugin, model, given),
        extras=lambda given: plugin.extras(model, given),
        leaves=lambda index, given: plugin.leaves(model, given),
    )
    member = {"name": plugin.name, "plugin": plugin.name, "weight": 1.0, "versions": plugins.versions(plugin)}
    about = {"type": kind, "members": [member], "validators": [], "codes": True}
    return Subject(program, native, start, about, {"rows": None, "sha256": None, "fitted": None})


def _with_blanks(schema: FeatureSchema, X: Any, kind: str) -> FeatureSchema:
    """Return the schema with the table's names, where only blanks differ: LightGBM keeps them as underscores."""
    names = None if is_array(X) else as_table(X, kind).names
    if names is None or [name.replace(" ", "_") for name in names] != schema.names:
        return schema
    features = tuple(replace(each, name=name) for each, name in zip(schema.features, names, strict=True))
    return FeatureSchema(features, named=schema.named)


def _labels(plugin: ModelPlugin, model: Any, rows: Rows) -> npt.NDArray[Any] | None:
    """Return the library's labels as the file gives them: text as text, whole numbers as int64."""
    labels = plugin.labels(model, rows)
    if labels is None:
        return None
    known = np.asarray(labels)
    return known.astype(np.str_) if known.dtype.kind in "OU" else known


def _checked_classes(signature: Signature, kind: str) -> npt.NDArray[Any]:
    """Return class labels of a type that files have: integers, floats, booleans or text."""
    classes = np.asarray(signature.classes)
    if classes.dtype.kind == "O":
        kinds = {type(label) for label in classes.tolist()}
        if kinds <= {str} or kinds <= {bool} or kinds <= {int}:
            return np.array(classes.tolist())
    if classes.dtype.kind not in "iufbU":
        raise UnsupportedModelError(
            f"{kind}: classes {classes.tolist()} of type {classes.dtype}; files have integers, floats, booleans or "
            "text; encode y before the fit"
        )
    if classes.dtype.kind == "f" and classes.size and np.array_equal(classes, classes.astype(np.int64)):
        return classes.astype(np.float64)
    return classes


def _accepted(
    votes: Any, start: Rows, schema: FeatureSchema, kind: str
) -> tuple[Rows, FeatureSchema, tuple[Guard, ...]]:
    """Learn by trying what the library refuses: rows, missing values a feature, infinities.

    Returns the starting rows that it answers, the schema with its missing values, and a guard for
    what it refuses.
    """

    def answers(rows: Rows) -> bool:
        try:
            votes(0, rows)
        except ValueError:
            return False
        return True

    if not answers(start):
        kept = [row for row in range(len(start)) if answers(start[row : row + 1])]
        if not kept:
            raise ConfigError(
                f"{kind}: its library refuses all rows that the proof could start from; give some that it takes: "
                "glulam.export(model, path, X)"
            )
        start = start[kept]
    row = start[np.isfinite(start).all(axis=1)][:1] if np.isfinite(start).all(axis=1).any() else start[:1]
    missing = _refused(answers, row, np.nan)
    infinite = _refused(answers, row, np.inf)
    limit = float(np.finfo(start.dtype).max)
    if start.dtype == np.float64 and infinite.any() and _refused(answers, row, 1e39).any():
        limit = _TO_FLOAT32
    features = tuple(
        replace(feature, missing="error" if refused else "allow")
        if feature.unseen != "missing" or not refused
        else replace(feature, missing="error", unseen="error")
        for feature, refused in zip(schema.features, missing, strict=True)
    )
    known = FeatureSchema(features, named=schema.named)
    if not missing.any() and not infinite.any():
        return start, known, ()
    return start, known, (_guard(missing, infinite, limit),)


def _refused(answers: Any, row: Rows, value: float) -> npt.NDArray[np.bool_]:
    """Tell which features must not hold a value, bool [n_features]."""
    count = row.shape[1]
    if answers(np.full_like(row, value)):
        return np.zeros(count, dtype=bool)
    if count > _PROBED_ALONE:
        return np.ones(count, dtype=bool)
    refused = np.empty(count, dtype=bool)
    for feature in range(count):
        tried = row.copy()
        tried[0, feature] = value
        refused[feature] = not answers(tried)
    # Each alone is taken, all together are not: nothing simple, so nothing is promised.
    return refused if refused.any() else np.ones(count, dtype=bool)


def _guard(missing: npt.NDArray[np.bool_], infinite: npt.NDArray[np.bool_], limit: float) -> Guard:
    """Return the check that no feature holds a NaN, or a number beyond the limit, that the library refuses."""

    def reference(rows: Rows) -> npt.NDArray[np.bool_]:
        return np.asarray(~((np.isnan(rows) & missing) | ((np.abs(rows) > limit) & infinite)).any(axis=1))

    text = (
        "finite (features, missing, infinite, limit, axis) => (valid) {"
        " lacks = IsNaN(features) lacking = And(lacks, missing)"
        " size = Abs(features) large = Greater(size, limit) beyond = And(large, infinite)"
        " odd = Or(lacking, beyond) number = Cast <to = 6> (odd)"
        " most = ReduceMax <keepdims = 0> (number, axis)"
        " refused = Cast <to = 9> (most) valid = Not(refused) }"
    )
    constants = {"missing": missing, "infinite": infinite, "limit": np.array(limit), "axis": np.array([1])}
    return Guard("finite", OnnxFragment(text, reference, constants))
