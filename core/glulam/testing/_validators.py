"""What a feature validator must do."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from glulam import plugins
from glulam._rows import families
from glulam.decision import Decision
from glulam.errors import FeatureError
from glulam.hookspecs import FeatureValidator
from glulam.program import EnsembleProgram, Guard, OnnxFragment
from glulam.schema import FeatureSchema
from glulam.testing._shared import (
    PRECISIONS,
    ROWS,
    ContractError,
    Float32,
    compare,
    instance_of,
    mean_vote,
    one_column,
    require,
    run_graph,
)

__all__ = ["check_feature_validator"]


def check_feature_validator(validator_class: type[FeatureValidator], params: Mapping[str, Any] | None = None) -> None:
    """Check a feature validator, made with ``params``.

    The rules: ``check`` returns, or raises FeatureError with a message; nothing else. If there is a
    ``guard``, its reference is True for just the rows that ``check`` passes, NaN and infinities
    among them, and so is its graph. ``state`` is JSON, and ``restore`` of a validator made
    without arguments takes all of it back.
    """
    validator = instance_of(validator_class, FeatureValidator, params)
    who = f"validator {validator.name!r}"
    random = np.random.default_rng(0)
    training = random.normal([0, 100, -5, 1e-3], [1, 20, 0.1, 1e-4], (300, 4)).astype(np.float32)
    training[::7, 1] = np.nan
    schema = FeatureSchema.learn(training)
    validator.learn(training, schema)
    _passes(who, validator.check_fit, training, schema)
    rows = np.concatenate([training, *(each.rows for each in families(schema, [], training, rows=ROWS, seed=0))])
    guard = validator.guard(schema)
    if guard is not None:
        require(
            isinstance(guard, Guard) and isinstance(guard.rule, OnnxFragment),
            f"{who}: guard: expected None or a glulam.program.Guard with an OnnxFragment, got {type(guard).__name__}",
        )
        rows = np.concatenate([rows, _beside_limits(guard, training)])
    passed = np.array([_passes(who, validator.check, rows[row : row + 1], schema) for row in range(len(rows))])
    if guard is not None:
        _check_guard(who, guard, schema, rows, passed)
        require(
            _passes(who, validator.check, rows, schema) == bool(passed.all()),
            f"{who}: check: a table passes just where each of its rows does, if there is a guard",
        )
    _check_state(validator, who, schema, rows, passed)


def _passes(who: str, check: Callable[[Float32, FeatureSchema], None], rows: Float32, schema: FeatureSchema) -> bool:
    try:
        check(rows, schema)
    except FeatureError as error:
        require(bool(str(error)), f"{who}: check: expected a FeatureError that says what, where and what to do")
        return False
    except Exception as error:
        raise ContractError(
            f"{who}: check: expected None or a FeatureError, got {type(error).__name__}: {error}"
        ) from error
    return True


def _beside_limits(guard: Guard, training: Float32) -> Float32:
    """Return rows with one feature on, just below and just above the numbers that the guard holds for it."""
    n_features = training.shape[1]
    found = [training[:1]]
    for values in guard.rule.constants.values():
        if np.shape(values) == (n_features,) and np.asarray(values).dtype.kind == "f":
            limit = np.asarray(values).astype(np.float32)
            for value in (limit, np.nextafter(limit, np.float32(-np.inf)), np.nextafter(limit, np.float32(np.inf))):
                found.append(np.where(np.eye(n_features, dtype=bool), value, training[1]))
    return np.concatenate(found)


def _check_guard(who: str, guard: Guard, schema: FeatureSchema, rows: Float32, passed: npt.NDArray[np.bool_]) -> None:
    """Check that a guard's numpy rule and its graph are what the check says."""
    reference = np.asarray(guard.rule.reference(rows))
    require(
        reference.dtype == np.bool_ and reference.shape == (len(rows),),
        f"{who}: guard: expected bool of shape {(len(rows),)} from its reference, got {reference.dtype} of shape "
        f"{reference.shape}",
    )
    where = f"{who}: guard: its reference differs from check"
    compare(where, passed.astype(float), reference.astype(float), rows, 0.0)
    members = (one_column(np.array([0])),)
    program = EnsembleProgram(
        schema, "regression", np.empty(0), ("x",), members, np.ones(1), "mean", mean_vote(1), Decision(), (guard,)
    )
    for precision in PRECISIONS:
        where = f"{who}: guard, exported in {precision}"
        run = run_graph(where, plugins.exporter("onnx"), program, precision)
        for part in (rows, rows[:1]):
            compare(where, passed[: len(part)].astype(float), run(part).valid.astype(float), rows, 0.0)


def _check_state(
    validator: FeatureValidator, who: str, schema: FeatureSchema, rows: Float32, passed: npt.NDArray[np.bool_]
) -> None:
    """Check that what was learnt survives as JSON."""
    state = validator.state()
    try:
        text = json.dumps(state, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ContractError(
            f"{who}: state: expected JSON values, got {state!r}: {error}; use None for infinity"
        ) from error
    other = type(validator)()
    other.restore(json.loads(text))
    require(
        other.state() == json.loads(text),
        f"{who}: restore: expected the state {text}, got {other.state()!r}; take back all that state returns",
    )
    again = np.array([_passes(who, other.check, rows[row : row + 1], schema) for row in range(len(rows))])
    where = f"{who}: restore: the restored validator passes other rows"
    compare(where, passed.astype(float), again.astype(float), rows, 0.0)
