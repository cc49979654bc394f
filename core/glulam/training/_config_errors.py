"""What is wrong with a config, in plain words: where, what was expected, what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, cast, get_args, get_origin

from pydantic import BaseModel, ValidationError

from glulam.errors import ConfigError
from glulam.training._toml import dotted, inline
from glulam.training.config import Config, MemberConfig

__all__ = ["Path", "Problem", "error_of", "nearest", "problems_of", "shown"]

Path = tuple[str | int, ...]

_MOST = 3
"""Problems that one line tells; of further ones only the number."""
_WIDTH = 60
_NEEDED: dict[Path, str] = {
    ("data",): 'it says where the rows are: path = "FILE"; glulam init writes a whole config',
    ("label",): 'it says what is to be predicted: name = "column", column = "NAME"; glulam init writes a whole config',
}


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: where in the config, and what to do about it."""

    path: Path
    what: str


def error_of(source: str, problems: Sequence[Problem], origins: Mapping[Path, str] | None = None) -> ConfigError:
    """Return the error that tells problems in one line.

    origins
        which variable or option set a value, by its path, where it was not the file
    """
    order = list(Config.model_fields)
    ordered = sorted(problems, key=lambda each: order.index(str(each.path[0])) if each.path[0] in order else -1)
    told = [_told(problem, origins or {}) for problem in ordered[:_MOST]]
    if len(problems) > 1:
        told = [f"({number}) {text}" for number, text in enumerate(told, 1)]
        told[0] = f"{len(problems)} errors: {told[0]}"
    if len(problems) > _MOST:
        told.append(f"and {len(problems) - _MOST} more")
    return ConfigError(f"{source}: {' '.join(told)}" if source else " ".join(told))


def _told(problem: Problem, origins: Mapping[Path, str]) -> str:
    """Return a problem with its place, and who set the value if it was not the file."""
    path = problem.path
    setters = [origin for place, origin in origins.items() if path[: len(place)] == place or place[: len(path)] == path]
    by = f" (set by {setters[-1]})" if setters else ""
    return f"{_place(path)}{by}: {problem.what}"


def _place(path: Path) -> str:
    """Return a path as TOML writes keys, with positions in lists counted from 0 in brackets."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f"{'.' if text else ''}{dotted([part])}"
    return text


def nearest(name: str, known: Iterable[str], *, most: int = 12) -> str:
    """Return what to try instead of an unknown name: the nearest one, and which there are."""
    names = sorted(known)
    near = difflib.get_close_matches(name.lower(), names, n=1, cutoff=0.6)
    hint = f"did you mean {near[0]!r}? " if near else ""
    listed = ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
    return f"{hint}known are {listed}" if names else "none is installed"


def shown(value: Any) -> str:
    """Return a value as errors show it: text in Python's quotes, the rest as TOML, long ones cut off."""
    try:
        text = repr(value) if isinstance(value, str) else inline(value)
    except ConfigError:
        text = repr(value)
    return text if len(text) <= _WIDTH else f"{text[: _WIDTH - 3]}..."


# -- what pydantic says ---------------------------------------------------------------------


def problems_of(error: ValidationError, raw: Mapping[str, Any]) -> list[Problem]:
    """Return pydantic's errors of a config in plain words, each place once."""
    problems: dict[Path, Problem] = {}
    for each in error.errors(include_url=False):
        kind = each["type"]
        path = _real(each["loc"], raw, missing=kind == "missing")
        if kind == "extra_forbidden":
            what = _unknown(path)
        elif kind == "missing":
            what = f"missing; {_NEEDED.get(path, 'give it')}"
        else:
            what = f"expected {_wanted_at(path)}, got {shown(each['input'])}"
        problems[path] = Problem(path, what)
    return list(problems.values())


def _real(location: Path, raw: Any, *, missing: bool) -> Path:
    """Return the part of pydantic's location that is in the config: for unions it adds which type was tried."""
    path: list[str | int] = []
    for part in location:
        if isinstance(raw, Mapping) and (part in raw or missing):
            raw = raw.get(part)
        elif isinstance(raw, (list, tuple)) and isinstance(part, int):
            raw = raw[part]
        else:
            break
        path.append(part)
    return tuple(path)


def _unknown(path: Path) -> str:
    """Say that a key is unknown, and which one may be meant; it may belong to another section."""
    *place, name = path
    model = _model_at(tuple(place))
    keys = list(model.model_fields)
    if model is MemberConfig and not difflib.get_close_matches(str(name), keys, n=1, cutoff=0.6):
        params = _place((*place, "params"))
        return f"unknown key; parameters of the model belong under {params}; other keys are {', '.join(keys)}"
    elsewhere = [
        f"{section}.{name}"
        for section, field in Config.model_fields.items()
        if name in getattr(field.annotation, "model_fields", {})
    ]
    if elsewhere and not difflib.get_close_matches(str(name), keys, n=1, cutoff=0.8):
        return f"unknown key; did you mean {' or '.join(elsewhere)}? known are {', '.join(keys)}"
    return f"unknown key; {nearest(str(name), keys, most=len(keys))}"


def _model_at(path: Path) -> type[BaseModel]:
    """Return the section at a path that pydantic found a key too many in."""
    if not path:
        return Config
    return MemberConfig if path[0] == "members" else cast(type[BaseModel], Config.model_fields[str(path[0])].annotation)


def _wanted_at(path: Path) -> str:
    """Return in words what may stand at a path."""
    annotation: Any = Config
    metadata: Sequence[Any] = ()
    for part in path:
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            field = annotation.model_fields[str(part)]
            annotation, metadata = field.annotation, field.metadata
        else:  # the items of a list, or the values of a table
            inner = [each for each in (annotation, *get_args(annotation)) if get_origin(each) in (tuple, dict)]
            annotation, metadata = get_args(inner[0])[0 if isinstance(part, int) else 1], ()
    return _wanted(annotation, metadata)


def _wanted(annotation: Any, metadata: Sequence[Any] = ()) -> str:
    """Return in words what a type takes."""
    if get_origin(annotation) is Annotated:
        annotation, *more = get_args(annotation)
        metadata = (*metadata, *(part for each in more for part in getattr(each, "metadata", [each])))
    arguments = [each for each in get_args(annotation) if each is not NoneType]
    if get_origin(annotation) is Literal:
        return f"one of {', '.join(map(repr, arguments))}"
    if get_origin(annotation) in (Union, UnionType):
        return " or ".join(_wanted(each, metadata) for each in arguments)
    if get_origin(annotation) is tuple:
        return f"a list, each {_wanted(arguments[0])}"
    plain = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
    return f"{plain.get(annotation, 'a table')}{_limits(metadata)}"


def _limits(metadata: Sequence[Any]) -> str:
    """Return in words which numbers may be given, or how many entries."""
    given = {
        name: getattr(each, name)
        for each in metadata
        for name in ("ge", "gt", "le", "min_length")
        if hasattr(each, name)
    }
    if {"ge", "le"} <= set(given):
        return f" from {given['ge']:g} to {int(given['le']):,}"
    words = {"ge": "of at least {:g}", "gt": "above {:g}", "min_length": "with at least {} entry"}
    return "".join(f" {words[name].format(limit)}" for name, limit in given.items())
