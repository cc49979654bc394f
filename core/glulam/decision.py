"""From the vote's scores to a label: threshold and abstention."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from glulam.errors import ConfigError

__all__ = ["Decision", "ABSTAIN_DEFAULT"]

ABSTAIN_DEFAULT = -1


@dataclass(frozen=True, slots=True)
class Decision:
    """How scores become a label.

    threshold
        Binary only: the second class is chosen when its probability is *above* the threshold.
        At 0.5 that is argmax with ties to the first class, as in scikit-learn's VotingClassifier.
        Scores of one column are a decision function, whose threshold is usually 0.
    inclusive
        The second class is chosen *on* the threshold as well.
    min_confidence
        Where the largest probability is below it, the label is ``abstain_label``.
    """

    threshold: float = 0.5
    min_confidence: float | None = None
    abstain_label: int | float | str | None = None
    inclusive: bool = False

    @classmethod
    def checked(
        cls,
        classes: npt.NDArray[Any],
        threshold: float,
        min_confidence: float | None,
        abstain_label: int | float | str | None,
    ) -> Decision:
        """Build a decision for these classes, or raise `ConfigError` saying what cannot work."""
        if isinstance(threshold, bool) or not 0.0 < float(threshold) < 1.0:
            raise ConfigError(f"threshold: expected a number between 0 and 1, got {threshold!r}")
        if threshold != 0.5 and len(classes) != 2:
            raise ConfigError(
                f"threshold: {threshold} was given, but there are {len(classes)} classes; a threshold decides "
                "between two. Leave it at 0.5 for the largest probability"
            )
        if min_confidence is None:
            return cls(threshold=float(threshold))
        least = 1.0 / max(len(classes), 1)
        if not least < float(min_confidence) <= 1.0:
            raise ConfigError(
                f"min_confidence: {min_confidence} can never trigger: with {len(classes)} classes the largest "
                f"probability is always at least {least:.4g}; give a number above {least:.4g} and at most 1"
                if min_confidence <= least
                else f"min_confidence: expected a number above {least:.4g} and at most 1, got {min_confidence}"
            )
        kind = classes.dtype.kind
        if abstain_label is None:
            if kind not in "iu":
                raise ConfigError(
                    f"abstain_label: the classes are {classes.tolist()}; only integer classes have a default "
                    f"({ABSTAIN_DEFAULT}). Give a label of the classes' own type that none of them has"
                )
            abstain_label = ABSTAIN_DEFAULT
        if isinstance(abstain_label, np.generic):
            abstain_label = abstain_label.item()
        fits = {
            "i": isinstance(abstain_label, int) and not isinstance(abstain_label, bool) and abs(abstain_label) < 2**63,
            "f": isinstance(abstain_label, (int, float))
            and not isinstance(abstain_label, bool)
            and math.isfinite(abstain_label),
            "U": isinstance(abstain_label, str),
        }.get("i" if kind == "u" else kind, False)
        if not fits:
            hint = "encode y as integers" if kind == "b" else "give a label of the classes' own type"
            raise ConfigError(f"abstain_label: {abstain_label!r} does not fit classes of type {classes.dtype}; {hint}")
        if abstain_label in classes.tolist():
            raise ConfigError(f"abstain_label: {abstain_label!r} is one of the classes; choose another")
        return cls(float(threshold), float(min_confidence), abstain_label)

    @property
    def abstains(self) -> bool:
        """Whether some rows may get the abstain label."""
        return self.min_confidence is not None

    def by_largest(self, columns: int) -> bool:
        """Tell whether the largest of so many scores is chosen, rather than what is above a threshold."""
        return columns > 2 or (columns == 2 and self.threshold == 0.5 and not self.inclusive)

    def margin(self, scores: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.floating[Any]]:
        """Return how far each row of scores is from another decision."""
        if self.by_largest(scores.shape[1]):
            ordered = np.sort(scores, axis=1)
            margin = (ordered[:, -1] - ordered[:, -2]) / 2
        else:
            margin = np.abs(scores[:, -1] - self.threshold)
        if self.min_confidence is not None:
            margin = np.minimum(margin, np.abs(scores.max(axis=1) - self.min_confidence))
        return np.asarray(margin)

    def label_table(self, classes: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return what `choose` indexes: the classes, then the abstain label if there is one."""
        if not self.abstains:
            return classes
        extra = np.asarray([self.abstain_label])
        if classes.dtype.kind in "iu":
            return np.concatenate([classes.astype(np.int64), extra.astype(np.int64)])
        return np.concatenate([classes, extra])

    def choose(self, scores: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.int64]:
        """Return the row of `label_table` for each row of scores [n_rows, n_classes]."""
        if self.by_largest(scores.shape[1]):
            index = scores.argmax(axis=1).astype(np.int64)
        else:
            last = scores[:, -1]
            index = (last >= self.threshold if self.inclusive else last > self.threshold).astype(np.int64)
        if self.min_confidence is not None:
            index[scores.max(axis=1) < self.min_confidence] = scores.shape[1]
        return np.asarray(index)
