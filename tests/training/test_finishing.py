"""What is learnt from out-of-fold votes never comes from the rows it is applied to, nor from later ones."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glulam import plugins
from glulam.errors import ConfigError
from glulam.training.config import EnsembleConfig
from glulam.training.finishing import comparisons, finish, finish_by_fold, plain

GIVEN = np.array([0.5, 0.3, 0.2])
CONFIGS = {
    "weights": {"weights": "auto"},
    "sigmoid": {"calibration": "sigmoid"},
    "isotonic, members, threshold": {
        "weights": "auto", "calibration": "isotonic", "calibrate": "members", "threshold": "f1",
    },
    "temperature, expected value": {"calibration": "temperature", "threshold": "expected_value", "loss": 2.0},
    "log pool": {"voting": "log_pool", "weights": "auto", "calibration": "isotonic"},
    "stacking": {"voting": "stacking"},
    "stacking, calibrated": {"voting": "stacking", "calibration": "sigmoid", "threshold": "accuracy"},
}  # fmt: skip


def config(name):
    """Return a config by name."""
    return EnsembleConfig(**CONFIGS[name])


def ballots(seed=0, rows=400, width=2, task="binary"):
    """Return votes of three members, what came true, and four folds of the later rows of a dataset."""
    random = np.random.default_rng(seed)
    fold = np.repeat(np.arange(4), rows // 4)
    positions = 1_000 + np.arange(rows)
    if task == "regression":
        y = random.normal(size=rows)
        return (y[:, None] + random.normal(size=(rows, 3)) * [0.5, 1, 2])[:, :, None], y, fold, positions
    truth = random.dirichlet(np.ones(width), rows)
    y = np.array([random.choice(width, p=each) for each in truth])
    noise = random.dirichlet(np.ones(width), (rows, 3))
    return 0.6 * truth[:, None] + 0.4 * noise, y, fold, positions


def by_fold(made, votes, y, fold, rows, *, horizon=3, ordered=True, task="binary"):
    """Return `finish_by_fold` of a config."""
    return finish_by_fold(
        made, GIVEN, votes, y, fold, rows, horizon=horizon, ordered=ordered, task=task, n_outputs=votes.shape[2]
    )


@settings(max_examples=20, deadline=None)
@given(st.sampled_from(sorted(CONFIGS)), st.integers(1, 3), st.integers(0, 10), st.integers(0, 1_000))
def test_later_rows_change_nothing(name, number, horizon, seed):
    """Other labels from a horizon before a fold on, and other votes after it, leave the fold's answers as they are."""
    votes, y, fold, rows = ballots(seed)
    scores, labels, _ = by_fold(config(name), votes, y, fold, rows, horizon=horizon)
    first = np.flatnonzero(fold == number)[0]
    other_y, other_votes = y.copy(), votes.copy()
    other_y[max(0, first - horizon) :] = 1 - y[max(0, first - horizon) :]
    other_votes[fold > number] = votes[fold > number][:, :, ::-1]
    changed, changed_labels, _ = by_fold(config(name), other_votes, other_y, fold, rows, horizon=horizon)
    known = fold <= number
    assert np.array_equal(changed[known], scores[known])
    assert np.array_equal(changed_labels[known], labels[known])


@settings(max_examples=20, deadline=None)
@given(st.sampled_from(sorted(CONFIGS)), st.integers(0, 3), st.integers(0, 10))
def test_folds_of_no_order_do_not_learn_from_themselves(name, number, horizon):
    """Other labels of a fold, and those that overlap them, leave its answers as they are; its neighbours' may change."""
    votes, y, fold, rows = ballots()
    scores, labels, found = by_fold(config(name), votes, y, fold, rows, horizon=horizon, ordered=False)
    own = np.flatnonzero(fold == number)
    near = (rows >= rows[own[0]] - horizon) & (rows <= rows[own[-1]] + horizon)
    other = np.where(near, 1 - y, y)
    changed, changed_labels, _ = by_fold(config(name), votes, other, fold, rows, horizon=horizon, ordered=False)
    assert np.array_equal(changed[own], scores[own])
    assert np.array_equal(changed_labels[own], labels[own])
    assert np.array_equal(found[number].rows, np.flatnonzero(~near))


