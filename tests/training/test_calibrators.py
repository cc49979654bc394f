"""Calibrators: learnt curves against scikit-learn's and by hand, and what keeps them exact in a file."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from glulam import plugins, testing
from glulam.errors import ConfigError
from glulam_plugins.calibrators._one_vs_rest import steepest
from glulam_plugins.calibrators.isotonic import Isotonic
from glulam_plugins.calibrators.sigmoid import Sigmoid
from glulam_plugins.calibrators.temperature import Temperature

METHODS = ["sigmoid", "isotonic", "temperature"]


def too_sure(width=2, rows=2_000, power=3.0, seed=0):
    """Return scores that are surer than they should be, and the classes of their rows."""
    random = np.random.default_rng(seed)
    honest = random.dirichlet(np.ones(width), rows)
    y = np.array([random.choice(width, p=each) for each in honest])
    return honest**power / (honest**power).sum(axis=1, keepdims=True), y


def learnt(name, scores, y, weight=None):
    """Return a fitted calibrator."""
    calibrator = plugins.calibrator(name)
    calibrator.fit(scores, y, weight)
    return calibrator


class Given(LogisticRegression):
    """A classifier whose probabilities are its rows, so that scikit-learn calibrates the scores that we give it."""

    def predict_proba(self, X):
        """Return the rows."""
        return X

    decision_function = property()


@pytest.mark.parametrize("name", METHODS)
def test_contract(name):
    """Each method keeps the contract of a calibrator."""
    testing.check_calibrator(type(plugins.calibrator(name)))


@pytest.mark.parametrize("width", [2, 3])
@pytest.mark.parametrize(("name", "allowed"), [("sigmoid", 2e-4), ("temperature", 2e-4), ("isotonic", 0.06)])
def test_as_scikit_learn_calibrates(name, allowed, width):
    """The curves are scikit-learn's; of isotonic regression to within its steps, between which ours rises."""
    scores, y = too_sure(width)
    scores = 0.98 * scores + 0.02 / width  # of smaller ones our temperature makes a little more
    model = Given().fit(scores, y)
    theirs = CalibratedClassifierCV(FrozenEstimator(model), method=name).fit(scores, y)
    ours = learnt(name, scores, y).apply(scores)
    assert np.abs(ours - theirs.predict_proba(scores)).mean() < allowed


@pytest.mark.parametrize("width", [2, 3])
@pytest.mark.parametrize("name", METHODS)
def test_new_rows_are_better_calibrated(name, width):
    """On rows that it did not learn from, log loss falls."""
    scores, y = too_sure(width, 6_000)
    calibrated = learnt(name, scores[:3_000], y[:3_000]).apply(scores[3_000:])
    assert log_loss(y[3_000:], calibrated) < log_loss(y[3_000:], scores[3_000:]) - 0.05


def test_the_temperature_is_found():
    """Probabilities cubed are brought back by a third."""
    scores, y = too_sure(3, 20_000)
    assert learnt("temperature", scores, y).state()["beta"] == pytest.approx(1 / 3, abs=0.02)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(10, 400), st.sampled_from([0.0, 0.001, 0.02, 1.0]), st.booleans())
def test_curves_never_fall_and_are_never_too_steep(seed, rows, spread, tied):
    """Whatever the scores, more is never less likely, no rise is beyond the limit, and no step makes certain."""
    random = np.random.default_rng(seed)
    chance = 0.4 + spread * random.uniform(0, 0.6, rows)
    chance = np.round(chance, 2) if tied else chance
    y = (random.uniform(size=rows) < np.where(chance > 0.5, 0.8, 0.3)).astype(int)
    y[:2] = [0, 1]
    scores = np.column_stack([1 - chance, chance])
    limit = steepest(chance)
    at = np.unique(np.concatenate([np.linspace(0, 1, 500), chance]))
    for name in ("sigmoid", "isotonic"):
        got = learnt(name, scores, y).apply(np.column_stack([1 - at, at]))[:, 1]
        assert (np.diff(got) >= -1e-12).all()
        assert (np.diff(got) <= limit * np.diff(at) * 1.001 + 1e-12).all()
        if name == "isotonic":
            assert got.min() >= 1 / (rows + 2) - 1e-9
            assert got.max() <= 1 - 1 / (rows + 2) + 1e-9


def test_isotonic_goes_through_the_middles_of_the_steps():
    """By hand: steps of isotonic regression are their means, and lines join them; neighbours too steep are one."""
    chance = np.array([0.1, 0.2, 0.3, 0.6, 0.7, 0.8, 0.9])
    y = np.array([0, 1, 0, 1, 1, 0, 1])
    calibrator = learnt("isotonic", np.column_stack([1 - chance, chance]), y)
    (curve,) = calibrator.state()["curves"]
    np.testing.assert_allclose(curve["at"], [0.1, 0.25, 0.7, 0.9])
    np.testing.assert_allclose(curve["height"], [1 / 9, 1 / 2, 2 / 3, 8 / 9])
    got = calibrator.apply(np.array([[1.0, 0.0], [0.75, 0.25], [0.2, 0.8], [0.0, 1.0]]))
    np.testing.assert_allclose(got[:, 1], [1 / 9, 1 / 2, 7 / 9, 8 / 9])
    close = np.array([0.1, 0.5, 0.5 + 1e-9, 0.9])
    calibrator = learnt("isotonic", np.column_stack([1 - close, close]), np.array([0, 0, 1, 1]))
    (curve,) = calibrator.state()["curves"]
    assert len(curve["at"]) < 4
    assert np.max(np.diff(curve["height"]) / np.diff(curve["at"])) <= 20


