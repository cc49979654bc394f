"""scikit-learn's own estimators: rules at odd values, and what is refused by name."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import datasets, linear_model, multiclass, multioutput, naive_bayes, neighbors, svm
from sklearn.cluster import KMeans
from sklearn.compose import TransformedTargetRegressor
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import RandomForestClassifier
from sklearn.gaussian_process import GaussianProcessClassifier
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import PowerTransformer

import glulam
from glulam import plugins
from glulam.errors import PluginError, UnsupportedModelError
from glulam.interpreter import member_vote, run_steps
from glulam.program import Steps
from glulam_plugins.models.sklearn import Sklearn

PLUGIN = Sklearn()


def wine():
    """Return scaled wine."""
    X, y = datasets.load_wine(return_X_y=True)
    return (X - X.mean(axis=0)) / X.std(axis=0), y


def lowered(model):
    """Return a model's signature and its lowered form."""
    signature = PLUGIN.signature(model)
    return signature, PLUGIN.lower(model, signature.schema)


def odd_rows(X, random=None):
    """Return rows far out on either side, zeros, and plain ones."""
    random = random or np.random.default_rng(0)
    far = X[:40] * 10.0 ** random.integers(-30, 20, (40, 1))
    return np.concatenate([X[:40], far, np.zeros((1, X.shape[1]))]).astype(np.float32)


@pytest.mark.parametrize(
    "model",
    [
        LogisticRegression(),
        linear_model.SGDClassifier(loss="modified_huber", random_state=0),
        linear_model.SGDClassifier(loss="log_loss", random_state=0),
        linear_model.RidgeClassifier(),
        naive_bayes.BernoulliNB(binarize=0.5),
        multiclass.OneVsRestClassifier(svm.LinearSVC(random_state=0)),
        multiclass.OneVsOneClassifier(svm.LinearSVC(random_state=0)),
        svm.NuSVC(nu=0.2),
    ],
    ids=lambda model: f"{type(model).__name__} {getattr(model, 'loss', '')}",
)
def test_rules_hold_far_out(model):
    """Scores and labels are scikit-learn's on far rows too, where chances are 0, 1 or all the same."""
    X, y = wine()
    model.fit(X, y)
    signature, member = lowered(model)
    rows = odd_rows(X)
    with np.errstate(over="ignore", invalid="ignore"):
        got = member_vote(member, rows)
    want = PLUGIN.votes(model, rows, signature.task)
    np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-12)
    if isinstance(member.body, Steps) and member.body.choice:
        with np.errstate(over="ignore", invalid="ignore"):
            choice = run_steps(member.body, rows)[member.body.choice]
        np.testing.assert_array_equal(signature.classes[choice[:, 0].astype(int)], PLUGIN.labels(model, rows))


def test_label_goes_by_the_score_where_chances_are_equal():
    """A score of 1e-30 is the second class, though its chance is 0.5 to the last bit."""
    model = LogisticRegression().fit([[-1.0], [1.0]], [0, 1])
    model.coef_, model.intercept_ = np.array([[1.0]]), np.array([0.0])
    _, member = lowered(model)
    rows = np.array([[1e-30], [0.0], [-1e-30]], dtype=np.float32)
    assert run_steps(member.body, rows)[member.body.choice][:, 0].tolist() == [1, 0, 0]
    assert PLUGIN.labels(model, rows).tolist() == [1, 0, 0]
    assert (member_vote(member, rows) == 0.5).all()


