"""Who is measured: one module a library, each with its ``PEERS``.

These modules are imported in every peer's virtual environment: a library is imported where it is
used, never on top.
"""

from __future__ import annotations

from benchmarks.peers import (
    daal4py,
    glulam,
    hummingbird,
    lleaves,
    native,
    onnx_converters,
    tl2cgen,
    treelite,
)
from benchmarks.peers._peer import OWN, Peer, UnsupportedError

__all__ = ["OWN", "PEERS", "Peer", "UnsupportedError"]

PEERS: dict[str, Peer] = {
    peer.name: peer
    for module in (glulam, onnx_converters, native, lleaves, treelite, tl2cgen, daal4py, hummingbird)
    for peer in module.PEERS
}
"""All peers by name, in the order of tables and plots."""
