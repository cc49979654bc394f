"""``glulam predict``: answer the rows of a file, in chunks, into another file."""

from __future__ import annotations

import time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from glulam.cli._options import Data, Force, Json, Model, Quiet
from glulam.cli._show import facts, finish, progress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from glulam.cli._answers import Chunk, Oracle
    from glulam.cli._data import Source
    from glulam.cli._target import Generated

__all__ = ["predict"]


class Invalid(StrEnum):
    """What rows do that fail the checks in the file."""

    ERROR = "error"
    ANSWER = "answer"


def predict(
    ctx: typer.Context,
    model: Model,
    data: Data,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FILE", help="File for the predictions: .csv or .parquet.")
    ],
    chunk_rows: Annotated[
        int, typer.Option("--chunk-rows", min=1, help="Rows that are read, answered and written at a time.")
    ] = 65_536,
    reorder: Annotated[
        bool,
        typer.Option(
            "--reorder/--no-reorder",
            help="Find the features by name and ignore further columns such as the target; without it the file "
            "must have just the features, in their order.",
        ),
    ] = True,
    proba: Annotated[bool, typer.Option("--proba/--no-proba", help="Write the probability of each class.")] = True,
    votes: Annotated[bool, typer.Option("--votes", help="Write each member's vote.")] = False,
    invalid: Annotated[
        Invalid,
        typer.Option(
            help="What a row does that fails the checks in the model: stop with an error, or get an answer and "
            "a mark in the further column 'valid'."
        ),
    ] = Invalid.ERROR,
    features: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Feature generator that the model was trained with; by default what its config names. It reads the "
            "whole file at once, and a column 'row' tells which rows got an answer.",
        ),
    ] = None,
    force: Force = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Answer every row of DATA with MODEL and write labels and probabilities, or values, to a file.

    DATA may be larger than memory. An error names the row, counted from 1 without the header.
    """
    from glulam._files import check_target
    from glulam.cli._answers import Oracle, chunks, generated_chunks
    from glulam.cli._as_trained import made_as_trained
    from glulam.cli._data import Source
    from glulam.cli._output import output_kind
    from glulam.cli._target import generated

    output_kind(out)
    for given in (model, data):
        if out.exists() and out.samefile(given):
            raise typer.BadParameter(f"{out} is the input; choose another name", param_hint="--out")
    check_target(out, overwrite=force)
    begun = time.perf_counter()
    oracle = Oracle(model, proba=proba, votes=votes, strict=invalid is Invalid.ERROR)
    source = Source.open(data)
    made = generated(source, features) if features is not None else made_as_trained(oracle.model, source)
    if made is not None:
        stream = generated_chunks(oracle.model, source, made, chunk_rows)
    else:
        stream = chunks(oracle.model, source, reorder=reorder, rows=chunk_rows)
    with progress(f"predicting {data.name}", source.size, quiet=quiet or as_json) as advance:
        written = _write(stream, oracle, source, out, overwrite=force, numbered=made is not None, advance=advance)
    seconds = time.perf_counter() - begun
    checked = made.to_dict() if made is not None else {"check": None, "warm_up": 0}
    document = {"out": out, **written, **checked, "seconds": round(seconds, 3)}
    if not quiet or as_json:
        finish(ctx, document, lambda screen: facts(screen, _summary(document, made)))


def _write(
    stream: Iterable[Chunk],
    oracle: Oracle,
    source: Source,
    out: Path,
    *,
    overwrite: bool,
    numbered: bool,
    advance: Callable[[float], None],
) -> dict[str, Any]:
    """Answer the chunks and write the predictions; return how many rows, and which columns."""
    from glulam.cli._output import predictions_file, result_columns
    from glulam.errors import FeatureError

    rows = invalid = 0
    columns: dict[str, Any] = {}
    with predictions_file(out, overwrite=overwrite) as append:
        for chunk in stream:
            answers = oracle.answer(chunk, source)
            columns = {"row": np.array(chunk.rows) + 1} if numbered else {}
            columns |= result_columns(oracle.model, answers)
            append(columns)
            rows += len(chunk.rows)
            invalid += int(np.count_nonzero(~answers["valid"])) if "valid" in answers else 0
            advance(chunk.done)
        if not rows:
            raise FeatureError(f"{source.path}: no rows, only column names; give a file with data")
    return {"rows": rows, "invalid_rows": invalid, "columns": list(columns)}


def _summary(document: dict[str, Any], made: Generated | None) -> dict[str, object]:
    return {
        "features": made and f"{made.warm_up} warm-up rows dropped; {made.findings or 'nothing checked'}",
        "written": document["out"],
        "rows": f"{document['rows']:,} in {document['seconds']:.2f} s",
        "invalid rows": document["invalid_rows"] or None,
        "columns": ", ".join(document["columns"]),
    }
