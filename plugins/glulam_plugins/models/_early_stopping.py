"""What the boosting libraries share at fit: rows to stop on, exactly when the parameters ask for them."""

from __future__ import annotations

from typing import Any

from glulam.errors import ConfigError

__all__ = ["stop_rows"]


def stop_rows(
    name: str, model: Any, eval_set: tuple[Any, Any] | None, asks: tuple[str, ...] = ("early_stopping_rounds",)
) -> tuple[Any, Any] | None:
    """Return ``eval_set`` if the model stops early (one of the parameters ``asks`` is set), else None.

    Raises ConfigError if it stops early and there are no rows to stop on.
    """
    asked = [key for key in asks if model.get_params().get(key)]
    if not asked:
        return None
    if eval_set is None:
        raise ConfigError(f"{name}: {asked[0]} needs rows to stop on; give fit(X, y, eval_set=(X_valid, y_valid))")
    return eval_set
