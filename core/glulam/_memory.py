"""How much memory a process holds."""

from __future__ import annotations

import sys
from pathlib import Path

__all__ = ["resident_bytes"]


def resident_bytes() -> int | None:
    """Return the memory this process holds; its peak where only that is known; None where nothing is."""
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
