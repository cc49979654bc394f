"""Bundled data that several libraries' cases are fitted to."""

from __future__ import annotations

import numpy as np
from sklearn import datasets

Data = tuple[np.ndarray, np.ndarray]


def iris() -> Data:
    """Return three kinds of flowers, four features."""
    return datasets.load_iris(return_X_y=True)


def wine() -> Data:
    """Return three wines, standardised."""
    X, y = datasets.load_wine(return_X_y=True)
    return (X - X.mean(axis=0)) / X.std(axis=0), y


def cancer() -> Data:
    """Return two diagnoses, standardised."""
    X, y = datasets.load_breast_cancer(return_X_y=True)
    return ((X - X.mean(axis=0)) / X.std(axis=0))[:300], y[:300]


def diabetes() -> Data:
    """Return values to predict."""
    X, y = datasets.load_diabetes(return_X_y=True)
    return X[:300], y[:300]
