"""What a run should be known by: versions, git revision, what serving its file costs."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from glulam import __version__, plugins
from glulam.errors import GlulamError
from glulam.hookspecs import FeatureGenerator
from glulam.members import Member
from glulam.training.config import Config

__all__ = ["git_revision", "not_reproducible", "run_key", "serving_cost", "versions_of"]

_ALWAYS = ("numpy", "scipy", "scikit-learn", "onnxruntime", "onnx", "pyarrow")


def versions_of(members: Iterable[Member], generators: Iterable[FeatureGenerator]) -> dict[str, str]:
    """Return the versions of all that decides about features and trained ensemble, by distribution."""
    found = {"glulam": __version__, "python": ".".join(map(str, sys.version_info[:3]))}
    made_by = [name for generator in generators for name in generator.distributions]
    for name in (*_ALWAYS, *made_by):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    for member in members:
        found |= plugins.versions(member.plugin)
    return dict(sorted(found.items()))


def not_reproducible(config: Config, members: Iterable[Member]) -> list[str]:
    """Return which bytes of a run's results differ from run to run, a sentence each."""
    told = {type(member.plugin): f"ensemble.trained: {member.plugin.not_reproducible}" for member in members}
    found = [sentence for sentence in told.values() if not sentence.endswith(": ")]
    if config.tune.enabled and (config.tune.timeout is not None or config.tune.workers > 1):
        found.append("tuned.toml: a search that ends by time, or tries several at once, may find other parameters")
    return found


def git_revision(directory: Path) -> dict[str, Any] | None:
    """Return the revision that a directory is at, and whether tracked files differ; None where git knows none."""
    try:
        revision = _git(directory, "rev-parse", "HEAD")
        changed = _git(directory, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return None
    return {"revision": revision, "dirty": bool(changed)}


def _git(directory: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "--no-optional-locks", "-C", str(directory), *arguments],
        capture_output=True,
        text=True,
        check=True,
        timeout=10,
    )
    return done.stdout.strip()


def run_key(config_digest: str, data_digest: str, versions: dict[str, str]) -> str:
    """Return the sha256 of all that decides what a run computes."""
    return hashlib.sha256(json.dumps([config_digest, data_digest, versions]).encode()).hexdigest()


def serving_cost(model: Path, rows: npt.NDArray[np.float32]) -> dict[str, float]:
    """Return what it costs to serve a file in a process of its own: seconds a row and a batch, and bytes.

    rows: [n, n_features], of which each single call gets another one.
    """
    script = Path(__file__).with_name("_serving.py")
    with tempfile.TemporaryDirectory() as directory:
        table = Path(directory) / "rows.npy"
        np.save(table, rows, allow_pickle=False)
        order = json.dumps({"model": str(model), "rows": str(table)})
        # -P: without it the script's own directory would come first on the path.
        done = subprocess.run(
            [sys.executable, "-P", str(script), order], capture_output=True, text=True, check=False, timeout=600
        )
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or ["it said nothing"]
        raise GlulamError(f"{model}: the process that serves it ended with code {done.returncode}: {last[0]}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found | {"file_bytes": float(model.stat().st_size)}
