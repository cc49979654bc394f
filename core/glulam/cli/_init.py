"""``glulam init``: a commented config for somebody's data, or for the candles that come with glulam."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from glulam._files import atomic_file, check_target
from glulam.cli._options import Force, Json
from glulam.cli._show import facts, finish
from glulam.errors import ArtifactExistsError, FeatureError

if TYPE_CHECKING:
    from glulam.cli._looking import Column
    from glulam.training.template import Chosen

__all__ = ["init"]

_CANDLES = ("timestamp", "open", "high", "low", "close", "volume")
_NEXT = "next_direction"
_MOST_CATEGORIES = 20
"""A text column of more distinct values among the rows looked at is taken for a name or a remark."""
_HORIZON = (
    "1 where the next close is above this one, else 0. It reads 1 row beyond its own (its horizon): gap, purge and "
    "embargo follow from that by themselves."
)
_OWN_HORIZON = (
    "horizon: how many rows beyond its own the column was made from; 0 says that it is known at its row. Too small a "
    "number lets the future leak into training."
)


@dataclass(frozen=True, slots=True)
class _Found:
    """What was recognised in the data: for `template`, and in words."""

    chosen: Chosen
    told: Mapping[str, str | None]


def init(
    ctx: typer.Context,
    data: Annotated[
        Path | None,
        typer.Argument(
            metavar="[DATA]",
            exists=True,
            dir_okay=False,
            help="A table with a header (.csv, .csv.gz, .parquet) or a database (.duckdb, .sqlite, ...); without it, "
            "the candles that come with glulam.",
        ),
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="The config to write.")] = Path(
        "glulam.toml"
    ),
    target: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="Column to predict; asked for on a terminal if the data do not tell."),
    ] = None,
    query: Annotated[
        str | None, typer.Option(metavar="SQL", help="For a database: the query that gives the rows.")
    ] = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Write a config for DATA, in which every key stands with its default and what it means.

    Candles are recognised by their columns; of other tables the target, times and categories are found.
    """
    if data is not None and out.exists() and out.samefile(data):
        raise typer.BadParameter(f"{out} is the input; choose another name", param_hint="--out")
    check_target(out, overwrite=force)
    if data is None:
        for option, value in (("--target", target), ("--query", query)):
            if value is not None:
                raise typer.BadParameter("needs DATA, the file that it is about", param_hint=option)
        data = _copied_candles(out, overwrite=force)
    from glulam.cli._looking import look_at
    from glulam.training.template import template

    columns = look_at(data, query)
    found = _recognised(data, columns, target, query, out, ask=not as_json)
    with atomic_file(out, overwrite=force) as file:
        file.write(template(found.chosen).encode())
    following = "glulam train" if out == Path("glulam.toml") else f"glulam train --config {shlex.quote(str(out))}"
    document = {"out": out, "data": data, **found.told, "next": following}
    finish(ctx, document, lambda screen: _show(screen, document))


def _show(screen: Console, document: Mapping[str, Any]) -> None:
    told = {name: value for name, value in document.items() if name not in ("out", "next")}
    facts(screen, {**told, "written": document["out"], "next": f"look through it, then run: {document['next']}"})


def _copied_candles(out: Path, *, overwrite: bool) -> Path:
    """Copy the shipped candles beside the config; those that are there already stay. Return where they are."""
    from glulam.cli._shipped import CANDLES, shipped

    content = shipped().read_bytes()
    place = out.parent / CANDLES
    if place.is_file() and place.read_bytes() == content:
        return place
    if place.exists() and not overwrite:
        raise ArtifactExistsError(
            f"{place} exists with other content than the candles that come with glulam; give it as DATA to use it, "
            "choose another directory with --out, or replace it with --force"
        )
    with atomic_file(place, overwrite=overwrite) as file:
        file.write(content)
    return place


# -- what the data are ----------------------------------------------------------------------


def _recognised(
    data: Path, columns: Sequence[Column], target: str | None, query: str | None, out: Path, *, ask: bool
) -> _Found:
    """Return what a config for these columns says; what only the user knows is asked for, or an error."""
    names = [column.name for column in columns]
    known = {"path": _relative(data, out.parent)} | ({"query": query} if query is not None else {})
    candles = set(_CANDLES) <= set(names)
    if candles and target in (None, _NEXT):
        return _of_candles(known, next(column for column in columns if column.name == "timestamp"))
    if target is None and ask and sys.stdin.isatty() and sys.stderr.isatty():
        target = _asked(data, names)
    if target is None:
        raise FeatureError(f"{data}: which column is to be predicted? name it with --target; {_which(names)}")
    if target not in names:
        raise FeatureError(f"{data}: --target: no column {target!r}; {_near(target, names)}{_which(names)}")
    return _of_table(known, [column for column in columns if column.name != target], target)


