"""What labels of prices share."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from glulam.dataset import RawTable
from glulam.errors import ConfigError, FeatureError

__all__ = ["prices", "require_rows", "require_share"]

Float64 = npt.NDArray[np.float64]


def prices(raw: RawTable, name: str, label: str) -> Float64:
    """Return a column of prices as float64 [n_rows]. Raises FeatureError for what is none."""
    if name not in raw.columns:
        raise FeatureError(f"label {label!r} needs a column {name!r}; the table has {list(raw.columns)}")
    values = raw.columns[name]
    if values.dtype.kind not in "fi":
        raise FeatureError(f"label {label!r}: column {name!r} holds {_kind(values)}, expected prices")
    found = values.astype(np.float64)
    # nan is not above 0, so it is refused too.
    bad = ~((found > 0) & np.isfinite(found))
    if bad.any():
        row = int(np.argmax(bad))
        raise FeatureError(
            f"column {name!r}, row {row}: label {label!r} expected a price above 0, got {found[row]} ({int(bad.sum())} "
            "such rows); mend them at their source, or leave them out"
        )
    return found


def require_rows(label: str, key: str, value: object, least: int = 1) -> int:
    """Return a number of rows. Raises ConfigError for anything else."""
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ConfigError(f"label {label!r}: {key}: expected a whole number of at least {least}, got {value!r}")
    return value


def require_share(label: str, key: str, value: object, low: float = -math.inf, high: float = math.inf) -> float:
    """Return a finite number between two others. Raises ConfigError for anything else."""
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not low < value < high:
        between = "" if math.isinf(low) else f" above {low:g}" if math.isinf(high) else f" between {low:g} and {high:g}"
        raise ConfigError(f"label {label!r}: {key}: expected a number{between}, such as 0.01, got {value!r}")
    return float(value)


def _kind(values: npt.NDArray[np.generic]) -> str:
    return "true/false" if values.dtype.kind == "b" else "text"
