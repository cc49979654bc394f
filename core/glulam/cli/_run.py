"""``glulam train`` by a config: the whole run, and what it prints."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console

from glulam.cli import REFUSED
from glulam.cli._show import console, facts, finish, members_table, table
from glulam.errors import ConfigError

if TYPE_CHECKING:
    from glulam.training.results import Comparison, Evaluation, Interval, RunResult
    from glulam.training.running import Finished

__all__ = ["metric_rows", "observer", "train_by_config", "windowed"]


def windowed(overrides: Sequence[str], days: int | None, since: str | None, until: str | None) -> list[str]:
    """Return the overrides with those that choose a window of the data."""
    window = {"days": days, "since": since, "until": until}
    chosen = [f"data.{name}={value!r}" for name, value in window.items() if value is not None]
    if days is not None and (since or until):
        raise typer.BadParameter("--days counts back from the end; leave out --since and --until", param_hint="--days")
    return [*overrides, *chosen]


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
    from glulam.training.loading import check_names, load_config
    from glulam.training.running import train

    if resume and dry_run:
        raise typer.BadParameter("a dry run writes nothing that could be resumed", param_hint="--resume")
    config = load_config(config_file, overrides=overrides)
    check_names(config)
    say = observer(console(), quiet=quiet or ctx.obj.json, verbose=verbose)
    try:
        finished = train(
            config, base=config_file.parent, resume=resume, dry_run=dry_run,
            overwrite=force or config.output.overwrite, say=say,
        )  # fmt: skip
    except KeyboardInterrupt:
        if not dry_run:
            say("interrupted: what is done is kept; go on with: glulam train --resume")
        raise
    document = _document(finished)
    if not quiet or ctx.obj.json:
        finish(ctx, document, lambda screen: _show(screen, finished))
    if finished.out is None and not dry_run:
        raise ConfigError("not put in place: " + "; ".join(_reasons(finished.result)) + _where(finished))
    if dry_run and not finished.result.passed:
        raise typer.Exit(REFUSED)


def _where(finished: Finished) -> str:
    return f"; the report is {finished.folder / 'report.html'}" if finished.folder else ""


def _reasons(result: RunResult) -> list[str]:
    """Return what stands against the ensemble, a sentence each."""
    failed = [f"gate {gate.name}: {gate.what}" for gate in result.gates if not gate.passed]
    return failed + [str(each) for each in result.suspicions]


def _document(finished: Finished) -> dict[str, Any]:
    from glulam.training.running import summary

    result = finished.result
    return {
        "out": finished.out,
        "saved": finished.saved,
        "folder": finished.folder,
        "report": None if finished.folder is None else finished.folder / "report.html",
        "members": result.ensemble.get("members"),
        "parity": result.ensemble.get("parity"),
        "seconds": result.facts.get("seconds"),
        **summary(result),
    }


def metric_rows(evaluation: Evaluation) -> list[tuple[str, ...]]:
    """Return a row a metric: its interval, the best baseline by it, and the other baselines' values."""
    names = list(evaluation.metrics[0].baselines)
    return [
        (each.title, interval_text(each.ensemble), *(f"{each.baselines[name].value:.4g}" for name in names))
        for each in evaluation.metrics
    ]


def interval_text(found: Interval) -> str:
    """Return a value with its interval; a dash where it is undefined."""
    if found.value != found.value:
        return "-"
    ends = "" if found.low != found.low else f" ({found.low:.3f} to {found.high:.3f})"
    return f"{found.value:.3f}{ends}"


def metrics_table(evaluation: Evaluation) -> Any:
    """Return the table of metrics."""
    columns = (
        "metric",
        "ensemble (95 %)>",
        *(f"{name.replace('_', ' ')}>" for name in evaluation.metrics[0].baselines),
    )
    return table("Out of fold", columns, metric_rows(evaluation))


def _show(screen: Console, finished: Finished) -> None:
    result = finished.result
    evaluation = result.evaluation
    screen.print(metrics_table(evaluation))
    compared = [evaluation.against_best, *evaluation.comparisons]
    screen.print(
        table(
            "Compared on the same rows",
            ("what", "metric", "better by (95 %)>", ""),
            (
                (each.what, each.metric, f"{each.difference.value:+.4f} ({each.difference.low:+.4f} to "
                 f"{each.difference.high:+.4f})", _verdict(each))
                for each in compared
            ),
        )
    )  # fmt: skip
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


def _verdict(found: Comparison) -> str:
    """Return whether a difference is more than chance."""
    if found.better:
        return "better"
    return "worse" if found.difference.high < 0 else "may be chance"


def _show_backtest(screen: Console, evaluation: Evaluation) -> None:
    found = evaluation.backtest
    if found is None:
        return
    names = {
        "total_return": "return", "annual_return": "return a year", "max_drawdown": "largest drawdown",
        "sharpe": "Sharpe ratio", "turnover": "turnover a year", "exposure": "share of time in the market",
    }  # fmt: skip
    rows = (
        (title, interval_text(found.strategy[name]), interval_text(found.hold[name])) for name, title in names.items()
    )
    title = f"Backtest, fee {found.settings['fee']:.2%} and slippage {found.settings['slippage']:.2%} each way"
    screen.print(table(title, ("", "signals (95 %)>", "buy and hold (95 %)>"), rows))
