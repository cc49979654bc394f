"""What a peer is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.models import Model

__all__ = ["OWN", "Answer", "Peer", "UnsupportedError"]

OWN = "own"
"""The environment of peers that live with glulam: the interpreter that runs the benchmarks."""

Answer = Callable[[Any], Any]
"""A function of float32 rows [n, features]; returns probabilities in whatever form the peer gives them."""


class UnsupportedError(Exception):
    """A peer does not take this model. The message is the reason that the results give."""


def _nothing(model: Model, folder: Path) -> None:
    """Convert nothing: the peer reads the library's own files."""


@dataclass(frozen=True, slots=True)
class Peer:
    """Someone who answers rows.

    name, label
        for options and files, and for readers
    open
        opens a model for so many threads, with the folder that ``convert`` wrote to; what is not
        taken raises UnsupportedError
    convert
        writes what ``open`` needs to a folder of its own: an export, a conversion, a compiled library
    serves_by, converts_by
        modules that are imported beforehand where opening, or converting, is timed without imports
    environment
        the virtual environment's name
    requirements
        what pip installs there; peers of one environment name the same
    variables
        of the process that answers
    """

    name: str
    label: str
    open: Callable[[Model, Path, int], Answer]
    convert: Callable[[Model, Path], None] = _nothing
    serves_by: tuple[str, ...] = ()
    converts_by: tuple[str, ...] = ()
    environment: str = OWN
    requirements: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def converts(self) -> bool:
        """Whether there is anything to convert."""
        return self.convert is not _nothing

    def folder(self, model: Model) -> Path:
        """Return where its files of a model lie."""
        return model.folder / "converted" / self.name
