"""What a calibrator must do."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np

from glulam import plugins
from glulam.decision import Decision
from glulam.errors import ConfigError
from glulam.program import EnsembleProgram, OnnxFragment, Step, Steps
from glulam.proof import TOLERANCE
from glulam.schema import Feature, FeatureSchema
from glulam.testing._shared import (
    Array,
    ContractError,
    Float64,
    check_probabilities,
    compare,
    instance_of,
    one_column,
    require,
    run_graph,
)
from glulam.trainspecs import Calibrator

__all__ = ["check_calibrator"]

_ROWS = 400


def check_calibrator(calibrator_class: type[Calibrator]) -> None:
    """Check a method of calibration, on two classes and on three.

    The rules: ``apply`` gives probabilities, of each row by that row alone. Scores that are far too sure of themselves
    lose log loss by it. The same rows are learnt alike, ``sample_weight`` as repeated rows; a class without rows, and
    ``apply`` before ``fit``, are a ConfigError. ``restore`` takes back what ``state`` gave, by way of JSON.
    ``fragment`` gives the probabilities of ``apply``: in float64, and but for the last digits, which a curve may
    magnify, in float32. What it is given it leaves as it is.
    """
    calibrator = instance_of(calibrator_class, Calibrator)
    who = f"calibrator {calibrator.name!r}"
    _expect_refusal(f"{who}: apply before fit", lambda: calibrator.apply(np.full((2, 2), 0.5)))
    for width in (2, 3):
        _check_width(calibrator_class, f"{who}, {width} classes", width)


def _answers(width: int) -> tuple[Float64, Array]:
    """Return scores that are too sure, of all kinds, and the classes of their rows."""
    random = np.random.default_rng(width)
    honest = random.dirichlet(np.ones(width), _ROWS)
    y = np.array([random.choice(width, p=each) for each in honest])
    y[:width] = np.arange(width)
    sure = honest**3 / (honest**3).sum(axis=1, keepdims=True)
    sure[10 : 10 + width] = np.eye(width)
    sure[20:30] = 1.0 / width
    return sure, y


def _check_width(calibrator_class: type[Calibrator], who: str, width: int) -> None:
    """Check a calibrator on so many classes."""
    scores, y = _answers(width)
    given = scores.copy()
    calibrator = _learnt(calibrator_class, scores, y)
    got = np.asarray(calibrator.apply(scores))
    require(got.shape == scores.shape, f"{who}: apply: expected shape {scores.shape}, got {got.shape}")
    check_probabilities(f"{who}: apply", got, "multiclass", 1e-9)
    require(np.array_equal(given, scores), f"{who}: it changed the scores it was given; work on a copy")
    alone = np.concatenate([calibrator.apply(scores[row : row + 1]) for row in range(len(scores))])
    compare(f"{who}: apply: one row alone comes out as among others", got, alone, scores, 1e-9)
    before, after = _log_loss(scores, y), _log_loss(got, y)
    require(after < before, f"{who}: expected scores that are too sure to lose log loss, got {before} -> {after}")
    again = _learnt(calibrator_class, scores, y)
    compare(f"{who}: fit: the same rows are learnt alike", got, np.asarray(again.apply(scores)), scores, 1e-9)
    heavy = instance_of(calibrator_class, Calibrator)
    heavy.fit(scores, y, np.where(np.arange(len(y)) < 50, 2.0, 1.0))
    twice = np.concatenate([np.arange(len(y)), np.arange(50)])
    repeated = _learnt(calibrator_class, scores[twice], y[twice]).apply(scores)
    # What is found by iteration is found to some digits only.
    what = f"{who}: fit: sample_weight 2 is as the row twice"
    compare(what, np.asarray(heavy.apply(scores)), np.asarray(repeated), scores, 1e-2)
    _expect_refusal(
        f"{who}: fit without a class",
        lambda: _learnt(calibrator_class, scores[y > 0], y[y > 0]),
    )
    other = instance_of(calibrator_class, Calibrator)
    other.restore(json.loads(json.dumps(calibrator.state(), allow_nan=False)))
    what = f"{who}: restore: what state returned, by way of JSON, gives the same"
    compare(what, got, np.asarray(other.apply(scores)), scores, 0.0)
    _check_fragment(calibrator, f"{who}: fragment", scores)


def _check_fragment(calibrator: Calibrator, who: str, scores: Float64) -> None:
    """Check the exported rule, as the second step of a vote of one member, which repeats what it is fed."""
    width = scores.shape[1]
    fragment = calibrator.fragment()
    require(isinstance(fragment, OnnxFragment), f"{who}: expected a glulam.program.OnnxFragment, got {fragment!r}")
    only = OnnxFragment(
        "only (votes, axis) => (vote) { vote = Squeeze (votes, axis) }",
        lambda votes: votes[:, 0],
        {"axis": np.array([1])},
    )
    program = EnsembleProgram(
        schema=FeatureSchema(tuple(Feature(f"x{index}") for index in range(width))),
        task="binary" if width == 2 else "multiclass",
        classes=np.arange(width),
        names=("m",),
        members=(one_column(np.arange(width)),),
        weights=np.ones(1),
        voting=calibrator.name,
        vote=Steps((Step("only", only), Step("calibrated", fragment, ("only",)))),
        decision=Decision(),
        wide_vote=True,
    )
    rows = scores.astype(np.float32)
    expected = np.asarray(calibrator.apply(rows.astype(np.float64)))
    reference = np.asarray(fragment.reference(rows.astype(np.float64)))
    compare(f"{who}: its reference", expected, reference, rows, 1e-12)
    for precision, allowed in (("float64", TOLERANCE["float64"]), ("float32", 1e-3)):
        run = run_graph(who, plugins.exporter("onnx"), program, precision)
        for part in (rows, rows[:1]):
            compare(f"{who}, {precision}", expected[: len(part)], run(part).scores, rows, allowed)


def _learnt(calibrator_class: type[Calibrator], scores: Float64, y: Array) -> Calibrator:
    calibrator = instance_of(calibrator_class, Calibrator)
    calibrator.fit(scores, y)
    return calibrator


def _expect_refusal(who: str, call: Callable[[], Any]) -> None:
    """Raise ContractError where a call does not raise ConfigError."""
    try:
        call()
    except ConfigError:
        return
    raise ContractError(f"{who}: expected a glulam.errors.ConfigError, got an answer")


def _log_loss(scores: Float64, y: Array) -> float:
    return float(-np.mean(np.log(np.maximum(scores[np.arange(len(y)), y], 1e-15))))
