"""scikit-learn's pipelines: transformers of every usual kind before linear models, kernels, forests and boosters."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas
from exactness.case import Case, Fitted
from exactness.cases.sklearn_others import cancer, diabetes, raw_cancer, wine
from lightgbm import LGBMClassifier, LGBMRegressor
from sklearn import feature_selection as fs
from sklearn import preprocessing as pre
from sklearn.compose import ColumnTransformer, make_column_transformer
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.svm import SVC, SVR, LinearSVC
from xgboost import XGBClassifier, XGBRegressor

Data = tuple[np.ndarray, np.ndarray]
LR = LogisticRegression


def holes(data: Callable[[], Data]) -> Callable[[], Data]:
    """Return the data with one number in ten missing."""

    def made() -> Data:
        X, y = data()
        return np.where(np.random.default_rng(0).random(X.shape) < 0.1, np.nan, X), y

    return made


def positive() -> Data:
    """Return columns that are all above 0."""
    X, y = raw_cancer()
    return X[:, :6] + 0.5, y


def whole() -> Data:
    """Return columns of small whole numbers, as categories often are, and two plain ones."""
    random = np.random.default_rng(0)
    X = np.column_stack([random.integers(0, 4, 300), random.integers(1, 7, 300), random.normal(0, 1, (300, 2))])
    return X, ((X[:, 0] > 1) ^ (X[:, 1] % 2 == 0) ^ (X[:, 2] > 0)).astype(int)


def answers(model: Any, native: Callable[[np.ndarray], Any]) -> Callable[[np.ndarray], Mapping[str, np.ndarray]]:
    """Return the public answers of a pipeline to rows of the file."""

    def answered(rows: np.ndarray) -> Mapping[str, np.ndarray]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of categories that were never seen
            return asked(native(rows))

    def asked(table: Any) -> Mapping[str, np.ndarray]:
        if not hasattr(model, "classes_"):
            return {"value": np.asarray(model.predict(table))}
        label = np.asarray(model.predict(table))
        if hasattr(model, "predict_proba"):
            return {"label": label, "probabilities": np.asarray(model.predict_proba(table))}
        return {"label": label, "decision_function": np.asarray(model.decision_function(table))}

    return answered


def of(make: Callable[[], Any], data: Callable[[], Data] = cancer) -> Callable[[], Fitted]:
    """Return the fit of a pipeline on numbers."""

    def fit() -> Fitted:
        X, y = data()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = make().fit(X, y)
        return Fitted(model, X.astype(np.float32), answers(model, lambda rows: rows))

    return fit


CITIES, KINDS = ("Bern", "Lima", "Oslo", "Rome"), ("a", "b", "c")


def table_of(rows: np.ndarray) -> pandas.DataFrame:
    """Return rows of the file as the DataFrame that people fit on: unknown codes are categories never seen."""

    def text(values: np.ndarray, known: tuple[str, ...]) -> np.ndarray:
        valid = (values == np.floor(values)) & (values >= 0) & (values < len(known))
        picked = np.array([*known, "elsewhere"], dtype=object)[np.where(valid, values, len(known)).astype(int)]
        picked[np.isnan(values)] = np.nan
        return picked

    columns = {
        "age": rows[:, 0], "city": text(rows[:, 1], CITIES), "pay": rows[:, 2], "kind": text(rows[:, 3], KINDS),
    }  # fmt: skip
    return pandas.DataFrame(columns)


def people(make: Callable[[], Any], regression: bool = False) -> Callable[[], Fitted]:
    """Return the fit of a pipeline on a DataFrame with text columns."""

    def fit() -> Fitted:
        random = np.random.default_rng(0)
        codes = np.column_stack(
            [random.normal(40, 12, 300), random.integers(0, 4, 300), random.lognormal(8, 1, 300),
             random.integers(0, 3, 300)]
        ).astype(np.float32)  # fmt: skip
        y = (codes[:, 0] > 40) ^ (codes[:, 1] > 1) ^ (codes[:, 3] == 1)
        target = codes[:, 0] * 10 + codes[:, 1] ** 2 + np.log(codes[:, 2]) if regression else y.astype(int)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = make().fit(table_of(codes), target)
        return Fitted(model, codes, answers(model, table_of))

    return fit


def by_kind(encoder: Any, numbers: Any = None, **params: Any) -> ColumnTransformer:
    """Return a ColumnTransformer for `table_of`: numbers scaled, text encoded."""
    scaled = pre.StandardScaler() if numbers is None else numbers
    return ColumnTransformer([("numbers", scaled, ["age", "pay"]), ("text", encoder, ["city", "kind"])], **params)


def one_hot(**params: Any) -> pre.OneHotEncoder:
    """Return a OneHotEncoder that takes any category."""
    return pre.OneHotEncoder(**({"handle_unknown": "ignore", "sparse_output": False} | params))


def ordinal(**params: Any) -> pre.OrdinalEncoder:
    """Return an OrdinalEncoder that takes any category."""
    return pre.OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, **params)


def forest() -> RandomForestClassifier:
    """Return a small forest."""
    return RandomForestClassifier(5, random_state=0)


def lgbm() -> LGBMClassifier:
    """Return a small LightGBM model."""
    return LGBMClassifier(n_estimators=5, n_jobs=1, verbose=-1)


def xgb() -> XGBClassifier:
    """Return a small XGBoost model."""
    return XGBClassifier(n_estimators=5, n_jobs=1)


def hgb() -> HistGradientBoostingClassifier:
    """Return a small HistGradientBoosting model."""
    return HistGradientBoostingClassifier(max_iter=5, random_state=0)


def chain(*steps: Any) -> Callable[[], Pipeline]:
    """Return what makes a pipeline; every step is a function that makes it."""
    return lambda: make_pipeline(*(step() if callable(step) else step for step in steps))


_SCALERS: dict[str, Callable[[], Any]] = {
    "StandardScaler": pre.StandardScaler,
    "StandardScaler, no mean": lambda: pre.StandardScaler(with_mean=False),
    "MinMaxScaler": pre.MinMaxScaler,
    "MinMaxScaler, clip": lambda: pre.MinMaxScaler(clip=True),
    "MaxAbsScaler": pre.MaxAbsScaler,
    "RobustScaler": pre.RobustScaler,
    "Binarizer": lambda: pre.Binarizer(threshold=0.1),
    "KBinsDiscretizer, ordinal": lambda: pre.KBinsDiscretizer(
        4, encode="ordinal", quantile_method="averaged_inverted_cdf"
    ),
    "KBinsDiscretizer, one-hot": lambda: pre.KBinsDiscretizer(
        4, encode="onehot-dense", quantile_method="averaged_inverted_cdf"
    ),
    "SelectKBest": lambda: fs.SelectKBest(k=5),
    "VarianceThreshold": fs.VarianceThreshold,
    "PolynomialFeatures, interactions": lambda: make_pipeline(
        fs.SelectKBest(k=4), pre.PolynomialFeatures(2, interaction_only=True)
    ),
}
_MODELS: dict[str, Callable[[], Any]] = {
    "LogisticRegression": LR, "RandomForestClassifier": forest, "LGBMClassifier": lgbm, "XGBClassifier": xgb,
}  # fmt: skip

_EXACT: dict[str, Callable[[], Fitted]] = {
    f"{scaler}, {name}": of(chain(first, model))
    for scaler, first in _SCALERS.items()
    for name, model in _MODELS.items()
} | {
    "StandardScaler, unscaled data, forest": of(chain(pre.StandardScaler, forest), raw_cancer),
    "StandardScaler, unscaled data, logistic": of(chain(pre.StandardScaler, LR), raw_cancer),
    "StandardScaler, SVC": of(chain(pre.StandardScaler, SVC), wine),
    "StandardScaler, LinearSVC": of(chain(pre.StandardScaler, lambda: LinearSVC(random_state=0)), wine),
    "StandardScaler, MLPClassifier": of(
        chain(pre.StandardScaler, lambda: MLPClassifier((6,), max_iter=20, random_state=0)), wine
    ),
    "StandardScaler, HistGradientBoosting": of(chain(pre.StandardScaler, hgb), holes(wine)),
    "StandardScaler, LGBM, missing values": of(chain(pre.StandardScaler, lgbm), holes(cancer)),
    "StandardScaler, ExtraTrees": of(
        chain(pre.StandardScaler, lambda: ExtraTreesClassifier(5, random_state=0)), wine
    ),
    "MinMaxScaler, GradientBoosting": of(
        chain(pre.MinMaxScaler, lambda: GradientBoostingClassifier(n_estimators=5, random_state=0)), cancer
    ),
    "MinMaxScaler, falling, forest": of(
        chain(lambda: pre.MinMaxScaler(feature_range=(-1, 1)), pre.RobustScaler, forest), raw_cancer
    ),
    "QuantileTransformer, forest": of(chain(lambda: pre.QuantileTransformer(n_quantiles=50), forest), positive),
    "QuantileTransformer, LGBM": of(chain(lambda: pre.QuantileTransformer(n_quantiles=50), lgbm), positive),
    "SimpleImputer, forest": of(chain(SimpleImputer, forest), holes(cancer)),
    "SimpleImputer, add_indicator, XGB": of(chain(lambda: SimpleImputer(add_indicator=True), xgb), holes(cancer)),
    "SimpleImputer, median, LGBM": of(chain(lambda: SimpleImputer(strategy="median"), lgbm), holes(wine)),
    "SimpleImputer, scaler, logistic": of(chain(SimpleImputer, pre.StandardScaler, LR), holes(cancer)),
    "SimpleImputer, add_indicator, logistic": of(
        chain(lambda: SimpleImputer(strategy="median", add_indicator=True), LR), holes(cancer)
    ),
    "SimpleImputer, constant, forest": of(
        chain(lambda: SimpleImputer(strategy="constant", fill_value=-9), forest), holes(cancer)
    ),
    "PCA, forest": of(chain(pre.StandardScaler, lambda: PCA(4), forest), wine),
    "PCA, XGB": of(chain(lambda: PCA(4), xgb), wine),
    "PCA, logistic": of(chain(lambda: PCA(4), LR), wine),
    "PCA, whiten, SVC": of(chain(lambda: PCA(4, whiten=True), SVC), wine),
    "TruncatedSVD, logistic": of(chain(lambda: TruncatedSVD(4, random_state=0), LR), wine),
    "PolynomialFeatures, Ridge": of(chain(lambda: pre.PolynomialFeatures(2), Ridge), diabetes),
    "StandardScaler, LinearRegression": of(chain(pre.StandardScaler, LinearRegression), diabetes),
    "StandardScaler, SVR": of(chain(pre.StandardScaler, SVR), diabetes),
    "StandardScaler, forest regression": of(
        chain(pre.StandardScaler, lambda: RandomForestRegressor(5, random_state=0)), diabetes
    ),
    "StandardScaler, LGBMRegressor": of(
        chain(pre.StandardScaler, lambda: LGBMRegressor(n_estimators=5, n_jobs=1, verbose=-1)), diabetes
    ),
    "StandardScaler, XGBRegressor": of(
        chain(pre.StandardScaler, lambda: XGBRegressor(n_estimators=5, n_jobs=1)), diabetes
    ),
    "passthrough, forest": of(chain(lambda: "passthrough", forest), wine),
    "nested pipelines": of(lambda: make_pipeline(make_pipeline(SimpleImputer(), pre.StandardScaler()), forest()), wine),
    "FeatureUnion, forest": of(
        lambda: make_pipeline(FeatureUnion([("a", pre.StandardScaler()), ("b", pre.MinMaxScaler())]), forest()), wine
    ),
    "FeatureUnion with PCA, logistic": of(
        lambda: make_pipeline(FeatureUnion([("a", pre.StandardScaler()), ("b", PCA(2))]), LR()), wine
    ),
    "ColumnTransformer by position": of(
        lambda: make_pipeline(
            make_column_transformer((pre.StandardScaler(), [0, 3]), (pre.MinMaxScaler(), [1]), remainder="passthrough"),
            forest(),
        ),
        wine,
    ),
    "ColumnTransformer, drop": of(
        lambda: make_pipeline(make_column_transformer((pre.StandardScaler(), [0, 3]), ("drop", [1])), LR()), wine
    ),
    "OneHotEncoder of numbers, forest": of(
        lambda: make_pipeline(make_column_transformer((one_hot(), [0, 1]), remainder="passthrough"), forest()), whole
    ),
    "OneHotEncoder of numbers, logistic": of(
        lambda: make_pipeline(make_column_transformer((one_hot(), [0, 1]), remainder="passthrough"), LR()), whole
    ),
    "GridSearchCV of a pipeline": of(
        lambda: GridSearchCV(make_pipeline(pre.StandardScaler(), forest()), {"randomforestclassifier__max_depth": [2, 3]}, cv=2),
        wine,
    ),
} | {
    f"DataFrame, {name}, {model}": people(lambda first=first, last=last: make_pipeline(first(), last()))
    for model, last in {**_MODELS, "HistGradientBoosting": hgb, "SVC": SVC}.items()
    for name, first in {
        "OneHotEncoder": lambda: by_kind(one_hot()),
        "OrdinalEncoder": lambda: by_kind(ordinal()),
        "TargetEncoder": lambda: by_kind(pre.TargetEncoder(random_state=0)),
        "OneHotEncoder, max_categories": lambda: by_kind(
            one_hot(handle_unknown="infrequent_if_exist", max_categories=3)
        ),
    }.items()
} | {
    "DataFrame, sparse OneHotEncoder, forest": people(
        lambda: make_pipeline(by_kind(one_hot(sparse_output=True), sparse_threshold=1.0), forest())
    ),
    "DataFrame, OneHotEncoder, drop if binary": people(lambda: make_pipeline(by_kind(one_hot(drop="if_binary")), LR())),
    "DataFrame, OrdinalEncoder, missing coded": people(
        lambda: make_pipeline(by_kind(ordinal(encoded_missing_value=-2), pre.MinMaxScaler()), xgb())
    ),
    "DataFrame, numbers imputed, LGBM": people(
        lambda: make_pipeline(by_kind(one_hot(), make_pipeline(SimpleImputer(), pre.StandardScaler())), lgbm())
    ),
    "DataFrame, OrdinalEncoder, HistGradientBoosting on categories": people(
        lambda: make_pipeline(
            by_kind(ordinal(), "passthrough"),
            HistGradientBoostingClassifier(max_iter=5, categorical_features=[2, 3], random_state=0),
        )
    ),
    "DataFrame, regression, XGB": people(
        lambda: make_pipeline(by_kind(one_hot()), XGBRegressor(n_estimators=5, n_jobs=1)), regression=True
    ),
    "DataFrame, regression, HistGradientBoosting": people(
        lambda: make_pipeline(by_kind(ordinal()), HistGradientBoostingRegressor(max_iter=5)), regression=True
    ),
    "DataFrame, regression, Ridge": people(lambda: make_pipeline(by_kind(one_hot()), Ridge()), regression=True),
}  # fmt: skip

_REFUSED: dict[str, tuple[Callable[[], Fitted], str, str]] = {
    "PCA, LGBM": (
        of(chain(lambda: PCA(4), lgbm), wine), "may go the other way",
        "thresholds in float64 on sums whose last bits differ",
    ),
    "FunctionTransformer": (
        of(chain(lambda: pre.FunctionTransformer(np.log1p), LR), positive), "FunctionTransformer",
        "a function of one's own",
    ),
    "sparse OneHotEncoder, XGB": (
        people(lambda: make_pipeline(by_kind(one_hot(sparse_output=True), sparse_threshold=1.0), xgb())),
        "takes the zeros of sparse rows for missing", "zeros of sparse rows are missing for XGBoost",
    ),
}  # fmt: skip

CASES = [Case("scikit-learn pipelines", name, fit, stock="sklearn") for name, fit in _EXACT.items()] + [
    Case("scikit-learn pipelines", name, fit, refused, reason, "sklearn")
    for name, (fit, refused, reason) in _REFUSED.items()
]
