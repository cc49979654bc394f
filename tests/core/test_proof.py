"""The proof finds each kind of mistake, and says whose it is."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier

from glulam import EnsembleClassifier, EnsembleRegressor, Feature, FeatureSchema, plugins
from glulam._rows import families
from glulam.decision import Decision
from glulam.errors import ProofError
from glulam.exporting import Run, subject_of
from glulam.forest import Forest, Tree, float32_at_or_below
from glulam.program import EnsembleProgram, Guard, LoweredMember, OnnxFragment
from glulam.proof import Native, prove
from glulam_plugins.models.random_forest import RandomForest
from glulam_plugins.voting.soft import Soft


@pytest.fixture(scope="module")
def fitted():
    """Return an ensemble of three classes, with its program."""
    X, y = load_iris(return_X_y=True)
    members = [
        ("lightgbm", {"n_estimators": 5}),
        ("xgboost", {"n_estimators": 5}),
        ("random_forest", {"n_estimators": 5}),
    ]
    ensemble = EnsembleClassifier(members).fit(X, y)
    return ensemble, ensemble.program()


def attempt(ensemble, program):
    """Export a program and hold it to the ensemble's own members."""
    run = Run(plugins.exporter("onnx").export(program))
    return prove(program, run, subject_of(ensemble).native, ensemble.proof_rows_, rows=4_000)


def with_forest(program, index, change):
    """Return the program with one member's forest changed."""
    members = list(program.members)
    members[index] = dataclasses.replace(members[index], body=change(members[index].body))
    return dataclasses.replace(program, members=tuple(members))


def shifted(array, by=1):
    """Return thresholds one step of float32 further up."""
    return np.nextafter(array.astype(np.float32), np.float32(by * np.inf)).astype(np.float64)


def one_leaf_more(forest: Forest) -> Forest:
    """Add a thousandth to one leaf."""
    value = forest.leaf_value.copy()
    value[0] += 1e-3
    return dataclasses.replace(forest, leaf_value=value)


MISTAKES = {
    "threshold one step up": (1, lambda f: dataclasses.replace(f, threshold=shifted(f.threshold)), "training"),
    "threshold one step down": (0, lambda f: dataclasses.replace(f, threshold=shifted(f.threshold, -1)), "threshold"),
    "NaN the other way": (0, lambda f: dataclasses.replace(f, nan_left=~f.nan_left), "missing"),
    "sides swapped": (2, lambda f: dataclasses.replace(f, left=f.right, right=f.left), "training"),
    "base of another class": (1, lambda f: dataclasses.replace(f, base=f.base + np.array([0.1, 0, 0])), "training"),
    "divisor forgotten": (2, lambda f: dataclasses.replace(f, divisor=1.0), "training"),
    "one leaf a little off": (0, one_leaf_more, "training"),
    "features mixed up": (1, lambda f: dataclasses.replace(f, feature=f.feature[::-1].copy()), "training"),
}


def test_a_right_program_passes(fitted):
    """Nothing is found where nothing is wrong, and the report says what was tried."""
    report = attempt(*fitted)
    assert report.label_differences == 0
    assert report.largest_difference < 1e-6
    assert report.to_dict()["rows"] == report.rows


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_a_lowering_is_found(fitted, mistake):
    """Each wrong table is refused, naming the member and the first family that shows it."""
    ensemble, program = fitted
    index, change, family = MISTAKES[mistake]
    with pytest.raises(
        ProofError, match=rf"member '{program.names[index]}'.*of family '{family}'; first, row \d+: expected \["
    ):
        attempt(ensemble, with_forest(program, index, change))


def test_a_wrong_link_is_found(fitted):
    """A softmax where the library has none is refused."""
    ensemble, program = fitted
    forest = program.members[0].body
    swapped = dataclasses.replace(program.members[0], link="identity")
    with pytest.raises(ProofError, match="member 'lightgbm'"):
        attempt(ensemble, dataclasses.replace(program, members=(swapped, *program.members[1:])))
    assert forest.n_outputs == 3


