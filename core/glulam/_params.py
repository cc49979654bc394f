"""scikit-learn plumbing of estimators whose members are partly names: parameters, tags, HTML."""

from __future__ import annotations

from typing import Any

from sklearn.base import BaseEstimator
from sklearn.utils import get_tags

__all__ = ["MembersAsParameters"]


class MembersAsParameters(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Gives the estimators among ``members`` the place that scikit-learn gives nested estimators."""

    members: Any

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters; with ``deep`` also the named estimators and their parameters."""
        params: dict[str, Any] = dict(super().get_params(deep=False))
        if deep:
            for name, estimator in self._named_estimators().items():
                params[name] = estimator
                for key, value in estimator.get_params(deep=True).items():
                    params[f"{name}__{key}"] = value
        return params

    def set_params(self, **params: Any) -> MembersAsParameters:
        """Set parameters, those of named estimators as ``name__parameter``; ``name=estimator`` replaces one."""
        own = super().get_params(deep=False)
        if "members" in params:
            self.members = params.pop("members")
        named = self._named_estimators()
        replaced = {name: params.pop(name) for name in list(params) if name in named and name not in own}
        if replaced:
            self.members = [
                (entry[0], replaced.get(entry[0], entry[1])) if not isinstance(entry, str) else entry
                for entry in self.members
            ]
            named |= replaced
        nested: dict[str, dict[str, Any]] = {}
        for key, value in params.items():
            name, separator, rest = key.partition("__")
            if separator and name in named:
                nested.setdefault(name, {})[rest] = value
            elif key in own:
                setattr(self, key, value)
            else:
                raise ValueError(
                    f"Invalid parameter {key!r} for estimator {type(self).__name__}. "
                    f"Valid parameters are: {sorted([*own, *named])}."
                )
        for name, settings in nested.items():
            named[name].set_params(**settings)
        return self

    def _named_estimators(self) -> dict[str, Any]:
        if not isinstance(self.members, (list, tuple)):
            return {}
        pairs = [entry for entry in self.members if isinstance(entry, (list, tuple)) and len(entry) == 2]
        return {name: what for name, what in pairs if hasattr(what, "get_params") and not isinstance(what, type)}

    def __sklearn_tags__(self) -> Any:
        """Tell scikit-learn what the members can do."""
        tags = super().__sklearn_tags__()
        named = list(self._named_estimators().values())
        by_name = not isinstance(self.members, (list, tuple)) or len(named) < len(self.members)
        tags.input_tags.allow_nan = by_name or all(get_tags(each).input_tags.allow_nan for each in named)
        tags.input_tags.sparse = False
        return tags

    def _sk_visual_block_(self) -> Any:
        """Show the members side by side in the HTML representation."""
        from sklearn.utils._repr_html.estimator import _VisualBlock

        entries = self.members if isinstance(self.members, (list, tuple)) else ()
        named = self._named_estimators()
        names = [entry if isinstance(entry, str) else str(entry[0]) for entry in entries]
        shown = [named.get(name, name) for name in names]
        return _VisualBlock("parallel", shown or ["lightgbm", "xgboost", "random_forest"], names=names or None)