def test_support_vector_machine_on_sparse_rows(tmp_path):
    """A machine that was fitted on sparse rows keeps sparse tables; it answers dense ones alike."""
    from scipy.sparse import csr_matrix

    X, y = wine()
    model = svm.SVC().fit(csr_matrix(X), y)
    _, member = lowered(model)
    rows = X.astype(np.float32)
    np.testing.assert_allclose(member_vote(member, rows), model.decision_function(rows), atol=1e-10)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (svm.SVC(decision_function_shape="ovo"), "decision_function_shape='ovo'"),
        (neighbors.KNeighborsClassifier(), "equally near neighbours"),
        (neighbors.NearestCentroid(metric="manhattan"), "without predict_proba"),
        (GaussianProcessClassifier(optimizer=None), "GaussianProcessClassifier"),
        (DummyClassifier(strategy="uniform"), "predicts at random"),
        (multiclass.OneVsRestClassifier(GaussianProcessClassifier(optimizer=None)), "OneVsRestClassifier: sklearn: "),
        (multiclass.OneVsOneClassifier(naive_bayes.GaussianNB()), ""),
        (multiclass.OutputCodeClassifier(LogisticRegression()), "neither probabilities nor a decision function"),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else "",
)
def test_what_is_not_exact_is_refused_by_name(model, message):
    """The refusal says which option, and what to use instead."""
    X, y = wine()
    model.fit(X, y)
    if not message:
        assert lowered(model)[1].body
        return
    with pytest.raises(UnsupportedModelError) as refusal:
        lowered(model)
    assert message in str(refusal.value)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (TransformedTargetRegressor(Ridge(), func=np.sqrt, inverse_func=lambda x: x**2), "is code that a file cannot"),
        (TransformedTargetRegressor(Ridge(), transformer=PowerTransformer()), "with PowerTransformer has no exact"),
        (KernelRidge(kernel="laplacian"), "kernel='laplacian' has no exact form"),
        (KernelRidge(kernel="poly", degree=2.5), "degree=2.5"),
    ],
)
def test_regressors_that_are_refused(model, message):
    """The refusal names the option."""
    X, y = datasets.load_diabetes(return_X_y=True)
    model.fit(X[:80] + 1.0, y[:80])
    with pytest.raises(UnsupportedModelError) as refusal:
        lowered(model)
    assert " ".join(message.split()) in " ".join(str(refusal.value).split())


def test_regressor_chain_feeds_what_was_said():
    """Each part of a chain takes the values of those before it, in the chain's own order."""
    X = np.random.default_rng(0).normal(size=(40, 3))
    y = np.column_stack([X[:, 0], X[:, 0] * 2 + X[:, 1], X[:, 2]])
    model = multioutput.RegressorChain(Ridge(), order=[2, 0, 1]).fit(X, y)
    signature, member = lowered(model)
    assert (signature.task, signature.n_targets) == ("regression", 3)
    np.testing.assert_allclose(
        member_vote(member, X.astype(np.float32)), model.predict(X.astype(np.float32)), rtol=1e-12
    )


def test_other_things_are_not_accepted():
    """Clusterers, transformers and subclasses are none of this plugin's; forests are another's."""

    class Own(LogisticRegression):
        """A subclass, which may predict by another rule."""

    assert not PLUGIN.accepts(KMeans())
    assert not PLUGIN.accepts(PowerTransformer())
    assert not PLUGIN.accepts(Own())
    assert plugins.model_of(RandomForestClassifier()).name == "random_forest"
    assert plugins.model_of(LogisticRegression()).name == "sklearn"


def test_members_need_probabilities():
    """An ensemble refuses a classifier that gives none, by name."""
    X, y = wine()
    model = svm.LinearSVC(random_state=0).fit(X, y)
    with pytest.raises(UnsupportedModelError, match="LinearSVC gives no probabilities"):
        PLUGIN.check(model, "multiclass")


def test_nothing_is_made_from_the_name():
    """There is no default estimator of the name."""
    with pytest.raises(PluginError, match="given as \\(name, estimator\\)"):
        PLUGIN.make("binary", {}, None)


def test_saved_and_restored():
    """A restored model answers alike; types that skops does not trust are refused."""
    X, y = wine()
    model = LogisticRegression().fit(X, y)
    again = PLUGIN.restore(PLUGIN.dump(model))
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))
    model.note = KernelRidge(kernel=odd_rows)
    with pytest.raises(UnsupportedModelError, match="cannot be saved: skops does not trust"):
        PLUGIN.dump(model)


def test_text_labels_come_out_of_the_file(tmp_path):
    """A model with text labels predicts them from the file."""
    X, y = wine()
    names = np.array(["red", "rose", "white"])[y]
    model = LogisticRegression().fit(X, names)
    glulam.export(model, tmp_path / "model.onnx", X.astype(np.float32), proof_rows=1_000)
    got = glulam.load(tmp_path / "model.onnx").predict(X.astype(np.float32))
    assert got.tolist() == model.predict(X.astype(np.float32)).tolist()
