"""``glulam inspect``, ``verify`` and ``plugins``: what a file says of itself, its proof again, what is installed."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer
from rich.console import Console

from glulam.cli._options import Json, Model
from glulam.cli._show import facts, finish, form, members_table, proof_table, table, tree_kernel

if TYPE_CHECKING:
    from glulam import plugins as machine

__all__ = ["inspect", "plugins", "verify"]

_MISSING = {"error": "refused", "allow": "allowed"}


class PluginKind(StrEnum):
    """The kinds of plugins."""

    MODEL = "model"
    VOTING = "voting"
    VALIDATOR = "validator"
    FEATURES = "features"
    EXPORTER = "exporter"
    LABEL = "label"
    SPLITTER = "splitter"
    METRIC = "metric"
    CALIBRATOR = "calibrator"
    SELECTOR = "selector"
    LEAK_CHECK = "leak_check"


def inspect(ctx: typer.Context, model: Model, as_json: Json = False) -> None:
    """Show what MODEL says of itself: features, members, vote, decision, checks, proof, training data."""
    from glulam.runtime import ProductionEnsemble

    opened = ProductionEnsemble(model)
    info = opened.info()
    schema = json.loads(opened.schema.to_json())
    document = {**info, "file": model, "bytes": model.stat().st_size, "schema": schema}

    def show(screen: Console) -> None:
        facts(screen, _facts(document))
        screen.print(_features_table(schema["features"]))
        screen.print(members_table(info))
        screen.print(proof_table(info["parity"]))

    finish(ctx, document, show)


def _facts(document: dict[str, Any]) -> dict[str, object]:
    """Return the lines above the tables."""
    decision, training = document["decision"], document["training"]
    abstains = decision["min_confidence"] is not None
    return {
        "file": f"{document['file']} ({document['bytes']:,} bytes, written by glulam {document['glulam']})",
        "type": f"{document['type']}, {document['task']}",
        "classes": ", ".join(map(str, document["classes"])) or None,
        "voting": document["voting"] or None,
        "threshold": f"{decision['threshold']:g}" if document["task"] == "binary" else None,
        "abstains": f"{decision['abstain_label']!r} below confidence {decision['min_confidence']:g}"
        if abstains
        else None,
        "checks": ", ".join(document["guards"]) or "none",
        "outputs": ", ".join(document["outputs"]),
        "form": form(document),
        "tree kernel here": tree_kernel(document),
        "trained": training["fitted"] and f"{training['fitted']} on {training['rows']:,} rows",
        "data sha256": training["sha256"],
    }


def _features_table(features: list[dict[str, Any]]) -> Any:
    return table(
        "Features",
        ("#>", "name", "kind", "if missing", "categories"),
        (
            (index, each["name"], each["kind"], _MISSING[each["missing"]], _shortened(each["categories"]))
            for index, each in enumerate(features)
        ),
    )


def _shortened(categories: list[Any], most: int = 8) -> str:
    more = f", ... {len(categories) - most} more" if len(categories) > most else ""
    return ", ".join(map(str, categories[:most])) + more


def verify(
    ctx: typer.Context,
    model: Model,
    saved: Annotated[
        Path,
        typer.Argument(
            metavar="SAVED_DIR", exists=True, file_okay=False, help="The trained ensemble, as train saved it."
        ),
    ],
    rows: Annotated[int, typer.Option(min=1_000, help="About how many rows the proof tries.")] = 20_000,
    as_json: Json = False,
) -> None:
    """Prove again that MODEL gives the answers of the trained ensemble in SAVED_DIR; exit code 1 if not."""
    from glulam.runtime import ProductionEnsemble

    kind = ProductionEnsemble(model).info()["type"]
    import glulam
    from glulam.exporting import verify as prove_again

    loader = glulam.EnsembleRegressor if kind == "EnsembleRegressor" else glulam.EnsembleClassifier
    report = prove_again(loader.load(saved), model, proof_rows=rows).to_dict()

    def show(screen: Console) -> None:
        screen.print(proof_table(report))
        facts(screen, {"verified": f"{model} gives the answers of {saved}"})

    finish(ctx, {"verified": True, "file": model, "saved": saved, "parity": report}, show)


def plugins(
    ctx: typer.Context,
    kind: Annotated[PluginKind | None, typer.Option(help="List plugins of this kind only.")] = None,
    as_json: Json = False,
) -> None:
    """List the plugins that are installed, and why one cannot be used."""
    from glulam.plugins import available

    found = available(cast("machine.Kind | None", kind and kind.value))
    rows = [
        {"kind": each.kind, "name": each.name, "distribution": each.distribution, "version": each.version,
         "available": not each.why_not, "why_not": each.why_not or None}
        for each in found
    ]  # fmt: skip

    def show(screen: Console) -> None:
        screen.print(
            table(
                "Plugins",
                ("kind", "name", "distribution", "version", "available"),
                (
                    (row["kind"], row["name"], row["distribution"], row["version"], row["why_not"] or "yes")
                    for row in rows
                ),
            )
        )

    finish(ctx, {"plugins": rows}, show)
