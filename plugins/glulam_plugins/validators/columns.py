"""Columns: their count, and their names and order where the schema has names."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from glulam.errors import FeatureError
from glulam.hookspecs import FeatureValidator, hookimpl
from glulam.schema import FeatureSchema


class Columns(FeatureValidator):
    """Refuses a matrix whose number of columns is not the schema's.

    Names and their order are compared where they still exist: when the schema encodes a table.
    """

    name = "columns"

    def check(self, X: npt.NDArray[np.float32], schema: FeatureSchema) -> None:
        """Raise FeatureError for a wrong number of columns."""
        if X.ndim != 2 or X.shape[1] != len(schema):
            raise FeatureError(
                f"columns: expected {len(schema)} columns {schema.names}, got shape {X.shape}; "
                "give one column a feature, in this order"
            )


@hookimpl
def glulam_feature_validator() -> type[FeatureValidator]:
    """Offer the column check."""
    return Columns
