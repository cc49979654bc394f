"""``glulam tune``: search the members' parameters, and say what that is worth on rows that the search never saw."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from glulam.cli._options import Force, Json, Quiet
from glulam.cli._show import facts, finish, table

if TYPE_CHECKING:
    from glulam.training.config import Config
    from glulam.training.tuning import TuneResult

__all__ = ["tune"]


def tune(
    ctx: typer.Context,
    config: Annotated[
        Path,
        typer.Option("--config", "-c", metavar="FILE", exists=True, dir_okay=False, help="The config of the run."),
    ] = Path("glulam.toml"),
    override: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Change a key of the config, such as members.xgboost.weight=0.3; may be repeated.",
        ),
    ] = None,
    trials: Annotated[
        int | None, typer.Option(min=1, help="Sets of parameters to try for each member; by default the config's.")
    ] = None,
    timeout: Annotated[float | None, typer.Option(metavar="SECONDS", help="Stop the search after so long.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Sets of parameters to try at once.")] = None,
    restart: Annotated[
        bool, typer.Option("--restart", help="Forget the trials of an earlier run instead of going on with them.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", metavar="FILE", help="The config to write; by default tuned.toml beside the config."
        ),
    ] = None,
    force: Force = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Search parameters for each member, and write a config with the best if they hold where the search never was.

    A search that is interrupted, or runs out of time, goes on when the same command is run again.
    """
    from glulam._files import atomic_file, check_target
    from glulam.training import tuning
    from glulam.training.assembling import make_dataset
    from glulam.training.data import read_raw
    from glulam.training.loading import load_config

    base = config.parent
    place = out if out is not None else base / "tuned.toml"
    if place.parent.resolve() != base.resolve():
        raise typer.BadParameter(
            f"expected a file in {base.resolve()}, since paths in a config are relative to its directory",
            param_hint="--out",
        )
    check_target(place, overwrite=force)
    budget = {"trials": trials, "timeout": timeout, "workers": workers}
    given = [f"tune.{name}={value}" for name, value in budget.items() if value is not None]
    settings = load_config(config, overrides=[*(override or []), *given])
    raw = read_raw(settings.data, base, needs_time=bool(settings.features.generators))
    data = make_dataset(raw, settings)
    try:
        found = tuning.tune(data, settings, base=base, progress=not (quiet or as_json), resume=not restart)
    except KeyboardInterrupt:
        again = "run the command again without --restart" if restart else "run the same command again"
        print(f"glulam: finished trials are kept in {base / settings.tune.storage}; {again} to go on", file=sys.stderr)
        raise
    with atomic_file(place, overwrite=force) as file:
        file.write(_text(found).encode())
    document = _document(found, settings, base, place)
    if not quiet or as_json:
        finish(ctx, document, lambda screen: _show(screen, document, found))


def _text(found: TuneResult) -> str:
    """Return the config to go on with. It is tuned: training with it searches no more."""
    from glulam.training.loading import to_toml

    done = found.config.tune.model_copy(update={"enabled": False})
    written = found.config.model_copy(update={"tune": done})
    return f"# glulam tune, by {found.metric} on {found.holdout}:\n# {found.verdict}\n\n{to_toml(written)}"


def _document(found: TuneResult, settings: Config, base: Path, out: Path) -> dict[str, Any]:
    difference = found.comparison.difference
    ends = {name: getattr(difference, name) for name in ("value", "low", "high")}
    return {
        "out": out, "metric": found.metric, "holdout": found.holdout,
        "members": {
            name: {
                "params": dict(member.params), "untuned": member.untuned, "tuned": member.tuned,
                "trials": dict(member.trials), "error": member.error or None,
            }
            for name, member in found.members.items()
        },
        "comparison": {name: value if math.isfinite(value) else None for name, value in ends.items()},
        "better": found.comparison.better, "adopted": found.adopted, "verdict": found.verdict,
        "trials": found.trials, "complete": found.complete,
        "storage": base / settings.tune.storage, "study": settings.tune.study, "seconds": round(found.seconds, 3),
    }  # fmt: skip


def _show(screen: Console, document: dict[str, Any], found: TuneResult) -> None:
    columns = ("member", "untuned>", "tuned>", "trials done>", "pruned>", "failed>")
    screen.print(table(f"{found.metric} on the search's own folds", columns, map(_row, found.members.items())))
    errors = {name: member.error for name, member in found.members.items() if member.error}
    facts(screen, {f"best for {name}": _best(member) for name, member in found.members.items()})
    facts(
        screen,
        {
            "compared on": found.holdout,
            "result": found.verdict,
            "failed trials": "; ".join(f"{name}: {error}" for name, error in errors.items()) or None,
            "out of time": None if found.complete else "trials are left; run again to go on",
            "written": f"{document['out']} in {found.seconds:.1f} s, with "
            + ("the best parameters" if found.adopted else "the parameters as they were"),
        },
    )


def _row(item: tuple[str, Any]) -> tuple[object, ...]:
    """Return a member's row of the table."""
    name, member = item
    if member.untuned is None:
        return name, "", "", "", "", ""
    counts = (member.trials[kind] for kind in ("done", "pruned", "failed"))
    return name, f"{member.untuned:.5f}", f"{member.tuned:.5f}", *counts


def _best(member: Any) -> str:
    """Return a member's best parameters as one reads them."""
    if member.untuned is None:
        return "nothing to search"
    shown = (
        f"{key} = {value:.4g}" if isinstance(value, float) else f"{key} = {value}"
        for key, value in member.params.items()
    )
    return ", ".join(shown) or "as they were"
