"""What a search space of a model plugin must do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from typing import Any

from glulam.hookspecs import ModelPlugin
from glulam.program import Task
from glulam.testing._shared import require

__all__ = ["drawn_params"]

_SIZES = (20, 10_000_000)
"""Rows that a space must have something for, beside those that are fitted."""


def drawn_params(plugin: ModelPlugin, who: str, task: Task, n_rows: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield parameters of a search space with a word on where they come from: its lowest, its highest, and between.

    Nothing where a plugin offers none. What is checked here: a space answers a dict of plain values, draws the same
    for one seed, and has something to draw for few rows and many. Whether the parameters serve is for the caller.
    """
    if type(plugin).search_space is ModelPlugin.search_space:
        return
    require(
        find_spec("optuna"),
        f"{who}: search_space: checking it takes optuna; install it with: pip install 'glulam[tune]'",
    )
    for size in (*_SIZES, n_rows):
        first, second = (_draw(plugin, who, task, size, {}) for _ in range(2))
        require(
            first[0] == second[0],
            f"{who}: search_space: expected the same for one seed of the trial, got {first[0]} and then {second[0]}; "
            "draw from the trial alone",
        )
    yield "between", first[0]
    for end in ("lowest", "highest"):
        # What is fixed is given in place of what would be drawn; names that come up only then are drawn.
        fixed = {name: _end(kind, end) for name, kind in first[1].items()}
        yield end, _draw(plugin, who, task, n_rows, fixed)[0]


def _draw(
    plugin: ModelPlugin, who: str, task: Task, n_rows: int, fixed: Mapping[str, Any]
) -> tuple[dict[str, Any], Mapping[str, Any]]:
    """Return parameters, and the distributions that they were drawn from."""
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    try:
        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
        study.enqueue_trial(dict(fixed))
        trial = study.ask()
        params = plugin.search_space(trial, task, n_rows)
    finally:
        optuna.logging.set_verbosity(before)
    require(
        isinstance(params, dict) and all(isinstance(key, str) for key in params),
        f"{who}: search_space: expected a dict of parameters by name, got {params!r}",
    )
    odd = {key: value for key, value in params.items() if not _is_plain(value)}
    require(
        not odd,
        f"{who}: search_space: expected numbers, texts, truth values or lists of them, which a config can hold, "
        f"got {odd}; leave out what is None, and turn numpy's numbers into Python's",
    )
    return params, trial.distributions


def _end(kind: Any, end: str) -> Any:
    """Return the lowest or highest value of a distribution, or the first or last choice."""
    if hasattr(kind, "choices"):
        return kind.choices[0 if end == "lowest" else -1]
    return kind.low if end == "lowest" else kind.high


def _is_plain(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(map(_is_plain, value))
    return type(value) in (bool, int, float, str)
