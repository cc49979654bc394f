"""A process of its own that answers some rows, for `glulam demo`. Run as a script, not imported.

It prints one line of JSON: probabilities and labels, the packages that were imported on the way,
resident memory, and seconds from the start of the process to the first answer.
"""

from __future__ import annotations

import json
import sys
import time
from importlib.abc import MetaPathFinder
from typing import Any


class Blocker(MetaPathFinder):
    """Makes packages unimportable, as if they were not installed, and keeps what was asked for."""

    def __init__(self, packages: list[str]) -> None:
        self.packages = frozenset(packages)
        self.refused: set[str] = set()

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> None:
        """Raise the error of a missing package for the blocked ones; leave the others to Python."""
        package = fullname.partition(".")[0]
        if package in self.packages:
            self.refused.add(package)
            raise ModuleNotFoundError(f"{package} is blocked in this process", name=fullname)


def answer(*, kind: str, model: str, rows: str, blocked: list[str], started: float) -> dict[str, Any]:
    """Open a model, answer the rows, and return what the module docstring lists.

    kind
        ``file``: ``model`` is an exported file. ``trained``: a directory of a saved ensemble
    rows
        path of float32 [n_rows, n_features] in numpy's format
    started
        `time.monotonic` at the start of this process; that clock is the whole machine's
    """
    blocker = Blocker(blocked)
    sys.meta_path.insert(0, blocker)
    before = set(sys.modules)
    import numpy as np

    import glulam
    from glulam._memory import resident_bytes

    table = np.load(rows, allow_pickle=False)
    opened = glulam.load(model) if kind == "file" else glulam.EnsembleClassifier.load(model)
    opened.predict_proba(table[:1])
    seconds = time.monotonic() - started
    probabilities = opened.predict_proba(table)
    labels = opened.predict(table)
    packages = {name.partition(".")[0] for name in set(sys.modules) - before} - set(sys.stdlib_module_names)
    return {
        "probabilities": probabilities.tolist(),
        "dtype": probabilities.dtype.name,
        "labels": labels.tolist(),
        "packages": sorted(packages),
        "blocked_imported": sorted(set(blocked) & {name.partition(".")[0] for name in sys.modules}),
        "refused": sorted(blocker.refused),
        "memory_bytes": resident_bytes(),
        "seconds_to_first": seconds,
    }


if __name__ == "__main__":
    print(json.dumps(answer(**json.loads(sys.argv[1]))))
