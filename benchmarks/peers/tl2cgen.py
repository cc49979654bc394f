"""tl2cgen: models compiled to C."""

from __future__ import annotations

from pathlib import Path

from benchmarks.models import Model
from benchmarks.peers import treelite
from benchmarks.peers._peer import Answer, Peer, UnsupportedError

__all__ = ["PEERS"]

MOST_NODES = 50_000
"""37,000 nodes are half a minute's work for its C compiler; the random forest has five times as many."""
LIBRARY = "model.so"


def _convert(model: Model, folder: Path) -> None:
    import tl2cgen

    _require_small(model)
    tl2cgen.export_lib(
        treelite.load(model, model.kinds[0]), toolchain="gcc", libpath=folder / LIBRARY, params={"parallel_comp": 2},
        nthread=1,
    )  # fmt: skip


def _open(model: Model, folder: Path, threads: int) -> Answer:
    import tl2cgen

    _require_small(model)
    predictor, matrix = tl2cgen.Predictor(folder / LIBRARY, nthread=threads), tl2cgen.DMatrix
    return lambda rows: predictor.predict(matrix(rows))[:, 0]


def _require_small(model: Model) -> None:
    if len(model.kinds) > 1:
        raise UnsupportedError("compiles one library's model, and the random forest is too large for its C compiler")
    if model.kinds[0] == "random_forest" or sum(model.nodes) > MOST_NODES:
        raise UnsupportedError(f"its C compiler takes minutes for {sum(model.nodes):,} nodes")


PEERS = (
    Peer(
        "tl2cgen", "tl2cgen", _open, _convert, ("tl2cgen",), ("tl2cgen", "treelite"), environment="tl2cgen",
        requirements=("tl2cgen==1.0.0", "treelite>=4.1", "numpy<2"),
    ),
)  # fmt: skip