def test_isotonic_keeps_the_blocks_of_isotonic_regression():
    """At the middle of each block the curve has the height that scikit-learn gives the block."""
    scores, y = too_sure(2, 500)
    chance = scores[:, 1]
    (curve,) = learnt("isotonic", scores, y).state()["curves"]
    theirs = IsotonicRegression(out_of_bounds="clip").fit(chance, y).predict(chance)
    for height in curve["height"][1:-1]:
        assert np.abs(theirs - height).min() < 1e-9


def test_scores_that_say_nothing_become_the_share():
    """Equal scores, and scores that point the wrong way, get every row the share of its class."""
    y = np.array([0, 0, 1, 0] * 100)
    for name in ("sigmoid", "isotonic"):
        for chance in (np.full(400, 0.7), 0.6 - 0.3 * y):
            got = learnt(name, np.column_stack([1 - chance, chance]), y).apply(np.array([[0.2, 0.8], [0.7, 0.3]]))
            np.testing.assert_allclose(got[:, 1], 0.25, atol=0.01)


@pytest.mark.parametrize("made", [Sigmoid, Isotonic, Temperature])
def test_what_cannot_be_learnt_is_refused(made):
    """A class without rows, scores that are no numbers, and asking before learning."""
    calibrator = made()
    name = calibrator.name
    with pytest.raises(
        ConfigError,
        match=f"calibrator '{name}': expected rows of 3 classes to learn from, got none of class 1 among 2; ",
    ):
        calibrator.fit(np.full((2, 3), 1 / 3), np.array([0, 2]))
    with pytest.raises(ConfigError, match=f"calibrator '{name}': expected finite scores to learn from, got nan"):
        calibrator.fit(np.array([[0.5, 0.5], [np.nan, 0.5]]), np.array([0, 1]))
    for ask in (lambda: calibrator.apply(np.full((1, 2), 0.5)), calibrator.fragment):
        with pytest.raises(ConfigError, match=f"calibrator '{name}': has not learnt yet; call fit first"):
            ask()


@pytest.mark.parametrize("name", METHODS)
def test_rows_of_no_weight_are_not_there(name):
    """Weight 0 leaves a row out; the state survives JSON to the bit."""
    scores, y = too_sure(3, 300)
    weight = np.where(np.arange(300) < 200, 1.0, 0.0)
    got = learnt(name, scores, y, weight)
    alone = learnt(name, scores[:200], y[:200])
    np.testing.assert_allclose(got.apply(scores), alone.apply(scores), atol=1e-6)
    with pytest.raises(ConfigError, match="got none of class 2 among"):
        learnt(name, scores, y, (y < 2).astype(float))
    back = plugins.calibrator(name)
    back.restore(json.loads(json.dumps(got.state())))
    assert back.apply(scores).tobytes() == got.apply(scores).tobytes()


def scaled(apply):
    """Return how a broken calibrator changes what temperature scaling gives."""
    return lambda self, scores: apply(Temperature.apply(self, scores))


def scribble(self, scores):
    """Change the scores that it was given."""
    out = Temperature.apply(self, scores)
    scores[0] = 0.5
    return out


def forgiving(self, scores, y, sample_weight=None):
    """Learn from rows of one class too."""
    self._beta = 0.4


def narrow(self):
    """Return the rule of another temperature."""
    other = Temperature()
    other._beta = self._beta * 1.01
    return dataclasses.replace(Temperature.fragment(self), constants=Temperature.fragment(other).constants)


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (
            {"apply": lambda self, scores: scores},
            "apply before fit: expected a glulam.errors.ConfigError, got an answer",
        ),
        ({"apply": scaled(lambda out: out[:, :1])}, r"apply: expected shape \(400, 2\), got \(400, 1\)"),
        ({"apply": scaled(lambda out: out * 2)}, "apply: expected probabilities, at least 0 and rows that sum to 1"),
        ({"apply": scribble}, "it changed the scores it was given; work on a copy"),
        (
            {"apply": scaled(lambda out: out[::-1])},
            "apply: expected .* to lose log loss|one row alone comes out as among",
        ),
        ({"apply": scaled(lambda out: np.eye(out.shape[1])[out.argmax(axis=1)])}, "expected scores that are too sure"),
        ({"fit": forgiving}, "fit without a class: expected a glulam.errors.ConfigError"),
        ({"state": lambda self: {"beta": 0.5}}, "restore: what state returned, by way of JSON, gives the same"),
        ({"fragment": narrow}, "fragment, float64: expected"),
        ({"fragment": lambda self: None}, "fragment: expected a glulam.program.OnnxFragment, got None"),
    ],
)
def test_a_broken_calibrator_is_told_what_is_wrong(broken, message):
    """The contract check names the rule that is broken."""
    with pytest.raises(testing.ContractError, match=message):
        testing.check_calibrator(type("Broken", (Temperature,), broken))


def test_weights_that_are_not_counted_are_noticed():
    """A calibrator that leaves sample_weight aside breaks the contract where weights matter much."""

    class Heavy(Isotonic):
        """Isotonic calibration without weights."""

        def fit(self, scores, y, sample_weight=None):
            """Learn from all rows alike."""
            Isotonic.fit(self, scores, y)

    with pytest.raises(testing.ContractError, match="fit: sample_weight 2 is as the row twice"):
        testing.check_calibrator(Heavy)
