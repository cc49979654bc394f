"""What a file says of itself: the layout of ``metadata_props``, for writers and readers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
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
_METADATA_PROPS = 14 << 3 | 2
"""How the field of this name begins in an ONNX file: its number, and that its length follows."""


@dataclass(frozen=True, slots=True)
class Description:
    """An exported file's description: schema, ensemble, proof and training data.

    ``ensemble`` has type, task, classes, members, voting, decision, validators, outputs,
    precision, form, rows (type of the input), blocks, n_targets, glulam; ``parity`` is the proof's report;
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
                "open it with glulam.fast_session"
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
    """Raise ArtifactError unless a file's graph is the one that its metadata was written for, and was proven.

    The graph is every field of the file but the metadata, which may lie anywhere: whoever adds an entry with onnx
    writes the fields anew, in their order. Appended bytes would merge into the graph, and are found.
    """
    digest, size = hashlib.sha256(), 0
    try:
        for field in _fields(memoryview(data)):
            if field[0] != _METADATA_PROPS:
                digest.update(field)
                size += len(field)
    except (IndexError, ValueError):
        size = -1
    if entries["glulam.graph"] != f"{size} {digest.hexdigest()}":
        raise ArtifactError(
            f"{path}: the graph is not the one that was proven: it has changed since it was exported; export again"
        )


def _fields(message: memoryview) -> Iterator[memoryview]:
    """Split a protobuf message into its fields. Raises IndexError or ValueError for what is none."""
    place = 0
    while place < len(message):
        start = place
        key, place = _varint(message, place)
        kind = key & 7
        if kind == 0:
            _, place = _varint(message, place)
        elif kind == 2:
            length, place = _varint(message, place)
            place += length
        elif kind in (1, 5):
            place += 8 if kind == 1 else 4
        else:
            raise ValueError(f"field of kind {kind}")
        if place > len(message):
            raise ValueError("the last field is cut off")
        yield message[start:place]


def _varint(message: memoryview, place: int) -> tuple[int, int]:
    """Return the number that begins at a place, and the place after it."""
    value = shift = 0
    while shift < 64:
        byte = message[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
        shift += 7
    raise ValueError("a number of more than 64 bits")


def json_classes(classes: npt.NDArray[Any]) -> dict[str, Any]:
    """Return class labels as JSON values with their kind."""
    kind = {"i": "int", "u": "int", "f": "float", "b": "bool", "U": "str"}[classes.dtype.kind]
    return {"kind": kind, "labels": classes.tolist()}


def classes_of(ensemble: Mapping[str, Any]) -> npt.NDArray[Any]:
    """Return the class labels of a description; empty for regression."""
    dtype = {"int": np.int64, "float": np.float64, "bool": np.bool_, "str": np.str_}
    return np.array(ensemble["classes"]["labels"], dtype=dtype[ensemble["classes"]["kind"]])
