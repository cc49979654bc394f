"""scikit-learn's meta-estimators over its own models, LightGBM and XGBoost: votes, stacks, calibration, thresholds."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from exactness.case import Case, Fitted, classifier, regressor
from exactness.data import Data, cancer, diabetes, iris, wine
from lightgbm import LGBMClassifier, LGBMRegressor
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import (
    AdaBoostClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
    StackingClassifier,
    StackingRegressor,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge, RidgeClassifier, RidgeCV
from sklearn.metrics import f1_score, make_scorer
from sklearn.model_selection import FixedThresholdClassifier, KFold, TunedThresholdClassifierCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import MultiOutputClassifier, MultiOutputRegressor
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
from xgboost import XGBClassifier, XGBRegressor


# Models are fitted on float64, as bundled, and asked about the same rows in float32.
def named(data: Callable[[], Data], *labels: str) -> Callable[[], Data]:
    """Return data whose labels are words."""

    def words() -> Data:
        X, y = data()
        return X, np.array(labels)[y]

    return words


def holes(data: Callable[[], Data]) -> Callable[[], Data]:
    """Return data of which a tenth of the values is missing."""

    def missing() -> Data:
        X, y = data()
        return np.where(np.random.default_rng(5).random(X.shape) < 0.1, np.nan, X), y

    return missing


def several(data: Callable[[], Data]) -> Callable[[], Data]:
    """Return data with two targets."""

    def both() -> Data:
        X, y = data()
        return X, np.column_stack([y, np.roll(y, 1)])

    return both


def forest(**params: Any) -> Any:
    """Return a small forest."""
    return RandomForestClassifier(**({"n_estimators": 6, "max_depth": 4, "random_state": 0} | params))


def lightgbm(**params: Any) -> Any:
    """Return a small LightGBM classifier."""
    return LGBMClassifier(
        **({"n_estimators": 6, "num_leaves": 7, "verbose": -1, "n_jobs": 1, "random_state": 0} | params)
    )


def xgboost(**params: Any) -> Any:
    """Return a small XGBoost classifier."""
    return XGBClassifier(**({"n_estimators": 6, "max_depth": 3, "n_jobs": 1, "random_state": 0} | params))


def logistic() -> Any:
    """Return a linear classifier."""
    return LogisticRegression(max_iter=1_000)


def tree() -> Any:
    """Return one tree."""
    return DecisionTreeClassifier(max_depth=3, random_state=0)


def three() -> list[tuple[str, Any]]:
    """Return three named classifiers."""
    return [("forest", forest()), ("lightgbm", lightgbm()), ("xgboost", xgboost())]


def regressors() -> list[tuple[str, Any]]:
    """Return three named regressors."""
    return [
        ("forest", RandomForestRegressor(6, max_depth=4, random_state=0)),
        ("lightgbm", LGBMRegressor(n_estimators=6, num_leaves=7, verbose=-1, n_jobs=1)),
        ("xgboost", XGBRegressor(n_estimators=6, max_depth=3, n_jobs=1)),
    ]


def hard(model: Any) -> Callable[[np.ndarray], Mapping[str, np.ndarray]]:
    """Return the labels of a hard vote, and each class's share of the weights that its ballots have."""

    def predict(rows: np.ndarray) -> Mapping[str, np.ndarray]:
        weights = np.ones(len(model.estimators_)) if model.weights is None else np.asarray(model.weights, dtype=float)
        ballots = model.transform(rows)
        sums = [np.bincount(each, weights=weights, minlength=len(model.classes_)) for each in ballots]
        return {"label": np.asarray(model.predict(rows)), "probabilities": np.array(sums) / weights.sum()}

    return predict


def decision(model: Any) -> Callable[[np.ndarray], Mapping[str, np.ndarray]]:
    """Return the labels and decision function of a classifier without probabilities."""
    return lambda rows: {
        "label": np.asarray(model.predict(rows)),
        "decision_function": np.asarray(model.decision_function(rows)),
    }


def outputs(model: Any) -> Callable[[np.ndarray], Mapping[str, np.ndarray]]:
    """Return labels and probabilities of several outputs, side by side."""
    return lambda rows: {
        "label": np.asarray(model.predict(rows)),
        "probabilities": np.concatenate(model.predict_proba(rows), axis=1),
    }


def in_float32(answer: Callable[[np.ndarray], Mapping[str, np.ndarray]]) -> Any:
    """Return the answers in the type that they have the digits of."""
    return lambda rows: {
        name: np.asarray(values, dtype=np.float32) if values.dtype == np.float64 and name != "label" else values
        for name, values in answer(rows).items()
    }


