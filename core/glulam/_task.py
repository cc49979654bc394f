"""Whether a target is learnt as classes or as values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from glulam.errors import FeatureTypeError

__all__ = ["decide_task"]

Array = npt.NDArray[Any]

MOST_CLASSES = 20
"""A target of more distinct numbers is taken for regression, unless told otherwise."""


def decide_task(
    target: Array, asked: str, rows: Sequence[int] | None = None, option: str = "--task {}"
) -> tuple[str, str, Array]:
    """Return ``classification`` or ``regression``, why, and the target as that task takes it.

    By default numbers are for regression if some are fractional or more than 20 are distinct.
    ``rows`` are the numbers in the file for errors, None if the target has them all; ``option`` is how
    the user asks for a task.
    """
    numeric = target.dtype.kind in "if"
    whole = not numeric or bool((target == np.floor(target)).all())
    distinct = len(np.unique(target))
    if asked == "auto":
        reason = f"the target has {distinct:,} distinct {'numbers' if numeric else 'labels'}"
        if not whole:
            reason += ", some fractional"
        task = "regression" if numeric and (not whole or distinct > MOST_CLASSES) else "classification"
        other = option.format("classification" if task == "regression" else "regression")
        reason += f"; {other} otherwise" if numeric else ""
    else:
        task, reason = asked, "as asked"
    if task == "regression":
        if not numeric:
            raise FeatureTypeError(
                f"{option.format('regression')}: the target holds labels such as {target[0].item()!r}, no numbers"
            )
        return task, reason, target.astype(np.float64)
    return task, reason, _whole_labels(target, rows, option) if numeric else target


def _whole_labels(target: Array, rows: Sequence[int] | None, option: str) -> Array:
    """Return numbers as int64 labels. Raises FeatureTypeError for fractions and what int64 does not hold."""
    # The cast would silently wrap; 2**63 itself is a float64, the largest int64 is none.
    beyond = (target < -(2.0**63)) | (target >= 2.0**63) if target.dtype.kind == "f" else np.zeros(len(target), bool)
    for wrong, what in ((target != np.floor(target), "fractional"), (beyond, "beyond int64")):
        if wrong.any():
            first = int(np.flatnonzero(wrong)[0])
            row = first if rows is None else rows[first]
            raise FeatureTypeError(
                f"{option.format('classification')}: the target is {what} (row {row + 1}: {target[first]}); labels are "
                f"whole numbers within int64, text or true/false; {option.format('regression')} learns any number"
            )
    return target.astype(np.int64)
