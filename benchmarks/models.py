"""A trained model as the peers get it: a folder of the libraries' own files, rows, and the right answers.

Read in the virtual environments of all peers, so nothing is imported but the standard library and numpy.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["NATIVE_FILES", "Model", "read_model", "weighted_mean"]

NATIVE_FILES = {"lightgbm": "lightgbm.txt", "xgboost": "xgboost.json", "random_forest": "random_forest.joblib"}
"""The file of each kind of member: what its library writes, or joblib for scikit-learn."""


@dataclass(frozen=True, slots=True)
class Model:
    """One or several fitted members, and the share of each in the vote.

    nodes
        splits and leaves of each member
    levels
        splits that a training row meets in all trees, in the mean
    """

    name: str
    folder: Path
    kinds: tuple[str, ...]
    shares: tuple[float, ...]
    classes: int
    features: int
    nodes: tuple[int, ...]
    levels: float

    def native(self, kind: str) -> Path:
        """Return the file that the member's own library wrote."""
        return self.folder / NATIVE_FILES[kind]

    def estimators(self) -> dict[str, Any]:
        """Return the fitted members with scikit-learn's methods, by kind. Needs joblib and their libraries."""
        import joblib

        loaded = joblib.load(self.folder / "members.joblib")
        return {kind: loaded[kind] for kind in self.kinds}

    def rows(self) -> Any:
        """Return the training rows, float32 [n, features], without reading them all at once."""
        import numpy as np

        return np.load(self.folder / "rows.npy", mmap_mode="r")

    def checks(self) -> dict[str, tuple[Any, Any]]:
        """Return rows and the native libraries' answers to them, for ``training`` and ``hard`` rows."""
        import numpy as np

        return {
            name: (np.load(self.folder / f"{name}.npy"), np.load(self.folder / f"{name}_answers.npy"))
            for name in ("training", "hard")
        }


def read_model(folder: str | Path) -> Model:
    """Return the model of a folder."""
    facts = json.loads((Path(folder) / "model.json").read_text())
    return Model(
        name=facts["name"],
        folder=Path(folder),
        kinds=tuple(facts["kinds"]),
        shares=tuple(facts["shares"]),
        classes=facts["classes"],
        features=facts["features"],
        nodes=tuple(facts["nodes"]),
        levels=facts["levels"],
    )


def weighted_mean(answers: list[Any], shares: tuple[float, ...]) -> Any:
    """Return a function of rows: the soft vote of functions of rows. A single one stands for itself."""
    if len(answers) == 1:
        return answers[0]
    first, others = answers[0], list(zip(answers[1:], shares[1:], strict=True))
    share = shares[0]

    def vote(rows: Any) -> Any:
        total = share * first(rows)
        for answer, part in others:
            total = total + part * answer(rows)
        return total

    return vote