def _which(names: Sequence[str]) -> str:
    from glulam._tables import shorten

    text = f"its columns are {shorten(list(names))}"
    lacking = [name for name in _CANDLES if name not in names]
    if not set(_CANDLES) - {name.lower() for name in names}:  # generators match names exactly
        text += f"; candles are recognised by the names {', '.join(_CANDLES)}, so rename to {', '.join(lacking)}"
    return text


def _near(name: str, names: Sequence[str]) -> str:
    import difflib

    near = difflib.get_close_matches(name, names, n=1)
    return f"did you mean {near[0]!r}? " if near else ""


def _asked(data: Path, names: Sequence[str]) -> str:
    """Return the column that the user names on the terminal; asked again until it is one."""

    def column(text: str) -> str:
        if text.strip() not in names:
            raise typer.BadParameter(f"no column {text!r}; {_near(text, names)}{_which(names)}")
        return text.strip()

    answer: str = typer.prompt(
        f"Which column of {data.name} is to be predicted ({_which(names)})", value_proc=column, err=True
    )
    return answer


def _relative(data: Path, directory: Path) -> str:
    """Return a file's path as seen from the config's directory; one given in full stays so unless it is in there."""
    if data.is_absolute() and not data.is_relative_to(directory.absolute()):
        return data.as_posix()
    try:
        return Path(os.path.relpath(data, directory)).as_posix()
    except ValueError:  # another drive
        return data.absolute().as_posix()


def _of_candles(known: dict[str, Any], timestamp: Column) -> _Found:
    from glulam.training.template import Chosen

    data, notes = _timed(known, timestamp, ())
    chosen = Chosen(
        data=data,
        features={"generators": ["technical"]},
        label={"name": _NEXT},
        notes={"data": notes, "label": [_HORIZON]},
    )
    told = {
        "recognised": "candles",
        "features": "those of technical",
        "label": "next_direction: is the next close higher?",
    }
    return _Found(chosen, told | {"time": "timestamp"})


def _of_table(known: dict[str, Any], features: Sequence[Column], target: str) -> _Found:
    from glulam.training.template import Chosen

    times = sorted((column for column in features if column.is_time), key=lambda column: not column.named_as_time)
    dropped = [column.name for column in times[1:]]
    text = [column for column in features if column.kind == "text" and not column.is_time]
    categories = [column.name for column in text if column.distinct <= _MOST_CATEGORIES]
    dropped += [column.name for column in text if column.distinct > _MOST_CATEGORIES]
    dropped += [column.name for column in features if column.kind == "other" and not column.is_time]
    # A table has one column without a name at most: the row numbers that pandas writes.
    dropped += [column.name for column in features if column.numbers_rows or (not column.name and column not in times)]
    dropped = list(dict.fromkeys(dropped))
    categories = [name for name in categories if name not in dropped]
    data, notes = _timed(known, times[0] if times else None, dropped)
    if categories:
        data["categorical"] = categories
    used = [column.name for column in features if column.name not in dropped and column not in times[:1]]
    if not used:
        raise FeatureError(f"no column is left to predict {target!r} from; give a table with features")
    label: dict[str, Any] = {"name": "column", "column": target}
    if times:
        label["horizon"] = 0
    chosen = Chosen(data=data, label=label, notes={"data": notes, "label": [_OWN_HORIZON] if times else []})
    return _Found(
        chosen,
        {
            "label": f"the column {target}",
            "time": times[0].name if times else "none: rows are taken to have no order",
            "features": f"{len(used)} columns" + (f", of categories {', '.join(categories)}" if categories else ""),
            "dropped": ", ".join(name or "the column without a name" for name in dropped) or None,
        },
    )


def _timed(known: dict[str, Any], time: Column | None, dropped: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    """Return the data section's keys with time, zone and dropped columns, and what to say of them."""
    data, notes = dict(known), []
    if time is not None:
        data["time"] = time.name
        if time.naive:
            data["timezone"] = "UTC"
            notes.append(
                f"The times of {time.name} name no zone and are taken for UTC: correct timezone if they are not."
            )
    if dropped:
        data["drop"] = list(dropped)
        notes.append(
            "Dropped are texts of many values, numbers of rows, further times and what is no number: look whether "
            "that is right."
        )
    return data, notes
