"""RandomForest members, by scikit-learn."""

from __future__ import annotations

from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

from glulam.hookspecs import ModelPlugin, hookimpl
from glulam_plugins.models._averaged import AveragedTrees


class RandomForest(AveragedTrees):
    """scikit-learn's RandomForestClassifier and RandomForestRegressor."""

    name = "random_forest"
    kinds = (RandomForestClassifier, RandomForestRegressor)


@hookimpl
def glulam_model() -> type[ModelPlugin]:
    """Offer RandomForest."""
    return RandomForest
