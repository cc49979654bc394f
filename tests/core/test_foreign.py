"""glulam.export: a fitted model by itself, what it refuses, and what the file then is."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
from catboost import CatBoostClassifier
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import glulam
from glulam import EnsembleClassifier, FeatureSchema, plugins
from glulam.errors import (
    ArtifactError,
    ArtifactExistsError,
    ConfigError,
    FeatureError,
    ProofError,
    UnsupportedModelError,
)
from glulam.hookspecs import Signature
from glulam.schema import Float32CollisionWarning
from glulam_plugins.models.random_forest import RandomForest


@pytest.fixture(scope="module")
def binary():
    """Return rows, labels as text, and a small forest."""
    X, y = load_breast_cancer(return_X_y=True)
    labels = np.where(y == 1, "benign", "malignant")
    return X, labels, RandomForestClassifier(5, max_depth=4, random_state=0).fit(X, labels)


def test_a_classifier_answers_as_its_own_predict(binary, tmp_path):
    """Labels are the estimator's own, probabilities within 1e-6, without a row of data given."""
    X, _, model = binary
    report = glulam.export(model, tmp_path / "m.onnx")
    assert report.label_differences == 0
    file = glulam.load(tmp_path / "m.onnx")
    rows = X.astype(np.float32)
    np.testing.assert_array_equal(file.predict(rows), model.predict(rows))
    np.testing.assert_allclose(file.predict_proba(rows), model.predict_proba(rows), atol=1e-6)
    assert file.info()["type"] == "RandomForestClassifier"
    assert file.info()["outputs"] == ["label", "probabilities", "valid"]
    assert "RandomForestClassifier, 30 features" in repr(file)


def test_values_of_one_and_of_several_targets(tmp_path):
    """A regressor's values come as [n], those of several targets as [n, k]."""
    X, y = load_diabetes(return_X_y=True)
    for target, shape in ((y, (442,)), (np.column_stack([y, -2 * y, X[:, 0]]), (442, 3))):
        model = RandomForestRegressor(4, max_depth=4, random_state=0).fit(X, target)
        glulam.export(model, tmp_path / "m.onnx", X, overwrite=True)
        got = glulam.load(tmp_path / "m.onnx").predict(X)
        assert got.shape == shape
        np.testing.assert_allclose(got, model.predict(X), rtol=2e-6, atol=1e-8)
        assert glulam.load(tmp_path / "m.onnx").validate_predictions(X)["n_samples"] == 442


def test_several_outputs_of_classes(tmp_path):
    """Labels come as [n, n_outputs], probabilities as a list, as scikit-learn gives them."""
    X, y = load_iris(return_X_y=True)
    model = RandomForestClassifier(4, random_state=0).fit(X, np.column_stack([y, y == 1]))
    glulam.export(model, tmp_path / "m.onnx", X)
    file = glulam.load(tmp_path / "m.onnx")
    np.testing.assert_array_equal(file.predict(X), model.predict(X))
    for got, want in zip(file.predict_proba(X), model.predict_proba(X.astype(np.float32)), strict=True):
        np.testing.assert_allclose(got, want, atol=1e-6)


def test_float64_rows_are_answered_as_such(tmp_path):
    """With precision='float64' the file takes float64, and tells apart what float32 cannot."""
    X = np.linspace(1e9, 1e9 + 10, 200)[:, None]
    y = (X[:, 0] > 1e9 + 5).astype(int)
    model = HistGradientBoostingClassifier(max_iter=3, min_samples_leaf=5).fit(X, y)
    report = glulam.export(model, tmp_path / "m.onnx", X, precision="float64")
    assert report.precision == "float64"
    assert onnxruntime.InferenceSession(tmp_path / "m.onnx").get_inputs()[0].type == "tensor(double)"
    file = glulam.load(tmp_path / "m.onnx")
    np.testing.assert_allclose(file.predict_proba(X), model.predict_proba(X), atol=1e-12)
    assert file.info()["rows"] == "float64"


def test_what_the_library_refuses_fails_the_check_of_the_file(binary, tmp_path):
    """A linear model takes no NaN: the file says so instead of answering; a forest takes NaN, not infinity."""
    X, y, forest = binary
    rows = X[:3].astype(np.float32)
    linear = LogisticRegression(max_iter=5000).fit(X[:, :2], y)
    glulam.export(linear, tmp_path / "l.onnx", X[:, :2])
    holes = rows[:, :2].copy()
    holes[1, 0] = np.nan
    with pytest.raises(FeatureError, match="row 1: column 'x0' is nan, which fails the file's checks"):
        glulam.load(tmp_path / "l.onnx").predict(holes)
    glulam.export(forest, tmp_path / "f.onnx")
    holes = rows.copy()
    holes[1, 0] = np.nan
    file = glulam.load(tmp_path / "f.onnx")
    np.testing.assert_array_equal(file.predict(holes), forest.predict(holes))
    holes[2, 4] = np.inf
    with pytest.raises(FeatureError, match="row 2: column 'x4' is inf, which fails the file's checks"):
        file.predict(holes)


