"""What is measured, how much of it and how often. Nothing heavy is imported here."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["FULL", "MODELS", "QUICK", "QUICK_MODELS", "Scale"]

MODELS = {
    "ensemble": "the default ensemble: LightGBM, XGBoost and a random forest, 200 trees each",
    "lightgbm": "its LightGBM member alone",
    "xgboost": "its XGBoost member alone",
    "random_forest": "its random forest alone",
    "leafwise": "LightGBM, 200 trees of 255 leaves and any depth",
    "multiclass": "XGBoost, 10 classes, 200 trees each",
}
"""The models that are fitted, as the results describe them."""
QUICK_MODELS = ("ensemble", "lightgbm")


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is fitted and how often it is measured.

    trees
        of each member; None for the plugins' defaults
    sizes, sweep_sizes
        rows of a call: of all peers, and of the curve over rows
    turns, few_turns
        turns of each peer for calls of up to 1,000 rows, and for larger ones
    turn_seconds
        how long a turn lasts about, if a call is shorter
    blocks, calls, batch, batch_rounds, cold_calls
        of float32 against float64
    overhead_calls
        calls of each side of the overhead
    exports, starts
        fresh processes that export, and that start to serve
    proof_rows
        about how many rows the proof tries, and how many look for differences
    growth
        whether growth goes as far as it is meant to
    """

    trees: int | None
    rows: int
    sizes: tuple[int, ...]
    sweep_sizes: tuple[int, ...]
    turns: int
    few_turns: int
    turn_seconds: float
    blocks: int
    calls: int
    batch: int
    batch_rounds: int
    cold_calls: int
    overhead_calls: int
    exports: int
    starts: int
    proof_rows: int
    growth: bool


_STEPS = tuple(step * 10**power for power in range(5) for step in (1, 2, 3, 5, 7))
FULL = Scale(
    trees=None, rows=20_000, sizes=(1, 10, 100, 1_000, 10_000), sweep_sizes=(*_STEPS, 100_000), turns=40, few_turns=10,
    turn_seconds=0.03, blocks=40, calls=400, batch=5_000, batch_rounds=21, cold_calls=400, overhead_calls=40_000,
    exports=3, starts=5, proof_rows=20_000, growth=True,
)  # fmt: skip
QUICK = Scale(
    trees=3, rows=600, sizes=(1, 50), sweep_sizes=(1, 20, 200), turns=2, few_turns=2,
    turn_seconds=0.001, blocks=2, calls=10, batch=50, batch_rounds=2, cold_calls=3, overhead_calls=50,
    exports=1, starts=1, proof_rows=1_000, growth=False,
)  # fmt: skip
