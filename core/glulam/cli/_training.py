"""Fitting, exporting and saving as ``train`` does it."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import typer

from glulam._files import check_target
from glulam.errors import ArtifactExistsError, ConfigError, GlulamError

if TYPE_CHECKING:
    from glulam.cli._target import TrainingTable

__all__ = ["Settings", "beside", "check_places", "fitted"]

Specification = tuple[str, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Settings:
    """What the options say of an ensemble; None asks for the ensemble's own default."""

    members: list[Specification] | None
    weights: list[float] | None
    voting: str
    validators: list[Specification] | None
    threshold: float | None
    min_confidence: float | None
    abstain_label: str | None


def beside(out: Path) -> Path:
    """Return where the trained ensemble goes unless told otherwise."""
    _check_no_directory(out)  # such as `.`, which has no name to put a suffix on
    return out.with_suffix(".trained")


def _check_no_directory(out: Path) -> None:
    if os.path.isdir(out):  # noqa: PTH112  # Path's own raises where the path cannot be reached
        raise typer.BadParameter(f"{out} is a directory; give the name of a file", param_hint="--out")


def check_places(out: Path, saved: Path, inputs: Sequence[Path], *, overwrite: bool) -> None:
    """Refuse, before any work, places that cannot be written or must not be replaced."""
    _check_no_directory(out)
    for option, path, what in (("--out", out, ""), ("--save", saved, " (the trained ensemble; see --save)")):
        try:
            check_target(path, overwrite=overwrite)
        except ArtifactExistsError as error:
            # The name may be one that nobody typed, so it says whose it is.
            raise ArtifactExistsError(str(error).replace(f"{path} exists", f"{path} exists{what}", 1)) from error
        if path.exists() and any(path.samefile(given) for given in inputs):
            raise typer.BadParameter(f"{path} is the input; choose another name", param_hint=option)
    if out.resolve() == saved.resolve():
        raise typer.BadParameter(f"{saved} is the --out file; choose another name", param_hint="--save")
    # Replacing a directory deletes all that is in it.
    if saved.exists() and not (saved.is_dir() and ((saved / "manifest.json").is_file() or not any(saved.iterdir()))):
        raise ArtifactExistsError(
            f"{saved} exists and is no saved ensemble; --force does not replace it: choose another name with --save"
        )


def fitted(table: TrainingTable, task: str, target: npt.NDArray[Any], settings: Settings, *, quiet: bool) -> Any:
    """Return the ensemble that the settings describe, fitted."""
    import glulam

    # Imported by hand: the lazy names of the package carry the advice of what to install.
    kind = glulam.EnsembleRegressor if task == "regression" else glulam.EnsembleClassifier
    options: dict[str, Any] = {
        "members": settings.members,
        "weights": settings.weights,
        "voting": settings.voting,
        "validators": settings.validators,
        "schema": glulam.FeatureSchema.learn(table.columns, categorical=table.categorical),
        "progress": False if quiet else None,
        **_decision(task, target, settings),
    }
    with _naming_settings(settings):
        return kind(**options).fit(table.columns, target)


@contextlib.contextmanager
def _naming_settings(settings: Settings) -> Iterator[None]:
    """Say which settings were given where a library, or a validator, refuses one in words of its own."""
    members, validators = _written(settings.members), _written(settings.validators)
    try:
        yield
    except ConfigError as error:
        who = str(error).partition(" ")[0]
        given = {"member": members, "validator": validators}.get(who)
        if not (given and isinstance(error.__cause__, (TypeError, ValueError))):
            raise
        raise ConfigError(f"{error}; the settings were {given}") from error
    except GlulamError:
        raise
    except Exception as error:
        # A bug of ours, or a full memory, must not be taken for a typo in the settings.
        if not (members and (isinstance(error, (TypeError, ValueError)) or _of_library(error))):
            raise
        said = str(error).rstrip(". \n")
        raise ConfigError(f"training failed: member settings {members}: {said}; correct the settings") from error


def _written(specifications: Sequence[Specification] | None) -> str:
    """Return those that have parameters, as one writes them after the option."""
    return ", ".join(
        f"{name}:" + ",".join(f"{key}={_value_text(value)}" for key, value in parameters.items())
        for name, parameters in specifications or ()
        if parameters
    )


def _value_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _of_library(error: Exception) -> bool:
    """Tell whether an error's type is from outside the standard library."""
    return type(error).__module__.partition(".")[0] not in sys.stdlib_module_names


def _decision(task: str, target: npt.NDArray[Any], settings: Settings) -> dict[str, Any]:
    """Return the options that make labels of probabilities; a regression has none."""
    label = settings.abstain_label
    given = {"threshold": settings.threshold, "min_confidence": settings.min_confidence, "abstain_label": label}
    given = {name: value for name, value in given.items() if value is not None}
    if task == "regression" and given:
        names = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        raise typer.BadParameter("belongs to classification, but the task is regression", param_hint=names)
    if label is not None and settings.min_confidence is None:
        raise typer.BadParameter("needs --min-confidence, below which it is given", param_hint="--abstain-label")
    if label is not None and np.issubdtype(target.dtype, np.integer):
        try:
            given["abstain_label"] = int(label)
        except ValueError:
            raise typer.BadParameter(
                f"expected a whole number, as the classes are, got {label!r}", param_hint="--abstain-label"
            ) from None
    return given
