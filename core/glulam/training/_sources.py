"""Sources of rows: CSV and Parquet files, and queries of DuckDB and SQLite databases, which are opened to read only."""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from glulam._reading import not_utf8, read_csv, read_parquet, reading
from glulam.errors import ArtifactError, ConfigError, FeatureError

__all__ = ["find_source", "is_database", "read_file", "run_query"]

_CSV = (".csv", ".csv.gz")
_PARQUET = (".parquet", ".pq")
_DUCKDB = (".duckdb", ".ddb")
_SQLITE = (".sqlite", ".sqlite3", ".db")
_SECONDS_FOR_A_LOCK = 2.0
_READS = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE}
_NO_SELECT = "expected one SELECT statement; the database is opened to read only, and nothing was changed"


def find_source(given: str, query: str, base: Path) -> Path:
    """Return the path of a file that is there and of a known kind. Raises ConfigError, ArtifactError."""
    if not given:
        raise ConfigError("data.path is empty; say which file has the rows")
    path = base / given
    name = path.name.lower()
    if not name.endswith((*_CSV, *_PARQUET, *_DUCKDB, *_SQLITE)):
        raise ConfigError(
            f"data.path: {path}: expected a name that ends in {', '.join((*_CSV, *_PARQUET, *_DUCKDB))} or "
            f"{', '.join(_SQLITE)}; convert the file, or rename it to what it is"
        )
    if is_database(path) and not query.strip():
        raise ConfigError(f"data.query: {path} is a database; say by a SELECT which of its rows, and in which order")
    if not is_database(path) and query:
        raise ConfigError(f"data.query: {path} is no database; leave the query out, or put the rows into a database")
    if not path.exists():
        raise ArtifactError(f"{path}: no such file; data.path is relative to the config, here {base.resolve()}")
    if not path.is_file():
        raise ArtifactError(f"{path}: expected a file, got a directory")
    return path


def is_database(path: Path) -> bool:
    """Tell whether rows come by a query."""
    return path.name.lower().endswith((*_DUCKDB, *_SQLITE))


def read_file(path: Path, text: tuple[str, ...]) -> tuple[Any, str]:
    """Return a file as a pyarrow table, a CSV's columns ``text`` as such, and the sha256 of its bytes."""
    parquet = path.name.lower().endswith(_PARQUET)
    with reading(path):
        # Read once, so that the hash is of what was read even if the file is replaced meanwhile.
        content = path.read_bytes()
        if not content:
            raise ArtifactError(f"{path}: the file is empty; give a file with column names and rows")
        source: Any = pa.BufferReader(content)
        if not parquet and path.name.lower().endswith(".gz"):
            source = pa.CompressedInputStream(source, "gzip")
        table = read_parquet(source) if parquet else read_csv(source, text)
        # pyarrow takes a CSV's text for bytes where it is not UTF-8; names fail when they are asked for.
        odd = [] if parquet else [column.name for column in table.schema if pa.types.is_binary(column.type)]
    if odd:
        raise not_utf8(f"{path}: column {odd[0]!r}")
    return table, hashlib.sha256(content).hexdigest()


def run_query(path: Path, query: str) -> Any:
    """Return the rows of a query as a pyarrow table."""
    return _from_duckdb(path, query) if path.name.lower().endswith(_DUCKDB) else _from_sqlite(path, query)


def _from_duckdb(path: Path, query: str) -> Any:
    try:
        import duckdb
    except ImportError as error:
        raise ConfigError(
            f"data.path: {path} needs duckdb, which is not installed; install it with: pip install 'glulam[duckdb]'"
        ) from error
    with _asking(path, duckdb.Error):
        # Without external access a query reads this database, and no other file and no address.
        database = duckdb.connect(str(path), read_only=True, config={"enable_external_access": "false"})
    with contextlib.closing(database), _asking(path, duckdb.Error):
        kinds = [statement.type for statement in database.extract_statements(query)]
        if kinds != [duckdb.StatementType.SELECT]:
            found = ", ".join(kind.name for kind in kinds) or "nothing"
            raise ConfigError(f"data.query: {path}: got {found}; {_NO_SELECT}")
        return database.sql(query).to_arrow_table()


def _from_sqlite(path: Path, query: str) -> Any:
    with _asking(path, sqlite3.Error):
        database = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=_SECONDS_FOR_A_LOCK)
    with contextlib.closing(database), _asking(path, sqlite3.Error):
        database.set_authorizer(lambda action, *_: sqlite3.SQLITE_OK if action in _READS else sqlite3.SQLITE_DENY)
        found = database.execute(query)
        if found.description is None:
            raise ConfigError(f"data.query: {path}: got nothing; {_NO_SELECT}")
        names = [column[0] for column in found.description]
        rows = found.fetchall()
    columns = zip(*rows, strict=True) if rows else [()] * len(names)
    return pa.Table.from_arrays(
        [_column(values, name, path) for name, values in zip(names, columns, strict=True)], names=names
    )


def _column(values: Any, name: str, path: Path) -> Any:
    """Return a column of SQLite, which may hold a type a row, as an array of one type."""
    try:
        return pa.array(values)
    except (pa.lib.ArrowException, OverflowError) as error:
        kinds = sorted({type(value).__name__ for value in values if value is not None})
        raise FeatureError(
            f"{path}: column {name!r}: values of several types ({', '.join(kinds)}); make them one in the query, such "
            f"as CAST({name} AS REAL)"
        ) from error


@contextlib.contextmanager
def _asking(path: Path, kind: type[Exception]) -> Iterator[None]:
    """Raise what a database says as an error of one line."""
    try:
        yield
    except kind as error:
        said = " ".join(str(error).split())
        lowered = said.lower()
        if "is locked" in lowered or "set lock on" in lowered or "different configuration" in lowered:
            raise ArtifactError(
                f"{path}: the database is in use: {said}; close the program that has it open, or read a copy"
            ) from error
        if "not authorized" in lowered or "authorization denied" in lowered or "one statement at a time" in lowered:
            raise ConfigError(f"data.query: {path}: {said}; {_NO_SELECT}") from error
        if "not a database" in lowered or "not a valid" in lowered or "unable to open" in lowered:
            raise ArtifactError(
                f"{path}: cannot be read: {said}; give a database, or name the file what it is"
            ) from error
        raise ConfigError(f"data.query: {path}: {said}; correct the query") from error