def test_column_names_are_kept(tmp_path):
    """A model that was fitted on named columns wants them by name, in any order only if told so."""
    frame, y = load_iris(return_X_y=True, as_frame=True)
    model = RandomForestClassifier(3, random_state=0).fit(frame, y)
    glulam.export(model, tmp_path / "m.onnx", frame[frame.columns[::-1]])
    file = glulam.load(tmp_path / "m.onnx")
    assert file.info()["feature_names"] == list(frame.columns)
    np.testing.assert_array_equal(file.predict(frame), model.predict(frame))
    with pytest.raises(FeatureError, match="same order"):
        file.predict(frame[frame.columns[::-1]])


def test_an_ensemble_is_exported_as_by_its_own_method(binary, tmp_path):
    """glulam.export takes a glulam ensemble as well."""
    X, y, _ = binary
    ensemble = EnsembleClassifier([("random_forest", {"n_estimators": 3, "n_jobs": 1})]).fit(X, y)
    glulam.export(ensemble, tmp_path / "e.onnx", proof_rows=1_000)
    assert glulam.load(tmp_path / "e.onnx").info()["type"] == "EnsembleClassifier"


class Own:
    """An estimator that nobody knows."""


@pytest.mark.parametrize(
    ("model", "options", "error", "message"),
    [
        (Own(), {}, UnsupportedModelError, r"no plugin can lower .*Own exactly; model plugins are \["),
        (RandomForestClassifier(), {}, UnsupportedModelError, "fit it first"),
        (None, {"precision": "half"}, ConfigError, "precision: expected 'auto', 'float32' or 'float64', got 'half'"),
        (None, {"proof_rows": 10}, ConfigError, "proof_rows: expected at least 1,000, got 10"),
        (None, {"outputs": ["votes"]}, ConfigError, "outputs: expected some of"),
        ("nowhere.txt", {}, ArtifactError, "nowhere.txt: no such model file"),
    ],
)
def test_what_cannot_be_exported_is_refused_and_leaves_nothing(binary, model, options, error, message, tmp_path):
    """Each refusal says what was wrong, before anything is written."""
    with pytest.raises(error, match=message):
        glulam.export(binary[2] if model is None else model, tmp_path / "m.onnx", **options)
    assert not list(tmp_path.iterdir())


def test_an_existing_file_is_kept_unless_told(binary, tmp_path):
    """A file that is there is not replaced by accident."""
    (tmp_path / "m.onnx").write_text("mine")
    with pytest.raises(ArtifactExistsError):
        glulam.export(binary[2], tmp_path / "m.onnx")
    assert (tmp_path / "m.onnx").read_text() == "mine"


def test_a_model_whose_library_refuses_every_row_says_so(binary, tmp_path):
    """Without rows that the library takes there is nothing to prove by."""
    with pytest.raises(ConfigError, match=r"its library refuses all rows .*glulam.export\(model, path, X\)"):
        glulam.export(binary[2], tmp_path / "m.onnx", np.full((3, 30), np.inf))


class Mislabelling(RandomForest):
    """A plugin whose library predicts other labels than its probabilities say."""

    name = "mislabelling"

    def labels(self, model, X):
        """Return what the library is made to say."""
        return np.roll(model.classes_, 1)[model.predict_proba(X).argmax(axis=1)]


class Misleafing(RandomForest):
    """A plugin whose library reaches other leaves."""

    def leaves(self, model, X):
        """Return the next leaf."""
        return RandomForest.leaves(self, model, X) + 1


@pytest.mark.parametrize(
    ("plugin", "message"),
    [
        (Mislabelling, "does not predict the library's label in .* rows of family 'training'; first, row 0: expected"),
        (Misleafing, "a row of family 'training' reaches another leaf than in its library: tree 0, expected leaf"),
    ],
)
def test_labels_and_leaves_are_the_librarys(binary, tmp_path, monkeypatch, plugin, message):
    """Right scores are not enough: labels and leaves are held to the library as well."""
    monkeypatch.setattr(plugins, "required_model_of", lambda model: plugin())
    with pytest.raises(ProofError, match=message):
        glulam.export(binary[2], tmp_path / "m.onnx")
    assert not list(tmp_path.iterdir())


