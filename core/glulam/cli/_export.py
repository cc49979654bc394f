"""``glulam export``: from a library's own model file to a proven ONNX file."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from glulam.cli._options import Force, Json, Quiet
from glulam.cli._show import facts, finish, form, proof_table
from glulam.cli._train import Precision

if TYPE_CHECKING:
    from glulam.schema import FeatureSchema

__all__ = ["export"]

_ROWS = 50_000
"""Rows of a file that are read; the proof starts from some thousands of them."""


def export(
    ctx: typer.Context,
    model: Annotated[
        Path,
        typer.Argument(
            metavar="MODEL", exists=True, help="A model as its library saved it: LightGBM's, XGBoost's or CatBoost's."
        ),
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The ONNX file to write.")],
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            exists=True,
            dir_okay=False,
            help="Rows for the proof to start from: .csv, .csv.gz or .parquet, with the model's columns; "
            "by default rows around the model's own thresholds.",
        ),
    ] = None,
    precision: Annotated[
        Precision,
        typer.Option(
            help="Arithmetic of the file; auto takes float64 sums only where float32 fails the proof; float64 "
            "takes rows of float64 as well."
        ),
    ] = Precision.AUTO,
    proof_rows: Annotated[int, typer.Option(min=1_000, help="About how many rows the proof tries.")] = 20_000,
    output: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Output that the file has; may be repeated; by default all of them."),
    ] = None,
    guards: Annotated[
        bool,
        typer.Option(
            "--guards/--no-guards", help="Write the check of rows that the library refuses, as the output 'valid'."
        ),
    ] = True,
    standard: Annotated[
        bool,
        typer.Option(
            "--standard", help="Write ONNX's own operators only, no node that glulam's kernel runs as a whole."
        ),
    ] = False,
    force: Force = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Prove that MODEL, saved by its library, can be answered exactly in ONNX, and write it as one file.

    Nothing is written unless the file answers as the library does.
    """
    import glulam
    from glulam import plugins
    from glulam._files import check_target
    from glulam._modelfiles import read_model
    from glulam.cli._data import rows_of

    for given in (model, data):
        if given is not None and out.exists() and out.samefile(given):
            raise typer.BadParameter(f"{out} is the input; choose another name", param_hint="OUT")
    check_target(out, overwrite=force)
    begun = time.perf_counter()
    opened = read_model(model)
    columns = None
    if data is not None:
        columns = _columns(data, plugins.required_model_of(opened).signature(opened).schema)
    with rows_of(data) if data is not None else contextlib.nullcontext():
        report = glulam.export(
            opened, out, columns, overwrite=force, precision=precision.value, proof_rows=proof_rows, outputs=output,
            guards=guards, standard=standard,
        )  # fmt: skip
    document = {
        "model": model, "out": out, "bytes": out.stat().st_size, **_described(out), "parity": report.to_dict(),
        "seconds": round(time.perf_counter() - begun, 3),
    }  # fmt: skip
    if not quiet or as_json:
        finish(ctx, document, lambda screen: _show(screen, document))


def _columns(data: Path, schema: FeatureSchema) -> dict[str, Any]:
    """Return the columns of a file's first rows as the model takes them: by name, or by position if it has none."""
    from glulam.cli._columns import feature_values
    from glulam.cli._data import Source, rows_of
    from glulam.errors import FeatureError

    source = Source.open(data)
    names = schema.names if schema.named else source.names
    lacking = [name for name in names if name not in source.names]
    if lacking:
        raise FeatureError(
            f"{data}: the columns {lacking} are missing, which the model takes; the file has {source.names}; "
            "name its columns as they were in training"
        )
    if len(names) != len(schema):
        raise FeatureError(
            f"{data}: {len(names)} columns, but the model takes {len(schema)} without names, by position; "
            "give a file with just these"
        )
    table = next((table for _, table in source.chunks(names, _ROWS)), None)
    if table is None:
        raise FeatureError(f"{data}: no rows, only column names; give a file with data")
    with rows_of(data):
        return {
            feature.name: feature_values(table.column(name), feature, parse=source.kind == "csv")
            for feature, name in zip(schema.features, names, strict=True)
        }


def _described(out: Path) -> dict[str, Any]:
    """Return what the written file says of itself, as far as a summary has it."""
    from glulam.runtime import ProductionEnsemble

    info = ProductionEnsemble(out).info()
    kept = ("type", "task", "classes", "feature_names", "members", "guards", "outputs", "precision", "form", "rows")
    return {name: info[name] for name in kept}


def _show(screen: Console, document: dict[str, Any]) -> None:
    from glulam._tables import shorten

    (member,) = document["members"]
    library = " ".join(f"{name} {version}" for name, version in member["versions"].items())
    names, classes = document["feature_names"], document["classes"]
    facts(
        screen,
        {
            "model": f"{document['type']} of {library}",
            "task": document["task"] + (f", classes {', '.join(map(str, classes))}" if classes else ""),
            "features": f"{len(names)} of {document['rows']}: {shorten(names)}",
            "outputs": ", ".join(document["outputs"]),
            "precision": document["precision"],
            "form": form(document),
        },
    )
    screen.print(proof_table(document["parity"]))
    facts(screen, {"written": f"{document['out']} ({document['bytes']:,} bytes) in {document['seconds']:.1f} s"})
