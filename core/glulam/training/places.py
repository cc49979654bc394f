"""Where a run's results go: refused before any work if they cannot be, and put there in one step each."""

from __future__ import annotations

import os
from pathlib import Path

from glulam._files import atomic_directory, atomic_file, check_target
from glulam.errors import ArtifactExistsError, ConfigError
from glulam.training.config import Config

__all__ = ["check_places", "put_in_place"]


def check_places(config: Config, base: Path, *, overwrite: bool) -> tuple[Path, Path]:
    """Return where the exported file and the trained ensemble beside it go.

    Raises ConfigError for places that are something else, such as the data, and ArtifactError for those that cannot
    be written or must not be replaced.
    """
    if not Path(config.output.path).name:
        raise ConfigError(f"output.path: {config.output.path!r} has no file name; expected one such as ensemble.onnx")
    out = base / config.output.path
    saved = out.with_suffix(".trained")
    if saved == out:
        raise ConfigError(
            f"output.path: {out} is where the trained ensemble goes; choose another ending, such as .onnx"
        )
    runs = base / config.output.runs
    if not config.output.runs.strip() or _meet(runs, out) or _within(runs, saved):
        raise ConfigError(
            f"output.runs: {config.output.runs!r} is no directory of its own; choose another, such as 'runs'"
        )
    _check_inputs(config, base, (out, saved))
    if out.is_dir():
        raise ConfigError(f"output.path: {out} is a directory; give the name of a file in it")
    for place in (out, saved):
        check_target(place, overwrite=overwrite)
    # Replacing a directory deletes all that is in it.
    if saved.exists() and not (saved.is_dir() and ((saved / "manifest.json").is_file() or not any(saved.iterdir()))):
        raise ArtifactExistsError(
            f"{saved} exists and is no trained ensemble, so that it is not replaced; choose another output.path"
        )
    return out, saved


def _check_inputs(config: Config, base: Path, places: tuple[Path, Path]) -> None:
    """Refuse to write over what is read. A champion in place is compared first, and may be replaced."""
    for key, given in (("data.path", config.data.path), ("tune.storage", config.tune.storage)):
        for place in places:
            if given and _meet(base / given, place):
                raise ConfigError(f"output.path: {place} is {key}, which is not written over; choose another name")
            if given and _within(base / given, place):
                raise ConfigError(f"output.path: {place} has {key} in it, which would be lost; choose another name")


def _meet(one: Path, other: Path) -> bool:
    return os.path.realpath(one) == os.path.realpath(other)


def _within(path: Path, directory: Path) -> bool:
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(directory))


def put_in_place(folder: Path, out: Path, saved: Path, *, overwrite: bool) -> None:
    """Copy a run's exported file and trained ensemble to where the config wants them, each in one step."""
    with atomic_directory(saved, overwrite=overwrite) as temporary:
        for each in (folder / "ensemble.trained").iterdir():
            (temporary / each.name).write_bytes(each.read_bytes())
    with atomic_file(out, overwrite=overwrite) as target:
        target.write((folder / "ensemble.onnx").read_bytes())
