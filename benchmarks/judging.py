"""How a converted file answers, held to its library: exact, or wrong on which kind of rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

__all__ = ["KINDS", "judge", "kinds_of", "named"]

TOLERANCE = 1e-5
"""Of probabilities; of other values relative to their size. Ten times what glulam promises."""
KINDS = ("ordinary", "missing", "threshold", "category", "extreme")
"""Kinds of rows, in the order in which they are blamed."""
_OF_FAMILY = {
    "training": "ordinary", "random": "ordinary", "threshold": "threshold", "joint thresholds": "threshold",
    "missing": "missing", "categories": "category",
}  # fmt: skip  # what a family is not named here is of extreme values

Answers = Mapping[str, np.ndarray]


def kinds_of(families: Mapping[str, np.ndarray], codes: Mapping[int, float]) -> np.ndarray:
    """Return the kind of each row, in the order of the families.

    codes
        of each column of categories the last code
    """
    kinds = []
    for family, rows in families.items():
        kind = np.full(len(rows), _OF_FAMILY.get(family, "extreme"), dtype="<U9")
        kind[(kind == "ordinary") & np.isnan(rows).any(axis=1)] = "missing"
        for column, last in codes.items():
            code = rows[:, column]
            kind[((code < 0) | (code > last) | (code != np.rint(code))) & ~np.isnan(code) & (kind != "extreme")] = (
                "category"
            )
        kinds.append(kind)
    return np.concatenate(kinds)


def named(outputs: list[Any], want: Answers) -> dict[str, np.ndarray]:
    """Return what a stock converter's file answers under glulam's names, in the library's shapes."""
    found = [_array(each) for each in outputs]
    if "value" in want:
        return {"value": found[0].reshape(want["value"].shape)}
    name = "probabilities" if "probabilities" in want else "decision_function"
    got = {"label": found[0].reshape(want["label"].shape)} if "label" in want else {}
    if name in want and len(found) > 1:
        scores, shape = found[1], want[name].shape
        if scores.ndim == 2 and scores.shape[1] == 2 and int(np.prod(shape)) == len(scores):
            scores = scores[:, 1]  # of two classes: the score of the second
        got[name] = scores.reshape(shape)
    return got


def _array(output: Any) -> np.ndarray:
    """Return an output as an array: sequences of dictionaries by class, or of arrays by output, as columns."""
    if isinstance(output, list) and output and isinstance(output[0], dict):
        return np.array([list(row.values()) for row in output])
    if isinstance(output, list):
        return np.column_stack([_array(each) for each in output])
    made = np.asarray(output)
    return np.concatenate(list(made), axis=1) if made.ndim == 3 else made


def judge(want: Answers, got: Answers, kinds: np.ndarray, threshold: float) -> tuple[str, str]:
    """Return the first kind of rows that is answered wrongly, and how; two empty texts if none is."""
    wrong: dict[str, np.ndarray] = {}
    for name, values in got.items():
        if name in want:
            wrong[name] = _far(name, want[name], values)
    if "label" in wrong:
        wrong["label"] = _unlike(want, got["label"], threshold)
    for kind in KINDS:
        for name, rows in wrong.items():
            of_kind = rows & (kinds == kind)
            if of_kind.any():
                row = int(np.flatnonzero(of_kind)[0])
                asked, said = np.asarray(want[name][row]).tolist(), np.asarray(got[name][row]).tolist()
                return kind, f"{name} of {of_kind.sum()} of {(kinds == kind).sum()} rows, as {said} for {asked}"
    return "", ""


def _far(name: str, want: np.ndarray, got: np.ndarray) -> np.ndarray:
    """Tell which rows have a number that is too far from the library's."""
    if name == "label":
        return np.zeros(len(want), dtype=bool)
    want, got = (np.asarray(each, dtype=np.float64).reshape(len(want), -1) for each in (want, got))
    size: Any = 1.0
    if name != "probabilities":
        known = want[np.isfinite(want)]
        usual = np.median(np.abs(known - np.median(known))) if known.size else 0.0
        size = np.maximum(np.abs(want), usual or 1.0)
        size = np.where(np.isfinite(size), size, 1.0)
    same = (want == got) | (np.isnan(want) & np.isnan(got))
    with np.errstate(invalid="ignore"):
        return np.asarray(~(same | (np.abs(want - got) <= TOLERANCE * size)).all(axis=1))


def _unlike(want: Answers, got: np.ndarray, threshold: float) -> np.ndarray:
    """Tell which rows have another label, though the library's scores are not within the tolerance of a tie."""
    label = np.asarray(want["label"])
    try:
        same = label == got.astype(label.dtype)
    except ValueError:  # text where numbers are wanted
        same = label.astype(str) == got.astype(str)
    unlike = ~same.reshape(len(label), -1).all(axis=1)
    scores = want.get("probabilities", want.get("decision_function"))
    if scores is None:
        return np.asarray(unlike)
    scores = np.asarray(scores, dtype=np.float64).reshape(len(label), -1)
    ordered = np.sort(scores, axis=1)
    if label.ndim == 2:  # several decisions: on a half each, or between neighbours
        margin = np.abs(np.column_stack([np.diff(ordered, axis=1), scores - 0.5])).min(axis=1)
    elif threshold or scores.shape[1] == 1:
        margin = np.abs(scores[:, -1] - threshold)
    else:
        margin = ordered[:, -1] - ordered[:, -2]
    return np.asarray(unlike & ~(margin <= 4 * TOLERANCE))
