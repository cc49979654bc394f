"""What the ``technical`` features are, for whole tables and candle by candle."""

from __future__ import annotations

__all__ = ["COLUMNS", "WARM_UP", "WINDOW"]

COLUMNS = (
    "close",
    "volume",
    "returns_1",
    "rsi_14",
    "macd",
    "macd_signal",
    "atr_14",
    "bb_position",
    "ema_20",
    "ema_50",
    "zscore",
    "volume_ratio",
)
WARM_UP = 49
WINDOW = 20
