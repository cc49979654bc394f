"""The app: global options, and the commands with their names."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from typer.main import get_command

from glulam import __version__
from glulam.cli import INTERRUPTED, USAGE, State, writing_stdout
from glulam.cli._bench import bench
from glulam.cli._evaluate import evaluate
from glulam.cli._export import export
from glulam.cli._init import init
from glulam.cli._inspect import inspect, plugins, verify
from glulam.cli._options import Json
from glulam.cli._predict import predict
from glulam.cli._show import console, finish
from glulam.cli._train import train
from glulam.cli._tune import tune

__all__ = ["run"]

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=(
        "Exit codes: 0 done; 1 refused, or a check failed; 2 wrong usage, or an input file that is not there; "
        "130 interrupted. Errors are one line on stderr. Files appear whole or not at all."
    ),
)


def run(argv: Sequence[str] | None, state: State) -> int:
    """Run the app on arguments and return its exit code; errors are raised."""
    try:
        code = get_command(app).main(
            args=None if argv is None else list(argv), prog_name="glulam", standalone_mode=False, obj=state
        )
    except typer.Abort:  # older typers turn Ctrl-C into this, newer ones return the code
        return INTERRUPTED
    return code if isinstance(code, int) else 0


def _version(asked: bool) -> None:
    if asked:
        with writing_stdout():
            typer.echo(f"glulam {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _glulam(
    ctx: typer.Context,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error as well.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Voting ensembles of tabular models, exported whole as one exact ensemble.onnx."""
    ctx.obj.debug = debug
    if ctx.invoked_subcommand is None:
        with writing_stdout():
            typer.echo(ctx.get_help())
        raise typer.Exit(USAGE)


def demo(
    ctx: typer.Context,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="DIR",
            help="Directory to keep the exported file and the trained ensemble in; by default neither is.",
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            metavar="FILE",
            exists=True,
            dir_okay=False,
            help="CSV of candles to use instead of those that come with glulam.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Train, export, prove and serve an ensemble on real market data, in a minute or two."""
    # By name: only this command pays for what the demo imports.
    run_demo = importlib.import_module("glulam.cli.demo").run
    result = run_demo(console(), out=out, data=data)
    finish(ctx, result, lambda screen: None)


for _command in (demo, init, train, evaluate, tune, export, predict, inspect, verify, plugins, bench):
    app.command()(_command)
