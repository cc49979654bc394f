"""The contract of each plugin, as glulam has it for everybody's; then what is this plugin's own."""

import numpy as np
import optuna
import pytest
from glulam_example.linear import Linear
from glulam_example.matthews import Matthews
from glulam_example.median import Median

from glulam.errors import UnsupportedModelError
from glulam.program import Task
from glulam.schema import FeatureSchema
from glulam.testing import check_metric, check_model_plugin, check_voting_strategy


def test_linear_keeps_the_contract() -> None:
    """The linear member does all that a member must."""
    check_model_plugin(Linear)


@pytest.mark.parametrize(("task", "name"), [("binary", "model__C"), ("regression", "model__alpha")])
def test_linear_is_tuned_by_its_penalty(task: Task, name: str) -> None:
    """The search space draws the penalty of the task's own model, and nothing else."""
    trial = optuna.trial.FixedTrial({name: 0.5})
    assert Linear().search_space(trial, task, 1000) == {name: 0.5}


def test_median_keeps_the_contract() -> None:
    """The median vote does all that a vote must."""
    check_voting_strategy(Median)


@pytest.mark.parametrize(
    ("values", "weights", "median"),
    [
        ([0.1, 0.2, 0.9], [1, 1, 1], 0.2),
        ([0.1, 0.2, 0.9], [1, 1, 3], 0.9),
        ([0.2, 0.4], [1, 1], 0.3),
        ([0.2, 0.4], [2, 1], 0.2),
        ([0.1, 0.2, 0.6], [0.1, 0.2, 0.3], 0.4),
        ([0.1, 0.5, 0.9], [1, 0, 1], 0.5),
        ([0.9, 0.1, 0.1, 0.1], [3, 1, 1, 1], 0.5),
    ],
)
def test_median_of_known_values(values: list[float], weights: list[float], median: float) -> None:
    """The weighted median is the one worked out by hand, ties and zero weights among them."""
    votes = np.array(values).reshape(1, -1, 1)
    assert Median().combine(votes, np.array(weights, dtype=float))[0, 0] == pytest.approx(median)


def test_matthews_keeps_the_contract() -> None:
    """The metric does all that a metric must."""
    check_metric(Matthews)


def test_matthews_is_not_taken_in_by_always_saying_yes() -> None:
    """It is 1 for right labels, and 0 for labels that do not look at their rows, however common the class is."""
    y = np.array([1, 1, 1, 0])
    scores = np.eye(2)[y]
    assert Matthews().score(y, scores, y) == pytest.approx(1.0)
    assert Matthews().score(y, scores, 1 - y) == pytest.approx(-1.0)
    assert Matthews().score(y, scores, np.ones(4, dtype=int)) == 0.0


def test_unbounded_inputs_are_refused() -> None:
    """A pipeline that does not hold features to their range is refused by name."""
    X, y = np.arange(20, dtype=np.float32).reshape(10, 2), np.arange(10) % 2
    model = Linear().fit(Linear().make("binary", {"range__clip": False}, None), X, y)
    with pytest.raises(UnsupportedModelError, match=r"linear: range__clip=False.*use range__clip=True"):
        Linear().lower(model, FeatureSchema.learn(X))
