"""FeatureSchema: what a row is. Names, order, kinds and missing-value policy of the features.

It is learnt from the training table or given, travels inside the exported file as JSON, and turns
any table into the one float32 matrix that members are trained on and the file is fed. It needs
numpy alone: tables of pandas, polars and pyarrow are read through what they offer, never imported.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from glulam._encoding import Float32CollisionWarning, is_missing, narrow, to_float64, warn_of_collisions
from glulam._tables import Table, as_table, shorten
from glulam.errors import ConfigError, FeatureError, FeatureTypeError

__all__ = ["Category", "Feature", "FeatureSchema", "Float32CollisionWarning"]

Category = str | int | float | bool
Kind = Literal["numeric", "boolean", "categorical"]
Float32 = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Feature:
    """One column.

    kind
        ``numeric``: any number. ``boolean``: true or false (1.0, 0.0). ``categorical``: one of
        ``categories``, encoded as its position there.
    missing
        ``error`` refuses missing values (NaN, None, NA); ``allow`` encodes them as NaN, which
        tree members route as they learnt.
    unseen
        What a category that is not listed does: ``error``, or ``missing`` to treat it as missing.
    """

    name: str
    kind: Kind = "numeric"
    categories: tuple[Category, ...] = ()
    missing: Literal["error", "allow"] = "error"
    unseen: Literal["error", "missing"] = "error"

    def __post_init__(self) -> None:
        """Check that the parts fit each other."""
        if not isinstance(self.name, str) or not self.name:
            raise ConfigError(f"Feature: expected a non-empty string as name, got {self.name!r}")
        for what, value, choices in (
            ("kind", self.kind, ("numeric", "boolean", "categorical")),
            ("missing", self.missing, ("error", "allow")),
            ("unseen", self.unseen, ("error", "missing")),
        ):
            if value not in choices:
                raise ConfigError(f"feature {self.name!r}: {what}: expected one of {choices}, got {value!r}")
        object.__setattr__(self, "categories", tuple(self.categories))
        if (self.kind == "categorical") != bool(self.categories):
            raise ConfigError(
                f"feature {self.name!r}: categories belong to kind 'categorical', and it needs at least one; "
                f"got kind {self.kind!r} with {len(self.categories)} categories"
            )
        odd = [c for c in self.categories if not isinstance(c, (str, int, float)) or c != c]
        if odd:
            raise ConfigError(
                f"feature {self.name!r}: categories are strings, integers, floats or booleans; got {odd[0]!r} "
                f"({type(odd[0]).__name__}); convert the column, for example to strings"
            )
        if len(set(self.categories)) != len(self.categories):
            raise ConfigError(f"feature {self.name!r}: a category is listed twice")
        if self.unseen == "missing" and self.missing == "error":
            raise ConfigError(
                f"feature {self.name!r}: unseen='missing' needs missing='allow', else the value is refused anyway"
            )


@dataclass(frozen=True, slots=True)
class FeatureSchema:
    """The features in order; ``named`` tells whether the names came from the user.

    Without names (learnt from an array) features are called x0, x1, ... as in scikit-learn.
    """

    features: tuple[Feature, ...]
    named: bool = True

    def __post_init__(self) -> None:
        """Check that there are features and that no name comes twice."""
        object.__setattr__(self, "features", tuple(self.features))
        names = self.names
        if not names:
            raise ConfigError("FeatureSchema: expected at least one feature, got none")
        twice = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
        if twice:
            raise ConfigError(f"FeatureSchema: feature names must be unique; {twice} come more than once")

    def __len__(self) -> int:
        return len(self.features)

    @property
    def names(self) -> list[str]:
        """Feature names in order."""
        return [feature.name for feature in self.features]

    @property
    def allows_missing(self) -> npt.NDArray[np.bool_]:
        """Which features may be NaN, bool [n_features]."""
        return np.array([feature.missing == "allow" for feature in self.features])

    # -- learning ---------------------------------------------------------------------------

    @classmethod
    def learn(
        cls, table: Any, *, categorical: Sequence[str] = (), unseen: Literal["error", "missing"] = "error"
    ) -> FeatureSchema:
        """Learn the schema of a training table.

        Booleans and categorical dtypes keep their kind; columns named in ``categorical`` are made
        categorical, with their sorted values as categories. Missing values are allowed in
        features that have some here; ``unseen="missing"`` allows them in every categorical one.
        Text in any other column is a `FeatureTypeError`.
        """
        source = as_table(table, "FeatureSchema")
        names = source.names or [f"x{index}" for index in range(source.n_columns)]
        unknown = [name for name in categorical if name not in names]
        if unknown:
            raise ConfigError(f"categorical: {unknown} are no columns; the table has {names}")
        features = [
            _learn_feature(name, source, index, name in categorical, unseen) for index, name in enumerate(names)
        ]
        return cls(tuple(features), named=source.names is not None)

    # -- encoding ---------------------------------------------------------------------------

    def encode(
        self,
        table: Any,
        *,
        reorder: bool = False,
        owner: str = "FeatureSchema",
        dtype: npt.DTypeLike = np.float32,
    ) -> npt.NDArray[Any]:
        """Return the table as float32 [n_rows, n_features], C-contiguous; as float64 if ``dtype`` says so.

        table
            2-d array, pandas, polars or pyarrow table, or a mapping of columns. With column names
            they must be the schema's, in its order; with ``reorder=True`` in any order, and
            further columns are ignored. Without names, by position.

        Raises FeatureError naming column, row and value of what does not fit. Missing values pass
        as NaN here (the `finite` validator refuses them where the schema does not allow them),
        infinities as well.
        """
        if (
            type(table) is np.ndarray
            and table.ndim == 2
            and table.dtype.kind in "fiub"
            and table.shape[1] == len(self.features)
            and len(table)
            and all(feature.kind == "numeric" for feature in self.features)
        ):
            return narrow(table, self.names, owner, dtype)
        source = as_table(table, owner)
        order = self._column_order(source, reorder, owner)
        matrix = np.empty((source.n_rows, len(self.features)), dtype=dtype)
        for position, (feature, index) in enumerate(zip(self.features, order, strict=True)):
            matrix[:, position] = _encode_column(feature, source, index, owner, dtype)
        return matrix

    def decode(self, rows: npt.NDArray[Any]) -> dict[str, npt.NDArray[Any]]:
        """Return encoded rows [n_rows, n_features] as columns by name; `encode` makes the same rows of them.

        Categories come by what they are, not by their position; missing ones as None.
        """
        columns: dict[str, npt.NDArray[Any]] = {}
        for index, feature in enumerate(self.features):
            values: npt.NDArray[Any] = rows[:, index]
            if feature.kind == "categorical":
                named = [*feature.categories, None]
                codes: npt.NDArray[Any] = np.nan_to_num(values, nan=len(feature.categories)).astype(np.int64)
                values = np.array([named[code] for code in codes.tolist()], dtype=object)
            columns[feature.name] = values
        return columns

    def _column_order(self, source: Table, reorder: bool, owner: str) -> list[int]:
        """Return for each feature which column of the table holds it."""
        names, got = self.names, source.names
        if got is None or not self.named:
            if source.n_columns != len(names):
                expected = f"; expected {shorten(names)}" if self.named else ""
                raise FeatureError(
                    f"X has {source.n_columns} features, but {owner} is expecting {len(names)} features as input"
                    f"{expected}"
                )
            return list(range(len(names)))
        if got == names:
            return list(range(len(names)))
        if reorder and set(names) <= set(got):
            return [got.index(name) for name in names]
        raise FeatureError(_name_mismatch(names, got, reorder))

    # -- JSON -------------------------------------------------------------------------------

    def to_json(self) -> str:
        """Return the schema as JSON; `from_json` reads it back equal."""
        features = []
        for feature in self.features:
            entry = asdict(feature)
            entry["categories"] = list(feature.categories)
            features.append(entry)
        return json.dumps({"named": self.named, "features": features}, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> FeatureSchema:
        """Read `to_json`. Raises ConfigError where the text is not a schema."""
        try:
            data = json.loads(text)
            features = tuple(Feature(**entry) for entry in data["features"])
            return cls(features, named=bool(data["named"]))
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigError(f"FeatureSchema: not the JSON of a schema: {error}") from error


# -- columns ---------------------------------------------------------------------------------


def _learn_feature(
    name: str, source: Table, index: int, categorical: bool, unseen: Literal["error", "missing"]
) -> Feature:
    """Learn one column; its dtype tells the kind."""
    categories = source.categories(index)
    values = source.column(index)
    if categorical or categories is not None:
        seen = values[~is_missing(values)]
        if categories is None:
            try:
                categories = sorted(set(seen.tolist()))
            except TypeError as error:
                raise FeatureTypeError(f"column {name!r}: categories of mixed types: {error}") from error
        if not categories:
            raise FeatureError(f"column {name!r}: a categorical feature needs at least one category; all are missing")
        missing = len(seen) < len(values) or unseen == "missing"
        return Feature(name, "categorical", tuple(categories), "allow" if missing else "error", unseen)
    if values.dtype == bool:
        return Feature(name, "boolean")
    numbers = to_float64(values, name, "FeatureSchema")
    warn_of_collisions(name, numbers)
    boolean = values.dtype == object and all(isinstance(v, (bool, np.bool_)) for v in values[~np.isnan(numbers)])
    return Feature(
        name, "boolean" if boolean and len(values) else "numeric",
        missing="allow" if np.isnan(numbers).any() else "error",
    )  # fmt: skip


def _encode_column(feature: Feature, source: Table, index: int, owner: str, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Encode one column as float32 or float64 [n_rows]."""
    values = source.column(index)
    if feature.kind == "categorical":
        return _encode_categories(feature, values, owner)
    numbers = to_float64(values, feature.name, owner)
    if feature.kind == "boolean":
        odd = np.flatnonzero((numbers != 0) & (numbers != 1) & ~np.isnan(numbers))
        if odd.size:
            row = int(odd[0])
            raise FeatureError(
                f"{owner}: column {feature.name!r}, row {row}: expected true or false, got {values.tolist()[row]!r}"
            )
    return narrow(numbers.reshape(-1, 1), [feature.name], owner, dtype)[:, 0]


