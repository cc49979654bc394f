"""The predictions file: which columns it has, and writing it in chunks, all of it or nothing."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from glulam._files import atomic_file
from glulam.cli._columns import to_arrow
from glulam.cli._data import file_kind
from glulam.runtime import ProductionEnsemble

__all__ = ["output_kind", "predictions_file", "result_columns"]

Array = npt.NDArray[Any]


def result_columns(model: ProductionEnsemble, answers: Mapping[str, Array]) -> dict[str, Array]:
    """Return answers of a graph, by output name, as columns by name.

    ``label`` and ``probability_CLASS``, or ``value``; ``vote_MEMBER_CLASS`` or ``vote_MEMBER``; ``valid``.
    Several labels or values a row are numbered: ``label_0``, ``probability_0_CLASS``, ``value_0``.
    """
    info = model.info()
    members = [member["name"] for member in info["members"]]
    ends = [f"_{label}" for label in model.classes.tolist()]
    columns: dict[str, Array] = {}
    for name, values in answers.items():
        if name == "probabilities":
            named = _of_blocks(info["blocks"], ends) if info.get("blocks") else ends
            columns |= {f"probability{end}": values[:, index] for index, end in enumerate(named)}
        elif name == "votes":
            for index, member in enumerate(members):
                columns |= {f"vote_{member}{end}": values[:, index, place] for place, end in enumerate(ends or [""])}
        elif values.ndim == 2:
            named = ends if values.shape[1] == len(ends) else [f"_{index}" for index in range(values.shape[1])]
            columns |= {f"{name}{end}": values[:, index] for index, end in enumerate(named)}
        else:
            columns[name] = values
    return columns


def _of_blocks(blocks: Sequence[int], ends: Sequence[str]) -> list[str]:
    """Return the ends of the names of several outputs' probabilities; a yes or no has the chance of yes alone."""
    named: list[str] = []
    first = 0
    for output, width in enumerate(blocks):
        labels = ends[first : first + max(width, 2)]
        named += [f"_{output}{end}" for end in labels[-width:]]
        first += len(labels)
    return named


def output_kind(path: Path) -> str:
    """Return ``csv`` or ``parquet`` by the name of the file to write; anything else is wrong usage."""
    return file_kind(path, "--out", csv=(".csv",))


@contextlib.contextmanager
def predictions_file(path: Path, *, overwrite: bool) -> Iterator[Callable[[Mapping[str, Array]], None]]:
    """Give a function that appends columns to a CSV or Parquet file, which appears when the block ends well."""
    kind = output_kind(path)
    with atomic_file(path, overwrite=overwrite) as out, contextlib.ExitStack() as stack:
        writer: Any = None

        def append(columns: Mapping[str, Array]) -> None:
            nonlocal writer
            batch = pa.RecordBatch.from_arrays([to_arrow(values) for values in columns.values()], list(columns))
            if writer is None:
                writer = stack.enter_context(_writer(kind, out, batch.schema))
            writer.write_batch(batch)

        yield append


def _writer(kind: str, out: BinaryIO, schema: Any) -> Any:
    if kind == "parquet":
        return pa.parquet.ParquetWriter(out, schema)
    return pa.csv.CSVWriter(out, schema)
