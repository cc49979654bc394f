"""Rows that find mistakes: on every kind of threshold and beside it, missing, extreme, unseen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from glulam.forest import Forest
from glulam.schema import FeatureSchema

__all__ = ["families", "thresholds"]

Float32 = npt.NDArray[np.float32]

_TINY = np.float32(1e-35)  # LightGBM reads values this close to 0 as 0
_EXTREMES = np.array(
    [0.0, -0.0, 1e-45, -1e-45, np.finfo(np.float32).tiny, _TINY, -_TINY, np.nextafter(_TINY, np.float32(1)),
     np.nextafter(-_TINY, np.float32(-1)), np.finfo(np.float32).max, np.finfo(np.float32).min],
    dtype=np.float32,
)  # fmt: skip


def thresholds(forests: Sequence[Forest], feature: int) -> Float32:
    """Return the distinct finite thresholds of a feature, sorted."""
    found = [forest.threshold[forest.feature == feature] for forest in forests]
    values = np.unique(np.concatenate([*found, np.empty(0, dtype=np.float32)]))
    return np.asarray(values[np.isfinite(values)])


def families(
    schema: FeatureSchema, forests: Sequence[Forest], training: Float32, *, rows: int, seed: int
) -> Iterator[tuple[str, Float32]]:
    """Yield named families of rows, float32 [n, n_features], together about ``rows`` many.

    ``training`` are rows to start from, at least one.
    """
    random = np.random.default_rng(seed)
    yield "training", training[_evenly(len(training), rows // 10)]
    yield "random", _random_rows(schema, training, random, rows // 10)
    by_feature = [thresholds(forests, feature) for feature in range(len(schema))]
    each = max(3, rows // 2 // (3 * len(schema)))
    yield "threshold", _threshold_rows(by_feature, training, random, each)
    yield "joint thresholds", _joint_rows(by_feature, training, random, rows // 10)
    yield "missing", _missing_rows(training, random, rows // 10)
    yield "extreme", _placed(training, random, np.tile(_EXTREMES, (len(schema), 1)))
    yield (
        "infinite",
        _placed(training, random, np.tile(np.array([np.inf, -np.inf], dtype=np.float32), (len(schema), 1))),
    )
    categorical = [index for index, feature in enumerate(schema.features) if feature.kind == "categorical"]
    if categorical:
        yield "categories", _category_rows(schema, training, random, categorical)


def _evenly(count: int, most: int) -> npt.NDArray[np.int64]:
    return np.unique(np.linspace(0, count - 1, max(1, min(count, most))).astype(np.int64))


def _start(training: Float32, random: np.random.Generator, count: int) -> Float32:
    """Return copies of training rows to put special values into."""
    return training[random.integers(0, len(training), count)]


def _random_rows(schema: FeatureSchema, training: Float32, random: np.random.Generator, count: int) -> Float32:
    """Return rows spread evenly over a little more than the range of each feature."""
    finite = np.where(np.isfinite(training), training, np.nan).astype(np.float64)
    seen = ~np.isnan(finite).all(axis=0)
    low, high = np.zeros(len(schema)), np.ones(len(schema))
    low[seen], high[seen] = np.nanmin(finite[:, seen], axis=0), np.nanmax(finite[:, seen], axis=0)
    slack = 0.1 * (high - low) + 1e-3
    limit = float(np.finfo(np.float32).max)
    spread = random.uniform(np.maximum(low - slack, -limit / 2), np.minimum(high + slack, limit / 2), (count, len(low)))
    return spread.astype(np.float32)


def _beside(values: Float32) -> Float32:
    """Return each value, the float32 below it and the one above."""
    with np.errstate(over="ignore"):  # beside float32's ends are infinities
        below, above = np.nextafter(values, np.float32(-np.inf)), np.nextafter(values, np.float32(np.inf))
    return np.concatenate([below, values, above])


def _threshold_rows(
    by_feature: Sequence[Float32], training: Float32, random: np.random.Generator, each: int
) -> Float32:
    """Return training rows with one feature on, just below or just above a threshold."""
    parts = []
    for feature, values in enumerate(by_feature):
        if values.size:
            special = _beside(values[_evenly(values.size, each)])
            block = _start(training, random, special.size)
            block[:, feature] = special
            parts.append(block)
    return np.concatenate(parts) if parts else training[:1]


def _joint_rows(by_feature: Sequence[Float32], training: Float32, random: np.random.Generator, count: int) -> Float32:
    """Return rows with most features on or beside thresholds at once."""
    rows = _start(training, random, count)
    for feature, values in enumerate(by_feature):
        if values.size:
            special = _beside(values)
            placed = random.random(count) < 0.8
            rows[placed, feature] = special[random.integers(0, special.size, count)][placed]
    return rows


def _missing_rows(training: Float32, random: np.random.Generator, count: int) -> Float32:
    """Return rows with NaN in one feature, in several, in all."""
    rows = _start(training, random, max(count, 3 * training.shape[1]))
    several = random.random(rows.shape) < random.random((len(rows), 1))
    several[: len(rows) // 3] = False
    rows[several] = np.nan
    rows[np.arange(len(rows)), np.arange(len(rows)) % training.shape[1]] = np.nan
    rows[-1] = np.nan
    return rows


def _placed(training: Float32, random: np.random.Generator, values: Float32) -> Float32:
    """Return rows with ``values[feature]`` in that feature, each alone, and some joint ones."""
    features, each = values.shape
    rows = _start(training, random, features * each)
    rows[np.arange(len(rows)), np.repeat(np.arange(features), each)] = values.ravel()
    joint = _start(training, random, 8 * each)
    picked = values[np.arange(features), random.integers(0, each, joint.shape)]
    joint = np.where(random.random(joint.shape) < 0.5, picked, joint)
    return np.concatenate([rows, joint]).astype(np.float32)


def _category_rows(
    schema: FeatureSchema, training: Float32, random: np.random.Generator, categorical: Sequence[int]
) -> Float32:
    """Return rows with every seen category, and codes that are unseen, negative, fractional or huge."""
    parts = []
    for feature in categorical:
        count = len(schema.features[feature].categories)
        codes = np.concatenate([_evenly(count, 1000), [count, count + 1, -1, 0.5, -0.5, count - 0.5, 1e9]])
        block = _start(training, random, codes.size)
        block[:, feature] = codes
        parts.append(block)
    return np.concatenate(parts)
