"""Datasets for tests: the shipped candles with features and labels, as the pipeline makes them."""

from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow.csv

from glulam import Feature, FeatureSchema, plugins
from glulam.dataset import Dataset, RawTable
from glulam.training.results import OutOfFold

CANDLES = Path(__file__).parents[2] / "examples" / "data" / "btcusdt_4h_2018_2023.csv.gz"


@lru_cache
def _candles():
    """Return the checked candles."""
    checked, _ = plugins.features("technical").check(pyarrow.csv.read_csv(CANDLES))
    return checked


def raw_candles(n_rows: int) -> RawTable:
    """Return the first candles as a raw table."""
    columns = {name: values[:n_rows] for name, values in _candles().items()}
    time = columns["timestamp"].astype("datetime64[us]").view(np.int64)
    return RawTable(columns, time, np.arange(n_rows), "candles", "0" * 64)


def candles_dataset(n_rows: int) -> Dataset:
    """Return the technical features of the first candles, with the direction of the next bar."""
    raw = raw_candles(n_rows)
    generator = plugins.features("technical")
    features, rows = generator.generate(dict(raw.columns))
    known = rows + 1 < n_rows
    features, rows = features[known], rows[known]
    close = raw.columns["close"]
    return Dataset(
        X=features.astype(np.float32),
        y=(close[rows + 1] > close[rows]).astype(np.int64),
        schema=FeatureSchema(tuple(Feature(name) for name in generator.columns)),
        task="binary",
        classes=np.array([0, 1]),
        horizon=1,
        rows=rows,
        label_end=rows + 1,
        raw=raw,
        generators=(("technical", {}),),
        label=("next_direction", {}),
    )


def perfect_answers(data: Dataset, *, late: int = 0) -> OutOfFold:
    """Return answers that are the labels themselves, or those of so many rows before."""
    labels = np.roll(data.y, late)
    scores = np.column_stack([1.0 - labels, labels]).astype(np.float64)
    rows = np.arange(len(data))
    return OutOfFold(rows, np.zeros(len(data), dtype=np.int64), scores[:, None, :], scores, labels, {}, {})
