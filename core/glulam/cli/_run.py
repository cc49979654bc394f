"""``glulam train`` by a config: the whole run, and what it prints."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console

from glulam.cli import REFUSED, one_line
from glulam.cli._show import console, facts, finish, members_table, table
from glulam.errors import ArtifactError, ConfigError

if TYPE_CHECKING:
    from glulam.training.config import Config
    from glulam.training.results import Comparison, Evaluation, Interval, MetricResult, RunResult
    from glulam.training.running import Finished

__all__ = ["compared_text", "metrics_table", "observer", "train_by_config", "windowed"]


def windowed(overrides: Sequence[str], days: int | None, since: str | None, until: str | None) -> list[str]:
    """Return the overrides with those that choose a window of the data."""
    check_window(days, since, until)
    window = {"days": days, "since": since, "until": until}
    return [*overrides, *(f"data.{name}={value!r}" for name, value in window.items() if value is not None)]


def check_window(days: int | None, since: str | None, until: str | None) -> None:
    """Refuse to count days back from an end, and to name the moments as well."""
    if days is not None and (since or until):
        raise typer.BadParameter("it counts back from the end; leave out --since and --until", param_hint="--days")


def observer(screen: Console, *, quiet: bool, verbose: bool) -> Callable[[str], None]:
    """Return what prints the stages of a run: all lines, those that are not indented, or none."""
    begun = time.perf_counter()

    def say(line: str) -> None:
        if quiet or (line.startswith(" ") and not verbose):
            return
        spent = f"[{time.perf_counter() - begun:6.1f} s] " if verbose else ""
        screen.print(spent + line, soft_wrap=True)

    return say


def train_by_config(
    ctx: typer.Context,
    config_file: Path,
    overrides: Sequence[str],
    *,
    resume: bool,
    dry_run: bool,
    force: bool,
    quiet: bool,
    verbose: bool,
) -> None:
    """Run what a config asks for. Exit code 1 where a gate fails or something smells of a leak."""
    if resume and dry_run:
        raise typer.BadParameter("a dry run writes nothing that could be resumed", param_hint="--resume")
    if quiet and verbose:
        raise typer.BadParameter("with --quiet nothing is printed; choose one of them", param_hint="--verbose")
    if not config_file.exists():
        raise typer.BadParameter(
            f"{config_file}: no such file; write one with: glulam init, or name one by --config", param_hint="--config"
        )
    with telling_what_to_install():
        from glulam.training.loading import check_names, load_config
        from glulam.training.running import train
    config = load_config(config_file, overrides=overrides)
    check_names(config)
    _check_inputs(config, config_file)
    # With --json, stdout is the document's; what is said then goes to stderr, where it was asked for.
    say = observer(console(), quiet=quiet or (ctx.obj.json and not verbose), verbose=verbose)
    with _saying_how_to_go_on():
        finished = train(
            config, base=config_file.parent, resume=resume, dry_run=dry_run,
            overwrite=force or config.output.overwrite, say=say,
        )  # fmt: skip
    if not quiet or ctx.obj.json:
        finish(ctx, _document(finished, config), lambda screen: _show(screen, finished))
    if finished.out is None and (reasons := _reasons(finished.result, config)):
        # Not raised: a second document would follow the one that is printed.
        what = "would not be put in place" if dry_run else "not put in place"
        where = f"; see {finished.folder / 'report.html'}" if finished.folder else ""
        print(f"glulam: error: {what}: {one_line('; '.join(reasons) + where)}", file=sys.stderr)
        raise typer.Exit(REFUSED)


def _check_inputs(config: Config, config_file: Path) -> None:
    """Refuse, as wrong usage, a config whose inputs are not there, or that would be written over."""
    inputs = {"data.path": config.data.path, "gates.not_worse_than": config.gates.not_worse_than}
    advice = {
        "data.path": f"correct data.path, which is relative to the directory of {config_file}",
        "gates.not_worse_than": "name the present ensemble.onnx, or leave the gate out for the first one: --set "
        "'gates.not_worse_than=\"\"'",
    }
    for key, given in inputs.items():
        path = config_file.parent / given
        if given and not path.exists():
            raise typer.BadParameter(f"{path}: no such file; {advice[key]}", param_hint=key)
    out = config_file.parent / config.output.path
    if out.exists() and out.samefile(config_file):
        raise typer.BadParameter(f"{out} is the config; choose another name", param_hint="output.path")


@contextlib.contextmanager
def telling_what_to_install() -> Iterator[None]:
    """Say which extra has a library that training needs, where it is missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("sklearn", "scipy", "joblib", "skops"):
            raise
        raise ConfigError(
            f"training needs {error.name}, which is not installed; install it with: pip install 'glulam[train]'"
        ) from error