def knowing_votes(seed=0):
    """Return votes of members that know no more than how often the class is in all other folds, as k-fold has them."""
    random = np.random.default_rng(seed)
    fold = np.repeat(np.arange(10), 60)
    y = (random.random(600) < random.uniform(0.2, 0.8, 10)[fold]).astype(np.int64)
    share = np.array([y[fold != number].mean() for number in range(10)])[fold]
    chance = np.clip(share[:, None] + random.normal(size=(600, 3)) * [0.001, 0.002, 0.004], 0, 1)
    return np.stack([1 - chance, chance], axis=2), y, fold, np.arange(600)


@pytest.mark.parametrize("calibration", ["", "isotonic"])
def test_a_fold_of_no_order_is_not_told_by_its_own_labels(calibration):
    """Votes that know only the other folds' labels give no fold's away, neither to it nor to the exported vote."""
    made = EnsembleConfig(voting="stacking", calibration=calibration)
    above = []
    for seed in range(8):
        votes, y, fold, rows = knowing_votes(seed)
        scores, _, learnt = by_fold(made, votes, y, fold, rows, ordered=False, horizon=0)
        shares = np.array([[scores[fold == each, 1].mean(), y[fold == each].mean()] for each in range(10)])
        above.append(np.corrcoef(shares.T)[0, 1])
        assert all(each.centred for each in learnt)
    assert np.mean(above) < 0.1
    final = finish(made, GIVEN, votes, y, "binary", 2, fold=fold)
    low, high = final.scores(np.array([[[0.7, 0.3]] * 3, [[0.3, 0.7]] * 3]))[:, 1]
    assert high - low > -0.2


def test_each_fold_learns_from_all_that_is_known():
    """The first is plain; the others learn from earlier folds, but for rows whose label reaches into theirs."""
    votes, y, fold, rows = ballots()
    scores, _, found = by_fold(config("sigmoid"), votes, y, fold, rows, horizon=3)
    assert found[0].why_plain == "there are no out-of-fold votes yet"
    assert [len(each.rows) for each in found] == [0, 97, 197, 297]
    assert [each.voting.name for each in found] == ["soft", "calibrated", "calibrated", "calibrated"]
    np.testing.assert_allclose(scores[fold == 0], (votes[fold == 0] * GIVEN[:, None]).sum(axis=1))
    again = finish(config("sigmoid"), GIVEN, votes[:197], y[:197], "binary", 2)
    np.testing.assert_array_equal(scores[fold == 2], again.scores(votes[fold == 2]))


def test_too_little_to_learn_from_is_plain_and_says_why():
    """A class that is missing, or a handful of rows, teach nothing; stacking gives way to the soft vote."""
    votes, y, fold, rows = ballots()
    y[:200] = 0
    _, _, found = by_fold(config("stacking"), votes, y, fold, rows)
    assert found[1].why_plain == "class 1 is not among the 97 rows of out-of-fold votes"
    assert found[1].voting.name == "soft"
    assert not len(found[1].rows)
    assert found[3].voting.name == "stacking"
    assert not found[3].why_plain
    few = finish(config("weights"), GIVEN, votes[-20:], y[-20:], "binary", 2)
    assert few.why_plain == "20 rows of out-of-fold votes are too few, of at least 30"
    assert few.weights.tolist() == [1, 1, 1]
    values, wanted, _, _ = ballots(task="regression")
    flat = finish(EnsembleConfig(weights="auto"), GIVEN, values, wanted * 0, "regression", 1)
    assert flat.why_plain == "all values are equal in the out-of-fold votes"


def test_nothing_to_learn_is_not_called_too_little():
    """Without anything to learn, every fold is the config's own vote, weights and threshold."""
    votes, y, fold, rows = ballots()
    made = EnsembleConfig(threshold=0.6)
    scores, labels, found = by_fold(made, votes, y, fold, rows)
    assert {each.why_plain for each in found} == {""}
    np.testing.assert_allclose(scores, (votes * GIVEN[:, None]).sum(axis=1))
    assert np.array_equal(labels, scores[:, 1] > 0.6)
    assert comparisons(made, GIVEN, votes, y, fold, found, task="binary") == []
    assert plain(EnsembleConfig(weights="equal"), GIVEN, "binary").weights.tolist() == [1, 1, 1]


