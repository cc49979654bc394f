"""``glulam train``: from a file to a proven ensemble.onnx and the trained ensemble beside it."""

from __future__ import annotations

import time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from glulam.cli._options import Data, Force, Json, Quiet, numbers, specification
from glulam.cli._show import facts, finish, members_table, proof_table

if TYPE_CHECKING:
    from glulam.cli._target import TrainingTable

__all__ = ["train"]


class Task(StrEnum):
    """What the ensemble learns."""

    AUTO = "auto"
    CLASSIFICATION = "classification"
    REGRESSION = "regression"


class Precision(StrEnum):
    """Arithmetic of the exported graph."""

    AUTO = "auto"
    FLOAT32 = "float32"
    FLOAT64 = "float64"


def train(
    ctx: typer.Context,
    data: Data,
    target: Annotated[
        str,
        typer.Option(
            metavar="COLUMN",
            help="Column to predict; with --features also 'next_direction': 1 where the next close is higher.",
        ),
    ],
    member: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME[:KEY=VALUE,...]",
            help="Member by its plugin's name, with parameters after a colon; may be repeated; by default "
            "lightgbm, xgboost and random_forest with weights 0.4, 0.4 and 0.2.",
        ),
    ] = None,
    weights: Annotated[
        str | None, typer.Option(metavar="W,W,...", help="One weight a member; by default equal ones.")
    ] = None,
    voting: Annotated[
        str, typer.Option(metavar="NAME", help="Voting strategy: soft, hard, log_pool or a plugin's.")
    ] = "soft",
    task: Annotated[
        Task,
        typer.Option(
            help="What to learn; auto takes regression if the target has fractional or more than 20 distinct numbers."
        ),
    ] = Task.AUTO,
    features: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Feature generator that makes the features, such as technical from candles."),
    ] = None,
    drop_bad: Annotated[
        bool,
        typer.Option(
            "--drop-bad",
            help="With --features: leave out rows that cannot be, such as duplicates, sort the rest, and say how many.",
        ),
    ] = False,
    drop: Annotated[
        list[str] | None, typer.Option(metavar="COLUMN", help="Column that is no feature; may be repeated.")
    ] = None,
    categorical: Annotated[
        list[str] | None, typer.Option(metavar="COLUMN", help="Column whose values are categories; may be repeated.")
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(help="Two classes: predict the second where its probability is above this; by default 0.5."),
    ] = None,
    min_confidence: Annotated[
        float | None, typer.Option(help="Answer --abstain-label where the largest probability is below this.")
    ] = None,
    abstain_label: Annotated[
        str | None,
        typer.Option(metavar="LABEL", help="Label of too uncertain rows; by default -1 among whole numbers."),
    ] = None,
    validator: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME[:KEY=VALUE,...]",
            help="Check of every row, exported with the model; may be repeated and then replaces the default "
            "columns, finite and minimum_samples.",
        ),
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="The file to write.")] = Path(
        "ensemble.onnx"
    ),
    save: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Directory for the trained ensemble, which verify needs; by default FILE with .trained for .onnx.",
        ),
    ] = None,
    precision: Annotated[
        Precision, typer.Option(help="Arithmetic of the file; auto takes float64 only where float32 fails the proof.")
    ] = Precision.AUTO,
    force: Force = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Train a voting ensemble on DATA, prove its export exact, and write it as one ONNX file.

    Every column but the target is a feature; nothing is written unless the file answers as the libraries do.
    """
    from glulam.cli._data import Source, rows_of
    from glulam.cli._target import decide_task, generated_table, plain_table
    from glulam.cli._training import Settings, beside, check_places, fitted

    settings = Settings(
        members=[specification(text, "--member") for text in member] if member else None,
        weights=numbers(weights, "--weights") if weights is not None else None,
        voting=voting,
        validators=[specification(text, "--validator") for text in validator] if validator else None,
        threshold=threshold,
        min_confidence=min_confidence,
        abstain_label=abstain_label,
    )
    if features is not None and (drop or categorical):
        raise typer.BadParameter("with --features the features are the generator's", param_hint="--drop, --categorical")
    if features is None and drop_bad:
        raise typer.BadParameter("needs --features, whose check finds bad rows", param_hint="--drop-bad")
    saved = save if save is not None else beside(out)
    check_places(out, saved, [data], overwrite=force)
    begun = time.perf_counter()
    source = Source.open(data)
    if features is None:
        table = plain_table(source, target, drop or [], categorical or [])
    else:
        table = generated_table(source, target, features, drop=drop_bad)
    decided, reason, labels = decide_task(table.target, task.value, table.rows)
    with rows_of(data, table.rows):
        ensemble = fitted(table, decided, labels, settings, quiet=quiet or as_json)
    report = ensemble.export(out, overwrite=force, precision=precision.value)
    ensemble.save(saved, overwrite=force)
    checked = table.made.to_dict() if table.made is not None else {"check": None, "warm_up": 0}
    document = {
        "out": out, "bytes": out.stat().st_size, "saved": saved, "task": decided, "task_reason": reason, **checked,
        **_described(out), "parity": report.to_dict(), "seconds": round(time.perf_counter() - begun, 3),
    }  # fmt: skip
    if not quiet or as_json:
        finish(ctx, document, lambda screen: _show(screen, document, table))


def _described(out: Path) -> dict[str, Any]:
    """Return what the written file says of itself, as far as a summary has it."""
    from glulam.runtime import ProductionEnsemble

    info = ProductionEnsemble(out).info()
    kept = ("type", "classes", "feature_names", "members", "voting", "decision", "guards", "precision", "training")
    return {name: info[name] for name in kept}


def _left_out(table: TrainingTable) -> str | None:
    """Return how many rows a generator's features and the target left out."""
    if table.made is None:
        return None
    return f"{table.made.warm_up} warm-up rows dropped" + (
        f", {table.unlabelled} without a next bar" if table.unlabelled else ""
    )


def _show(screen: Console, document: dict[str, Any], table: TrainingTable) -> None:
    rows, names = document["training"]["rows"], document["feature_names"]
    classes = document["classes"]
    facts(
        screen,
        {
            "task": f"{document['task']} ({document['task_reason']})",
            "checked": table.made and table.made.findings,
            "left out": _left_out(table),
            "trained on": f"{rows:,} rows, {len(names)} features"
            + (f", classes {', '.join(map(str, classes))}" if classes else ""),
            "voting": document["voting"],
        },
    )
    screen.print(members_table(document))
    screen.print(proof_table(document["parity"]))
    facts(
        screen,
        {
            "written": f"{document['out']} ({document['bytes']:,} bytes) in {document['seconds']:.1f} s",
            "saved": f"{document['saved']} (for verify)",
        },
    )