def case(
    name: str,
    make: Callable[[], Any],
    data: Callable[[], Data] = iris,
    answers: Callable[[Any], Any] = classifier,
    refused: str = "",
    reason: str = "",
) -> Case:
    """Return a case of this file, fitted on ``data`` and asked in float32."""

    def fit() -> Fitted:
        X, y = data()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of folds, convergence: nothing that concerns an export
            model = make().fit(X, y)
        answer = answers(model)
        # XGBoost computes in float32, whatever type its answers are made part of.
        narrow = any(type(each).__module__.startswith("xgboost") for each in model.get_params().values())
        return Fitted(model, X.astype(np.float32), in_float32(answer) if narrow else answer)

    return Case(
        "scikit-learn meta-estimators",
        name,
        fit,
        refused=refused,
        reason=reason,
        stock="sklearn",
        float32_only=", a pipeline" in name,
    )


def without(model: Any, **changes: Any) -> Any:
    """Return the estimator with parameters changed."""
    return model.set_params(**changes)


_FINAL = "splits on other models' answers, whose last digit may send a row the other way"
_DECISION = "is asked for its decision function, which has no exact form beside its probabilities"
_LAST_DIGIT = "trees that read other models' answers hang on their last digit"

VOTING = [
    case("VotingClassifier soft, binary", lambda: VotingClassifier(three(), voting="soft"), cancer),
    case("VotingClassifier soft, three classes", lambda: VotingClassifier(three(), voting="soft")),
    case("VotingClassifier soft, weights", lambda: VotingClassifier(three(), voting="soft", weights=[0.4, 0.4, 0.2])),
    case("VotingClassifier soft, words for labels", lambda: VotingClassifier(three(), voting="soft"), named(iris, "c", "a", "b")),
    case("VotingClassifier soft, XGBoost alone", lambda: VotingClassifier([("a", xgboost()), ("b", xgboost(max_depth=2))], voting="soft")),
    case("VotingClassifier soft, NaN", lambda: VotingClassifier(three(), voting="soft"), holes(cancer)),
    case("VotingClassifier soft, with LogisticRegression", lambda: VotingClassifier([*three(), ("linear", logistic())], voting="soft")),
    case("VotingClassifier soft, drop", lambda: VotingClassifier([*three(), ("gone", "drop")], voting="soft", weights=[1, 2, 3, 4])),
    case("VotingClassifier soft, unflattened", lambda: VotingClassifier(three(), voting="soft", flatten_transform=False), cancer),
    case("VotingClassifier hard, binary", lambda: VotingClassifier(three()), cancer, hard),
    case("VotingClassifier hard, three classes", lambda: VotingClassifier(three()), iris, hard),
    case("VotingClassifier hard, two members that tie", lambda: VotingClassifier(three()[1:]), iris, hard),
    case("VotingClassifier hard, weights that tie", lambda: VotingClassifier(three(), weights=[0.1, 0.2, 0.3]), wine, hard),
    case("VotingClassifier hard, words for labels", lambda: VotingClassifier(three()), named(cancer, "no", "yes"), hard),
    case("VotingClassifier hard, linear members", lambda: VotingClassifier([("a", logistic()), ("b", RidgeClassifier()), ("c", tree())]), wine, hard),
    case("VotingRegressor", lambda: VotingRegressor(regressors()), diabetes, regressor),
    case("VotingRegressor, weights", lambda: VotingRegressor(regressors(), weights=[1, 2, 0.5]), diabetes, regressor),
    case("VotingRegressor, drop", lambda: without(VotingRegressor(regressors()), xgboost="drop"), diabetes, regressor),
    case("VotingRegressor, NaN", lambda: VotingRegressor(regressors()), holes(diabetes), regressor),
    case("VotingRegressor, with Ridge", lambda: VotingRegressor([*regressors(), ("ridge", Ridge())]), diabetes, regressor),
]  # fmt: skip

