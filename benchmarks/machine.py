"""What the figures were measured on."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

__all__ = ["describe", "version_of"]

LIBRARIES = (
    "glulam", "numpy", "onnxruntime", "onnx", "lightgbm", "xgboost", "xgboost-cpu", "scikit-learn", "skl2onnx",
    "onnxmltools", "catboost",
)  # fmt: skip


def describe() -> dict[str, Any]:
    """Return processor, cores that this process may use, system, and versions of what is installed."""
    affinity = getattr(os, "sched_getaffinity", None)
    return {
        "cpu": _cpu(),
        "cores": len(affinity(0)) if affinity else os.cpu_count(),
        "load": round(os.getloadavg()[0], 2),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {name: version for name in LIBRARIES if (version := version_of(name))},
    }


def _cpu() -> str:
    """Return the processor's model name."""
    facts = Path("/proc/cpuinfo")
    if facts.is_file():
        for line in facts.read_text().splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


def version_of(name: str) -> str | None:
    """Return the version of a distribution; None if it is not installed."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
