"""Every configuration of the matrix: exact in onnxruntime, or refused by name."""

from __future__ import annotations

import functools
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from exactness import table
from exactness.case import Case, Fitted
from exactness.matrix import CASES
from exactness.nasty import answered, lower, nasty_rows
from onnx import helper

import glulam
from glulam import kernel
from glulam.errors import UnsupportedModelError

EXACT = [case for case in CASES if not case.refused]
REFUSED = [case for case in CASES if case.refused]


@functools.lru_cache(maxsize=2)
def fitted(case: Case) -> Fitted:
    """Return the fitted model; the library may warn of its own settings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return case.fit()


def agree(name: str, want: np.ndarray, got: np.ndarray, precision: str, rows: np.ndarray) -> None:
    """Compare an output: probabilities absolutely, values by how far they are from the usual one, or its spread."""
    eps = np.finfo(want.dtype).eps if want.dtype == np.float32 else np.finfo(np.float64).eps
    want, got = np.asarray(want, dtype=np.float64), np.asarray(got, dtype=np.float64)
    assert want.shape == got.shape, f"{name}: expected {want.shape}, got {got.shape}"
    allowed: np.ndarray | float = 1.001e-6 if precision == "float32" else 1.001e-12
    size: np.ndarray | float = 1.0
    if name != "probabilities":
        columns = want.reshape(len(want), -1)
        usual = np.array([np.median(column[np.isfinite(column)]) for column in columns.T])
        with np.errstate(over="ignore"):
            spread = np.array([np.std(column[np.isfinite(column)]) for column in columns.T])
        spread = np.where(np.isfinite(spread), spread, 0.0)
        away = np.where(np.isfinite(columns), np.abs(columns - usual), 0.0)
        size = np.maximum(np.maximum(away, np.where(spread > 1e-12 * np.abs(usual), spread, np.abs(usual))), 1e-300)
        size = size.reshape(want.shape)
        allowed = allowed + np.where(np.isfinite(want), 64 * eps * np.abs(want), 0.0) / size
    with np.errstate(invalid="ignore"):
        difference = np.where((want == got) | (np.isnan(want) & np.isnan(got)), 0.0, np.abs(want - got)) / size
    worst = np.unravel_index(np.argmax(np.nan_to_num(difference - allowed, nan=np.inf)), difference.shape)
    assert (difference <= allowed).all(), (
        f"{name}: expected {want[worst]}, got {got[worst]} ({difference[worst]:.3g}) for {rows[worst[0]].tolist()}"
    )


def table_of(model: Fitted) -> Any:
    """Return the rows that export is given."""
    return model.rows if model.table is None else model.table


def native(model: Fitted, rows: np.ndarray) -> dict[str, np.ndarray]:
    """Return the library's public answers."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return dict(model.predict(rows))


