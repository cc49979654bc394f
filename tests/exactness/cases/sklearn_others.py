"""scikit-learn's models that are no trees: linear, kernels, neighbours, networks, Bayes, and those made of others."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from exactness.case import Case, Fitted, classifier, regressor
from exactness.data import Data, cancer, diabetes, iris, wine
from sklearn import datasets, multiclass, multioutput, naive_bayes, neighbors, svm
from sklearn import linear_model as lm
from sklearn.compose import TransformedTargetRegressor
from sklearn.covariance import EllipticEnvelope
from sklearn.cross_decomposition import CCA, PLSCanonical, PLSRegression
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis, QuadraticDiscriminantAnalysis
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.gaussian_process import GaussianProcessClassifier, GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel
from sklearn.kernel_ridge import KernelRidge
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.preprocessing import StandardScaler
from sklearn.semi_supervised import SelfTrainingClassifier
from sklearn.tree import DecisionTreeClassifier
from xgboost import XGBRegressor

Answers = Callable[[Any], Callable[[np.ndarray], Mapping[str, np.ndarray]]]


# Models are fitted on float64, as bundled, and asked about the same rows in float32.
def raw_cancer() -> Data:
    """Two classes, unscaled."""
    X, y = datasets.load_breast_cancer(return_X_y=True)
    return X[:300], y[:300]


def digits() -> Data:
    """Ten classes of counts."""
    X, y = datasets.load_digits(return_X_y=True)
    return X[:300], y[:300]


def candles() -> Data:
    """Return numbers far from 0 and from each other, as prices are."""
    X, y = datasets.load_diabetes(return_X_y=True)
    return X[:300] * 1e4 + 3e4, y[:300] * 1e5 + 1e7


def linnerud() -> Data:
    """Three targets."""
    X, y = datasets.load_linnerud(return_X_y=True)
    return np.tile(X, (6, 1)) + np.arange(120)[:, None] % 7, np.tile(y, (6, 1))


def labels_of_wine() -> Data:
    """Three classes with text labels."""
    X, y = wine()
    return X, np.array(["red", "rose", "white"])[y]


def two_labels() -> Data:
    """Three yes-or-no labels."""
    X, y = wine()
    return X, np.column_stack([y > 0, X[:, 0] > 0.3, X[:, 2] + X[:, 1] > 0]).astype(int)


def scores(model: Any) -> Callable[[np.ndarray], Mapping[str, np.ndarray]]:
    """Return the public answers of a classifier without probabilities, or of an outlier detector."""

    def answers(rows: np.ndarray) -> Mapping[str, np.ndarray]:
        return {
            "label": np.asarray(model.predict(rows)),
            "decision_function": np.asarray(model.decision_function(rows)),
        }

    return answers


def own_values(model: Any) -> Callable[[np.ndarray], Mapping[str, np.ndarray]]:
    """Return the public answers of a regressor in its own type, float32 for XGBoost."""
    return lambda rows: {"value": np.asarray(model.predict(rows))}


def several(model: Any) -> Callable[[np.ndarray], Mapping[str, np.ndarray]]:
    """Return the public answers of a classifier of several labels."""

    def answers(rows: np.ndarray) -> Mapping[str, np.ndarray]:
        chances = model.predict_proba(rows)
        chances = np.concatenate(chances, axis=1) if isinstance(chances, list) else chances
        return {"label": np.asarray(model.predict(rows)).astype(np.int64), "probabilities": chances}

    return answers


def of(make: Callable[[], Any], data: Callable[[], Data], answers: Answers = classifier) -> Callable[[], Fitted]:
    """Return the fit of a case."""

    def fit() -> Fitted:
        X, y = data()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = make().fit(X, y)
        return Fitted(model, X.astype(np.float32), answers(model))

    return fit


def narrow(make: Callable[[], Any], data: Callable[[], Data], answers: Answers = classifier) -> Callable[[], Fitted]:
    """Return the fit of a case on float32 rows, which some models then compute in."""
    return of(make, lambda: (data()[0].astype(np.float32), data()[1]), answers)


LR = lm.LogisticRegression
GP = ConstantKernel(1.0) * RBF(2.0) + WhiteKernel(0.1)

_EXACT: dict[str, Callable[[], Fitted]] = {
    # linear classifiers
    "LogisticRegression, binary": of(LR, cancer),
    "LogisticRegression, unscaled": of(lambda: LR(max_iter=50), raw_cancer),
    "LogisticRegression, multinomial": of(LR, iris),
    "LogisticRegression, text labels": of(LR, labels_of_wine),
    "LogisticRegression, liblinear": of(lambda: LR(solver="liblinear"), cancer),
    "LogisticRegression, saga, l1": of(lambda: LR(solver="saga", l1_ratio=1.0, C=0.1, max_iter=50), wine),
    "LogisticRegression, newton-cholesky": of(lambda: LR(solver="newton-cholesky"), cancer),
    "LogisticRegression, no intercept": of(lambda: LR(fit_intercept=False), cancer),
    "LogisticRegression, class_weight": of(lambda: LR(class_weight="balanced"), cancer),
    "LogisticRegression, fitted on float32": narrow(LR, cancer),
    "LogisticRegression, ten classes": of(lambda: LR(max_iter=50), digits),
    "LogisticRegressionCV": of(lambda: lm.LogisticRegressionCV(Cs=3, cv=2), cancer),
    "SGDClassifier, hinge": of(lambda: lm.SGDClassifier(random_state=0), cancer, scores),
    "SGDClassifier, hinge, multiclass": of(lambda: lm.SGDClassifier(random_state=0), wine, scores),
    "SGDClassifier, log_loss": of(lambda: lm.SGDClassifier(loss="log_loss", random_state=0), cancer),
    "SGDClassifier, log_loss, multiclass": of(lambda: lm.SGDClassifier(loss="log_loss", random_state=0), wine),
    "SGDClassifier, modified_huber": of(lambda: lm.SGDClassifier(loss="modified_huber", random_state=0), cancer),
    "SGDClassifier, modified_huber, multiclass": of(
        lambda: lm.SGDClassifier(loss="modified_huber", random_state=0), wine
    ),
    "Perceptron": of(lambda: lm.Perceptron(random_state=0), wine, scores),
    "RidgeClassifier": of(lm.RidgeClassifier, cancer, scores),
    "RidgeClassifier, multiclass": of(lm.RidgeClassifier, wine, scores),
    "RidgeClassifierCV": of(lm.RidgeClassifierCV, wine, scores),
    "LinearSVC": of(lambda: svm.LinearSVC(random_state=0), cancer, scores),
    "LinearSVC, multiclass": of(lambda: svm.LinearSVC(random_state=0), wine, scores),
    "LinearDiscriminantAnalysis, binary": of(LinearDiscriminantAnalysis, cancer),
    "LinearDiscriminantAnalysis, multiclass": of(LinearDiscriminantAnalysis, wine),
    "LinearDiscriminantAnalysis, lsqr, shrinkage": of(
        lambda: LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto"), wine
    ),
    "QuadraticDiscriminantAnalysis": of(lambda: QuadraticDiscriminantAnalysis(reg_param=0.1), wine),
    "QuadraticDiscriminantAnalysis, binary": of(lambda: QuadraticDiscriminantAnalysis(reg_param=0.1), cancer),
    # linear regressors
    "LinearRegression": of(lm.LinearRegression, diabetes, regressor),
    "LinearRegression, large values": of(lm.LinearRegression, candles, regressor),
    "LinearRegression, three targets": of(lm.LinearRegression, linnerud, regressor),
    "Ridge": of(lm.Ridge, diabetes, regressor),
    "Ridge, three targets": of(lm.Ridge, linnerud, regressor),
    "RidgeCV": of(lm.RidgeCV, diabetes, regressor),
    "Lasso": of(lambda: lm.Lasso(0.1), diabetes, regressor),
    "LassoCV": of(lambda: lm.LassoCV(cv=2), diabetes, regressor),
    "ElasticNet": of(lambda: lm.ElasticNet(0.01), diabetes, regressor),
    "ElasticNetCV": of(lambda: lm.ElasticNetCV(cv=2), diabetes, regressor),
    "MultiTaskLasso": of(lambda: lm.MultiTaskLasso(0.1), linnerud, regressor),
    "Lars": of(lm.Lars, diabetes, regressor),
    "LassoLarsIC": of(lm.LassoLarsIC, diabetes, regressor),
    "OrthogonalMatchingPursuit": of(lm.OrthogonalMatchingPursuit, diabetes, regressor),
    "BayesianRidge": of(lm.BayesianRidge, diabetes, regressor),
    "ARDRegression": of(lm.ARDRegression, diabetes, regressor),
    "HuberRegressor": of(lm.HuberRegressor, diabetes, regressor),
    "QuantileRegressor": of(lambda: lm.QuantileRegressor(alpha=0.01), diabetes, regressor),
    "TheilSenRegressor": of(lambda: lm.TheilSenRegressor(max_subpopulation=100, random_state=0), diabetes, regressor),
    "RANSACRegressor": of(lambda: lm.RANSACRegressor(random_state=0), diabetes, regressor),
    "RANSACRegressor of trees": of(
        lambda: lm.RANSACRegressor(XGBRegressor(n_estimators=3, n_jobs=1), min_samples=50, random_state=0),
        diabetes, own_values,
    ),
    "SGDRegressor": of(lambda: lm.SGDRegressor(random_state=0), diabetes, regressor),
    "LinearSVR": of(lambda: svm.LinearSVR(random_state=0), diabetes, regressor),
    "PoissonRegressor": of(lm.PoissonRegressor, diabetes, regressor),
    "GammaRegressor": of(lm.GammaRegressor, diabetes, regressor),
    "TweedieRegressor, power=1.5": of(lambda: lm.TweedieRegressor(power=1.5), diabetes, regressor),
    "TweedieRegressor, power=0": of(lambda: lm.TweedieRegressor(power=0), diabetes, regressor),
    "PLSRegression": of(lambda: PLSRegression(2), linnerud, regressor),
    "PLSRegression, one target": of(lambda: PLSRegression(3), diabetes, regressor),
    "PLSCanonical": of(lambda: PLSCanonical(2), linnerud, regressor),
    "CCA": of(lambda: CCA(2), linnerud, regressor),
    # kernel machines
    "SVC, rbf": of(svm.SVC, cancer, scores),
    "SVC, rbf, unscaled": of(svm.SVC, raw_cancer, scores),
    "SVC, rbf, multiclass": of(svm.SVC, wine, scores),
    "SVC, rbf, ten classes": of(svm.SVC, digits, scores),
    "SVC, linear": of(lambda: svm.SVC(kernel="linear"), wine, scores),
    "SVC, poly": of(lambda: svm.SVC(kernel="poly", coef0=1.0), wine, scores),
    "SVC, sigmoid": of(lambda: svm.SVC(kernel="sigmoid"), wine, scores),
    "SVC, break_ties": of(lambda: svm.SVC(break_ties=True), wine, scores),
    "SVC, gamma=auto, class_weight": of(lambda: svm.SVC(gamma="auto", class_weight="balanced"), cancer, scores),
    "NuSVC": of(lambda: svm.NuSVC(nu=0.2), wine, scores),
    "SVR, rbf": of(lambda: svm.SVR(C=100.0), diabetes, regressor),
    "SVR, poly": of(lambda: svm.SVR(kernel="poly"), diabetes, regressor),
    "NuSVR": of(svm.NuSVR, diabetes, regressor),
    "OneClassSVM": of(lambda: svm.OneClassSVM(nu=0.1), wine, scores),
    "SGDOneClassSVM": of(lambda: lm.SGDOneClassSVM(random_state=0), wine, scores),
    "EllipticEnvelope": of(lambda: EllipticEnvelope(random_state=0), wine, scores),
    "KernelRidge, rbf": of(lambda: KernelRidge(kernel="rbf"), diabetes, regressor),
    "KernelRidge, poly": of(lambda: KernelRidge(kernel="poly", alpha=0.1), diabetes, regressor),
    "GaussianProcessRegressor": of(lambda: GaussianProcessRegressor(GP, optimizer=None), diabetes, regressor),
    "GaussianProcessRegressor, normalize_y": of(
        lambda: GaussianProcessRegressor(GP, optimizer=None, normalize_y=True), diabetes, regressor
    ),
    # networks
    "MLPClassifier, relu": of(lambda: MLPClassifier((8,), max_iter=20, random_state=0), cancer),
    "MLPClassifier, tanh, multiclass": of(
        lambda: MLPClassifier((6, 4), activation="tanh", max_iter=20, random_state=0), wine
    ),
    "MLPClassifier, logistic": of(
        lambda: MLPClassifier((6,), activation="logistic", max_iter=20, random_state=0), wine
    ),
    "MLPRegressor": of(lambda: MLPRegressor(hidden_layer_sizes=(8,), max_iter=20, random_state=0), diabetes, regressor),
    "MLPRegressor, three targets": of(lambda: MLPRegressor(hidden_layer_sizes=(8,), max_iter=20, random_state=0), linnerud, regressor),
    # Bayes
    "GaussianNB": of(naive_bayes.GaussianNB, cancer),
    "GaussianNB, multiclass": of(naive_bayes.GaussianNB, iris),
    "MultinomialNB": of(naive_bayes.MultinomialNB, digits),
    "ComplementNB": of(naive_bayes.ComplementNB, digits),
    "BernoulliNB": of(lambda: naive_bayes.BernoulliNB(binarize=4.0), digits),
    # made of others
    "OneVsRestClassifier, logistic": of(lambda: multiclass.OneVsRestClassifier(LR()), wine),
    "OneVsRestClassifier, two classes": of(lambda: multiclass.OneVsRestClassifier(LR()), cancer),
    "OneVsRestClassifier, LinearSVC": of(
        lambda: multiclass.OneVsRestClassifier(svm.LinearSVC(random_state=0)), wine, scores
    ),
    "OneVsRestClassifier, trees": of(
        lambda: multiclass.OneVsRestClassifier(RandomForestClassifier(4, random_state=0)), wine
    ),
    "OneVsRestClassifier, several labels": of(lambda: multiclass.OneVsRestClassifier(LR()), two_labels, several),
    "OneVsOneClassifier, LinearSVC": of(
        lambda: multiclass.OneVsOneClassifier(svm.LinearSVC(random_state=0)), wine, scores
    ),
    "OneVsOneClassifier, logistic": of(lambda: multiclass.OneVsOneClassifier(LR()), wine, scores),
    "OneVsOneClassifier, trees": of(
        lambda: multiclass.OneVsOneClassifier(RandomForestClassifier(4, max_depth=3, random_state=0)), wine, scores
    ),
    "MultiOutputClassifier": of(lambda: multioutput.MultiOutputClassifier(LR()), two_labels, several),
    "MultiOutputClassifier, trees": of(
        lambda: multioutput.MultiOutputClassifier(DecisionTreeClassifier(max_depth=3, random_state=0)),
        two_labels, several,
    ),
    "MultiOutputRegressor": of(lambda: multioutput.MultiOutputRegressor(lm.Ridge()), linnerud, regressor),
    "MultiOutputRegressor, trees": of(
        lambda: multioutput.MultiOutputRegressor(XGBRegressor(n_estimators=3, n_jobs=1)), linnerud, own_values
    ),
    "ClassifierChain": of(lambda: multioutput.ClassifierChain(LR(), random_state=0), two_labels, several),
    "ClassifierChain, order, predict_proba": of(
        lambda: multioutput.ClassifierChain(LR(), order=[2, 0, 1], chain_method="predict_proba"), two_labels, several
    ),
    "RegressorChain": of(lambda: multioutput.RegressorChain(lm.Ridge(), order=[1, 2, 0]), linnerud, regressor),
    "TransformedTargetRegressor, log1p": of(
        lambda: TransformedTargetRegressor(lm.Ridge(), func=np.log1p, inverse_func=np.expm1), diabetes, regressor
    ),
    "TransformedTargetRegressor, StandardScaler": of(
        lambda: TransformedTargetRegressor(lm.Ridge(), transformer=StandardScaler()), candles, regressor
    ),
    "TransformedTargetRegressor of trees, log": of(
        lambda: TransformedTargetRegressor(RandomForestRegressor(4, random_state=0), func=np.log, inverse_func=np.exp),
        diabetes, regressor,
    ),
    "SelfTrainingClassifier": of(lambda: SelfTrainingClassifier(LR()), cancer),
    "DummyClassifier, prior": of(DummyClassifier, wine),
    "DummyClassifier, most_frequent": of(lambda: DummyClassifier(strategy="most_frequent"), wine),
    "DummyRegressor": of(DummyRegressor, diabetes, regressor),
    "GridSearchCV": of(lambda: GridSearchCV(LR(), {"C": [0.1, 1.0]}, cv=2), cancer),
    "GridSearchCV of trees": of(
        lambda: GridSearchCV(RandomForestClassifier(4, random_state=0), {"max_depth": [2, 3]}, cv=2), wine
    ),
    "RandomizedSearchCV": of(
        lambda: RandomizedSearchCV(lm.Ridge(), {"alpha": [0.1, 1.0, 3.0]}, n_iter=2, cv=2, random_state=0),
        diabetes, regressor,
    ),
}  # fmt: skip

_REFUSED: dict[str, tuple[Callable[[], Fitted], str, str]] = {
    "SVC, probability=True": (
        of(lambda: svm.SVC(probability=True, random_state=0), cancer),
        "libsvm stops its coupling of pairs early", "libsvm's coupling of pairs stops early",
    ),
    "KNeighborsClassifier": (
        of(neighbors.KNeighborsClassifier, wine), "equally near neighbours", "ties of distances are decided by rounding",
    ),
    "LocalOutlierFactor": (
        of(lambda: neighbors.LocalOutlierFactor(novelty=True), wine, scores),
        "equally near neighbours", "ties of distances are decided by rounding",
    ),
    "GaussianProcessClassifier": (
        of(lambda: GaussianProcessClassifier(), cancer), "GaussianProcessClassifier", "no converter is exact",
    ),
    "DummyClassifier, stratified": (
        of(lambda: DummyClassifier(strategy="stratified"), wine), "predicts at random", "random answers",
    ),
}  # fmt: skip

CASES = [Case("scikit-learn", name, fit, stock="sklearn") for name, fit in _EXACT.items()] + [
    Case("scikit-learn", name, fit, refused, reason, "sklearn") for name, (fit, refused, reason) in _REFUSED.items()
]
