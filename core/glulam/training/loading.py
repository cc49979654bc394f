"""Reading a config: the file, then the environment, then ``--set``; and writing it back."""

from __future__ import annotations

import hashlib
import json
import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from glulam.errors import ConfigError
from glulam.training import _config_errors as errors
from glulam.training import _overrides, _toml
from glulam.training._config_checks import check_names, name_problems, setting_problems
from glulam.training.config import Config

__all__ = ["check_names", "digest", "load_config", "to_toml"]

_PATHS = (("data", "path"), ("tune", "storage"), ("gates", "not_worse_than"), ("output", "path"), ("output", "runs"))
"""Keys whose values are places."""
_LINE = re.compile(r"(?P<what>.*) \(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)", re.DOTALL)


def load_config(path: Path, *, overrides: Sequence[str] = (), environ: Mapping[str, str] | None = None) -> Config:
    """Return the config in a file, as the environment and overrides change it; places stay relative to its directory.

    path
        a TOML file
    overrides
        as ``--set`` takes them: ``members.xgboost.weight=0.3``. They win over the environment
    environ
        variables such as ``GLULAM_MEMBERS__XGBOOST__WEIGHT``; by default those of the process

    Raises ConfigError, in one line, for whatever is wrong: with the file, a key, a type, a name, or what does not go
    together.
    """
    raw = _read(path)
    _spell_out(raw, str(path))
    origins = _overrides.apply(raw, overrides, os.environ if environ is None else environ, spell_out=_spell_out)
    _text_of_dates(raw)
    try:
        config = Config.model_validate(raw)
    except ValidationError as error:
        raise errors.error_of(str(path), errors.problems_of(error, raw), origins) from error
    problems = [*setting_problems(config), *name_problems(config)]
    if problems:
        raise errors.error_of(str(path), problems, origins)
    return _at_home(config)


def to_toml(config: Config) -> str:
    """Return a whole config as TOML, defaults and all; `load_config` makes the same of it.

    Raises ConfigError for parameters that TOML has no way to write, such as None.
    """
    table = config.model_dump()
    for section, field in Config.model_fields.items():
        # Keys of ours that are None were left out; in parameters of a plugin None would mean something.
        for name in getattr(field.annotation, "model_fields", {}):
            if table[section][name] is None:
                del table[section][name]
    return _toml.document(table)


def digest(config: Config) -> str:
    """Return the sha256 of all that a result depends on: the config without where results go.

    It does not depend on the order of keys, nor on what was left out and what was given as it is by default.
    """
    told = config.model_dump(exclude={"output": {"path", "runs", "overwrite"}})
    text = json.dumps(told, sort_keys=True, separators=(",", ":"), default=_plain)
    return hashlib.sha256(text.encode()).hexdigest()


def _plain(value: object) -> Any:
    """Return numpy's numbers and TOML's dates as JSON has them."""
    return value.item() if isinstance(value, np.generic) else str(value)


# -- reading --------------------------------------------------------------------------------


def _read(path: Path) -> dict[str, Any]:
    """Return what a TOML file says."""
    try:
        # Some editors on Windows begin a file with a mark that is no part of the text.
        return tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: no such file; write one with: glulam init") from error
    except IsADirectoryError as error:
        raise ConfigError(
            f"{path}: is a directory; give the name of a config, such as {path / 'glulam.toml'}"
        ) from error
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}; check its permissions") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not UTF-8 (byte {error.start}); save it as UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: {_syntax(str(error))}; see https://toml.io for how TOML is written") from error
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, lists in lists without end
        raise ConfigError(f"{path}: is no TOML that can be read: {error}") from error


def _syntax(message: str) -> str:
    """Return Python's words on a mistake in TOML with the place first."""
    found = _LINE.fullmatch(message)
    if found is None:
        return f"is no TOML: {message}"
    place = f"line {found['line']}, column {found['column']}" if found["line"] else "at its end"
    what = found["what"].replace("Cannot overwrite a value", "a key comes twice")
    return f"{place}: is no TOML: {what[:1].lower()}{what[1:]}"


def _spell_out(raw: dict[str, Any], source: str) -> None:
    """Replace what may be written short by its long form, as far as it is of a type that has one.

    ``source`` is who wrote it: the file, a variable or an option.
    """
    if isinstance(raw.get("label"), str):
        raw["label"] = {"name": raw["label"]}
    members = raw.get("members")
    if isinstance(members, list) and all(isinstance(name, str) for name in members):
        if len(set(members)) < len(members):
            raise ConfigError(
                f"{source}: members: each name may come once, got {members}; give two members of a kind names of "
                'their own: [members.NAME] with plugin = "PLUGIN"'
            )
        raw["members"] = {name: {} for name in members}
    features = raw.get("features")
    if isinstance(features, dict) and isinstance(features.get("generators"), list):
        features["generators"] = [{"name": each} if isinstance(each, str) else each for each in features["generators"]]


def _text_of_dates(raw: Mapping[str, Any]) -> None:
    """Take TOML's own dates where text is expected that holds one."""
    data = raw.get("data")
    if isinstance(data, dict):
        for name in ("since", "until"):
            if isinstance(data.get(name), date):  # datetimes are dates
                data[name] = data[name].isoformat()


def _at_home(config: Config) -> Config:
    """Return a config in whose places ``~`` at the beginning is the user's home."""
    changed: dict[str, Any] = {}
    for section, name in _PATHS:
        before = changed.get(section, getattr(config, section))
        place = os.path.expanduser(getattr(before, name))  # noqa: PTH111  # Path's own would make "" a "."
        changed[section] = before.model_copy(update={name: place})
    return config.model_copy(update=changed)
