"""Reading CSV and Parquet files, whole or in chunks, with rows counted as the file counts them.

Rows are numbered from 1 and a CSV header is not counted. In every column an empty field and the
usual spellings (NA, NaN, null, ...) mean a missing value.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import typer

from glulam._reading import not_utf8, read_csv, read_parquet, reading, require_unique, rows_of
from glulam.errors import FeatureError

__all__ = ["Source", "file_kind", "not_utf8", "rows_of"]


def file_kind(path: Path, option: str, *, csv: tuple[str, ...] = (".csv", ".csv.gz")) -> str:
    """Return ``csv`` or ``parquet`` by the file's name; anything else is wrong usage."""
    name = path.name.lower()
    if name.endswith((".parquet", ".pq")):
        return "parquet"
    if name.endswith(csv):
        return "csv"
    raise typer.BadParameter(f"{path}: expected a name that ends in {', '.join(csv)} or .parquet", param_hint=option)


@dataclass(frozen=True, slots=True)
class Source:
    """A data file: its kind, its column names in order, and its size (bytes of a CSV, rows of a Parquet)."""

    path: Path
    kind: str
    names: list[str]
    size: int

    @classmethod
    def open(cls, path: Path) -> Source:
        """Look into a file. Raises ArtifactError if it cannot be read, FeatureError for ambiguous names."""
        kind = file_kind(path, "DATA")
        with reading(path):
            if kind == "csv":
                names, size = _open_csv(str(path), None).schema.names, path.stat().st_size
            else:
                with pa.parquet.ParquetFile(path) as file:
                    names, size = file.schema_arrow.names, file.metadata.num_rows
        require_unique(names, path)
        return cls(path, kind, names, size)

    def read(self) -> Any:
        """Return the whole file as a pyarrow table; a CSV's types are inferred."""
        with reading(self.path):
            whole = read_csv(str(self.path)) if self.kind == "csv" else read_parquet(self.path)
        if not whole.num_rows:
            raise FeatureError(f"{self.path}: no rows, only column names; give a file with data")
        return whole

    def chunks(self, names: list[str], rows: int) -> Iterator[tuple[int, Any]]:
        """Yield the columns ``names`` in tables of at most ``rows`` rows, with how much of `size` is read.

        Columns of a CSV come as text, because types inferred from its beginning may not fit its end.
        """
        batches = self._csv_batches(names) if self.kind == "csv" else self._parquet_batches(names, rows)
        held: list[Any] = []
        count = 0
        while True:
            # Only this step is reading; what the consumer of the chunks raises is not for us to explain.
            with reading(self.path):
                done, batch = next(batches, (self.size, None))
            if batch is None:
                break
            while batch.num_rows:
                piece = batch.slice(0, rows - count)
                held.append(piece)
                count += piece.num_rows
                batch = batch.slice(piece.num_rows)
                if count == rows:
                    yield done, pa.Table.from_batches(held)
                    held, count = [], 0
        if held:
            yield self.size, pa.Table.from_batches(held)

    def _csv_batches(self, names: list[str]) -> Iterator[tuple[int, Any]]:
        with pa.OSFile(str(self.path), "rb") as raw:
            packed = self.path.suffix.lower() == ".gz"
            reader = _open_csv(pa.CompressedInputStream(raw, "gzip") if packed else raw, names)
            for batch in reader:
                yield raw.tell(), batch

    def _parquet_batches(self, names: list[str], rows: int) -> Iterator[tuple[int, Any]]:
        done = 0
        with pa.parquet.ParquetFile(self.path) as file:
            for batch in file.iter_batches(batch_size=rows, columns=names):
                done += batch.num_rows
                yield done, batch.select(names)


def _open_csv(source: Any, names: list[str] | None) -> Any:
    """Open a CSV as a stream; the columns ``names`` as text, or all of them with inferred types."""
    options = pa.csv.ConvertOptions(
        strings_can_be_null=True,
        include_columns=names,
        column_types=None if names is None else dict.fromkeys(names, pa.string()),
    )
    # Without threads pyarrow knows the row of an error, and nothing runs on after an interrupt.
    return pa.csv.open_csv(source, read_options=pa.csv.ReadOptions(use_threads=False), convert_options=options)
