"""scikit-learn's own tree models: every criterion, loss, base estimator and kind of category that people set."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pandas
from exactness.case import Answers, Case, Fitted, classifier, regressor
from lightgbm import LGBMClassifier
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_linnerud, load_wine
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import (
    AdaBoostClassifier,
    AdaBoostRegressor,
    BaggingClassifier,
    BaggingRegressor,
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge, RidgeClassifier
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor, ExtraTreeClassifier, ExtraTreeRegressor
from xgboost import XGBRegressor

Table = tuple[np.ndarray, np.ndarray]


def with_gaps(data: Callable[[], Table]) -> Callable[[], Table]:
    """Return the same rows with a tenth of their values missing."""

    def gaps() -> Table:
        X, y = data()
        return np.where(np.random.default_rng(0).random(X.shape) < 0.1, np.float32(np.nan), X), y

    return gaps


def cancer() -> Table:
    """Return two classes."""
    X, y = load_breast_cancer(return_X_y=True)
    return X[::2, :12].astype(np.float32), y[::2]


def wine() -> Table:
    """Return three classes."""
    X, y = load_wine(return_X_y=True)
    return X.astype(np.float32), y


def digits() -> Table:
    """Return ten classes."""
    X, y = load_digits(return_X_y=True)
    return X[:400, 10:40].astype(np.float32), y[:400]


def named() -> Table:
    """Return classes with names."""
    X, y = wine()
    return X, np.array(["dry", "off-dry", "sweet"])[y]


def yes_or_no() -> Table:
    """Return false and true."""
    X, y = cancer()
    return X, y > 0


def signs() -> Table:
    """Return the classes -1.0 and 1.0."""
    X, y = cancer()
    return X, 2.0 * y - 1.0


def two_answers() -> Table:
    """Return two outputs, of three classes and of two."""
    X, y = wine()
    return X, np.column_stack([y, X[:, 0] > 13])


def two_words() -> Table:
    """Return two outputs of words."""
    X, y = wine()
    return X, np.column_stack([np.array(["a", "b", "c"])[y], np.where(X[:, 0] > 13, "yes", "no")])


def one_answer_known() -> Table:
    """Return two outputs, the second of one class."""
    X, y = wine()
    return X, np.column_stack([y, np.zeros_like(y)])


def rare() -> Table:
    """Return four classes, one of which few rows have."""
    X, y = wine()
    return X, np.where(np.arange(len(y)) % 60 == 0, 3, y)


def diabetes() -> Table:
    """Return one target."""
    X, y = load_diabetes(return_X_y=True)
    return X[:300].astype(np.float32), y[:300]


def exercise() -> Table:
    """Return three targets."""
    X, y = load_linnerud(return_X_y=True)
    random = np.random.default_rng(0)
    pick = random.integers(0, len(X), 150)
    return (X[pick] + random.normal(size=(150, 3))).astype(np.float32), y[pick]


def constant() -> Table:
    """Return rows that nothing tells apart."""
    X, y = cancer()
    return np.zeros_like(X), y


def wide(data: Callable[[], Table]) -> Callable[[], Table]:
    """Return the same rows in float64, which float32 cannot hold."""

    def shifted() -> Table:
        X, y = data()
        return X.astype(np.float64) * (1 + 1e-9), y

    return shifted


def several(model: Any) -> Callable[[np.ndarray], Answers]:
    """Return the answers of a classifier of several outputs, their probabilities side by side."""
    return lambda rows: {
        "label": np.asarray(model.predict(rows)), "probabilities": np.concatenate(model.predict_proba(rows), axis=1)
    }  # fmt: skip


def outliers(model: Any) -> Callable[[np.ndarray], Answers]:
    """Return the answers of an isolation forest."""
    return lambda rows: {
        "label": model.predict(rows),
        "decision_function": model.decision_function(rows),
        "score_samples": model.score_samples(rows),
    }


def fit(made: Callable[[], Any], data: Callable[[], Table]) -> Fitted:
    """Return an estimator fitted on the data's rows, and float32 ones to ask it."""
    X, y = data()
    model = made().fit(X, y)
    answers = outliers if isinstance(model, IsolationForest) else regressor
    if hasattr(model, "predict_proba"):
        answers = several if y.ndim == 2 else classifier
    return Fitted(model, X.astype(np.float32), answers(model))


