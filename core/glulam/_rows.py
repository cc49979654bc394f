"""Rows that find mistakes: on every kind of threshold and beside it, missing, extreme, unseen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from glulam.forest import Forest, float32_at_or_below
from glulam.schema import FeatureSchema

__all__ = ["Family", "families", "levels", "rows_like", "thresholds"]

Rows = npt.NDArray[np.floating[Any]]

_FEW, _CODED = 64, 0.9
_TINY = np.float32(1e-35)  # LightGBM reads values this close to 0 as 0
_EXTREMES = np.array(
    [0.0, -0.0, 1e-45, -1e-45, np.finfo(np.float32).tiny, _TINY, -_TINY, np.nextafter(_TINY, np.float32(1)),
     np.nextafter(-_TINY, np.float32(-1)), np.finfo(np.float32).max, np.finfo(np.float32).min],
    dtype=np.float32,
)  # fmt: skip
_BESIDE_FLOAT32 = np.array(
    [5e-324, -5e-324, np.nextafter(np.float64(_TINY), 1), np.nextafter(-np.float64(_TINY), -1), 1e-300]
)
_BEYOND_FLOAT32 = np.array([1e39, -1e39, 1e300])


@dataclass(frozen=True, slots=True)
class Family:
    """Rows of one kind, [n, n_features].

    visited
        share of all distinct thresholds (or categories) that these rows stand on; None where it is
        not about them
    """

    name: str
    rows: Rows
    visited: float | None = None


def thresholds(forests: Sequence[Forest], feature: int, dtype: Any = np.float32) -> Rows:
    """Return the distinct finite thresholds of a feature, sorted, in the type of the rows."""
    found = [forest.threshold[(forest.feature == feature) & ~forest.is_categorical] for forest in forests]
    values = np.concatenate([*found, np.empty(0)])
    values = np.unique(float32_at_or_below(values) if dtype == np.float32 else values)
    return np.asarray(values[np.isfinite(values)], dtype=dtype)


def levels(forests: Sequence[Forest], feature: int) -> npt.NDArray[np.float64]:
    """Return the distinct numbers in the sets that a feature is tested for, sorted."""
    found = [np.empty(0)]
    for forest in forests:
        if not forest.category_set.size:
            continue
        used = np.unique(forest.category_set[(forest.feature == feature) & forest.is_categorical])
        sets = forest.category_sets() if used.size else []
        found += [sets[number] for number in used]
    return np.unique(np.concatenate(found))


def families(
    schema: FeatureSchema, forests: Sequence[Forest], training: Rows, *, rows: int, seed: int
) -> Iterator[Family]:
    """Yield named families of rows in the type of ``training``, together about ``rows`` many.

    ``training`` are rows to start from, at least one.
    """
    random = np.random.default_rng(seed)
    count, dtype = len(schema), training.dtype
    yield Family("training", training[_evenly(len(training), rows // 10)])
    yield Family("random", _random_rows(schema, training, random, rows // 10))
    by_feature = [thresholds(forests, feature, dtype) for feature in range(count)]
    chosen = _within_budget(by_feature, max(3 * count, rows // 2 // 3))
    known = sum(values.size for values in by_feature)
    share = sum(values.size for values in chosen) / known if known else None
    yield Family("threshold", _threshold_rows(chosen, forests, training, random), share)
    yield Family("joint thresholds", _joint_rows(by_feature, forests, training, random, rows // 10))
    yield Family("missing", _missing_rows(training, random, rows // 10))
    yield Family("extreme", _placed(training, random, np.tile(_EXTREMES.astype(dtype), (count, 1))))
    if dtype == np.float64:
        yield Family("beside float32", _placed(training, random, np.tile(_BESIDE_FLOAT32, (count, 1))))
        yield Family("beyond float32", _placed(training, random, np.tile(_BEYOND_FLOAT32, (count, 1))))
    yield Family("infinite", _placed(training, random, np.tile(np.array([np.inf, -np.inf], dtype), (count, 1))))
    by_category = {feature: _categories(schema, forests, feature) for feature in range(count)}
    by_category = {feature: codes for feature, codes in by_category.items() if codes.size}
    if by_category:
        seen = _within_budget(list(by_category.values()), max(20 * len(by_category), rows // 4))
        share = sum(codes.size for codes in seen) / sum(codes.size for codes in by_category.values())
        yield Family("categories", _category_rows(dict(zip(by_category, seen, strict=True)), training, random), share)


def rows_like(forests: Sequence[Forest], schema: FeatureSchema, dtype: Any, *, rows: int = 500, seed: int = 0) -> Rows:
    """Return rows for a model of which no rows were kept: around its thresholds, and of its categories."""
    random = np.random.default_rng(seed)
    made = random.standard_normal((rows, len(schema)))
    for feature in range(len(schema)):
        known = thresholds(forests, feature, np.float64)
        codes = _categories(schema, forests, feature)
        if codes.size:
            made[:, feature] = codes[random.integers(0, codes.size, rows)]
        elif known.size:
            low, high = np.quantile(known, [0.05, 0.95])
            with np.errstate(over="ignore", invalid="ignore"):
                spread = np.nan_to_num(high - low) or abs(float(known[0])) or 1.0
                made[:, feature] = known[random.integers(0, known.size, rows)] + spread * made[:, feature] / 10
    limit = float(np.finfo(np.float32).max)
    return np.asarray(np.clip(np.nan_to_num(made), -limit, limit), dtype=dtype)


def _categories(schema: FeatureSchema, forests: Sequence[Forest], feature: int) -> npt.NDArray[np.float64]:
    """Return the codes of a categorical feature: those of the schema and those in the trees."""
    declared = np.arange(len(schema.features[feature].categories), dtype=np.float64)
    return np.union1d(declared, levels(forests, feature))


def _evenly(count: int, most: int) -> npt.NDArray[np.int64]:
    return np.unique(np.linspace(0, count - 1, max(1, min(count, most))).astype(np.int64))


def _within_budget(values: Sequence[Rows], budget: int) -> list[Rows]:
    """Return all values of each feature, or evenly spaced ones where they are too many together.

    What a feature does not need of its share is the others'.
    """
    chosen: dict[int, Rows] = {}
    by_size = sorted(range(len(values)), key=lambda feature: values[feature].size)
    for position, feature in enumerate(by_size):
        share = max(1, budget // (len(values) - position))
        found = values[feature]
        chosen[feature] = found if found.size <= share else found[_evenly(found.size, share)]
        budget -= min(found.size, share)
    return [chosen[feature] for feature in range(len(values))]


def _start(training: Rows, random: np.random.Generator, count: int) -> Rows:
    """Return copies of training rows to put special values into."""
    return training[random.integers(0, len(training), count)]


def _random_rows(schema: FeatureSchema, training: Rows, random: np.random.Generator, count: int) -> Rows:
    """Return rows spread evenly over a little more than the range of each feature."""
    finite = np.where(np.isfinite(training), training, np.nan).astype(np.float64)
    seen = ~np.isnan(finite).all(axis=0)
    low, high = np.zeros(len(schema)), np.ones(len(schema))
    low[seen], high[seen] = np.nanmin(finite[:, seen], axis=0), np.nanmax(finite[:, seen], axis=0)
    with np.errstate(over="ignore"):
        slack = 0.1 * (high - low) + 1e-3
    limit = float(np.finfo(np.float32).max)
    low, high = np.clip(low - slack, -limit / 2, limit / 2), np.clip(high + slack, -limit / 2, limit / 2)
    spread = random.uniform(low, high, (count, len(low)))
    made = spread.astype(training.dtype)
    # A few whole numbers are codes, of which libraries may know no others.
    for feature in range(len(schema)):
        seen_values = np.unique(training[~np.isnan(training[:, feature]), feature])
        if 0 < seen_values.size <= _FEW and (seen_values == np.rint(seen_values)).all():
            coded = random.random(count) < _CODED
            made[coded, feature] = seen_values[random.integers(0, seen_values.size, count)][coded]
    return made


def _beside(values: Rows, forests: Sequence[Forest]) -> Rows:
    """Return each value, and the ones just below and above it.

    For rows of float64 and a library that rounds them to float32 those are one step in either type.
    """
    dtype = values.dtype
    steps = [dtype.type]
    if dtype == np.float64 and any(forest.reads == "float32" for forest in forests):
        steps.append(np.float32)
    parts = [values]
    with np.errstate(over="ignore"):  # beside the ends are infinities
        for step in steps:
            near = values.astype(step)
            parts += [np.nextafter(near, step(-np.inf)), np.nextafter(near, step(np.inf))]
        if len(steps) > 1:  # where rounding to float32 turns
            parts += [(values + parts[-1]) / 2, np.nextafter((values + parts[-1]) / 2, np.inf)]
    return np.concatenate([part.astype(dtype) for part in parts])


def _threshold_rows(
    by_feature: Sequence[Rows], forests: Sequence[Forest], training: Rows, random: np.random.Generator
) -> Rows:
    """Return training rows with one feature on, just below or just above a threshold."""
    parts = []
    for feature, values in enumerate(by_feature):
        if values.size:
            special = _beside(values, forests)
            block = _start(training, random, special.size)
            block[:, feature] = special
            parts.append(block)
    return np.concatenate(parts) if parts else training[:1]


def _joint_rows(
    by_feature: Sequence[Rows], forests: Sequence[Forest], training: Rows, random: np.random.Generator, count: int
) -> Rows:
    """Return rows with most features on or beside thresholds at once."""
    rows = _start(training, random, count)
    for feature, values in enumerate(by_feature):
        if values.size:
            special = _beside(values, forests)
            placed = random.random(count) < 0.8
            rows[placed, feature] = special[random.integers(0, special.size, count)][placed]
    return rows


def _missing_rows(training: Rows, random: np.random.Generator, count: int) -> Rows:
    """Return rows with NaN in one feature, in several, in all."""
    rows = _start(training, random, max(count, 3 * training.shape[1]))
    several = random.random(rows.shape) < random.random((len(rows), 1))
    several[: len(rows) // 3] = False
    rows[several] = np.nan
    rows[np.arange(len(rows)), np.arange(len(rows)) % training.shape[1]] = np.nan
    rows[-1] = np.nan
    return rows


def _placed(training: Rows, random: np.random.Generator, values: Rows) -> Rows:
    """Return rows with ``values[feature]`` in that feature, each alone, and some joint ones."""
    features, each = values.shape
    rows = _start(training, random, features * each)
    rows[np.arange(len(rows)), np.repeat(np.arange(features), each)] = values.ravel()
    joint = _start(training, random, 8 * each)
    picked = values[np.arange(features), random.integers(0, each, joint.shape)]
    joint = np.where(random.random(joint.shape) < 0.5, picked, joint)
    return np.concatenate([rows, joint]).astype(training.dtype)


def _category_rows(by_feature: dict[int, Rows], training: Rows, random: np.random.Generator) -> Rows:
    """Return rows with every known category, and codes that are unseen, negative, fractional or huge."""
    parts = []
    for feature, known in by_feature.items():
        last = known[-1]
        odd = [last + 1, last + 2, -1.0, -2.0, 0.5, -0.5, last - 0.5, last + 0.5, known[0] + 0.25, 2.0**24, 1e9, 1e30]
        codes = np.concatenate([known, odd, [np.nan]])
        block = _start(training, random, codes.size)
        block[:, feature] = codes
        parts.append(block)
    joint = _start(training, random, 200)
    for feature, known in by_feature.items():
        joint[:, feature] = known[random.integers(0, known.size, len(joint))]
    return np.concatenate([*parts, joint])
