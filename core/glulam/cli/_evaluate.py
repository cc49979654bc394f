"""``glulam evaluate``: how good an ensemble is on labelled rows that it has not seen."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from glulam.cli._options import Json
from glulam.cli._run import check_window, compared_text, metrics_table, telling_what_to_install, verdict
from glulam.cli._show import facts, finish

__all__ = ["evaluate"]


def evaluate(
    ctx: typer.Context,
    model: Annotated[
        Path,
        typer.Argument(metavar="MODEL", exists=True, help="An ensemble.onnx, or the directory of a trained ensemble."),
    ],
    data: Annotated[
        Path,
        typer.Argument(
            metavar="DATA",
            exists=True,
            dir_okay=False,
            help="Labelled rows: .csv, .csv.gz, .parquet, or a DuckDB or SQLite database with --query.",
        ),
    ],
    target: Annotated[
        str,
        typer.Option(
            metavar="COLUMN",
            help="Column with the labels, or next_direction; by default what the ensemble was trained to predict.",
        ),
    ] = "",
    query: Annotated[str, typer.Option(metavar="SQL", help="For a database: what gives the rows.")] = "",
    metric: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Metric by name; may be repeated; by default all.")
    ] = None,
    days: Annotated[int | None, typer.Option(min=1, help="Only the last so many days.")] = None,
    since: Annotated[str, typer.Option(metavar="TIME", help="Only rows from this moment on.")] = "",
    until: Annotated[str, typer.Option(metavar="TIME", help="Only rows before this moment.")] = "",
    include_trained: Annotated[
        bool,
        typer.Option("--include-trained", help="Count rows that the ensemble was fitted on, which are left out else."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Say how good MODEL's answers are on labelled rows, beside baselines; rows that it was fitted on do not count."""
    with telling_what_to_install():
        from glulam.training.reevaluating import Question, evaluate_again
    check_window(days, since, until)
    question = Question(
        data, target=target, query=query, days=days, since=since, until=until, metrics=tuple(metric or ()),
        include_trained=include_trained,
    )  # fmt: skip
    found = evaluate_again(_opened(model), question)
    document = {
        "model": model,
        "data": data,
        "rows": found.rows,
        "trained_rows": found.trained,
        "include_trained": include_trained,
        "limits": found.limits,
        "best_baseline": found.best_baseline,
        "against_best": {
            "metric": found.against_best.metric,
            **{name: _number(getattr(found.against_best.difference, name)) for name in ("value", "low", "high")},
        },
        "metrics": {
            each.name: {
                "value": _number(each.ensemble.value),
                "low": _number(each.ensemble.low),
                "high": _number(each.ensemble.high),
                "baselines": {name: _number(other.value) for name, other in each.baselines.items()},
            }
            for each in found.metrics
        },
    }

    def show(screen: Console) -> None:
        screen.print(metrics_table(f"On {found.rows:,} row{'s' * (found.rows > 1)}", found.metrics))
        counted = "counted" if include_trained else "left out"
        best = found.against_best
        facts(
            screen,
            {
                "against": f"{best.what.partition(' against ')[2]}: {best.metric} better by {compared_text(best)}, "
                f"{verdict(best)}"
                if best.difference.value == best.difference.value
                else None,
                "fitted on": f"{found.trained:,} of the rows, {counted}" if found.trained else None,
                "note": "; ".join(found.limits) or None,
            },
        )

    finish(ctx, document, show)


def _number(value: float) -> float | None:
    """Return a number as JSON has it: not a number as null."""
    return value if value == value else None


def _opened(path: Path) -> Any:
    """Open an exported file, or a trained ensemble's directory."""
    from glulam.runtime import ProductionEnsemble

    if not path.is_dir():
        return ProductionEnsemble(path)
    import glulam
    from glulam.saved import kind_of

    loader = glulam.EnsembleRegressor if kind_of(path) == "EnsembleRegressor" else glulam.EnsembleClassifier
    return loader.load(path)