def table(count: int = 300, levels: int = 6, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return two numeric columns, codes of a category, and a target that hangs on all."""
    random = np.random.default_rng(seed)
    X, codes = random.normal(size=(count, 2)).astype(np.float32), random.integers(0, levels, count)
    effect = random.permutation(levels) % 3
    return X, codes, effect[codes] + (X[:, 0] > 0) + random.uniform(0, 0.2, size=count)


def numbered(made: Any, values: Any, missing: bool = False, rounded: bool = True, **params: Any) -> Fitted:
    """Return a model with a column of categories that are these numbers, and rows with other ones too."""
    values = np.asarray(values, dtype=np.float64)
    X, codes, y = table(levels=len(values), count=max(300, 6 * len(values)))
    column = values[codes]
    if missing:
        column[::9] = np.nan
    y = (np.digitize(y, [1, 2]) if "multi" in params else y > 1.5) if "Classifier" in made.__name__ else y
    params.pop("multi", None)
    rows = np.column_stack([X[:, 0], column, X[:, 1]])
    settings = {"max_iter": 6, "min_samples_leaf": 4, "categorical_features": [1]} | params
    model = made(**settings).fit(rows.astype(np.float32) if rounded else rows, y)
    rows[1::5, 1] = np.resize([-1, -0.5, 0.5, 99, 2.5, 1e9, np.nan, 255, 256], len(rows[1::5]))
    return Fitted(model, rows.astype(np.float32), (classifier if hasattr(model, "predict_proba") else regressor)(model))


def by_name(made: Any, kind: str, missing: bool = False, **params: Any) -> Fitted:
    """Return a model of a DataFrame with a column of words; the rows have their positions."""
    words = np.array(["ash", "beech", "larch", "oak", "pine", "yew"], dtype=object)
    X, codes, y = table()

    def frame(rows: np.ndarray) -> pandas.DataFrame:
        known = np.isin(rows[:, 1], np.arange(6))
        column = np.full(len(rows), np.nan, dtype=object)
        column[known] = words[rows[known, 1].astype(int)]
        typed = (
            pandas.Categorical(column, categories=list(words)) if kind == "category" else pandas.array(column, "str")
        )
        return pandas.DataFrame({"size": rows[:, 0], "wood": typed, "age": rows[:, 2]})

    rows = np.column_stack([X[:, 0], codes, X[:, 1]]).astype(np.float32)
    if missing:
        rows[::9, 1] = np.nan
    y = y > 1.5 if "Classifier" in made.__name__ else y
    model = made(**({"max_iter": 6, "min_samples_leaf": 4} | params)).fit(frame(rows), y)
    rows[1::5, 1] = np.resize([-1, 0.5, 99, np.nan], len(rows[1::5]))

    def predict(asked: np.ndarray) -> Answers:
        given = frame(asked)
        if not hasattr(model, "predict_proba"):
            return {"value": model.predict(given)}
        return {"label": model.predict(given), "probabilities": model.predict_proba(given)}

    return Fitted(model, rows, predict)


def framed(made: Any, column: Callable[[np.ndarray], Any], values: np.ndarray, **params: Any) -> Fitted:
    """Return a model of a DataFrame whose column of categories is made of codes; the rows have numbers."""
    X, codes, y = table()
    given = pandas.DataFrame({"size": X[:, 0], "wood": column(codes), "age": X[:, 1]})
    model = made(**({"max_iter": 6, "min_samples_leaf": 4} | params)).fit(given, y)
    rows = np.column_stack([X[:, 0], values[codes], X[:, 1]]).astype(np.float32)
    return Fitted(model, rows, lambda asked: {"value": model.predict(_frame_of_numbers(asked))})


def _frame_of_numbers(rows: np.ndarray) -> pandas.DataFrame:
    return pandas.DataFrame(rows, columns=["size", "wood", "age"])


class OwnForest(RandomForestClassifier):
    """A forest that might predict by its own rules."""


def cases(made: Any, settings: Mapping[str, Any], default: Callable[[], Table], **always: Any) -> list[Case]:
    """Return a case for each setting: parameters, or a pair of them and other data."""
    found = []
    for name, given in settings.items():
        params, data = given if isinstance(given, tuple) else (given, default)
        build = partial(made, **({"random_state": 0} | always | params))
        found.append(Case("scikit-learn", f"{made.__name__} {name}", partial(fit, build, data), stock="sklearn"))
    return found


TREE_SETTINGS = {
    "gini": {}, "entropy": {"criterion": "entropy"}, "log_loss": {"criterion": "log_loss"},
    "unlimited depth": {"max_depth": None}, "max_leaf_nodes": {"max_leaf_nodes": 9},
    "min_samples_leaf": {"min_samples_leaf": 20}, "class_weight balanced": {"class_weight": "balanced"},
    "class_weight by hand": {"class_weight": {0: 1.0, 1: 7.0}}, "max_features": {"max_features": "sqrt"},
    "missing values": ({}, with_gaps(cancer)), "multiclass": ({}, wine),
    "ten classes": ({}, digits), "text labels": ({}, named), "boolean labels": ({}, yes_or_no),
    "float labels": ({}, signs), "several outputs": ({}, two_answers), "several text outputs": ({}, two_words),
    "monotonic_cst": {"monotonic_cst": [1, -1] + [0] * 10}, "ccp_alpha": {"ccp_alpha": 0.01},
    "no split": ({}, constant), "trained on float64": ({}, wide(cancer)),
}  # fmt: skip

REGRESSION_SETTINGS = {
    "squared_error": {}, "absolute_error": {"criterion": "absolute_error"}, "poisson": {"criterion": "poisson"},
    "friedman_mse": {"criterion": "friedman_mse"}, "missing values": ({}, with_gaps(diabetes)),
    "several targets": ({}, exercise), "unlimited depth": {"max_depth": None},
    "max_leaf_nodes": {"max_leaf_nodes": 9}, "ccp_alpha": {"ccp_alpha": 5.0},
    "monotonic_cst": {"monotonic_cst": [1] * 10}, "trained on float64": ({}, wide(diabetes)),
}  # fmt: skip

FOREST_SETTINGS = {
    "max_samples": {"max_samples": 0.5, "bootstrap": True}, "bootstrap": {"bootstrap": True},
    "no bootstrap": {"bootstrap": False}, "oob_score": {"bootstrap": True, "oob_score": True, "n_estimators": 20},
    "warm_start": {"warm_start": True}, "max_features": {"max_features": 0.3},
}  # fmt: skip

TREES = [
    *cases(DecisionTreeClassifier, TREE_SETTINGS | {"splitter random": {"splitter": "random"}}, cancer, max_depth=5),
    *cases(DecisionTreeRegressor, REGRESSION_SETTINGS | {"splitter random": {"splitter": "random"}}, diabetes, max_depth=5),
    *cases(ExtraTreeClassifier, TREE_SETTINGS, cancer, max_depth=5),
    *cases(ExtraTreeRegressor, REGRESSION_SETTINGS, diabetes, max_depth=5),
]  # fmt: skip

FORESTS = [
    *cases(RandomForestClassifier, TREE_SETTINGS | FOREST_SETTINGS, cancer, n_estimators=6, max_depth=5),
    *cases(
        RandomForestClassifier, {"balanced_subsample": {"class_weight": "balanced_subsample"}}, cancer, n_estimators=6
    ),
    *cases(RandomForestRegressor, REGRESSION_SETTINGS | FOREST_SETTINGS, diabetes, n_estimators=6, max_depth=5),
    *cases(ExtraTreesClassifier, TREE_SETTINGS | FOREST_SETTINGS, cancer, n_estimators=6, max_depth=5),
    *cases(ExtraTreesRegressor, REGRESSION_SETTINGS | FOREST_SETTINGS, diabetes, n_estimators=6, max_depth=5),
]

BOOSTED = [
    *cases(
        GradientBoostingClassifier,
        {
            "two classes": {}, "multiclass": ({}, wine), "text labels": ({}, named),
            "exponential": {"loss": "exponential"}, "subsample": {"subsample": 0.5},
            "early stopping": {"n_estimators": 40, "n_iter_no_change": 2}, "max_features": {"max_features": "sqrt"},
            "max_leaf_nodes": {"max_leaf_nodes": 5}, "learning_rate": {"learning_rate": 0.9}, "stumps": {"max_depth": 1},
            "init zero": {"init": "zero"}, "init zero, multiclass": ({"init": "zero"}, wine),
            "init zero, nothing learnt": ({"init": "zero"}, constant), "no split": ({}, constant),
            "init DummyClassifier": {"init": DummyClassifier(strategy="most_frequent")},
            "init RandomForestClassifier": {"init": RandomForestClassifier(3, max_depth=2, random_state=0)},
            "init RandomForestClassifier, multiclass":
                ({"init": RandomForestClassifier(3, max_depth=2, random_state=0)}, wine),
            "init RandomForestClassifier, exponential":
                {"init": RandomForestClassifier(3, max_depth=2, random_state=0), "loss": "exponential"},
            "init DecisionTreeClassifier, sure of itself": {"init": DecisionTreeClassifier(max_depth=3, random_state=0)},
            "init HistGradientBoostingClassifier": {"init": HistGradientBoostingClassifier(max_iter=3)},
            "ccp_alpha": {"ccp_alpha": 0.001}, "trained on float64": ({}, wide(cancer)),
            "criterion squared_error": {"criterion": "squared_error"}, "warm_start": {"warm_start": True},
        },
        cancer,
        n_estimators=6,
    ),
    *cases(
        GradientBoostingRegressor,
        {
            "squared_error": {}, "absolute_error": {"loss": "absolute_error"}, "huber": {"loss": "huber"},
            "quantile": {"loss": "quantile", "alpha": 0.2}, "subsample": {"subsample": 0.5},
            "early stopping": {"n_estimators": 40, "n_iter_no_change": 2}, "init zero": {"init": "zero"},
            "init DummyRegressor": {"init": DummyRegressor(strategy="median")},
            "init RandomForestRegressor": {"init": RandomForestRegressor(3, max_depth=2, random_state=0)},
            "init LinearRegression": {"init": LinearRegression()}, "max_depth 1": {"max_depth": 1},
            "init XGBRegressor": {"init": XGBRegressor(n_estimators=3, max_depth=2, n_jobs=1)},
        },
        diabetes,
        n_estimators=6,
    ),
]  # fmt: skip

HISTOGRAMS = [
    *cases(
        HistGradientBoostingClassifier,
        {
            "two classes": {}, "multiclass": ({}, wine), "missing values": ({}, with_gaps(cancer)),
            "missing values, multiclass": ({}, with_gaps(wine)), "text labels": ({}, named),
            "boolean labels": ({}, yes_or_no), "class_weight": {"class_weight": "balanced"},
            "early stopping": {"early_stopping": True, "max_iter": 30, "n_iter_no_change": 2},
            "early stopping by score": {"early_stopping": True, "scoring": "accuracy", "n_iter_no_change": 2},
            "l2_regularization": {"l2_regularization": 3.0}, "max_bins": {"max_bins": 16},
            "max_depth": {"max_depth": 2}, "max_leaf_nodes None": {"max_leaf_nodes": None},
            "max_features": {"max_features": 0.5}, "monotonic_cst": {"monotonic_cst": [1, -1] + [0] * 10},
            "interaction_cst pairwise": {"interaction_cst": "pairwise"},
            "interaction_cst by hand": {"interaction_cst": [[0, 1], [2, 3, 4]]}, "no split": ({}, constant),
            "warm_start": {"warm_start": True}, "trained on float64": ({}, wide(cancer)),
        },
        cancer,
        max_iter=6,
    ),
    *cases(
        HistGradientBoostingRegressor,
        {
            "squared_error": {}, "absolute_error": {"loss": "absolute_error"}, "gamma": {"loss": "gamma"},
            "poisson": {"loss": "poisson"}, "quantile": {"loss": "quantile", "quantile": 0.8},
            "missing values": ({}, with_gaps(diabetes)), "poisson, missing values": ({"loss": "poisson"}, with_gaps(diabetes)),
            "early stopping": {"early_stopping": True, "max_iter": 30, "n_iter_no_change": 2},
            "monotonic_cst": {"monotonic_cst": [1] * 10}, "interaction_cst": {"interaction_cst": "no_interactions"},
            "trained on float64": ({}, wide(diabetes)),
        },
        diabetes,
        max_iter=6,
    ),
]  # fmt: skip

_H, _R = HistGradientBoostingClassifier, HistGradientBoostingRegressor
CATEGORIES = [
    Case("scikit-learn", f"{made.__name__} {name}", partial(build, made, *given, **params), stock="sklearn")
    for made, name, build, given, params in [
        (_H, "categories 0 to 5", numbered, (range(6),), {}),
        (_H, "categories and missing values", numbered, (range(6), True), {}),
        (_H, "categories, three classes", numbered, (range(6), True), {"multi": True}),
        (_H, "255 categories", numbered, (range(255), True), {}),
        (_H, "categories with holes", numbered, ([2, 3, 5, 8, 13, 21],), {}),
        (_H, "negative categories", numbered, ([-2, -1, 0, 1, 2, 7], True), {}),
        (_H, "fractional categories", numbered, ([-1, 2.5, 3, 0.25, 1e9, 1e30], True), {}),
        (_H, "categories that float32 rounds", numbered, ([0.1, 0.2, 0.7, 16777217, 3, 4], True, False), {}),
        (_R, "categories 0 to 5", numbered, (range(6),), {}),
        (_R, "categories, poisson", numbered, (range(6), True), {"loss": "poisson"}),
        (_R, "negative categories, poisson", numbered, ([-2, -1, 0, 1, 2, 7], True), {"loss": "poisson"}),
        (_R, "categories by mask", numbered, (range(6),), {"categorical_features": [False, True, False]}),
        (_R, "categories among early stopping", numbered, (range(6),), {"early_stopping": True, "n_iter_no_change": 2}),
        (_H, "pandas categories", by_name, ("category",), {}),
        (_H, "pandas categories and missing ones", by_name, ("category", True), {}),
        (_R, "pandas categories", by_name, ("category", True), {}),
        (_R, "text by column name", by_name, ("str", True), {"categorical_features": ["wood"]}),
        (_R, "text by column number", by_name, ("str",), {"categorical_features": [1]}),
        (_R, "pandas categories of numbers", framed, (lambda codes: pandas.Categorical(codes * 2), np.arange(6) * 2), {}),
        (_R, "pandas categories of truth", framed, (lambda codes: pandas.Categorical(codes > 2), np.arange(6) > 2), {}),
        (_R, "numbers by column name", framed, (lambda codes: codes - 1, np.arange(6) - 1), {"categorical_features": ["wood"]}),
        (_R, "DataFrame of numbers", framed, (lambda codes: codes, np.arange(6)), {}),
    ]
]  # fmt: skip

_LOGISTIC = LogisticRegression(max_iter=50)
MADE_OF_OTHERS = [
    *cases(
        AdaBoostClassifier,
        {
            "stumps": {}, "stumps, multiclass": ({}, wine), "text labels": ({}, named), "ten classes": ({}, digits),
            "learning_rate": {"learning_rate": 0.5}, "deep trees": {"estimator": DecisionTreeClassifier(max_depth=4)},
            "deep trees, multiclass": ({"estimator": DecisionTreeClassifier(max_depth=3)}, wine),
            "perfect trees": {"estimator": DecisionTreeClassifier()},
            "ExtraTreeClassifier": {"estimator": ExtraTreeClassifier(max_depth=3)},
            "RandomForestClassifier": {"estimator": RandomForestClassifier(3, max_depth=2)},
            "RandomForestClassifier, multiclass": ({"estimator": RandomForestClassifier(3, max_depth=2)}, wine),
            "one round": {"n_estimators": 1}, "trained on float64": ({}, wide(cancer)),
        },
        cancer,
        n_estimators=6,
    ),
    *cases(
        AdaBoostRegressor,
        {
            "linear": {}, "square": {"loss": "square"}, "exponential": {"loss": "exponential"},
            "deep trees": {"estimator": DecisionTreeRegressor(max_depth=6)}, "one round": {"n_estimators": 1},
            "many rounds": {"n_estimators": 40}, "learning_rate": {"learning_rate": 0.1},
            "GradientBoostingRegressor": {"estimator": GradientBoostingRegressor(n_estimators=3)},
            "trained on float64": ({}, wide(diabetes)),
        },
        diabetes,
        n_estimators=6,
    ),
    *cases(
        BaggingClassifier,
        {
            "trees": {}, "trees, multiclass": ({}, wine), "text labels": ({}, named), "missing values": ({}, with_gaps(cancer)),
            "max_features": {"max_features": 0.5}, "bootstrap_features": {"bootstrap_features": True},
            "shallow trees": {"estimator": DecisionTreeClassifier(max_depth=2)}, "oob_score": {"oob_score": True},
            "parts of few rows": ({"max_samples": 12}, rare),
            "ExtraTreeClassifier": {"estimator": ExtraTreeClassifier(max_depth=4)},
            "RandomForestClassifier": {"estimator": RandomForestClassifier(2, max_depth=3), "max_features": 0.5},
            "Pipeline, parts that lack a class":
                ({"estimator": make_pipeline(DecisionTreeClassifier(max_depth=3)), "max_samples": 12}, rare),
            "HistGradientBoostingClassifier": {"estimator": HistGradientBoostingClassifier(max_iter=3)},
            "LGBMClassifier": {"estimator": LGBMClassifier(n_estimators=3, num_leaves=4, n_jobs=1, verbose=-1)},
            "LogisticRegression": ({"estimator": _LOGISTIC}, wide(cancer)),
            "LinearSVC": ({"estimator": LinearSVC(max_iter=50)}, wine),
            "RidgeClassifier": {"estimator": RidgeClassifier(), "max_features": 0.5},
            "one part": {"n_estimators": 1}, "trained on float64": ({}, wide(cancer)),
        },
        cancer,
        n_estimators=4,
    ),
    *cases(
        BaggingRegressor,
        {
            "trees": {}, "several targets": ({}, exercise), "missing values": ({}, with_gaps(diabetes)),
            "max_features": {"max_features": 3}, "bootstrap_features": {"bootstrap_features": True},
            "max_samples": {"max_samples": 0.5}, "Ridge": ({"estimator": Ridge(), "max_features": 0.5}, wide(diabetes)),
            "LinearRegression, several targets": ({"estimator": LinearRegression()}, wide(exercise)),
            "HistGradientBoostingRegressor": {"estimator": HistGradientBoostingRegressor(max_iter=3)},
            "trained on float64": ({}, wide(diabetes)),
        },
        diabetes,
        n_estimators=4,
    ),
    *cases(
        IsolationForest,
        {
            "default": {}, "contamination": {"contamination": 0.1}, "max_features": {"max_features": 0.5},
            "max_samples": {"max_samples": 40}, "max_samples as share": {"max_samples": 0.3},
            "bootstrap": {"bootstrap": True}, "missing values": ({}, with_gaps(cancer)),
            "one row a tree": {"max_samples": 1}, "trained on float64": ({}, wide(cancer)),
        },
        cancer,
        n_estimators=6,
    ),
]  # fmt: skip

NARROW = ("GradientBoostingRegressor init LinearRegression", "GradientBoostingRegressor init XGBRegressor")
"""Their ``init`` is given rows of float32 and computes in it, whatever the rows are."""

REFUSED = [
    Case(
        "scikit-learn", "RandomForestClassifier, an output of one class",
        partial(fit, partial(RandomForestClassifier, 3, random_state=0), one_answer_known),
        refused="random_forest: output 1 was fitted on one class alone", reason="an output has one class only",
        stock="sklearn",
    ),
    Case(
        "scikit-learn", "GradientBoostingClassifier init at random",
        partial(fit, partial(GradientBoostingClassifier, n_estimators=3, init=DummyClassifier(strategy="uniform")), cancer),
        refused="answers at random", reason="the starting estimator draws its answers", stock="sklearn",
    ),
    Case(
        "scikit-learn", "HistGradientBoostingRegressor categories that are dates",
        partial(
            framed, HistGradientBoostingRegressor,
            lambda codes: pandas.Categorical(pandas.to_datetime("2024-01-01") + pandas.to_timedelta(codes, "D")),
            np.arange(6),
        ),
        refused="for a category; expected strings or numbers", reason="dates have no place in a numeric row",
        stock="sklearn",
    ),
    Case(
        "scikit-learn", "a subclass of RandomForestClassifier",
        partial(fit, partial(OwnForest, 3, random_state=0), cancer),
        refused="no plugin can lower", reason="a subclass may predict by rules of its own", stock="sklearn",
    ),
]  # fmt: skip

CASES = [
    replace(case, float32_only=case.name in NARROW)
    for case in [*TREES, *FORESTS, *BOOSTED, *HISTOGRAMS, *CATEGORIES, *MADE_OF_OTHERS, *REFUSED]
]