STACKING = [
    case("StackingClassifier, binary", lambda: StackingClassifier(three(), cv=3), cancer),
    case("StackingClassifier, three classes", lambda: StackingClassifier(three(), cv=3)),
    case("StackingClassifier, LogisticRegression(C)", lambda: StackingClassifier(three(), LogisticRegression(C=0.1), cv=3)),
    case("StackingClassifier, words for labels", lambda: StackingClassifier(three(), cv=3), named(wine, "x", "y", "z")),
    case("StackingClassifier, passthrough", lambda: StackingClassifier(three(), logistic(), cv=3, passthrough=True), wine),
    case("StackingClassifier, NaN", lambda: StackingClassifier(three(), cv=3), holes(cancer)),
    case("StackingClassifier, decision_function", lambda: StackingClassifier([("svc", LinearSVC(random_state=0)), ("gb", GradientBoostingClassifier(n_estimators=5, random_state=0)), ("hist", HistGradientBoostingClassifier(max_iter=5)), ("linear", logistic())], logistic(), cv=3, stack_method="decision_function"), cancer),
    case("StackingClassifier, decision_function of three classes", lambda: StackingClassifier([("svc", LinearSVC(random_state=0)), ("lightgbm", lightgbm())], logistic(), cv=3, stack_method="decision_function"), wine),
    case("StackingClassifier, predict", lambda: StackingClassifier(three(), logistic(), cv=3, stack_method="predict")),
    case("StackingClassifier, predict, passthrough, a forest on top", lambda: StackingClassifier(three(), forest(), cv=3, stack_method="predict", passthrough=True)),
    case("StackingClassifier, regressors below", lambda: StackingClassifier(regressors(), logistic(), cv=KFold(3, shuffle=True, random_state=0)), cancer),
    case("StackingClassifier, drop", lambda: StackingClassifier([("gone", "drop"), *three()], cv=3)),
    case("StackingClassifier, prefit", lambda: StackingClassifier([(name, each.fit(*iris())) for name, each in three()], cv="prefit")),
    case("StackingClassifier, RidgeClassifier on top", lambda: StackingClassifier(three(), RidgeClassifier(), cv=3), cancer, decision),
    case("StackingClassifier, LinearSVC below", lambda: StackingClassifier([("svc", LinearSVC(random_state=0)), ("forest", forest())], cv=3), wine),
    case("StackingClassifier, a forest on top", lambda: StackingClassifier(three(), forest(), cv=3), iris, classifier, "StackingClassifier: final_estimator: RandomForestClassifier " + _FINAL, _LAST_DIGIT),
    case("StackingClassifier, LightGBM on top", lambda: StackingClassifier(three(), lightgbm(), cv=3, passthrough=True), iris, classifier, "StackingClassifier: final_estimator: LGBMClassifier " + _FINAL, _LAST_DIGIT),
    case("StackingRegressor", lambda: StackingRegressor(regressors(), cv=3), diabetes, regressor),
    case("StackingRegressor, RidgeCV(alphas)", lambda: StackingRegressor(regressors(), RidgeCV([0.1, 10.0]), cv=3), diabetes, regressor),
    case("StackingRegressor, passthrough", lambda: StackingRegressor(regressors(), LinearRegression(), cv=3, passthrough=True), diabetes, regressor),
    case("StackingRegressor, NaN", lambda: StackingRegressor([("hist", HistGradientBoostingRegressor(max_iter=5)), *regressors()], cv=3), holes(diabetes), regressor),
    case("StackingRegressor, a tree on top", lambda: StackingRegressor(regressors(), DecisionTreeRegressor(max_depth=3), cv=3), diabetes, regressor, "StackingRegressor: final_estimator: DecisionTreeRegressor " + _FINAL, _LAST_DIGIT),
]  # fmt: skip

_BASES: dict[str, Callable[[], Any]] = {
    "RandomForestClassifier": forest,
    "LightGBM": lightgbm,
    "XGBoost": xgboost,
    "LogisticRegression": logistic,
    "LinearSVC": lambda: LinearSVC(random_state=0),
    "HistGradientBoostingClassifier": lambda: HistGradientBoostingClassifier(max_iter=5),
    "GradientBoostingClassifier": lambda: GradientBoostingClassifier(n_estimators=5, random_state=0),
}
CALIBRATION = [
    case(f"CalibratedClassifierCV {method}, {base}, {count}", lambda make=make, method=method: CalibratedClassifierCV(make(), method=method, cv=3), data)
    for method in ("sigmoid", "isotonic", "temperature")
    for base, make in _BASES.items()
    if (method, base) != ("isotonic", "XGBoost")
    for count, data in (("binary", cancer), ("three classes", wine))
    if method != "isotonic" or count == "binary" or base in ("LogisticRegression", "LinearSVC")
] + [
    *(case(f"CalibratedClassifierCV {method}, ensemble=False", lambda method=method: CalibratedClassifierCV(forest(), method=method, cv=3, ensemble=False), cancer) for method in ("sigmoid", "isotonic", "temperature")),
    case("CalibratedClassifierCV, frozen", lambda: CalibratedClassifierCV(FrozenEstimator(forest().fit(*cancer())), cv=3), cancer),
    case("CalibratedClassifierCV, words for labels", lambda: CalibratedClassifierCV(lightgbm(), cv=3), named(iris, "c", "a", "b")),
    case("CalibratedClassifierCV, NaN", lambda: CalibratedClassifierCV(lightgbm(), cv=3), holes(cancer)),
    case("CalibratedClassifierCV isotonic, a tree whose scores are few", lambda: CalibratedClassifierCV(DecisionTreeClassifier(max_depth=1, random_state=0), method="isotonic", cv=3), cancer),
    case("CalibratedClassifierCV isotonic, a forest, three classes", lambda: CalibratedClassifierCV(forest(), method="isotonic", cv=3), wine, classifier, "RandomForestClassifier gives scores that lie on the feet of isotonic rises", "a last digit decides between no class and one"),
    case("CalibratedClassifierCV, a stack", lambda: CalibratedClassifierCV(VotingClassifier(three(), voting="soft"), cv=2)),
    case("CalibratedClassifierCV, AdaBoost", lambda: CalibratedClassifierCV(AdaBoostClassifier(n_estimators=5, random_state=0), cv=3), cancer, classifier, "AdaBoostClassifier " + _DECISION, "only its probabilities are lowered"),
    case("CalibratedClassifierCV, a pipeline", lambda: CalibratedClassifierCV(make_pipeline(StandardScaler(), LogisticRegression()), cv=3), cancer),
    case("CalibratedClassifierCV isotonic, XGBoost", lambda: CalibratedClassifierCV(xgboost(), method="isotonic", cv=3), cancer, classifier, "XGBClassifier computes in float32, and isotonic calibration that rises by", "it magnifies the last digit of float32"),
    case("CalibratedClassifierCV, exponential loss", lambda: CalibratedClassifierCV(GradientBoostingClassifier(loss="exponential", n_estimators=5), cv=3), cancer, classifier, "GradientBoostingClassifier " + _DECISION, "only its probabilities are lowered"),
]  # fmt: skip


