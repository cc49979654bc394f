"""Fitting, exporting and saving as ``train`` does it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import typer

from glulam._files import check_target
from glulam.errors import ArtifactExistsError

if TYPE_CHECKING:
    from glulam.cli._target import TrainingTable

__all__ = ["Settings", "check_places", "fitted"]

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


def check_places(out: Path, saved: Path, inputs: Sequence[Path], *, overwrite: bool) -> None:
    """Refuse, before any work, places that cannot be written or must not be replaced."""
    for option, path in (("--out", out), ("--save", saved)):
        check_target(path, overwrite=overwrite)
        if path.exists() and any(path.samefile(given) for given in inputs):
            raise typer.BadParameter(f"{path} is the input; choose another name", param_hint=option)
    if out.resolve() == saved.resolve():
        raise typer.BadParameter(f"{saved} is the --out file; choose another name", param_hint="--save")
    if out.is_dir():
        raise typer.BadParameter(f"{out} is a directory; give the name of a file", param_hint="--out")
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
    return kind(**options).fit(table.columns, target)


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
