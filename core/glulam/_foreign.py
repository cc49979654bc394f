"""Exporting a fitted model that is no glulam ensemble: by itself, whole, proven like one."""

from __future__ import annotations

import os
import warnings
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from glulam import plugins
from glulam._accepting import accepted
from glulam._modelfiles import read_model
from glulam._native import Native
from glulam._rows import rows_like
from glulam._scale import Scale, difference
from glulam._signature import numeric_schema
from glulam._tables import as_table, is_array
from glulam.errors import ConfigError, GlulamError, UnsupportedModelError
from glulam.exporting import Subject, check_request, write
from glulam.hookspecs import ModelPlugin, Signature
from glulam.program import EnsembleProgram, LoweredMember
from glulam.proof import ParityReport
from glulam.schema import FeatureSchema, Float32CollisionWarning

__all__ = ["export"]

Rows = npt.NDArray[np.floating[Any]]
_COMPARED = 2_000
"""Rows that are asked in float64 and in float32, at most."""
_NOTICEABLE = 1e-5


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
    if not isinstance(path, (str, os.PathLike)):
        raise ConfigError(
            f"path: expected the name of the file to write, got {type(path).__name__}; the model comes first: "
            "glulam.export(model, path, X)"
        )
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


def _lowered(plugin: ModelPlugin, model: Any, rows: str) -> tuple[Signature, LoweredMember]:
    """Return what a model takes and answers, and its library-free form.

    Raises UnsupportedModelError also for models that were changed by hand until they fit no rule.
    """
    try:
        signature = plugin.signature(model)
        lower = plugin.lower if rows == "float32" else plugin.lower_wide
        return signature, lower(model, signature.schema)
    except GlulamError:
        raise
    except Exception as error:  # whatever a library, or a lowering, says of tables that fit no model
        raise UnsupportedModelError(
            f"{type(model).__name__}: has no library-free form, it is not fitted or was changed since: "
            f"{type(error).__name__}: {' '.join(str(error).split())[:200]}; fit it again"
        ) from error


def _subject(model: Any, X: Any, rows: str) -> Subject:
    """Return a fitted model as something to export."""
    plugin = plugins.required_model_of(model)
    kind = type(model).__name__
    signature, lowered = _lowered(plugin, model, rows)
    schema = signature.schema
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

    start, schema, guards = accepted(partial(votes, 0), start, schema, kind)
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
    if X is not None and rows == "float32":
        _warn_of_rounding(votes, known.encode(X, reorder=True, owner=kind, dtype=np.float64), kind, signature)
    native = Native(
        votes,
        labels=lambda given: _labels(plugin, model, given),
        extras=lambda given: plugin.extras(model, given),
        leaves=lambda index, given: plugin.leaves(model, given),
    )
    member = {"name": plugin.name, "plugin": plugin.name, "weight": 1.0, "versions": plugins.versions(plugin)}
    about = {"type": kind, "members": [member], "validators": [], "codes": True}
    return Subject(program, native, start, about, {"rows": None, "sha256": None, "fitted": None})


def _warn_of_rounding(votes: Any, wide: npt.NDArray[np.float64], kind: str, signature: Signature) -> None:
    """Warn where the model answers rows of float64 otherwise than the same rows in float32, which the file takes."""
    rows = wide[np.unique(np.linspace(0, len(wide) - 1, _COMPARED).astype(int))]
    with np.errstate(over="ignore"):
        narrow = rows.astype(np.float32)
    if np.array_equal(narrow, rows, equal_nan=True):
        return
    try:
        want, got = votes(0, rows), votes(0, narrow)
    except ValueError:  # rows that the model refuses
        return
    size = (
        1.0
        if signature.scores == "probabilities" and signature.task != "regression"
        else Scale.of_values(want).size(want)
    )
    far = difference(want, got) / size
    changed = int(np.count_nonzero((far > _NOTICEABLE).any(axis=1)))
    if changed:
        warnings.warn(
            f"{kind}: {changed} of {len(rows)} rows are answered otherwise once they are rounded to float32, which the "
            f"file takes, by up to {np.nanmax(far):.3g}: they lie on thresholds that float32 cannot tell apart. Export "
            "with precision='float64', or fit the model on float32",
            Float32CollisionWarning,
            stacklevel=4,
        )


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
    if known.ndim == 2 and known.shape[1] == 1:  # CatBoost's way with several classes
        known = known[:, 0]
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
    return classes
