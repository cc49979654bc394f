"""Options that several commands share, and the reading of ``NAME:key=value`` specifications."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated, Any

import typer

__all__ = ["Data", "Force", "Json", "Model", "Quiet", "numbers", "specification"]


def _reserve_stdout(ctx: typer.Context, asked: bool) -> bool:
    if asked and ctx.obj is not None:
        ctx.obj.reserve_stdout()
    return asked


Json = Annotated[
    bool, typer.Option("--json", callback=_reserve_stdout, help="Print one JSON document on stdout and nothing else.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but warnings and errors.")]
Force = Annotated[bool, typer.Option("--force", "-f", help="Replace output that is there already.")]
Model = Annotated[
    Path, typer.Argument(metavar="MODEL", exists=True, dir_okay=False, help="An ensemble.onnx that glulam exported.")
]
Data = Annotated[
    Path,
    typer.Argument(
        metavar="DATA", exists=True, dir_okay=False, help="A table with a header: .csv, .csv.gz or .parquet."
    ),
]

_WORDS = {"true": True, "false": False, "none": None, "null": None}


def specification(text: str, option: str) -> tuple[str, dict[str, Any]]:
    """Read ``NAME`` or ``NAME:key=value,key=value``; values are JSON where they look like it, else text."""
    name, colon, rest = text.partition(":")
    # A comma separates only before the next `key=`, so that lists may have commas of their own.
    pairs = re.split(r",(?=\s*\w+=)", rest) if colon else []
    params = {}
    for pair in pairs:
        key, equals, value = pair.strip().partition("=")
        if not (name and key and equals):
            raise typer.BadParameter(f"expected NAME or NAME:key=value,key=value, got {text!r}", param_hint=option)
        params[key] = _value(value)
    return name, params


def _value(text: str) -> Any:
    """Return a number, truth value, None or JSON list as such, and anything else as text."""
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    try:
        return json.loads(text)
    except ValueError:
        return text


def numbers(text: str, option: str) -> list[float]:
    """Read ``0.4,0.4,0.2``."""
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise typer.BadParameter(f"expected numbers separated by commas, got {text!r}", param_hint=option) from None
