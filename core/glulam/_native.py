"""The native libraries as the proof asks them, rows that they refuse included."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Native", "Rows", "ask"]

Rows = npt.NDArray[np.floating[Any]]
Float64 = npt.NDArray[np.float64]
_PROBES = 6
"""How many single rows are tried before a part that is refused is halved."""
_QUESTIONS = 200
"""How often a library is asked for a family of rows of which it refuses some, at most about."""


@dataclass(frozen=True, slots=True)
class Native:
    """The libraries' own answers; each raises ValueError for rows that the library refuses.

    votes
        ``votes(member, rows)``, float64 [n, width]
    labels
        ``labels(rows)`` of a model that is exported alone: its ``predict``, or None if it has none
    extras
        ``extras(rows)`` of a model that is exported alone: further outputs by name
    leaves
        ``leaves(member, rows)``, int64 [n, n_trees], or None if the library does not tell
    """

    votes: Callable[[int, Rows], Float64]
    labels: Callable[[Rows], npt.NDArray[Any] | None] | None = None
    extras: Callable[[Rows], dict[str, Float64]] | None = None
    leaves: Callable[[int, Rows], npt.NDArray[np.int64] | None] | None = None


def ask(
    question: Callable[[Rows], Float64], rows: Rows, likely: npt.NDArray[np.bool_] | None = None
) -> tuple[Float64, npt.NDArray[np.bool_]]:
    """Return a library's answers, and which rows it answered; those of others are NaN.

    Libraries refuse a table for a single row. Rows are halved until those that are refused stand
    alone, first apart from those that are not ``likely`` to be answered (by default, rows with NaN or
    infinity, which most refusals are about). When too many are refused, the rest counts as refused.
    """
    answered = np.zeros(len(rows), dtype=bool)
    found: list[tuple[npt.NDArray[np.intp], Float64]] = []
    apart = np.asarray(np.isfinite(rows).all(axis=1)) if likely is None else likely
    waiting = [np.arange(len(rows))]
    asked = 0
    while waiting and asked < _QUESTIONS:
        part = waiting.pop()
        if not part.size:
            continue
        asked += 1
        try:
            found.append((part, np.asarray(question(rows[part]), dtype=np.float64)))
            answered[part] = True
        except ValueError:
            if 0 < np.count_nonzero(apart[part]) < len(part):
                waiting += [part[~apart[part]], part[apart[part]]]
            elif len(part) > _PROBES:
                some = part[np.linspace(0, len(part) - 1, _PROBES).astype(int)]
                asked += _PROBES
                if any(_answers(question, rows[row : row + 1]) for row in some):
                    waiting += np.array_split(part, 2)
            elif len(part) > 1:
                waiting += np.array_split(part, len(part))
    width = found[0][1].shape[1] if found else 1
    values = np.full((len(rows), width), np.nan)
    for part, answers in found:
        values[part] = answers
    return values, answered


def _answers(question: Callable[[Rows], Float64], rows: Rows) -> bool:
    try:
        question(rows)
    except ValueError:
        return False
    return True
