"""lleaves: LightGBM models compiled by LLVM."""

from __future__ import annotations

from pathlib import Path

from benchmarks.models import Model
from benchmarks.peers._peer import Answer, Peer, UnsupportedError

__all__ = ["PEERS"]

CACHE = "lightgbm.bin"


def _convert(model: Model, folder: Path) -> None:
    import lleaves

    _require_lightgbm(model)
    # An old file would be loaded instead of compiled.
    (folder / CACHE).unlink(missing_ok=True)
    lleaves.Model(model_file=str(model.native("lightgbm"))).compile(cache=folder / CACHE)


def _open(model: Model, folder: Path, threads: int) -> Answer:
    import lleaves

    _require_lightgbm(model)
    opened = lleaves.Model(model_file=str(model.native("lightgbm")))
    opened.compile(cache=folder / CACHE)
    predict = opened.predict
    return lambda rows: predict(rows, n_jobs=threads)


def _require_lightgbm(model: Model) -> None:
    if model.kinds != ("lightgbm",):
        raise UnsupportedError("compiles LightGBM models only")


PEERS = (
    Peer(
        "lleaves", "lleaves", _open, _convert, ("lleaves",), ("lleaves",), environment="lleaves",
        # Later llvmlite has no longer the pass manager that lleaves calls.
        requirements=("lleaves==1.3.0", "llvmlite<0.44", "numpy"),
    ),
)  # fmt: skip
