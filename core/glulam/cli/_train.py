"""``glulam train``: from a file to a proven ensemble.onnx and the trained ensemble beside it."""

from __future__ import annotations

import time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from glulam.cli._options import Force, Json, Quiet, numbers, specification
from glulam.cli._show import facts, finish, members_table, proof_table

if TYPE_CHECKING:
    from glulam.cli._target import TrainingTable

__all__ = ["train"]

_OF_A_RUN = ("config", "overrides", "days", "since", "until", "dry_run", "resume", "verbose")
"""Options of a run by a config; all others but those of `_OF_BOTH` belong to DATA."""
_OF_BOTH = ("force", "quiet", "as_json", "data")
_RUN = "By a config"
_FILE = "Of a file, without evaluation"


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
    data: Annotated[
        Path | None,
        typer.Argument(
            metavar="[DATA]",
            exists=True,
            dir_okay=False,
            help="A table with a header, to train on as it is, by options alone: .csv, .csv.gz or .parquet.",
        ),
    ] = None,
    config: Annotated[
        Path, typer.Option(metavar="FILE", rich_help_panel=_RUN, help="The config, which glulam init writes.")
    ] = Path("glulam.toml"),
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            rich_help_panel=_RUN,
            help="Another value for a key, such as members.xgboost.weight=0.3; may be repeated.",
        ),
    ] = None,
    days: Annotated[
        int | None, typer.Option(min=1, rich_help_panel=_RUN, help="Take the last so many days of the data.")
    ] = None,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", rich_help_panel=_RUN, help="Take rows from this moment on.")
    ] = None,
    until: Annotated[
        str | None, typer.Option(metavar="TIME", rich_help_panel=_RUN, help="Take rows before this moment.")
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", rich_help_panel=_RUN, help="Check everything, train on the last 2,000 rows, write nothing."
        ),
    ] = False,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume", rich_help_panel=_RUN, help="Go on with the interrupted run of this config and these data."
        ),
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", rich_help_panel=_RUN, help="Print every step, and when it came.")
    ] = False,
    target: Annotated[
        str | None,
        typer.Option(
            rich_help_panel=_FILE,
            metavar="COLUMN",
            help="Column to predict; with --features also 'next_direction': 1 where the next close is higher.",
        ),
    ] = None,
    member: Annotated[
        list[str] | None,
        typer.Option(
            rich_help_panel=_FILE,
            metavar="NAME[:KEY=VALUE,...]",
            help="Member by its plugin's name, with parameters after a colon; may be repeated; by default "
            "lightgbm, xgboost and random_forest with weights 0.4, 0.4 and 0.2.",
        ),
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(rich_help_panel=_FILE, metavar="W,W,...", help="One weight a member; by default equal ones."),
    ] = None,
    voting: Annotated[
        str,
        typer.Option(
            rich_help_panel=_FILE, metavar="NAME", help="Voting strategy: soft, hard, log_pool or a plugin's."
        ),
    ] = "soft",
    task: Annotated[
        Task,
        typer.Option(
            rich_help_panel=_FILE,
            help="What to learn; auto takes regression if the target has fractional or more than 20 distinct numbers.",
        ),
    ] = Task.AUTO,
    features: Annotated[
        str | None,
        typer.Option(
            rich_help_panel=_FILE,
            metavar="NAME",
            help="Feature generator that makes the features, such as technical from candles.",
        ),
    ] = None,
    drop_bad: Annotated[
        bool,
        typer.Option(
            "--drop-bad",
            rich_help_panel=_FILE,
            help="With --features: leave out rows that cannot be, such as duplicates, sort the rest, and say how many.",
        ),
    ] = False,
    drop: Annotated[
        list[str] | None,
        typer.Option(rich_help_panel=_FILE, metavar="COLUMN", help="Column that is no feature; may be repeated."),
    ] = None,
    categorical: Annotated[
        list[str] | None,
        typer.Option(
            rich_help_panel=_FILE, metavar="COLUMN", help="Column whose values are categories; may be repeated."
        ),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(
            rich_help_panel=_FILE,
            help="Two classes: predict the second where its probability is above this; by default 0.5.",
        ),
    ] = None,
    min_confidence: Annotated[
        float | None,
        typer.Option(rich_help_panel=_FILE, help="Answer --abstain-label where the largest probability is below this."),
    ] = None,
    abstain_label: Annotated[
        str | None,
        typer.Option(
            rich_help_panel=_FILE,
            metavar="LABEL",
            help="Label of too uncertain rows; by default -1 among whole numbers.",
        ),
    ] = None,
    validator: Annotated[
        list[str] | None,
        typer.Option(
            rich_help_panel=_FILE,
            metavar="NAME[:KEY=VALUE,...]",
            help="Check of every row, exported with the model; may be repeated and then replaces the default "
            "columns, finite and minimum_samples.",
        ),
    ] = None,
    out: Annotated[
        Path, typer.Option("--out", "-o", rich_help_panel=_FILE, metavar="FILE", help="The file to write.")
    ] = Path("ensemble.onnx"),
    save: Annotated[
        Path | None,
        typer.Option(
            rich_help_panel=_FILE,
            metavar="DIR",
            help="Directory for the trained ensemble, which verify needs; by default FILE with .trained for .onnx.",
        ),
    ] = None,
    precision: Annotated[
        Precision,
        typer.Option(
            rich_help_panel=_FILE, help="Arithmetic of the file; auto takes float64 only where float32 fails the proof."
        ),
    ] = Precision.AUTO,
    force: Force = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Train a voting ensemble, prove its export exact, and write it as one ONNX file.

    By a config: features, honest evaluation, leak checks, final fit, export, proof, gates, report. With DATA and
    --target: only fit, export and proof, by the options below; every column but the target is a feature. Either way
    nothing is written unless the file answers as the libraries do.
    """
    _check_options(ctx, with_data=data is not None)
    if data is None:
        from glulam.cli._run import train_by_config, windowed

        train_by_config(
            ctx, config, windowed(overrides or [], days, since, until), resume=resume, dry_run=dry_run, force=force,
            quiet=quiet, verbose=verbose,
        )  # fmt: skip
        return
    if target is None:
        raise typer.BadParameter(
            "which column of DATA is to be predicted? Name it; or leave DATA out, and let glulam init write a config",
            param_hint="--target",
        )
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


def _check_options(ctx: typer.Context, *, with_data: bool) -> None:
    """Refuse options of the other way to train, which would be ignored."""
    given = [name for name in ctx.params if getattr(ctx.get_parameter_source(name), "name", "") == "COMMANDLINE"]
    if with_data:
        stray = [name for name in given if name in _OF_A_RUN]
        why = "belongs to a run by a config; leave DATA out, or the option"
    else:
        stray = [name for name in given if name not in (*_OF_A_RUN, *_OF_BOTH)]
        why = "belongs to DATA; name a file, or say it in the config (--set KEY=VALUE)"
    if stray:
        options = ["--" + {"overrides": "set"}.get(name, name).replace("_", "-") for name in stray]
        raise typer.BadParameter(why, param_hint=", ".join(options))


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
