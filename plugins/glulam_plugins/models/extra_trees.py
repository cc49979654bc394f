"""ExtraTrees members, by scikit-learn."""

from __future__ import annotations

from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor

from glulam.hookspecs import ModelPlugin, hookimpl
from glulam_plugins.models._averaged import AveragedTrees


class ExtraTrees(AveragedTrees):
    """scikit-learn's ExtraTreesClassifier and ExtraTreesRegressor."""

    name = "extra_trees"
    kinds = (ExtraTreesClassifier, ExtraTreesRegressor)


@hookimpl
def glulam_model() -> type[ModelPlugin]:
    """Offer ExtraTrees."""
    return ExtraTrees
