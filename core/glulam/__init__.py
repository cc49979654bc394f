"""glulam: voting ensembles of tabular models, exported whole as one exact ONNX file.

Importing this package costs almost nothing: names are loaded when they are first used, so that
a serving process needs numpy and onnxruntime alone.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from glulam import kernel
    from glulam.ensemble import EnsembleClassifier, EnsembleRegressor
    from glulam.errors import GlulamError
    from glulam.hookspecs import hookimpl
    from glulam.kernel import fast_session
    from glulam.plugins import register
    from glulam.runtime import ProductionEnsemble, load
    from glulam.schema import Feature, FeatureSchema

__version__ = "0.1.0"
__all__ = [
    "EnsembleClassifier",
    "EnsembleRegressor",
    "Feature",
    "FeatureSchema",
    "GlulamError",
    "ProductionEnsemble",
    "export",
    "fast_session",
    "hookimpl",
    "kernel",
    "load",
    "register",
]

_HOME = {
    "EnsembleClassifier": "glulam.ensemble",
    "EnsembleRegressor": "glulam.ensemble",
    "Feature": "glulam.schema",
    "FeatureSchema": "glulam.schema",
    "GlulamError": "glulam.errors",
    "ProductionEnsemble": "glulam.runtime",
    "export": "glulam._foreign",
    "fast_session": "glulam.kernel",
    "hookimpl": "glulam.hookspecs",
    "load": "glulam.runtime",
    "register": "glulam.plugins",
}


def __getattr__(name: str) -> Any:
    """Load a public name from its module on first use (PEP 562)."""
    if name == "kernel":
        return import_module("glulam.kernel")
    if name not in _HOME:
        raise AttributeError(f"module 'glulam' has no attribute {name!r}")
    try:
        value = getattr(import_module(_HOME[name]), name)
    except ModuleNotFoundError as error:
        if name in ("EnsembleClassifier", "EnsembleRegressor", "export") and error.name in (
            "sklearn",
            "joblib",
            "skops",
        ):
            raise ModuleNotFoundError(
                f"glulam.{name} needs {error.name}, which is not installed; "
                "install it with: pip install 'glulam[train]'",
                name=error.name,
            ) from error
        raise
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME, "kernel"})
