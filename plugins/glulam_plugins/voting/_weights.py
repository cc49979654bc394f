"""Weights as whole numbers where they are simple, so that a tie of weights is one in any arithmetic."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import numpy.typing as npt

__all__ = ["EXACT", "simple_weights"]

EXACT = 2**24
"""Whole numbers up to this add up exactly in float32, in any order."""


def simple_weights(weights: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return weights of the same proportion, float64 [n_members]: small whole numbers, if there are such.

    Weights count as the decimal numbers that they are written as: 0.4, 0.4, 0.2 are 2, 2, 1, and
    0.1 and 0.2 together tie with 0.3, which they do not in floating point. Weights that are no
    simple fractions of each other are only divided by the largest.
    """
    largest = weights.max()
    for scaled in (weights, weights / largest):
        simple = [Fraction(float(weight)).limit_denominator(10_000) for weight in scaled]
        if all(abs(float(each) - weight) <= 1e-12 * weight for each, weight in zip(simple, scaled, strict=True)):
            unit = math.lcm(*(each.denominator for each in simple))
            whole = [int(each * unit) for each in simple]
            common = math.gcd(*whole)
            if sum(whole) // common <= EXACT:
                return np.array([each // common for each in whole], dtype=np.float64)
    return np.asarray(weights / largest)
