"""The folder of a run: what was asked, what each fold answered, what came of it. Every file in it appears whole."""

from __future__ import annotations

import datetime
import io
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from glulam._files import atomic_file
from glulam.errors import ArtifactError
from glulam.training._locks import locked
from glulam.training.ensembles import FoldFit

__all__ = ["RunFolder", "open_folder", "plain"]

MANIFEST = "manifest.json"
_LOCK = ".lock"


class RunFolder:
    """A run's folder, which this process alone writes to."""

    def __init__(self, path: Path, key: str) -> None:
        self.path = path
        self.key = key

    def write(self, name: str, text: str) -> Path:
        """Write a text file."""
        with atomic_file(self.path / name, overwrite=True) as out:
            out.write(text.encode())
        return self.path / name

    def write_json(self, name: str, document: Mapping[str, Any]) -> Path:
        """Write a JSON file; not a number becomes null."""
        return self.write(name, json.dumps(plain(document), indent=1, allow_nan=False) + "\n")

    def mark(self, state: str, facts: Mapping[str, Any]) -> None:
        """Write the manifest: ``running`` until the run has ended, then ``done`` or ``refused``."""
        self.write_json(MANIFEST, {"format": 1, "state": state, "key": self.key, **facts})

    def save_fold(self, number: int, fit: FoldFit) -> None:
        """Keep what a fold answered, for a run that resumes this one."""
        held = io.BytesIO()
        np.savez(held, votes=fit.votes, importance=fit.importance)
        (self.path / "folds").mkdir(exist_ok=True)
        with atomic_file(self._fold(number), overwrite=True) as out:
            out.write(held.getvalue())

    def load_fold(self, number: int, n_rows: int) -> FoldFit | None:
        """Return what a fold answered before the run was interrupted; None if it did not get there."""
        path = self._fold(number)
        if not path.exists():
            return None
        try:
            with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as held:
                fit = FoldFit(held["votes"], held["importance"])
        except (OSError, ValueError, KeyError, BadZipFile) as error:
            raise ArtifactError(f"{path}: damaged: {error}; delete it, and --resume fits this fold again") from error
        if fit.votes.ndim != 3 or len(fit.votes) != n_rows:
            raise ArtifactError(
                f"{path}: expected the votes on {n_rows} rows, got shape {fit.votes.shape}; delete it, and --resume "
                "fits this fold again"
            )
        return fit

    def has_folds(self) -> bool:
        """Tell whether folds are done."""
        return any((self.path / "folds").glob("*.npz"))

    def has_more_than_the_start(self) -> bool:
        """Tell whether there is anything that a run could go on from: folds, or trials of a search."""
        files = (each for each in self.path.rglob("*") if each.is_file())
        return any(each.name not in (MANIFEST, "config.toml", _LOCK) for each in files)

    def discard(self) -> None:
        """Remove the folder, of a run that came to nothing."""
        shutil.rmtree(self.path, ignore_errors=True)

    def _fold(self, number: int) -> Path:
        return self.path / "folds" / f"fold-{number}.npz"


@contextmanager
def open_folder(runs: Path, key: str, *, resume: bool) -> Iterator[RunFolder]:
    """Make a new folder below ``runs``, or take the interrupted one of the same config, data and versions.

    key
        sha256 of all that decides what a run computes

    Raises ArtifactError where there is nothing to resume, or another process is at it.
    """
    path = _interrupted(runs, key) if resume else _fresh(runs, key)
    with locked(path / _LOCK, path, doing="at this run", advice="end it"):
        yield RunFolder(path, key)


def _fresh(runs: Path, key: str) -> Path:
    started = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%SZ")
    name = f"{started}-{key[:8]}"
    try:
        runs.mkdir(parents=True, exist_ok=True)
        for number in range(1, 1_000):
            path = runs / (name if number == 1 else f"{name}-{number}")
            try:
                path.mkdir()
            except FileExistsError:
                continue
            return path
    except OSError as error:
        raise ArtifactError(
            f"{runs}: no folder for the run can be made: {error.strerror}; choose another place with output.runs"
        ) from error
    raise ArtifactError(f"{runs / name}: a thousand runs began in this second; wait for one")


def _interrupted(runs: Path, key: str) -> Path:
    """Return the last folder of this key whose run did not end."""
    others = 0
    for manifest in sorted(runs.glob(f"*/{MANIFEST}"), reverse=True):
        try:
            found = json.loads(manifest.read_text(encoding="utf-8"))
            state, whose = found["state"], found["key"]
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if state == "running" and whose == key:
            return manifest.parent
        others += state == "running"
    also = f" ({others} unfinished of another config, other data or other versions)" if others else ""
    raise ArtifactError(
        f"{runs}: no interrupted run of this config and these data{also}; leave out --resume to begin a new one"
    )


def plain(value: Any) -> Any:
    """Return JSON values: numpy's as Python's, not a number as null, dataclasses and paths as they read."""
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    return value