def test_a_wrong_guard_is_found(fitted):
    """A guard whose graph differs from its rule is refused."""
    ensemble, program = fitted
    rule = OnnxFragment(
        "g (features, zeros, nothing) => (valid) { sums = MatMul (features, zeros) valid = Equal (sums, nothing) }",
        lambda X: np.isfinite(X).any(axis=1),
        {"zeros": np.zeros(4), "nothing": np.array(0.0)},
    )
    with pytest.raises(
        ProofError, match=r"guards \['lax'\]: the exported graph differs .* expected valid True, got False"
    ):
        attempt(ensemble, dataclasses.replace(program, guards=(Guard("lax", rule),)))


def test_a_wrong_decision_is_found(fitted):
    """A label that does not follow from the file's own scores is refused."""
    ensemble, program = fitted
    run = Run(plugins.exporter("onnx").export(program))

    def off_by_one(rows):
        outputs = run(rows)
        return dataclasses.replace(outputs, label=(outputs.label + 1) % 3)

    with pytest.raises(ProofError, match=r"vote \(soft\): the exported graph differs from the numpy rule"):
        prove(program, off_by_one, Native(ensemble._member_votes), ensemble.proof_rows_, rows=4_000)


def test_nan_in_an_answer_is_a_difference(fitted):
    """A file that answers NaN is wrong, however differences are computed."""
    ensemble, program = fitted
    run = Run(plugins.exporter("onnx").export(program))

    def spoilt(rows):
        outputs = run(rows)
        votes = outputs.votes.copy()
        votes[-1, 1, 0] = np.nan
        return dataclasses.replace(outputs, votes=votes)

    with pytest.raises(ProofError, match="member 'xgboost'"):
        prove(program, spoilt, Native(ensemble._member_votes), ensemble.proof_rows_, rows=4_000)


def test_rows_that_a_library_refuses_are_answered_by_the_interpreter(fitted):
    """Forests are held to the interpreter where the library refuses infinities; the report says for whom."""
    report = attempt(*fitted)
    assert {result.family: result.refused_by for result in report.families}["infinite"] == ("random_forest",)
    ensemble, program = fitted

    def wrong_at_infinity(rows):
        outputs = Run(plugins.exporter("onnx").export(program))(rows)
        votes = outputs.votes.copy()
        votes[np.isinf(rows).any(axis=1), 2] = 1 / 3
        return dataclasses.replace(outputs, votes=votes)

    with pytest.raises(ProofError, match="member 'random_forest': .* of family 'infinite'"):
        prove(program, wrong_at_infinity, Native(ensemble._member_votes), ensemble.proof_rows_, rows=4_000)


def test_a_member_that_is_no_forest_need_not_answer_what_its_library_refuses():
    """A linear member gives NaN for NaN; rows that its library refuses are not compared."""
    linear = OnnxFragment(
        "l (features, w) => (value) { value = MatMul (features, w) }",
        lambda X: X @ np.ones((2, 1)),
        {"w": np.ones((2, 1))},
    )
    program = EnsembleProgram(
        FeatureSchema((Feature("a"), Feature("b"))), "regression", np.empty(0), ("linear",),
        (LoweredMember(linear, "identity", "float32"),), np.ones(1), "soft", Soft().fragment(np.ones(1), 1), Decision(),
    )  # fmt: skip

    def native(_, rows):
        if not np.isfinite(rows).all():
            raise ValueError("no NaN, no infinity")
        return rows.astype(float).sum(axis=1, keepdims=True)

    training = np.random.default_rng(0).normal(size=(50, 2)).astype(np.float32)
    run = Run(plugins.exporter("onnx").export(program, precision="float64"))
    report = prove(program, run, Native(native), training, precision="float64", rows=4_000)
    tried = {result.family: result.rows for result in report.families}
    assert tried["training"] == 50
    assert tried["missing"] == 0