def test_classes_of_a_type_that_no_file_has_are_refused(binary, tmp_path, monkeypatch):
    """Labels must be integers, floats, booleans or text."""
    X, _, model = binary

    class Odd(RandomForest):
        """Classes of dates."""

        def signature(self, model):
            """Return classes that ONNX has no type for."""
            return Signature(FeatureSchema.learn(X), "binary", np.array(["2020-01-01", "2021-01-01"], dtype="M8[D]"))

    monkeypatch.setattr(plugins, "required_model_of", lambda model: Odd())
    with pytest.raises(UnsupportedModelError, match="files have integers, floats, booleans or text; encode y"):
        glulam.export(model, tmp_path / "m.onnx")


def test_rows_that_float32_cannot_tell_apart_are_told(tmp_path):
    """A model of float64 whose own rows change their answers in float32 warns; rows of float64 are exact."""
    X = np.linspace(1e9, 1e9 + 10, 200)[:, None]
    model = HistGradientBoostingClassifier(max_iter=3, min_samples_leaf=5).fit(X, X[:, 0] > 1e9 + 5)
    with pytest.warns(Float32CollisionWarning, match=r"rows are answered otherwise once .* precision='float64'"):
        glulam.export(model, tmp_path / "m.onnx", X)
    glulam.export(model, tmp_path / "w.onnx", X, precision="float64")
    np.testing.assert_array_equal(glulam.load(tmp_path / "w.onnx").predict(X), model.predict(X))


def test_numbers_that_a_scaler_makes_infinite_fail_the_check(tmp_path):
    """What the model behind a scaler refuses is refused by the file as well, and a little less, never more."""
    X = np.random.default_rng(0).normal(size=(200, 2)) * [1e-6, 1.0]
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, X[:, 1] > 0)
    glulam.export(model, tmp_path / "m.onnx", X.astype(np.float32))
    file = glulam.load(tmp_path / "m.onnx")
    large = np.float32([[1e33, 0.0]])
    with pytest.raises(ValueError, match="infinity"), np.errstate(over="ignore"):
        model.predict(large)
    with pytest.raises(FeatureError, match="column 'x0' is 1e\\+33|row 0"):
        file.predict(large)
    assert (file.predict(X.astype(np.float32)) == model.predict(X.astype(np.float32))).all()


@pytest.mark.parametrize("precision", ["auto", "float64"])
def test_classes_are_chosen_by_sums_where_the_library_does(precision, tmp_path):
    """Sums one digit apart have equal chances; the label is the library's all the same."""
    X = np.random.default_rng(6).normal(size=(30, 3)).astype(np.float32)
    model = HistGradientBoostingClassifier(max_iter=1, min_samples_leaf=3, early_stopping=False)
    model.fit(X, np.arange(30) % 3)
    glulam.export(model, tmp_path / "m.onnx", X, precision=precision)
    rows = np.random.default_rng(1).normal(size=(400, 3)).astype(np.float32 if precision == "auto" else np.float64)
    got, want = glulam.load(tmp_path / "m.onnx").predict(rows), model.predict(rows)
    if precision == "float64" or glulam.load(tmp_path / "m.onnx").info()["precision"] == "float64":
        np.testing.assert_array_equal(got, want)


def test_a_model_that_was_changed_by_hand_is_refused(tmp_path):
    """Whatever a lowering stumbles over is said as a refusal, not as a traceback of its own."""
    X, y = load_iris(return_X_y=True)
    model = RandomForestClassifier(3).fit(X, y)
    model.estimators_[0].tree_ = None
    with pytest.raises(UnsupportedModelError, match="RandomForestClassifier: has no library-free form, .*fit it again"):
        glulam.export(model, tmp_path / "m.onnx")


def test_a_search_over_a_model_that_cannot_be_hashed(tmp_path):
    """CatBoost inside a search is exported as its best model."""
    X, y = load_iris(return_X_y=True)
    catboost = CatBoostClassifier(iterations=3, verbose=0, allow_writing_files=False, thread_count=1)
    model = GridSearchCV(catboost, {"depth": [2, 3]}, cv=2).fit(X, y)
    glulam.export(model, tmp_path / "m.onnx", X)
    np.testing.assert_array_equal(glulam.load(tmp_path / "m.onnx").predict(X), model.predict(X).ravel())


def test_the_name_of_the_file_is_a_name(binary):
    """Arguments in the wrong order are said as such."""
    with pytest.raises(ConfigError, match="path: expected the name of the file to write, got RandomForestClassifier"):
        glulam.export("m.onnx", binary[2])