def _encode_categories(feature: Feature, values: npt.NDArray[Any], owner: str) -> Float32:
    """Encode categories as their positions; missing, and unseen if so told, as NaN."""
    code = {category: position for position, category in enumerate(feature.categories)}
    missing = is_missing(values)
    codes = np.full(len(values), np.nan, dtype=np.float32)
    for row, value in enumerate(values.tolist()):
        if missing[row]:
            continue
        position = code.get(value)
        # True == 1 in Python: a boolean is not the category 1, nor the other way round.
        if position is not None and isinstance(value, bool) is not isinstance(feature.categories[position], bool):
            position = None
        if position is None:
            if feature.unseen == "error":
                raise FeatureError(
                    f"{owner}: column {feature.name!r}, row {row}: category {value!r} was not seen in training; "
                    f"expected one of {shorten(list(feature.categories))}; or declare unseen='missing' in the schema"
                )
            continue
        codes[row] = position
    return codes


def _name_mismatch(names: list[str], got: list[str], reorder: bool) -> str:
    """Say how the table's column names differ, beginning in scikit-learn's own words."""
    unseen = [name for name in got if name not in set(names)]
    lacking = [name for name in names if name not in set(got)]
    lines = ["The feature names should match those that were passed during fit."]
    if unseen:
        lines += ["Feature names unseen at fit time:", *(f"- {name}" for name in sorted(unseen)[:5])]
    if lacking:
        lines += ["Feature names seen at fit time, yet now missing:", *(f"- {n}" for n in sorted(lacking)[:5])]
    if not unseen and not lacking:
        lines += ["Feature names must be in the same order as they were in fit."]
    lines += [f"expected: {shorten(names)}", f"got: {shorten(got)}"]
    if not lacking and not reorder:
        lines += ["Select and order the columns, or ask for it with reorder=True."]
    return "\n".join(lines) + "\n"
