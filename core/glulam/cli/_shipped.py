"""The candles that come with glulam."""

from __future__ import annotations

from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

__all__ = ["CANDLES", "shipped"]

CANDLES = "btcusdt_4h_2018_2023.csv.gz"


def shipped() -> Traversable:
    """Return the candles in the installed package, or those of the checkout."""
    packaged = resources.files("glulam.cli") / "data" / CANDLES
    return packaged if packaged.is_file() else Path(__file__).parents[3] / "examples" / "data" / CANDLES