THRESHOLDS = [
    case("FixedThresholdClassifier", lambda: FixedThresholdClassifier(forest(), threshold=0.3), cancer),
    case("FixedThresholdClassifier, auto", lambda: FixedThresholdClassifier(forest()), cancer),
    case("FixedThresholdClassifier, LogisticRegression", lambda: FixedThresholdClassifier(logistic(), threshold=0.7), cancer),
    case("FixedThresholdClassifier, decision_function", lambda: FixedThresholdClassifier(logistic(), threshold=-1.0, response_method="decision_function"), cancer),
    case("FixedThresholdClassifier, LinearSVC", lambda: FixedThresholdClassifier(LinearSVC(random_state=0), threshold=0.25), cancer, decision),
    case("FixedThresholdClassifier, pos_label of the first class", lambda: FixedThresholdClassifier(forest(), threshold=0.3, pos_label=0), cancer),
    case("FixedThresholdClassifier, LinearSVC, pos_label of the first class", lambda: FixedThresholdClassifier(LinearSVC(random_state=0), threshold=0.25, pos_label="bad"), named(cancer, "bad", "good"), decision),
    case("TunedThresholdClassifierCV", lambda: TunedThresholdClassifierCV(lightgbm(), cv=3), cancer),
    case("TunedThresholdClassifierCV, f1 of a word", lambda: TunedThresholdClassifierCV(logistic(), cv=3, scoring=make_scorer(f1_score, pos_label="bad")), named(cancer, "bad", "good")),
    case("TunedThresholdClassifierCV, calibrated", lambda: TunedThresholdClassifierCV(CalibratedClassifierCV(forest(), cv=2), cv=3), cancer),
    case("FrozenEstimator, LightGBM", lambda: FrozenEstimator(lightgbm().fit(*wine())), wine),
]  # fmt: skip

NESTED = [
    case("a vote of a calibrated forest and a stack", lambda: VotingClassifier([("calibrated", CalibratedClassifierCV(forest(), cv=2)), ("stack", StackingClassifier(three(), cv=2))], voting="soft"), cancer),
    case("a stack of votes", lambda: StackingClassifier([("soft", VotingClassifier(three(), voting="soft")), ("hard", VotingClassifier(three()))], cv=2)),
    case("OneVsRestClassifier, LightGBM", lambda: OneVsRestClassifier(lightgbm())),
    case("OneVsRestClassifier, a calibrated forest", lambda: OneVsRestClassifier(CalibratedClassifierCV(forest(), cv=2))),
    case("MultiOutputClassifier, a soft vote", lambda: MultiOutputClassifier(VotingClassifier(three(), voting="soft")), several(iris), outputs),
    case("MultiOutputRegressor, a VotingRegressor", lambda: MultiOutputRegressor(VotingRegressor(regressors()[:2])), several(diabetes), regressor),
    case("a soft vote with what no plugin knows", lambda: VotingClassifier([("forest", forest()), ("near", KNeighborsClassifier(weights=lambda d: 1 / (1 + d)))], voting="soft"), iris, classifier, "VotingClassifier: estimator 'near': ", "a function of one's own"),
]  # fmt: skip

CASES = [*VOTING, *STACKING, *CALIBRATION, *THRESHOLDS, *NESTED]
