"""Writing TOML, which Python reads and does not write."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime, time
from typing import Any

import numpy as np

from glulam.errors import ConfigError

__all__ = ["document", "dotted", "inline", "key"]

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def document(table: Mapping[str, Any]) -> str:
    """Return a table as a TOML document: what is no table first, then a section for each that is one.

    Raises ConfigError for what TOML has no way to write: None, text that is not Unicode, other objects.
    """
    return "\n".join(_section((), table)).lstrip("\n") + "\n"


def _section(path: tuple[str, ...], table: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of a table at ``path``, and of those in it; an empty one in it stays on its line."""
    tables = {name: value for name, value in table.items() if isinstance(value, Mapping) and value}
    lines = [f"{key(name)} = {_value(value, (*path, name))}" for name, value in table.items() if name not in tables]
    if path and (lines or not tables):
        yield f"\n[{dotted(path)}]"
    yield from lines
    for name, value in tables.items():
        yield from _section((*path, name), value)


def dotted(path: Iterable[object]) -> str:
    """Return where a value is, as TOML writes it: ``members.xgboost.weight``."""
    return ".".join(key(str(part)) for part in path)


def key(name: str) -> str:
    """Return a key, in quotes where it needs them."""
    return name if _BARE.fullmatch(name) else _text(name)


def inline(value: Any) -> str:
    """Return a value as it stands behind a key. Raises ConfigError like `document`."""
    return _value(value, ())


def _value(value: Any, path: tuple[object, ...]) -> str:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, Mapping):
        pairs = (f"{key(str(name))} = {_value(part, (*path, name))}" for name, part in value.items())
        return f"{{ {', '.join(pairs)} }}" if value else "{}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(_value(part, (*path, index)) for index, part in enumerate(value))}]"
    what = "None" if value is None else f"a {type(value).__name__}"
    where = f"{dotted(path)}: " if path else ""
    raise ConfigError(f"{where}{what} cannot be written in TOML; leave the key out, or give a number, text or list")


def _text(value: str) -> str:
    """Return a TOML string. JSON's escapes are TOML's too, but for one character that JSON leaves as it is."""
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise ConfigError(f"text {value!r} is not Unicode and cannot be written in TOML; correct it")
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
