"""From a file's rows to answers: chunks of columns, encoded, asked of the graph in one run each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import numpy.typing as npt

from glulam.cli._columns import feature_values
from glulam.cli._data import Source, rows_of
from glulam.errors import ArtifactError, FeatureError
from glulam.runtime import ProductionEnsemble

if TYPE_CHECKING:
    from glulam.cli._target import Generated

__all__ = ["Chunk", "Oracle", "chunks", "generated_chunks"]

Array = npt.NDArray[Any]
Rows = Sequence[int]


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some rows of a file as columns.

    ``rows`` are their numbers in the file, counted from 0; ``done`` is how much of its size is read with them.
    """

    columns: dict[str, Array]
    rows: Rows
    done: float


def chunks(model: ProductionEnsemble, source: Source, *, reorder: bool, rows: int) -> Iterator[Chunk]:
    """Yield the features that a model takes, of a file's rows."""
    names = _columns(model, source, reorder=reorder)
    first = 0
    for done, table in source.chunks(names, rows):
        numbers = range(first, first + table.num_rows)
        with rows_of(source.path, numbers):
            columns = {
                feature.name: feature_values(table.column(name), feature, parse=source.kind == "csv")
                for feature, name in zip(model.schema.features, names, strict=True)
            }
        yield Chunk(columns, numbers, done)
        first = numbers.stop


def _columns(model: ProductionEnsemble, source: Source, *, reorder: bool) -> list[str]:
    """Return which columns of the file hold the features, in their order."""
    schema = model.schema
    if not schema.named:  # trained on an array: by position, as in Python
        if len(source.names) != len(schema):
            raise FeatureError(
                f"{source.path}: {len(source.names)} columns, but the model takes {len(schema)} without names, by "
                "position; give a file with just these"
            )
        return source.names
    lacking = [name for name in schema.names if name not in source.names]
    if lacking:
        raise FeatureError(
            f"{source.path}: the columns {lacking} are missing, which the model takes; the file has {source.names}; "
            "if a feature generator made them in training, name it with --features"
        )
    if not reorder and source.names != schema.names:
        raise FeatureError(
            f"{source.path}: expected just the columns {schema.names} in this order, got {source.names}; "
            "leave out --no-reorder to find them by name"
        )
    return schema.names


def generated_chunks(model: ProductionEnsemble, source: Source, made: Generated, rows: int) -> Iterator[Chunk]:
    """Yield the features that a generator made of the whole file."""
    values, of_file = made.values, made.of_file[made.rows].tolist()
    if made.columns != model.schema.names:
        raise FeatureError(
            f"feature generator {made.name!r} makes the columns {made.columns}, the model takes "
            f"{model.schema.names}; name the generator that it was trained with"
        )
    for start in range(0, len(values), rows):
        piece = values[start : start + rows]
        columns = {name: piece[:, index] for index, name in enumerate(made.columns)}
        yield Chunk(columns, of_file[start : start + rows], source.size * (start + len(piece)) / len(values))


class Oracle:
    """A model as ``predict`` asks it: the wanted outputs in one run, checks with the file's row numbers.

    path
        the exported file
    proba, votes
        which outputs to give besides label or value
    strict
        whether rows that fail the exported checks are an error; else there is an output ``valid``
    """

    def __init__(self, path: Path, *, proba: bool, votes: bool, strict: bool) -> None:
        self._path = path
        self._strict = strict
        self.model = ProductionEnsemble(path, invalid="ignore")
        outputs = self.model.info()["outputs"]
        wanted = {
            "label": True, "value": True, "probabilities": proba, "decision_function": proba, "votes": votes,
            "valid": True,
        }  # fmt: skip
        self._outputs = [name for name in outputs if wanted.get(name)]
        if votes and "votes" not in outputs:
            raise ArtifactError(f"{path}: has no output 'votes', only {outputs}; export it with all outputs")
        if not set(self._outputs) - {"valid"}:
            raise ArtifactError(f"{path}: nothing to write: of its outputs {outputs} none is asked for")

    def answer(self, chunk: Chunk, source: Source) -> dict[str, Array]:
        """Return the wanted outputs by name. Raises FeatureError for a row that does not fit."""
        with rows_of(source.path, chunk.rows):
            # One run for all outputs: predict, predict_proba and votes would walk the trees three times.
            answers = self.model.answers(chunk.columns, self._outputs)
        if self._strict and "valid" in answers:
            valid = answers.pop("valid")
            if not valid.all():
                self._refuse(chunk, source, np.flatnonzero(~valid))
        return answers

    def _refuse(self, chunk: Chunk, source: Source, failing: npt.NDArray[np.intp]) -> NoReturn:
        """Let the runtime say what is wrong with the first failing row."""
        row = int(failing[0])
        alone = {name: values[row : row + 1] for name, values in chunk.columns.items()}
        with rows_of(source.path, [chunk.rows[row]]):
            try:
                ProductionEnsemble(self._path).predict(alone)
            except FeatureError as error:
                reason = str(error).partition("; 1 of 1 rows fail")[0]
                raise FeatureError(
                    f"{reason}; correct the file, or have such rows answered and marked with --invalid answer"
                ) from error
        raise ArtifactError(
            f"{self._path}: the checks of row {chunk.rows[row] + 1} disagree with themselves"
        )  # cannot happen
