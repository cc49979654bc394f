"""A config to begin with: what is known of the data is set, and every other key stands there with its default."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from glulam.training import _toml
from glulam.training.config import Config, MemberConfig

__all__ = ["Chosen", "template"]

_WIDTH = 110
_HEAD = """\
# What `glulam train` does. A line that begins with # and a key, such as #folds = 5, shows a default, or an example
# where there is none: take the # away to change it. Places are relative to this file. Each key can be set for one
# run by --set evaluation.folds=3, or by a variable such as GLULAM_EVALUATION__FOLDS=3.
"""
_MORE = {
    "members": "Each member has a name, which is its plugin's if it names none: glulam plugins lists them.",
    "evaluation": "Rows whose labels reach into those that are tested are left out by themselves (purge).",
    "backtest": "Prices move against those who trade often: fees and slippage are not optional.",
    "leaks": "A result that is too good is taken for a leak until shown otherwise; then nothing is exported.",
    "gates": "Without any, every run that smells of no leak is exported.",
}
"""What is said of a section beside its docstring."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """What is known of somebody's data, for `template`.

    data, features, label
        keys and values of these sections
    notes
        what is said of a section beside what is always said, by its name
    """

    data: Mapping[str, Any]
    label: Mapping[str, Any]
    features: Mapping[str, Any] = field(default_factory=dict)
    notes: Mapping[str, Sequence[str]] = field(default_factory=dict)


def template(chosen: Chosen) -> str:
    """Return a commented config with what was chosen; without the marks of its comments it is valid, too."""
    sections = {"data": chosen.data, "features": chosen.features, "label": chosen.label}
    lines = [*_HEAD.splitlines(), "", *_keys(Config, {"seed": 42})]
    for name, each in Config.model_fields.items():
        if name == "members":
            lines += _members(chosen.notes.get(name, ()))
        elif isinstance(each.annotation, type) and issubclass(each.annotation, BaseModel):
            lines += ["", *_about(name, each.annotation, chosen.notes.get(name, ())), f"[{name}]"]
            lines += _keys(each.annotation, sections.get(name, {}))
    return "\n".join(lines) + "\n"


def _members(notes: Sequence[str]) -> Iterator[str]:
    """Yield the default members, each a section of its own; keys are explained at the first."""
    yield from ["", *_about("members", None, notes)]
    members: dict[str, MemberConfig] = Config.model_fields["members"].get_default(call_default_factory=True)
    for index, (name, member) in enumerate(members.items()):
        if index:
            yield ""
        yield f"[{_toml.dotted(('members', name))}]"
        yield from _keys(MemberConfig, {"weight": member.weight}, explained=not index)


def _about(name: str, section: type[BaseModel] | None, notes: Sequence[str]) -> Iterator[str]:
    """Yield what a section is for, as comments."""
    first = section.__doc__ if section is not None else Config.model_fields[name].description
    for text in filter(None, [first, _MORE.get(name), *notes]):
        yield from _comment(text)


def _keys(section: type[BaseModel], values: Mapping[str, Any], *, explained: bool = True) -> Iterator[str]:
    """Yield a section's keys: those that have values as they are, the others as comments."""
    for name, each in section.model_fields.items():
        if name in values:
            line = f"{name} = {_toml.inline(values[name])}"
        elif section is Config or each.is_required():
            continue  # a section, or the name of a plugin
        else:
            line = f"#{name} = {_toml.inline(_default(each))}"
        yield from _explained(line, each.description if explained else None)
    for name, value in values.items():
        if name not in section.model_fields:  # a parameter of a plugin
            yield f"{_toml.key(name)} = {_toml.inline(value)}"


def _default(each: Any) -> Any:
    """Return what a key is by default, or an example of it."""
    default = each.get_default(call_default_factory=True)
    return each.examples[0] if default is None else default


def _explained(line: str, description: str | None) -> Iterator[str]:
    """Yield a key with what it means behind it, or above where that is too long."""
    if description is None:
        yield line
        return
    text = " ".join(description.split())
    whole = f"{line:<30}  # {text}"
    if len(whole) <= _WIDTH:
        yield whole
    else:
        yield from _comment(text)
        yield line


def _comment(text: str) -> Iterator[str]:
    """Yield a text as comments; a space behind the # tells them from keys."""
    for line in textwrap.wrap(" ".join(text.split()), _WIDTH):
        yield f"# {line}"
