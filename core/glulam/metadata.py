"""What a file says of itself: the layout of ``metadata_props``, for writers and readers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from glulam.errors import ArtifactError, ConfigError
from glulam.schema import FeatureSchema

__all__ = ["FORMAT", "Description", "check_graph", "checksum", "classes_of", "json_classes"]

FORMAT = 1
"""Version of this layout. It grows when an older reader would misread a newer file."""

_KEYS = ("glulam.format", "glulam.schema", "glulam.ensemble", "glulam.parity", "glulam.training", "glulam.graph")
_SUM = "glulam.sum"


@dataclass(frozen=True, slots=True)
class Description:
    """An exported file's description: schema, ensemble, proof and training data.

    ``ensemble`` has type, task, classes, members, voting, decision, validators, outputs,
    precision, rows (type of the input), blocks, n_targets, glulam; ``parity`` is the proof's report;
    ``training`` has rows, sha256, fitted.
    """

    schema: FeatureSchema
    ensemble: dict[str, Any]
    parity: dict[str, Any]
    training: dict[str, Any]

    def to_metadata(self, graph: bytes) -> dict[str, str]:
        """Return the entries for ``metadata_props``, which are appended to the bytes ``graph``."""
        entries = {
            "glulam.format": str(FORMAT),
            "glulam.schema": self.schema.to_json(),
            "glulam.ensemble": json.dumps(self.ensemble, allow_nan=False),
            "glulam.parity": json.dumps(self.parity, allow_nan=False),
            "glulam.training": json.dumps(self.training, allow_nan=False),
            "glulam.graph": f"{len(graph)} {hashlib.sha256(graph).hexdigest()}",
        }
        return entries | {_SUM: checksum(entries)}

    @classmethod
    def from_metadata(cls, entries: Mapping[str, str], path: str) -> Description:
        """Read the entries of a file. Raises ArtifactError saying what is wrong with them."""
        if "glulam.format" not in entries:
            raise ArtifactError(
                f"{path}: an ONNX file, but not one that glulam exported (it has no 'glulam.format' entry); "
                "use onnxruntime.InferenceSession for it"
            )
        version = entries["glulam.format"]
        if version.isdigit() and int(version) > FORMAT:
            raise ArtifactError(
                f"{path}: written in glulam format {version}; this glulam reads up to {FORMAT}; "
                "upgrade it with: pip install -U glulam"
            )
        lacking = [key for key in _KEYS if key not in entries]
        if lacking or version != str(FORMAT):
            raise ArtifactError(
                f"{path}: damaged metadata: format {version!r}, missing entries {lacking}; export again"
            )
        if entries.get(_SUM) != checksum(entries):
            raise ArtifactError(f"{path}: its metadata has changed since it was exported; export again")
        try:
            schema = FeatureSchema.from_json(entries["glulam.schema"])
            ensemble, parity, training = (json.loads(entries[key]) for key in _KEYS[2:5])
            described = cls(schema, ensemble, parity, training)
            classes_of(described.ensemble)
            if not all(isinstance(part, dict) for part in (ensemble, parity, training)):
                raise TypeError("expected JSON objects")
        except (ValueError, KeyError, TypeError, ConfigError) as error:
            raise ArtifactError(f"{path}: damaged metadata: {error}; export again") from error
        return described


def checksum(entries: Mapping[str, str]) -> str:
    """Return the sha256 over all entries of the description. It finds changes, not forgery."""
    return hashlib.sha256("\0".join(entries[key] for key in _KEYS).encode()).hexdigest()


def check_graph(entries: Mapping[str, str], data: bytes, path: str) -> None:
    """Raise ArtifactError unless a file's graph is the one that its metadata was written for, and was proven."""
    length, _, expected = entries["glulam.graph"].partition(" ")
    size = int(length) if length.isdigit() else 0
    # Appended bytes would merge into the graph: after it there is the metadata and nothing else.
    rest = sum(map(_entry_size, entries.items()))
    if len(data) != size + rest or hashlib.sha256(memoryview(data)[:size]).hexdigest() != expected:
        raise ArtifactError(
            f"{path}: the graph is not the one that was proven: it has changed since it was exported; export again"
        )


def _entry_size(entry: tuple[str, str]) -> int:
    """Return the bytes that one entry of ``metadata_props`` takes: tag, length, and two fields of the same."""

    def field(size: int) -> int:
        return 1 + max(1, -(-size.bit_length() // 7)) + size

    return field(sum(field(len(part.encode())) for part in entry))


def json_classes(classes: npt.NDArray[Any]) -> dict[str, Any]:
    """Return class labels as JSON values with their kind."""
    kind = {"i": "int", "u": "int", "f": "float", "b": "bool", "U": "str"}[classes.dtype.kind]
    return {"kind": kind, "labels": classes.tolist()}


def classes_of(ensemble: Mapping[str, Any]) -> npt.NDArray[Any]:
    """Return the class labels of a description; empty for regression."""
    dtype = {"int": np.int64, "float": np.float64, "bool": np.bool_, "str": np.str_}
    return np.array(ensemble["classes"]["labels"], dtype=dtype[ensemble["classes"]["kind"]])
