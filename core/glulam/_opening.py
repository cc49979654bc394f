"""How an exported file is opened: its bytes, onnxruntime's session, and whether both tell the same story."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import onnxruntime

from glulam import kernel
from glulam.errors import ArtifactError
from glulam.metadata import Description

__all__ = ["check_agreement", "give_back_memory", "open_model", "read"]

PROVIDERS = ["CPUExecutionProvider"]
WORTH_GIVING_BACK = 500_000
"""Bytes of a file from which on `give_back_memory` does something."""


def read(path: Path, label: str) -> bytes:
    """Return a file's bytes, or raise ArtifactError saying why there are none."""
    if path.is_dir():
        raise ArtifactError(
            f"{label} is a directory; expected an exported .onnx file (a saved ensemble is opened with "
            "EnsembleClassifier.load or EnsembleRegressor.load)"
        )
    if not path.is_file():
        raise ArtifactError(f"{label}: no such file; export an ensemble to it first")
    try:
        return path.read_bytes()
    except OSError as error:
        raise ArtifactError(f"{label}: cannot be read: {error.strerror}") from error


def open_model(data: bytes, label: str, options: Any, *, use_kernel: bool) -> tuple[Any, str | None]:
    """Return an onnxruntime session, and why it does without the tree kernel (None where it uses it).

    Raises ArtifactError for what is no loadable model.
    """
    if not data:
        raise ArtifactError(f"{label}: the file is empty; export again")
    try:
        if use_kernel:
            return kernel.open_session(data, options, label=label, providers=PROVIDERS)
        return onnxruntime.InferenceSession(data, options, providers=PROVIDERS), "it was opened with kernel='off'"
    except Exception as error:  # onnxruntime's exceptions have no common base of their own
        raise ArtifactError(
            f"{label}: not an ONNX model that onnxruntime {onnxruntime.__version__} can load (truncated, damaged, "
            f"another format, or it needs a newer onnxruntime): {str(error).splitlines()[0]}"
        ) from error


def give_back_memory(file_size: int) -> None:
    """Give the system back what opening a file took and freed, where the C library would keep it (glibc).

    That is more than what an open file needs: onnxruntime parses it, and copies it, in small pieces. It takes
    milliseconds, so small files, which leave little, go without.
    """
    if file_size >= WORTH_GIVING_BACK and (trim := _malloc_trim()):
        trim(0)


@cache
def _malloc_trim() -> Any:
    """Return glibc's function of this name; None on other systems."""
    return getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None


def check_agreement(session: Any, description: Description, n_classes: int, label: str) -> None:
    """Raise ArtifactError where metadata and graph tell different stories."""
    inputs = [(entry.name, entry.type, entry.shape[1:]) for entry in session.get_inputs()]
    outputs = {entry.name: entry.shape[1:] for entry in session.get_outputs()}
    ensemble = description.ensemble
    try:
        problems = []
        rows = ensemble.get("rows", "float32")
        type_name = {"float32": "tensor(float)", "float64": "tensor(double)"}[rows]
        if inputs != [("features", type_name, [len(description.schema)])]:
            problems.append(f"{len(description.schema)} {rows} features, the graph takes {inputs}")
        shapes = _shapes(ensemble, n_classes)
        expected = {name: shapes.get(name, []) for name in ensemble["outputs"]}
        if outputs != expected:
            problems.append(f"outputs {expected}, the graph has {outputs}")
        for key in ("type", "task", "voting", "decision", "guards", "glulam", "precision"):
            ensemble[key]
        for member in ensemble["members"]:
            float(member["weight"]), str(member["name"])
        for validator in ensemble["validators"]:
            validator["state"].get("low")
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ArtifactError(f"{label}: damaged metadata: {type(error).__name__}: {error}; export again") from error
    if problems:
        raise ArtifactError(
            f"{label}: metadata and graph disagree: the metadata says {'; '.join(problems)}; export again"
        )


def _shapes(ensemble: Mapping[str, Any], n_classes: int) -> dict[str, list[int]]:
    """Return the shape of each output that is not one number a row."""
    blocks, targets = ensemble.get("blocks", []), ensemble.get("n_targets", 1)
    width = sum(blocks) or n_classes or 1
    return {
        "label": [len(blocks)] if blocks else [],
        "value": [targets] if targets > 1 else [],
        "probabilities": [width],
        "decision_function": [width] if width > 2 else [],
        "votes": [len(ensemble["members"]), width],
    }
