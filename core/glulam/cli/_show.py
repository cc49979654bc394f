"""What commands print: text without markup, tables, or one JSON document.

Names and labels come from files that others wrote. None of it is read as markup, and control
characters are shown escaped, so that data cannot steer the terminal.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from glulam.cli import State, one_line, writing_stdout

__all__ = ["console", "facts", "finish", "form", "members_table", "progress", "proof_table", "table", "tree_kernel"]


def console(*, stderr: bool = False) -> Console:
    """Return a console that shows text as it is."""
    return Console(stderr=stderr, markup=False, highlight=False, emoji=False)


def finish(ctx: typer.Context, document: Mapping[str, Any], show: Callable[[Console], None]) -> None:
    """Print a command's result: the document if JSON was asked for, else what ``show`` prints."""
    state: State = ctx.obj
    with writing_stdout():
        if state.json:
            print(json.dumps(document, default=_plain, allow_nan=False, indent=1), file=state.stdout, flush=True)
        else:
            show(console())


def _plain(value: Any) -> Any:
    """Return numpy's values and paths as JSON has them."""
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    return str(value)


def table(title: str, columns: Iterable[str], rows: Iterable[Iterable[object]]) -> Table:
    """Return a table; columns whose name ends in ``>`` are aligned to the right."""
    made = Table(title=title, title_justify="left", title_style="bold", header_style="bold")
    for name in columns:
        # fold: a narrow terminal breaks long values but hides none.
        made.add_column(name.rstrip(">"), justify="right" if name.endswith(">") else "left", overflow="fold")
    for row in rows:
        made.add_row(*(one_line(cell) for cell in row))
    return made


def form(info: Mapping[str, Any]) -> str | None:
    """Return in words which form a file's graph has."""
    return {"fused": "one node, whose body is the standard graph", "standard": "standard operators alone"}.get(
        info.get("form", "standard")
    )


def tree_kernel(info: Mapping[str, Any]) -> str:
    """Return which kernel walks a model's trees here, and if it is not glulam's, why."""
    return "glulam" if info["kernel"] == "glulam" else f"{info['kernel']}, because {info['kernel_reason']}"


def facts(screen: Console, pairs: Mapping[str, object]) -> None:
    """Print names and values, aligned; None is left out."""
    width = max(map(len, pairs))
    for name, value in pairs.items():
        if value is not None:
            screen.print(f"{name:<{width}}  {one_line(value)}", soft_wrap=True)


def members_table(info: Mapping[str, Any]) -> Table:
    """Return the members of an exported file, as `ProductionEnsemble.info` describes them."""
    parity = info["parity"]
    differences = parity.get("members", {})
    return table(
        "Members",
        ("name", "plugin", "weight>", "library", f"{_difference(parity)}>"),
        (
            (
                member["name"],
                member.get("plugin", "?"),
                f"{member['weight']:g}",
                ", ".join(f"{name} {version}" for name, version in member.get("versions", {}).items()) or "?",
                f"{differences[member['name']]:.2e}" if member["name"] in differences else "?",
            )
            for member in info["members"]
        ),
    )


def proof_table(parity: Mapping[str, Any]) -> Table:
    """Return the proof's report by family of rows; ``parity`` is `ParityReport.to_dict`."""
    rows = [
        (
            family["family"],
            f"{family['rows']:,}",
            f"{family['largest_difference']:.2e}",
            family["label_differences"],
            f"refused by {', '.join(family['refused_by'])}: interpreter" if family["refused_by"] else "",
        )
        for family in parity["families"]
    ]
    rows.append(("all", f"{parity['rows']:,}", f"{parity['largest_difference']:.2e}", parity["label_differences"], ""))
    if (by_kernel := parity.get("kernel_difference")) is not None:
        figures = f"{parity['rows']:,}", f"{by_kernel:.2e}", parity["kernel_label_differences"]
        rows.append(("all, by the kernel", *figures, ""))
    return table(
        f"Proof against the training libraries ({parity['precision']}, tolerance {parity['tolerance']:g})",
        ("rows of family", "rows>", f"{_difference(parity)}>", "labels\nthat differ>", "note"),
        rows,
    )


def _difference(parity: Mapping[str, Any]) -> str:
    """Return the heading of differences; in two lines, so that a narrow terminal has room for the names."""
    return f"largest{' relative' if parity.get('relative') else ''}\ndifference"


@contextlib.contextmanager
def progress(what: str, total: float, *, quiet: bool) -> Iterator[Callable[[float], None]]:
    """Show a bar on stderr if that is a terminal; give a function that takes how much is done."""
    if quiet or not sys.stderr.isatty():
        yield lambda done: None
        return
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console(stderr=True), transient=True) as bar:
        task = bar.add_task(one_line(what), total=total)
        yield lambda done: bar.update(task, completed=done)
