"""The ``ratios`` feature generator: columns divided by others of the same row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from feature_engine.creation import RelativeFeatures

from glulam.errors import ConfigError, FeatureError
from glulam.hookspecs import FeatureGenerator, hookimpl
from glulam_plugins.features._generating import names, read_columns, require_new, require_results, transformed

__all__ = ["Ratios"]


class Ratios(FeatureGenerator):
    """Each numerator divided by each denominator, by feature-engine's RelativeFeatures.

    numerators, denominators
        columns; no column is divided by itself
    zero
        what a feature is where its denominator is 0; by default such a row is refused

    ``close_div_open`` is close / open of the same row. A value that is missing or infinite is refused.
    """

    name = "ratios"
    distributions = ("feature-engine", "pandas")
    warm_up = 0

    def __init__(
        self, numerators: str | Sequence[str], denominators: str | Sequence[str], zero: float | None = None
    ) -> None:
        self._over = names("ratios", "numerators", numerators)
        self._under = names("ratios", "denominators", denominators)
        if zero is not None and not (
            isinstance(zero, int | float) and not isinstance(zero, bool) and np.isfinite(zero)
        ):
            raise ConfigError(f"ratios: zero: expected a finite number or None, got {zero!r}; for example zero=0.0")
        self._zero = zero
        self.columns = tuple(f"{over}_div_{under}" for over in self._over for under in self._under if over != under)
        if not self.columns:
            raise ConfigError(f"ratios: {self._over[0]!r} divided by itself is 1; name another denominator")
        require_new(self.name, self.columns, self._over + self._under)

    def generate(self, table: Any) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
        """Return float64 [n_rows, n_columns] and the int64 row of each. Raises `FeatureError`."""
        frame = pd.DataFrame(read_columns(table, tuple(dict.fromkeys(self._over + self._under)), self.name))
        for name in self._under if self._zero is None else ():
            zero = frame[name].to_numpy() == 0
            if zero.any():
                raise FeatureError(
                    f"ratios: column {name!r}, row {int(np.argmax(zero))}: expected a denominator that is not 0, got 0 "
                    f"({int(zero.sum())} such rows); drop such rows, or say what the ratio shall be: zero=0.0"
                )
        maker = RelativeFeatures(
            variables=list(self._over), reference=list(self._under), func=["div"], fill_value=self._zero
        )
        with np.errstate(all="ignore"):  # overflow is refused by feature and row
            features = transformed(maker, frame)[list(self.columns)].to_numpy(dtype=np.float64)
        require_results(features, self.columns, self.name)
        return features, np.arange(len(frame), dtype=np.int64)


@hookimpl
def glulam_features() -> type[FeatureGenerator]:
    """Return the feature generator of this file."""
    return Ratios
