"""Fixtures shared by all tests: real data, and small ensembles fitted on it."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

DATA = Path(__file__).parents[1] / "examples" / "data"


@pytest.fixture(scope="session")
def binary() -> tuple[np.ndarray, np.ndarray]:
    """Return 1,500 rows of LightGBM's binary example: float32 [1500, 28] and labels 0 and 1."""
    with gzip.open(DATA / "lightgbm_binary.train.gz", "rt") as lines:
        table = np.loadtxt(lines, max_rows=1500)
    return table[:, 1:].astype(np.float32), table[:, 0].astype(int)


@pytest.fixture(scope="session")
def candles() -> Path:
    """Return the path of the real 4-hour candles."""
    return DATA / "btcusdt_4h_2018_2023.csv.gz"
