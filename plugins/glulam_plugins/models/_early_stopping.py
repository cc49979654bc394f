"""What the boosting libraries share at fit: rows to stop on, exactly when the parameters ask for them."""

from __future__ import annotations

from typing import Any

from glulam.errors import ConfigError

__all__ = ["stop_rows"]


def stop_rows(name: str, model: Any, eval_set: tuple[Any, Any] | None) -> tuple[Any, Any] | None:
    """Return ``eval_set`` if the model stops early, else None.

    Raises ConfigError if it stops early and there are no rows to stop on.
    """
    if not model.get_params().get("early_stopping_rounds"):
        return None
    if eval_set is None:
        raise ConfigError(
            f"{name}: early_stopping_rounds needs rows to stop on; give fit(X, y, eval_set=(X_valid, y_valid))"
        )
    return eval_set
