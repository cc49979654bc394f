"""Opening the libraries' own model files, damaged ones included.

The libraries' parsers are made for files that the libraries wrote. On others LightGBM often ends the
whole process, XGBoost and CatBoost sometimes, and all of them open files that then have no answer.
So a process of its own tries a file out first; what becomes of it is an error here.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from glulam import plugins
from glulam.errors import ArtifactError, GlulamError, PluginError

__all__ = ["read_model", "try_out"]

_PICKLES = (".pkl", ".pickle", ".joblib", ".dill", ".cloudpickle")
_PICKLE = b"\x80"  # how protocol 2 and later begin
_TRIAL = "import sys; from glulam._modelfiles import try_out; try_out(sys.argv[1])"
_SAID = "glulam: "
_SECONDS, _SECONDS_A_MEGABYTE = 120, 2


def read_model(path: Path) -> Any:
    """Open a library's own model file by the plugin that knows its format.

    Raises ArtifactError where there is no such file, it is damaged, or no plugin reads it.
    """
    _refuse_what_is_never_read(path)
    seconds = _SECONDS + _SECONDS_A_MEGABYTE * path.stat().st_size / 1e6
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(part for part in sys.path if part and Path(part).is_absolute())
    }
    try:
        trial = subprocess.run(
            [sys.executable, "-P", "-c", _TRIAL, str(path)],  # -P: nothing is imported from where this is run
            env=environment, capture_output=True, timeout=seconds, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise ArtifactError(f"{path}: damaged: its library does not come to the end of it; {_AGAIN}") from error
    lines = [line for line in trial.stdout.decode(errors="replace").splitlines() if line.startswith(_SAID)]
    if not lines:
        raise ArtifactError(f"{path}: damaged: its library crashes when it opens it; {_AGAIN}")
    said = json.loads(lines[-1].removeprefix(_SAID))
    if said["problem"]:
        raise ArtifactError(f"{path}: damaged: {said['problem']}; {_AGAIN}")
    return _opened(path, [said["plugin"]] if said["plugin"] else _names())[1]


_AGAIN = "save the model again, with a version of the library that is installed here"


def _refuse_what_is_never_read(path: Path) -> None:
    """Raise ArtifactError for what is no file, cannot be read, or is a pickle."""
    if path.is_dir():
        raise ArtifactError(f"{path}: a directory; expected a model file that a library wrote")
    if not path.is_file():
        raise ArtifactError(f"{path}: no such model file")
    try:
        with path.open("rb") as file:
            first = file.read(1)
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be read: {error.strerror}; change its permissions") from error
    if path.suffix.lower() in _PICKLES or first == _PICKLE:
        raise ArtifactError(
            f"{path}: a pickle is not opened, because that runs whatever code is in it; if you trust it, load it "
            "yourself and give the model: glulam.export(model, ...)"
        )


def try_out(name: str) -> None:
    """Open a file, lower its model, ask it for an answer; print which plugin read it, and what went wrong.

    For a process of its own, which the library may bring down.
    """
    plugin, problem = "", ""
    try:
        plugin, model = _opened(Path(name), _names())
        reader = plugins.model(plugin)
        signature = reader.signature(model)
        reader.lower(model, signature.schema)
        reader.votes(model, np.zeros((1, len(signature.schema)), dtype=np.float32), signature.task)
    except GlulamError:
        pass  # who asked for the trial meets the same, and says it
    except Exception as error:  # whatever a library, or a lowering, says of tables that fit no model
        problem = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    print(f"\n{_SAID}{json.dumps({'plugin': plugin, 'problem': problem})}", flush=True)


def _names() -> list[str]:
    """Return the model plugins, those first that bear the name of a library: it is their files."""
    return sorted(plugins.known("model"), key=lambda name: (find_spec(name) is None, name))


def _opened(path: Path, names: Sequence[str]) -> tuple[str, Any]:
    """Return the plugin that reads a file, and the model. Raises ArtifactError if none does."""
    suffixes: dict[str, list[str]] = {}
    missing = []
    for name in names:
        try:
            plugin = plugins.model(name)
        except PluginError as error:
            missing.append(str(error))
            continue
        for suffix in plugin.suffixes:
            suffixes.setdefault(suffix, []).append(name)
        if path.suffix.lower() in plugin.suffixes:
            found = plugin.read(path)
            if found is not None:
                return name, found
    known = ", ".join(f"{suffix} ({' or '.join(found)})" for suffix, found in sorted(suffixes.items()))
    raise ArtifactError(
        f"{path}: expected a model file of an installed library, by its suffix and content: {known}; "
        + "; ".join(["save the model in one of these formats", *missing])
    )