def test_three_classes_and_values():
    """Three classes are calibrated and the largest is chosen; values have weights, and are their own labels."""
    votes, y, fold, rows = ballots(width=3)
    made = EnsembleConfig(weights="auto", calibration="isotonic")
    scores, labels, _ = by_fold(made, votes, y, fold, rows, task="multiclass")
    np.testing.assert_allclose(scores.sum(axis=1), 1)
    assert np.array_equal(labels, scores.argmax(axis=1))
    votes, y, fold, rows = ballots(task="regression")
    scores, labels, found = by_fold(EnsembleConfig(weights="auto"), votes, y, fold, rows, task="regression")
    assert np.array_equal(labels, scores[:, 0])
    assert found[3].weights[0] > 0.6
    compared = comparisons(EnsembleConfig(weights="auto"), GIVEN, votes, y, fold, found, task="regression")
    assert [what for what, *_ in compared] == ["weights: auto against equal", "weights: auto against given"]


def test_every_thing_learnt_is_compared_on_the_folds_that_learnt_it():
    """Each other way differs in one thing, learns from the same rows, and answers the same rows."""
    votes, y, fold, rows = ballots()
    made = config("isotonic, members, threshold")
    scores, labels, found = by_fold(made, votes, y, fold, rows)
    compared = {what: rest for what, *rest in comparisons(made, GIVEN, votes, y, fold, found, task="binary")}
    assert list(compared) == [
        "weights: auto against equal",
        "weights: auto against given",
        "calibration: isotonic against none",
        "threshold: f1 against 0.5",
    ]
    for kept, ours, other in compared.values():
        assert np.array_equal(kept, fold > 0)
        assert np.array_equal(ours[0], scores[kept])
        assert np.array_equal(ours[1], labels[kept])
        assert len(other[0]) == len(other[1]) == 300
    kept, ours, other = compared["threshold: f1 against 0.5"]
    assert np.array_equal(ours[0], other[0])
    assert np.array_equal(other[1], ours[0][:, 1] > 0.5)
    equal = made.model_copy(update={"weights": "equal"})
    by_equal, _, _ = by_fold(equal, votes, y, fold, rows)
    assert np.array_equal(compared["weights: auto against equal"][2][0], by_equal[kept])
    of_equal = comparisons(config("weights"), np.ones(3), votes, y, fold, found, task="binary")
    assert [what for what, *_ in of_equal] == ["weights: auto against equal"]
    assert comparisons(made, GIVEN, votes[:100], y[:100], fold[:100], found[:1], task="binary") == []


def test_learning_pays_on_rows_that_were_not_learnt_from():
    """Votes that are not sure enough lose log loss by calibration, and the better member gets the larger weight."""
    votes, y, fold, rows = ballots(rows=2_000)
    loss = plugins.metric("log_loss")
    scores, labels, found = by_fold(EnsembleConfig(weights="auto", calibration="sigmoid"), votes, y, fold, rows)
    plain_scores, plain_labels, _ = by_fold(EnsembleConfig(), votes, y, fold, rows)
    late = fold > 0
    assert loss.score(y[late], scores[late], labels[late]) < loss.score(y[late], plain_scores[late], plain_labels[late])
    assert found[1].weights.sum() == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize(
    ("given", "task", "message"),
    [
        ({"threshold": "f1"}, "multiclass", "ensemble.threshold: 'f1' was given, but a threshold decides between two"),
        ({"calibration": "sigmoid"}, "regression", "ensemble.calibration: 'sigmoid' was given, but calibration is of"),
    ],
)
def test_what_the_task_has_not_is_refused(given, task, message):
    """A threshold between three classes, and calibrated values."""
    votes, y, fold, rows = ballots(width=3, task=task)
    with pytest.raises(ConfigError, match=message):
        by_fold(EnsembleConfig(**given), votes, y, fold, rows, task=task)
