"""What changes a config beside its file: variables of the environment, and ``--set KEY=VALUE``."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from glulam.errors import ConfigError
from glulam.training._config_errors import Path, shown
from glulam.training._toml import dotted, key
from glulam.training.config import Config

__all__ = ["apply"]

_PREFIX = "GLULAM_"
_KEY = re.compile(r"""((?:"(?:[^"\\]|\\.)*"|'[^']*'|[^"'=])*)=""")
_EXAMPLE = "expected KEY=VALUE, such as evaluation.folds=5"


def apply(
    raw: dict[str, Any],
    overrides: Sequence[str],
    environ: Mapping[str, str],
    *,
    spell_out: Callable[[dict[str, Any], str], None],
) -> dict[Path, str]:
    """Put the environment's values, then those of ``--set``, into a raw config; return who set what, by path.

    ``spell_out`` replaces what somebody gave in a short form. Raises ConfigError for what is no KEY=VALUE.
    """
    origins: dict[Path, str] = {}
    for origin, path, text in [*_of_environment(raw, environ), *map(_of_option, overrides)]:
        _put(raw, path, _value(path, text), origin)
        spell_out(raw, origin)
        origins.pop(path, None)
        origins[path] = origin  # the last one wins, so it comes last
    return origins


def _of_environment(raw: Mapping[str, Any], environ: Mapping[str, str]) -> Iterator[tuple[str, Path, str]]:
    """Yield variable, path and text of the variables that speak of the config.

    Those of one word do only if it is a key of the config: GLULAM_KERNEL and its like are read elsewhere.
    """
    for variable, text in sorted(environ.items()):
        if not variable.startswith(_PREFIX):
            continue
        parts = variable.removeprefix(_PREFIX).split("__")
        if len(parts) == 1 and parts[0].lower() not in Config.model_fields:
            continue
        if not all(parts):
            raise ConfigError(f"{variable}: a key is empty; write GLULAM_SECTION__KEY, such as GLULAM_DATA__PATH")
        if any("\ud800" <= character <= "\udfff" for character in text):
            raise ConfigError(f"{variable}: its value is not UTF-8; set it again as UTF-8")
        yield variable, _cased(parts, raw, variable), text


def _cased(parts: Sequence[str], raw: Any, variable: str) -> Path:
    """Return the path that a variable means: keys that are there in their own spelling, others in lower case."""
    path: list[str | int] = []
    for part in parts:
        there = [name for name in raw if name.lower() == part.lower()] if isinstance(raw, Mapping) else []
        if len(there) > 1:
            raise ConfigError(f"{variable}: may mean {' or '.join(map(key, there))}; name one with --set instead")
        path.append(there[0] if there else part.lower())
        raw = raw[there[0]] if there else None
    return tuple(path)


def _of_option(text: str) -> tuple[str, Path, str]:
    """Return origin, path and text of a ``--set``."""
    name, value = _halves(text)
    try:
        table: Any = tomllib.loads(f"{name}=0") if "\n" not in name else {}
    except tomllib.TOMLDecodeError:
        table = {}
    path: list[str | int] = []
    while isinstance(table, dict) and len(table) == 1:
        ((part, table),) = table.items()
        path.append(part)
    if not path or table != 0:
        raise ConfigError(f"--set {text!r}: {_EXAMPLE}; quote parts of the key that are no plain words")
    return f"--set {name.strip()}", tuple(path), value.strip()


def _halves(text: str) -> tuple[str, str]:
    """Return what is before and after the first equals sign that is not in quotes."""
    found = _KEY.match(text)
    if found is None:
        raise ConfigError(f"--set {text!r}: {_EXAMPLE}")
    return found[1], text[found.end() :]


def _value(path: Path, text: str) -> Any:
    """Return a TOML value where the text is one, else the text; where the config has text, always text or a date."""
    try:
        table = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return text
    value = table["value"] if table.keys() == {"value"} else text  # a line break may have begun another key
    return text if _is_text(path) and not isinstance(value, (str, list, dict)) else value


def _is_text(path: Path) -> bool:
    """Tell whether the config has text at a path, such as a file's name, which may look like a number."""
    if len(path) != 2 or path[0] not in Config.model_fields:
        return False
    fields = getattr(Config.model_fields[str(path[0])].annotation, "model_fields", {})
    return path[1] in fields and fields[path[1]].annotation is str


def _put(raw: dict[str, Any], path: Path, value: Any, origin: str) -> None:
    """Set one value; tables on the way are made where they are not there."""
    if path[0] == "members" and len(path) > 1 and "members" not in raw:
        # Who changes one of the default members does not mean to lose the others.
        members = Config.model_fields["members"].get_default(call_default_factory=True)
        raw["members"] = {name: member.model_dump(exclude_unset=True) for name, member in members.items()}
    table = raw
    for depth, part in enumerate(path[:-1], 1):
        inner = table.setdefault(str(part), {})
        if not isinstance(inner, dict):
            where = dotted(path[:depth])
            raise ConfigError(f"{origin}: {where} is {shown(inner)}, no table; give it as a whole: {where}=VALUE")
        table = inner
    table[str(path[-1])] = value
