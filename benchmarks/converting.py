"""The matrix's cases, converted and judged: what runs in the process that `benchmarks.converters` watches."""

from __future__ import annotations

import json
import sys
import tempfile
import warnings
from collections.abc import Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from benchmarks import stock
from benchmarks.judging import judge, kinds_of, named

__all__ = ["listed", "work"]

TESTS = Path(__file__).parents[1] / "tests"


def work(answer: str, tasks: Sequence[tuple[str, str]]) -> None:
    """Judge cases one after the other, and note in a file what is begun and what is found."""
    warnings.simplefilter("ignore")
    with Path(answer).open("a") as out:
        for name, contestant in tasks:
            print(json.dumps({"begun": [name, contestant]}), file=out, flush=True)
            found, detail = _judged(name, contestant)
            print(json.dumps({"done": [name, contestant], "found": found, "detail": detail}), file=out, flush=True)


@cache
def cases() -> dict[str, Any]:
    """Return the cases of the matrix by their names."""
    if str(TESTS) not in sys.path:
        sys.path.insert(0, str(TESTS))
    from exactness.matrix import CASES

    return {str(case): case for case in CASES}


def listed() -> list[dict[str, str]]:
    """Return name, library and converter of each case (in a child)."""
    return [
        {"case": name, "library": case.library, "name": case.name, "converter": case.stock}
        for name, case in cases().items()
    ]


@lru_cache(maxsize=1)
def _fitted(case: str) -> Any:
    """Return a fitted case."""
    return cases()[case].fit()


@lru_cache(maxsize=1)
def _asked(case: str) -> tuple[Any, Any, Any]:
    """Return rows that a case's library answers, their kinds, and its answers."""
    from exactness.nasty import answered, nasty_families

    from glulam.errors import GlulamError

    model = _fitted(case)
    rows = np.asarray(model.rows, dtype=np.float32)
    try:
        families, codes = nasty_families(model.model, rows), _codes(model.model)
    except GlulamError:  # what glulam refuses it has no thresholds of
        families, codes = {"training": rows}, {}
    with np.errstate(all="ignore"):
        given = np.concatenate(list(families.values()))
        kept = answered(model.predict, given)
        given, kinds = given[kept], kinds_of(families, codes)[kept]
        want = {name: np.asarray(values) for name, values in model.predict(given).items()}
    numbers = [values.reshape(len(given), -1) for values in want.values() if values.dtype.kind == "f"]
    known = ~np.isnan(np.column_stack(numbers)).any(axis=1) if numbers else np.ones(len(given), dtype=bool)
    # NaN is no answer that a file could be held to.
    return given[known], kinds[known], {name: values[known] for name, values in want.items()}


def _codes(model: Any) -> dict[int, float]:
    """Return the largest known code of each column of categories."""
    from glulam import plugins
    from glulam._rows import levels

    plugin = plugins.required_model_of(model)
    schema = plugin.signature(model).schema
    forests = plugin.lower(model, schema).forests_of(len(schema))
    known = {column: levels(forests, column) for column in range(len(schema))}
    known |= {column: range(len(each.categories)) for column, each in enumerate(schema.features) if each.categories}
    return {column: float(max(found)) for column, found in known.items() if len(found)}


def _judged(name: str, contestant: str) -> tuple[str, str]:
    """Return which column a case belongs to, and what was seen."""
    case = cases()[name]
    model = _fitted(name)
    if contestant == "glulam":
        data, why = _exported(model)
        if data is None:
            return "refused", why
    else:
        try:
            data = stock.convert(case.stock, model.model, model.rows.shape[1])
        except Exception as error:  # whatever a converter raises, it did not convert
            return "fails", _line(error)
    try:
        session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
        rows, kinds, want = _asked(name)
        if contestant == "glulam":
            names = [output.name for output in session.get_outputs()]
            wide = session.get_inputs()[0].type == "tensor(double)"
            answers = session.run(None, {"features": rows.astype(np.float64) if wide else rows})
            got = dict(zip(names, answers, strict=True))
        else:
            answers = session.run(None, stock.feeds(session, rows))
    except Exception as error:  # onnxruntime's exceptions have no common base of their own
        return "fails", _line(error)
    if contestant == "stock":
        try:
            got = named(answers, want)
        except ValueError as error:  # not even the shape is right
            return "ordinary", _line(error)
    with np.errstate(all="ignore"):
        kind, detail = judge(want, got, kinds, case.threshold)
    return kind or "exact", detail


def _exported(model: Any) -> tuple[bytes | None, str]:
    """Return the file that glulam exports, or why it refuses."""
    import glulam

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        try:
            glulam.export(model.model, path, model.rows, **{**model.options, "proof_rows": 1_000})
        except glulam.GlulamError as error:
            return None, _line(error)
        return path.read_bytes(), ""


def _line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]


if __name__ == "__main__":
    work(sys.argv[1], json.loads(sys.argv[2]))