def test_every_threshold_is_visited_while_the_budget_lasts(fitted):
    """Each distinct threshold of each feature comes below, on and above, if there are rows enough."""
    _, program = fitted
    forests = [member.body for member in program.members]
    found = families(program.schema, forests, fitted[0].proof_rows_, rows=200_000, seed=0)
    family = next(each for each in found if each.name == "threshold")
    assert family.visited == 1
    rows = family.rows
    for feature in range(4):
        wanted = np.unique(np.concatenate([f.threshold[f.feature == feature] for f in forests]))
        wanted = float32_at_or_below(wanted)
        for values in (wanted, shifted(wanted), shifted(wanted, -1)):
            assert np.isin(values, rows[:, feature]).all()


def test_families_hold_what_they_promise():
    """NaN, infinities, zeros of both signs, denormals, float32's ends, and odd category codes are tried."""
    schema = FeatureSchema((Feature("x"), Feature("c", "categorical", ("a", "b", "c"))))
    forest = Forest.from_trees([Tree([0], [0.5], [-1], [-2], [True], [1.0, 2.0])], n_features=2)
    training = np.float32([[0, 1], [1, 2]])
    found = {each.name: each.rows for each in families(schema, [forest], training, rows=2_000, seed=1)}
    assert np.isnan(found["missing"]).all(axis=1).any()
    assert set(found["infinite"][np.isinf(found["infinite"])]) == {np.inf, -np.inf}
    extremes = found["extreme"][:, 0]
    assert {0.0, *map(float, (np.finfo(np.float32).max, np.finfo(np.float32).min, np.float32(1e-35)))} <= set(
        extremes.tolist()
    ) | {np.float32(1e-35)}
    assert np.signbit(extremes[extremes == 0]).any()
    assert {0, 1, 2, 3, -1, 0.5, 1e9} <= set(found["categories"][:, 1].tolist())


def test_a_library_that_refuses_ordinary_rows_proves_nothing(fitted):
    """Some rows may be refused, which are then not compared; refusing all but those of training is an error."""
    ensemble, program = fitted
    answered = []

    def refusing(index, rows):
        answered.append(index)
        if len(answered) > len(program.members):  # training comes first
            raise ValueError("no more")
        return ensemble._member_votes(index, rows)

    run = Run(plugins.exporter("onnx").export(program))
    with pytest.raises(
        ProofError, match=r"members \['lightgbm', 'xgboost', .*their libraries refuse all rows but those of training"
    ):
        prove(program, run, Native(refusing), ensemble.proof_rows_, rows=4_000)


@pytest.mark.parametrize("offset", [1e5, 1e7])
def test_a_value_is_measured_by_its_spread_not_by_its_size(offset):
    """A file that loses the signal of a target around a large number does not pass."""
    X = np.random.default_rng(0).normal(size=(300, 3)).astype(np.float32)
    ensemble = EnsembleRegressor([("lightgbm", {"n_estimators": 20})]).fit(X, offset + X[:, 0])
    with pytest.raises(ProofError, match="Sums in float32 are too narrow"):
        prove(
            ensemble.program(), Run(plugins.exporter("onnx").export(ensemble.program())), Native(ensemble._member_votes),
            ensemble.proof_rows_, rows=4_000,
        )  # fmt: skip


def test_labels_that_a_library_refuses_do_not_excuse_the_others():
    """Where predict refuses some of a family's rows, those it labels are held to it all the same."""
    X, y = load_iris(return_X_y=True)
    model = RandomForestClassifier(3, random_state=0).fit(X, y)

    class Picky(RandomForest):
        """Its predict refuses long flowers, and is wrong about all others."""

        def labels(self, model, X):
            """Return the next class."""
            if (X[:, 0] > 7).any():
                raise ValueError("too long")
            return (model.predict(X) + 1) % 3

    program = EnsembleClassifier([("forest", model)], prefit=True).fit(X, y).program()
    alone = dataclasses.replace(program, vote=None, voting="", guards=())
    native = Native(
        lambda index, rows: Picky().votes(model, rows, "multiclass"), labels=lambda rows: Picky().labels(model, rows)
    )
    run = Run(plugins.exporter("onnx").export(alone))
    with pytest.raises(ProofError, match="does not predict the library's label in .* of family 'training'"):
        prove(alone, run, native, X.astype(np.float32), rows=4_000)
