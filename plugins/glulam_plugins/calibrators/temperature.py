"""Temperature scaling: one number that makes all probabilities surer or less sure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from glulam.errors import ConfigError
from glulam.fragments import softmax
from glulam.hookspecs import hookimpl
from glulam.program import OnnxFragment
from glulam.trainspecs import Calibrator
from glulam_plugins.calibrators._one_vs_rest import checked_rows, steepest

LEAST = 1e-5
"""Added to probabilities before their logarithm, which else would magnify the last digit of those near 0."""
_FLATTEST = np.exp(-5.0)

Float64 = npt.NDArray[np.float64]


class Temperature(Calibrator):
    """``softmax(beta * log(p + 1e-5))`` (Guo et al., 2017), as scikit-learn's method="temperature".

    beta, the inverse temperature, is below 1 for members that are too sure of themselves. The order of the classes
    stays as it is.
    """

    name = "temperature"

    def __init__(self) -> None:
        self._beta = float("nan")

    def fit(self, scores: Float64, y: npt.NDArray[np.int64], sample_weight: Float64 | None = None) -> None:
        """Learn the inverse temperature of least log loss."""
        from scipy.optimize import minimize_scalar

        scores, y, weight = checked_rows(self, scores, y, sample_weight)
        logs = np.log(scores + LEAST)
        own = logs[np.arange(len(y)), y]
        total = weight.sum()

        def loss(log_beta: float) -> float:
            beta = np.exp(log_beta)
            return float(np.sum(weight * (_log_sum(beta * logs) - beta * own)) / total)

        bounds = (np.log(_FLATTEST), np.log(steepest(scores[:, 1])))
        self._beta = float(np.exp(minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-9}).x))

    def apply(self, scores: Float64) -> Float64:
        """Return the probabilities at the learnt temperature."""
        return np.asarray(softmax().reference(self._fitted() * np.log(scores + LEAST)))

    def fragment(self) -> OnnxFragment:
        """Return the same as four nodes."""
        return OnnxFragment(
            text="temperature (x, least, beta) => (y) { some = Add (x, least) logs = Log (some)"
            " scaled = Mul (logs, beta) y = Softmax <axis = 1> (scaled) }",
            reference=lambda x: self.apply(x.astype(np.float64)),
            # Matrices: a mere number beside a product onnxruntime takes in float32.
            constants={"least": np.array([[LEAST]]), "beta": np.array([[self._fitted()]])},
        )

    def state(self) -> dict[str, Any]:
        """Return the inverse temperature, of which JSON keeps every bit; None before `fit`."""
        return {"beta": None if np.isnan(self._beta) else self._beta}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back what `state` returned."""
        self._beta = float("nan") if state["beta"] is None else float(state["beta"])

    def _fitted(self) -> float:
        if np.isnan(self._beta):
            raise ConfigError("calibrator 'temperature': has not learnt yet; call fit first")
        return self._beta


def _log_sum(logits: Float64) -> Float64:
    """Return the logarithm of each row's sum of exponents."""
    most = logits.max(axis=1)
    return np.asarray(most + np.log(np.exp(logits - most[:, None]).sum(axis=1)))


@hookimpl
def glulam_calibrator() -> type[Calibrator]:
    """Offer temperature scaling."""
    return Temperature