@pytest.mark.parametrize("precision", ["auto", "float64"])
@pytest.mark.parametrize("case", EXACT, ids=str)
def test_exact(case, precision, tmp_path):
    """The exported file answers as the library's public methods do, on the worst rows there are."""
    model = fitted(case)
    path = tmp_path / "model.onnx"
    options = {**model.options, "proof_rows": 1_000, "precision": precision}
    if precision == "float64" and case.float32_only:
        with pytest.raises(UnsupportedModelError, match="precision='float64' is not supported"):
            glulam.export(model.model, path, table_of(model), **options)
        return
    report = glulam.export(model.model, path, table_of(model), **options)
    file = onnx.load(path)
    onnx.checker.check_model(file, full_check=True)
    sets = any(a.name.endswith("membership_values") for node in file.graph.node for a in node.attribute)
    assert file.ir_version == (11 if sets else 10)
    versions = {entry.domain: entry.version for entry in file.opset_import}
    assert versions == {"": 18, "ai.onnx.ml": 5} | ({"ai.glulam": 1} if file.functions else {})

    one_thread = onnxruntime.SessionOptions()
    one_thread.intra_op_num_threads = 1  # with more, hundreds of leaves are added in another order than XGBoost's
    session = onnxruntime.InferenceSession(path, one_thread)
    dtype = helper.tensor_dtype_to_np_dtype(file.graph.input[0].type.tensor_type.elem_type)
    assert dtype == (np.float64 if precision == "float64" else np.float32)
    rows = nasty_rows(model.model, model.rows.astype(dtype))
    kept = answered(lambda block: native(model, block), rows)
    names = [output.name for output in session.get_outputs()]
    got = dict(zip(names, session.run(None, {"features": rows}), strict=True))
    if not kept.all():
        odd = rows[~np.isfinite(rows).all(axis=1) & ~kept & got.get("valid", np.ones(len(rows), dtype=bool))][:20]
        # What counts as refused in bulk may be answered alone; what is refused alone must fail the file's check.
        for row in odd:
            assert answered(lambda block: native(model, block), row[None]).all(), f"refused by the library: {row}"
    rows, got = rows[kept], {name: values[kept] for name, values in got.items()}
    want = native(model, rows)
    known = ~np.any(
        [np.isnan(v.reshape(len(rows), -1)).any(axis=1) for v in want.values() if v.dtype.kind == "f"], axis=0
    )
    assert known.mean() > 0.8  # a library that overflows to NaN has no answer
    lowered = lower(model.model)[0]
    rows, got, want = rows[known], *({name: v[known] for name, v in each.items()} for each in (got, want))
    # A raw Booster predicts no labels.
    assert set(names) - {"valid", "label"} <= set(want) <= set(names)
    found = [got]
    if kernel.available():
        fast = kernel.fast_session(path, one_thread)
        found.append(dict(zip(names, fast.run(None, {"features": rows}), strict=True)))
    for name, values in want.items():
        if name != "label":
            narrow = "float32" if values.dtype == np.float32 else lowered.arithmetic
            narrow = report.precision if narrow == "float64" else narrow
            promised = "float32" if report.tolerance == 1e-6 else narrow
            for answers in found:
                agree(name, values, answers[name], promised, rows)
    if "label" in want:
        for answers in found:
            check_labels(case, want, answers, rows)
    keep(case, precision, path, rows, got)


def check_labels(case: Case, want: dict[str, np.ndarray], got: dict[str, np.ndarray], rows: np.ndarray) -> None:
    """Labels are the library's wherever its scores are not within 1e-6 of the decision."""
    differ = np.asarray(want["label"]).astype(got["label"].dtype) != got["label"]
    differ = differ.any(axis=1) if differ.ndim == 2 else differ
    if not differ.any():
        return
    scores = np.asarray(want.get("probabilities", want.get("decision_function")))
    scores = np.sort(scores.reshape(len(rows), -1), axis=1)
    margin = np.abs(scores[:, 0] - case.threshold) if scores.shape[1] == 1 else scores[:, -1] - scores[:, -2]
    if scores.shape[1] == 2 and case.threshold:
        margin = np.abs(np.asarray(want["probabilities"])[:, 1] - case.threshold)
    assert (margin[differ] <= 2e-6).all(), rows[differ][0].tolist()  # twice: the distance of two scores


def keep(case: Case, precision: str, path: Path, rows: np.ndarray, got: dict[str, np.ndarray]) -> None:
    """Leave file, rows and answers for the run on the oldest onnxruntime, if a place is named for them."""
    place = os.environ.get("GLULAM_KEEP_EXPORTS")
    if place:
        name = f"{CASES.index(case):03d}-{precision}"
        folder = Path(place)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.onnx").write_bytes(path.read_bytes())
        plain = {key: values.astype(str) if values.dtype == object else values for key, values in got.items()}
        np.savez_compressed(folder / f"{name}.npz", features=rows, **{f"out_{key}": v for key, v in plain.items()})


@pytest.mark.parametrize("case", REFUSED, ids=str)
def test_refused(case, tmp_path):
    """What cannot be exact is refused with the reason, and no file is left."""
    model = fitted(case)
    path = tmp_path / "model.onnx"
    with pytest.raises(glulam.GlulamError) as refusal:
        glulam.export(model.model, path, table_of(model), **model.options)
    assert case.refused in str(refusal.value)
    assert not list(tmp_path.iterdir())


def test_nearly_all_are_exact():
    """At least 95 % of what people have exports exactly, and every name is there once."""
    assert len({str(case) for case in CASES}) == len(CASES)
    assert len(EXACT) >= 0.95 * len(CASES)
    assert all(case.reason for case in REFUSED)


def test_the_table_in_the_documents_is_the_matrix():
    """docs/what-exports.md is what ``python -m exactness.table`` (in ``tests``) writes."""
    assert table.DOCUMENT.read_text() == table.text()