@contextlib.contextmanager
def _saying_how_to_go_on() -> Iterator[None]:
    """Say of a run that was stopped, or that found the disk full, how it goes on."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit) as stop:
        for note in getattr(stop, "__notes__", ()):
            print(f"glulam: {one_line(note)}", file=sys.stderr)
        raise
    except (ArtifactError, OSError) as error:
        notes = getattr(error, "__notes__", [])
        if not notes and isinstance(error, ArtifactError):
            raise
        said = f"{error.filename or 'a file'}: {error.strerror or error}" if isinstance(error, OSError) else str(error)
        raise ArtifactError("; ".join([said, *notes])) from error


def _reasons(result: RunResult, config: Config) -> list[str]:
    """Return what stands against the ensemble, a sentence each."""
    failed = [f"gate {gate.name}: {gate.what}" for gate in result.gates if not gate.passed]
    return failed + [str(each) for each in result.suspicions if not config.leaks.allow]


def _document(finished: Finished, config: Config) -> dict[str, Any]:
    from glulam.training.folder import plain
    from glulam.training.running import summary

    result = finished.result
    document: dict[str, Any] = plain({
        "out": finished.out,
        "saved": finished.saved,
        "folder": finished.folder,
        "report": None if finished.folder is None else finished.folder / "report.html",
        "members": result.ensemble.get("members"),
        "parity": result.ensemble.get("parity"),
        "seconds": result.facts.get("seconds"),
        "refused": _reasons(result, config),
        **summary(result),
    })  # fmt: skip
    return document


def number_text(value: float) -> str:
    """Return a figure as tables have it; a dash where it is undefined."""
    if value != value:
        return "-"
    return f"{value:.3f}" if abs(value) < 1e-9 or 0.01 <= abs(value) < 10_000 else f"{value:.3g}"


def percent_text(value: float) -> str:
    """Return a share as percent; a dash where it is undefined."""
    return "-" if value != value else f"{value:.1%}".replace("%", " %")


def interval_text(found: Interval, text: Callable[[float], str] = number_text) -> str:
    """Return a value with its interval, as far as they are defined."""
    ends = "" if found.low != found.low else f" ({text(found.low)} to {text(found.high)})"
    return text(found.value) + ends


def metrics_table(title: str, metrics: Sequence[MetricResult]) -> Any:
    """Return a row a metric: the ensemble's with its interval, and each baseline's, in 80 columns."""
    names = list(metrics[0].baselines)
    between = "\n" if len(names) > 2 else " "
    made = table(title, ("metric", "ensemble\n(95 %)>", *(name.replace("_", between) + ">" for name in names)), ())
    for each in metrics:
        # A line for the value and one for its interval: beside each other they would leave no room for baselines.
        ours = interval_text(each.ensemble).replace(" (", "\n(", 1)
        made.add_row(one_line(each.title), ours, *(number_text(each.baselines[name].value) for name in names))
    made.columns[1].no_wrap = True
    return made


def compared_text(found: Comparison) -> str:
    """Return a difference with its interval, in the metric's unit; positive where the first way is better."""
    difference = found.difference
    return f"{difference.value:+.4f} ({difference.low:+.4f} to {difference.high:+.4f})"


def _show(screen: Console, finished: Finished) -> None:
    result = finished.result
    evaluation = result.evaluation
    screen.print(metrics_table("Out of fold: answers to rows that the models had not seen", evaluation.metrics))
    compared = [evaluation.against_best, *evaluation.comparisons]
    screen.print(
        table(
            "Compared on the same rows",
            ("what", "metric", "better by (95 %)>", ""),
            ((each.what, each.metric, compared_text(each), verdict(each)) for each in compared),
        )
    )
    if evaluation.backtest is not None:
        _show_backtest(screen, evaluation)
    if result.ensemble:
        screen.print(members_table(result.ensemble))
    if result.gates:
        rows = ((gate.name, "passed" if gate.passed else "FAILED", gate.what) for gate in result.gates)
        screen.print(table("Gates", ("gate", "", "found"), rows))
    facts(
        screen,
        {
            "leaks": f"{len(result.suspicions)} suspected" if result.suspicions
            else f"nothing suspicious in {len(result.checked_for)} checks",
            "one row": f"{result.latency['p50'] * 1e6:.1f} us (p99 {result.latency['p99'] * 1e6:.1f} us), "
            f"{result.latency['memory_bytes'] / 1e6:.0f} MB of memory" if result.latency else None,
            "report": finished.folder / "report.html" if finished.folder else None,
            "written": finished.out and f"{finished.out} ({finished.out.stat().st_size:,} bytes)",
            "saved": finished.saved and f"{finished.saved} (for verify)",
            "dry run": None if finished.folder else "nothing was written",
        },
    )  # fmt: skip


def verdict(found: Comparison) -> str:
    """Return whether a difference is more than chance."""
    if found.better:
        return "better"
    return "worse" if found.difference.high < 0 else "may be chance"


def _show_backtest(screen: Console, evaluation: Evaluation) -> None:
    found = evaluation.backtest
    if found is None:
        return
    names = {
        "total_return": ("return", percent_text), "annual_return": ("return a year", percent_text),
        "max_drawdown": ("largest drawdown", percent_text), "sharpe": ("Sharpe ratio", number_text),
        "turnover": ("turnover a year", number_text), "exposure": ("time in the market", percent_text),
    }  # fmt: skip
    rows = (
        (title, interval_text(found.strategy[name], text), interval_text(found.hold[name], text))
        for name, (title, text) in names.items()
    )
    fee, slippage = found.settings["fee"], found.settings["slippage"]
    title = f"Backtest of these answers; fee {fee:.2%} and slippage {slippage:.2%} of the value, each way"
    screen.print(table(title, ("", "signals (95 %)>", "buy and hold (95 %)>"), rows))
