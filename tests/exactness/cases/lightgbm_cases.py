"""LightGBM: what people set, one case each, on real data."""

from __future__ import annotations

import gzip
import tempfile
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pandas
from exactness.case import Case, Fitted, classifier, regressor
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_iris, load_linnerud, load_wine

CANDLES = Path(__file__).parents[3] / "examples" / "data" / "btcusdt_4h_2018_2023.csv.gz"
CLASSIFIER, REGRESSOR, RANKER = lightgbm.LGBMClassifier, lightgbm.LGBMRegressor, lightgbm.LGBMRanker
QUIET = {"verbose": -1, "n_jobs": 1, "random_state": 0}
SMALL = QUIET | {"n_estimators": 8, "num_leaves": 8, "min_child_samples": 5}
LIGHT = {"verbose": -1, "num_threads": 1, "seed": 0, "num_leaves": 8, "min_data_in_leaf": 5}  # of lightgbm.train
Data = tuple[np.ndarray, np.ndarray]


# -- data --------------------------------------------------------------------------------------


@cache
def bundled(load: Callable[..., Any], most: int = 500) -> Data:
    """Return the first columns of one of scikit-learn's data sets, float32, in random order."""
    X, y = load(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(X))[:most]
    return X[order].astype(np.float32), y[order]


def cancer() -> Data:
    """Two classes."""
    X, y = bundled(load_breast_cancer)
    return X[:, :12], y


def wine() -> Data:
    """Three classes."""
    return bundled(load_wine)


def diabetes() -> Data:
    """Positive numbers of up to 346."""
    return bundled(load_diabetes)


def digits() -> Data:
    """Ten classes; most features are often 0."""
    X, y = bundled(load_digits)
    return X[:, 8:40], y


def labelled(names: list[Any], data: Callable[[], Data] = cancer) -> Callable[[], Data]:
    """Return the same data with other labels."""

    def named() -> Data:
        X, y = data()
        return X, np.asarray(names)[y]

    return named


def soft() -> Data:
    """Chances instead of classes."""
    X, y = diabetes()
    return X, (y - y.min()) / (y.max() - y.min())


def counts() -> Data:
    """Whole numbers."""
    X, y = diabetes()
    return X, np.floor(y / 25)


def signed() -> Data:
    """Numbers of both signs."""
    X, y = diabetes()
    return X, y - 150


def holes(data: Callable[[], Data]) -> Callable[[], Data]:
    """Return the same data with a quarter of the numbers missing, in two thirds of the columns."""

    def with_holes() -> Data:
        X, y = data()
        X = X.copy()
        lacking = np.random.default_rng(1).random(X.shape) < 0.25
        lacking[:, ::3] = False
        X[lacking] = np.nan
        return X, y

    return with_holes


def zeros(data: Callable[[], Data], fill: tuple[float, ...] = (0.0,)) -> Callable[[], Data]:
    """Return the same data with many zeros, or values that count as such."""

    def with_zeros() -> Data:
        X, y = data()
        random = np.random.default_rng(2)
        X = np.where(random.random(X.shape) < 0.3, random.choice(np.float32(fill), X.shape), X - np.median(X, axis=0))
        return X.astype(np.float32), y

    return with_zeros


@cache
def candles(rows: int = 500) -> tuple[np.ndarray, np.ndarray]:
    """Return hour, weekday, month, day (0..), change and volume of real candles, and the next change."""
    with gzip.open(CANDLES, "rt") as lines:
        table = pandas.read_csv(lines, nrows=rows + 1)
    when = pandas.to_datetime(table.iloc[:, 0], utc=True)
    close = table["close"].to_numpy()
    change = np.append(0.0, np.diff(np.log(close))) * 100
    day = (when - when.iloc[0]).dt.days
    columns = [when.dt.hour // 4, when.dt.day_of_week, when.dt.month, day, change, np.log(table["volume"])]
    X = np.column_stack(columns).astype(np.float32)[:-1]
    return X, change[1:]


def up(rows: int = 500) -> Data:
    """Candles, and whether the next one rises."""
    X, change = candles(rows)
    return X, (change > 0).astype(int)


def move(rows: int = 500) -> Data:
    """Candles, and whether the next one falls, stays or rises."""
    X, change = candles(rows)
    return X, np.digitize(change, [-0.5, 0.5])


def postcodes() -> Data:
    """Candles, with the day as a code of five digits."""
    X, change = candles()
    X = X.copy()
    X[:, 3] = X[:, 3] * 1171 + 1001
    return X, change


def odd_codes(X: np.ndarray, columns: tuple[int, ...]) -> np.ndarray:
    """Return the rows, and as many with codes that no training row has."""
    random = np.random.default_rng(3)
    more = X.copy()
    odd = np.float32(
        [
            np.nan,
            -1,
            -0.5,
            -0.99,
            -5,
            0.5,
            1.5,
            2.9,
            0.999,
            1e9,
            1e30,
            -1e30,
            77,
            5000,
            1e-36,
            -0.0,
            2**24,
            2**31,
            np.inf,
        ]
    )
    for column in columns:
        more[:, column] = random.choice(odd, len(X))
    return np.concatenate([X, more, np.where(random.random(X.shape) < 0.5, more, X).astype(np.float32)])


# -- models ------------------------------------------------------------------------------------


def rows_of(X: np.ndarray) -> np.ndarray:
    """Return rows to try: the model's own, some with numbers missing, some with nothing else."""
    more = X[:120].copy()
    more[np.random.default_rng(4).random(more.shape) < 0.2] = np.nan
    more[:3] = np.nan
    return np.concatenate([X, more])


def classes(data: Callable[[], Data] = cancer, **params: Any) -> Callable[[], Fitted]:
    """Return an LGBMClassifier's case."""

    def fit() -> Fitted:
        X, y = data()
        model = CLASSIFIER(**(SMALL | params)).fit(X, y)
        return Fitted(model, rows_of(X), classifier(model))

    return fit


def values(data: Callable[[], Data] = diabetes, **params: Any) -> Callable[[], Fitted]:
    """Return an LGBMRegressor's case."""

    def fit() -> Fitted:
        X, y = data()
        model = REGRESSOR(**(SMALL | params)).fit(X, y)
        return Fitted(model, rows_of(X), regressor(model))

    return fit


def categories(
    kind: type, data: Callable[[], Data], columns: tuple[int, ...] = (0, 1, 2), **params: Any
) -> Callable[[], Fitted]:
    """Return the case of an estimator with category codes in some columns."""

    def fit() -> Fitted:
        X, y = data()
        settings = SMALL | {"min_data_per_group": 5, "cat_smooth": 1.0} | params
        model = kind(**settings).fit(X, y, categorical_feature=list(columns))
        return Fitted(model, odd_codes(X, columns), (classifier if kind is CLASSIFIER else regressor)(model))

    return fit


def chances(booster: lightgbm.Booster) -> Callable[[np.ndarray], dict[str, np.ndarray]]:
    """Return the public answers of a Booster as chances of classes."""

    def predict(rows: np.ndarray) -> dict[str, np.ndarray]:
        answer = np.asarray(booster.predict(rows))
        return {"probabilities": np.column_stack([1 - answer, answer]) if answer.ndim == 1 else answer}

    return predict


def booster(
    data: Callable[[], Data], answers: Callable[[Any], Any] = regressor, rounds: int = 8, **params: Any
) -> Callable[[], Fitted]:
    """Return a Booster's case."""

    def fit() -> Fitted:
        X, y = data()
        model = lightgbm.train(LIGHT | params, lightgbm.Dataset(X, y), rounds)
        return Fitted(model, rows_of(X), answers(model))

    return fit


def stopped(kind: type, data: Callable[[], Data]) -> Callable[[], Fitted]:
    """Return the case of an estimator that stopped early."""

    def fit() -> Fitted:
        X, y = data()
        half = len(X) // 2
        model = kind(**(SMALL | {"n_estimators": 80, "learning_rate": 0.4}))
        stop = lightgbm.early_stopping(3, verbose=False)
        model.fit(X[:half], y[:half], eval_X=X[half:], eval_y=y[half:], callbacks=[stop])
        return Fitted(model, rows_of(X), (classifier if kind is CLASSIFIER else regressor)(model))

    return fit


def stopped_booster(keep: bool, **params: Any) -> Callable[[], Fitted]:
    """Return the case of a Booster that stopped early, with all of its trees or reloaded."""

    def fit() -> Fitted:
        X, y = cancer()
        train = lightgbm.Dataset(X[:250], y[:250])
        settings = LIGHT | {"objective": "binary", "learning_rate": 0.4, "early_stopping_round": 3} | params
        model = lightgbm.train(
            settings, train, 80, valid_sets=[train.create_valid(X[250:], y[250:])], keep_training_booster=keep
        )
        return Fitted(model, rows_of(X), chances(model))

    return fit


def ranker(objective: str, **params: Any) -> Callable[[], Fitted]:
    """Return the case of an LGBMRanker."""

    def fit() -> Fitted:
        X, y = wine()
        model = RANKER(objective=objective, **(SMALL | params)).fit(X, y, group=[len(X) // 2, len(X) - len(X) // 2])
        return Fitted(model, rows_of(X), regressor(model))

    return fit


def frame(kind: type = CLASSIFIER, extra: bool = False, **params: Any) -> Callable[[], Fitted]:
    """Return the case of an estimator that was fitted on a DataFrame with text categories."""

    def fit() -> Fitted:
        X, y = up() if kind is CLASSIFIER else candles()
        model = kind(**(SMALL | {"min_data_per_group": 5, "cat_smooth": 1.0} | params)).fit(table_of(X, extra), y)
        # A matrix of codes is what LightGBM makes of the DataFrame; fitted names are not asked of it.
        answers = (classifier if kind is CLASSIFIER else regressor)(model.booster_)
        if kind is not CLASSIFIER:
            return Fitted(model, odd_codes(X, (0, 1, 2)), answers)
        return Fitted(model, odd_codes(X, (0, 1, 2)), chances(model.booster_))

    return fit


def table_of(X: np.ndarray, extra: bool = False) -> pandas.DataFrame:
    """Return candles as a DataFrame: hours as text, weekdays as text, months as numbers, all categories."""
    hours = [f"{hour:02d}:00" for hour in range(0, 24, 4)]
    days = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
    columns = {
        "hour": pandas.Categorical.from_codes(X[:, 0].astype(int), hours, ordered=extra),
        "week_day": pandas.Categorical.from_codes(X[:, 1].astype(int), days),
        "month": pandas.Categorical.from_codes(X[:, 2].astype(int), list(range(0, 130, 10))),
        "day": X[:, 3], "change": X[:, 4], "volume": X[:, 5],
    }  # fmt: skip
    return pandas.DataFrame(columns)


def from_file() -> Fitted:
    """Return a Booster that was read from its model file."""
    fitted = booster(cancer, chances, objective="binary")()
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/model.txt"
        fitted.model.save_model(path)
        model = lightgbm.Booster(model_file=path)
    return Fitted(model, fitted.rows, chances(model))


def logistic(y: np.ndarray, raw: np.ndarray) -> Data:
    """Gradient and Hessian of the logistic loss, as a user writes it."""
    chance = 1.0 / (1.0 + np.exp(-raw))
    return chance - y, chance * (1.0 - chance)


def softly(y: np.ndarray, raw: np.ndarray) -> Data:
    """Gradient and Hessian of the softmax loss."""
    chance = np.exp(raw - raw.max(axis=1, keepdims=True))
    chance /= chance.sum(axis=1, keepdims=True)
    return chance - np.eye(raw.shape[1])[y.astype(int)], 2.0 * chance * (1.0 - chance)


def own(kind: type, data: Callable[[], Data], objective: Any) -> Callable[[], Fitted]:
    """Return the case of an estimator with the user's own objective; its predict gives raw scores."""

    def fit() -> Fitted:
        X, y = data()
        model = kind(objective=objective, **SMALL).fit(X, y)

        def predict(rows: np.ndarray) -> dict[str, np.ndarray]:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message="Cannot compute class probabilities")
                return {"value": np.asarray(model.predict(rows))}

        return Fitted(model, rows_of(X), predict)

    return fit


def own_booster() -> Fitted:
    """Return a Booster of the user's own objective."""
    X, y = cancer()
    model = lightgbm.train(
        LIGHT | {"objective": lambda raw, data: logistic(data.get_label(), raw)}, lightgbm.Dataset(X, y), 8
    )
    return Fitted(model, rows_of(X), regressor(model))


def continued() -> Fitted:
    """Return a model whose second half treats zeros as missing, and knows no NaN in its first."""
    X, y = zeros(cancer)()
    first = CLASSIFIER(**SMALL).fit(X, y)
    lacking = holes(zeros(cancer))()[0]
    model = CLASSIFIER(**(SMALL | {"zero_as_missing": True})).fit(lacking, y, init_model=first)
    return Fitted(model, rows_of(lacking), classifier(model))


def mixed_categories() -> Fitted:
    """Return a model whose first trees read a column as a number, later ones as a category."""
    X, y = up()
    first = CLASSIFIER(**SMALL).fit(X, y)
    settings = SMALL | {"min_data_per_group": 5, "cat_smooth": 1.0}
    model = CLASSIFIER(**settings).fit(X, y, categorical_feature=[0, 1], init_model=first)
    return Fitted(model, odd_codes(X, (0, 1)), classifier(model))


def from_init_score() -> Fitted:
    """Return a model that was fitted on top of init_score, which predict leaves out."""
    X, y = diabetes()
    model = REGRESSOR(**SMALL).fit(X, y, init_score=np.full(len(y), 100.0))
    return Fitted(model, rows_of(X), regressor(model))


def weighted() -> Fitted:
    """Return a model of rows with weights."""
    X, y = cancer()
    model = CLASSIFIER(**SMALL).fit(X, y, sample_weight=np.random.default_rng(0).uniform(0, 3, len(y)))
    return Fitted(model, rows_of(X), classifier(model))


def plain(data: Callable[[], Data], **params: Any) -> Callable[[], Fitted]:
    """Return the case of an LGBMModel, whose predict gives what the objective gives."""

    def fit() -> Fitted:
        X, y = data()
        model = lightgbm.LGBMModel(**(SMALL | params)).fit(X, y)
        return Fitted(model, rows_of(X), regressor(model))

    return fit


def never_trained() -> Fitted:
    """Return a Booster without trees."""
    X, y = cancer()
    model = lightgbm.Booster(LIGHT | {"objective": "binary"}, lightgbm.Dataset(X, y))
    return Fitted(model, rows_of(X), chances(model))


def infinite() -> Data:
    """Rows of which some are infinite."""
    X, y = cancer()
    X = X.copy()
    X[np.random.default_rng(0).random(X.shape) < 0.1] = np.inf
    X[np.random.default_rng(1).random(X.shape) < 0.1] = -np.inf
    return X, y


def constant(value: float) -> Callable[[], Data]:
    """Rows that all have one target."""
    return lambda: (diabetes()[0], np.full(len(diabetes()[1]), value))


def linnerud() -> Data:
    """Very few rows."""
    X, y = load_linnerud(return_X_y=True)
    return np.tile(X, (5, 1)).astype(np.float32), np.tile(y[:, 0], 5)


def many_days() -> Data:
    """Candles of a thousand days, the day as a category."""
    return candles(6000)


RF = {"boosting_type": "rf", "subsample": 0.7, "subsample_freq": 1}
LINEAR = {"linear_tree": True}
TABLE: dict[str, Callable[[], Fitted]] = {
    # tasks of the estimators
    "binary": classes(),
    "binary, text labels": classes(labelled(["benign", "malignant"])),
    "binary, labels -1 and 1": classes(labelled([-1, 1])),
    "binary, boolean labels": classes(labelled([False, True])),
    "multiclass": classes(wine),
    "multiclass, text labels": classes(labelled(["a", "b", "c"], wine)),
    "multiclass, labels 10, 20, 30": classes(labelled([10, 20, 30], wine)),
    "multiclass, iris": classes(lambda: bundled(load_iris)),
    "multiclass, ten classes": classes(digits),
    "regression": values(),
    "regression, few rows": values(linnerud, min_child_samples=1),
    # objectives
    **{f"objective={each}": values(objective=each) for each in (
        "regression_l1", "huber", "fair", "quantile", "mape", "poisson", "gamma", "tweedie",
    )},
    "objective=quantile, alpha=0.05": values(objective="quantile", alpha=0.05),
    "objective=tweedie, power 1.9": values(objective="tweedie", tweedie_variance_power=1.9),
    "objective=huber, alpha=2": values(objective="huber", alpha=2.0),
    "objective=poisson, counts": values(counts, objective="poisson"),
    "objective=multiclassova": classes(wine, objective="multiclassova"),
    "objective=multiclassova, sigmoid=0.5": classes(wine, objective="multiclassova", sigmoid=0.5),
    "objective=multiclass, two classes": classes(objective="multiclass", num_class=2),
    "objective=cross_entropy, classifier": classes(objective="cross_entropy"),
    "objective=cross_entropy, regressor": values(soft, objective="cross_entropy"),
    "objective=cross_entropy_lambda, classifier": classes(objective="cross_entropy_lambda"),
    "objective=cross_entropy_lambda, regressor": values(soft, objective="cross_entropy_lambda"),
    "objective=binary, regressor": values(lambda: (cancer()[0], cancer()[1].astype(float)), objective="binary"),
    "objective=multiclass, regressor": values(lambda: (wine()[0], wine()[1].astype(float)), objective="multiclass", num_class=3),
    "objective=poisson, classifier": classes(objective="poisson"),
    "objective=lambdarank": ranker("lambdarank"),
    "objective=lambdarank, sigmoid=2": ranker("lambdarank", sigmoid=2.0),
    "objective=rank_xendcg": ranker("rank_xendcg"),
    "ranker, dart": ranker("lambdarank", boosting_type="dart"),
    "own objective, classifier": own(CLASSIFIER, cancer, logistic),
    "own objective, three classes": own(CLASSIFIER, wine, softly),
    "own objective, regressor": own(REGRESSOR, diabetes, lambda y, raw: (raw - y, np.ones_like(y))),
    "own objective, Booster": own_booster,
    "sigmoid=0.7": classes(sigmoid=0.7),
    "sigmoid=3": classes(sigmoid=3.0),
    "reg_sqrt": values(reg_sqrt=True),
    "reg_sqrt, both signs": values(signed, reg_sqrt=True),
    "reg_sqrt, l1": values(signed, reg_sqrt=True, objective="regression_l1"),
    "reg_sqrt, huber": values(signed, reg_sqrt=True, objective="huber"),
    "is_unbalance": classes(is_unbalance=True),
    "scale_pos_weight": classes(scale_pos_weight=3.5),
    "class_weight=balanced": classes(class_weight="balanced"),
    "class_weight=balanced, multiclass": classes(wine, class_weight="balanced"),
    "sample_weight": weighted,
    "init_score": from_init_score,
    "boost_from_average=False": values(boost_from_average=False),
    # boosting
    **{f"boosting=dart, {name}": made(boosting_type="dart", drop_rate=0.5) for name, made in (
        ("binary", classes), ("regression", values),
    )},
    "boosting=dart, multiclass": classes(wine, boosting_type="dart", drop_rate=0.5),
    "boosting=dart, xgboost_dart_mode": values(boosting_type="dart", xgboost_dart_mode=True, uniform_drop=True),
    "boosting=rf, binary": classes(**RF),
    "boosting=rf, binary, sigmoid=0.5": classes(sigmoid=0.5, **RF),
    "boosting=rf, multiclass": classes(wine, **RF),
    "boosting=rf, multiclassova": classes(wine, objective="multiclassova", **RF),
    "boosting=rf, regression": values(**RF),
    "boosting=rf, 33 trees": values(**(RF | {"n_estimators": 33})),
    "boosting=rf, poisson": values(objective="poisson", **RF),
    "boosting=rf, reg_sqrt": values(reg_sqrt=True, **RF),
    "boosting=rf, l1": values(objective="regression_l1", **RF),
    "boosting=goss": classes(boosting_type="goss", learning_rate=0.5),
    "data_sample_strategy=goss": values(data_sample_strategy="goss", learning_rate=0.5),
    "bagging and feature_fraction": classes(subsample=0.6, subsample_freq=1, colsample_bytree=0.5),
    "pos_bagging_fraction": classes(pos_bagging_fraction=0.5, neg_bagging_fraction=0.9, subsample_freq=1),
    "extra_trees": classes(extra_trees=True),
    "max_depth=1": classes(max_depth=1),
    "max_depth=3, 64 leaves": classes(max_depth=3, num_leaves=64),
    "255 leaves": values(num_leaves=255, min_child_samples=1, n_estimators=5),
    "max_bin=15": classes(max_bin=15),
    "max_bin=1000": values(max_bin=1000, min_data_in_bin=1),
    "reg_alpha and reg_lambda": classes(reg_alpha=0.5, reg_lambda=2.0),
    "path_smooth": values(path_smooth=5.0),
    "max_delta_step": classes(max_delta_step=0.3),
    "min_gain_to_split": classes(min_split_gain=5.0),
    "learning_rate=1": values(learning_rate=1.0),
    "monotone_constraints": values(monotone_constraints=[1, -1] + [0] * 8),
    "monotone_constraints, advanced": values(monotone_constraints=[1] * 10, monotone_constraints_method="advanced"),
    "interaction_constraints": values(interaction_constraints=[[0, 1, 2], [3, 4, 5, 6, 7, 8, 9]]),
    "quantized gradients": classes(use_quantized_grad=True, quant_train_renew_leaf=True),
    "feature_contri": values(feature_contri=[0.5] * 10),
    # what predict uses
    "early stopping, classifier": stopped(CLASSIFIER, cancer),
    "early stopping, multiclass": stopped(CLASSIFIER, wine),
    "early stopping, regressor": stopped(REGRESSOR, diabetes),
    "early stopping, Booster": stopped_booster(False),
    "early stopping, keep_training_booster": stopped_booster(True),
    "keep_training_booster, dart": stopped_booster(True, boosting="dart", early_stopping_round=0),
    "start_iteration_predict": classes(start_iteration_predict=2, num_iteration_predict=3),
    "num_iterations": classes(num_iterations=3),
    "predict_raw_score": classes(predict_raw_score=True),
    "no split found, binary": classes(min_child_samples=400),
    "no split found, multiclass": classes(wine, min_child_samples=400),
    "no split found, regression": values(min_child_samples=400),
    "constant target": values(constant(3.5)),
    "constant target 0": values(constant(0.0)),
    "constant target, rf": values(constant(3.5), **RF),
    "never trained": never_trained,
    # missing values
    "missing values, binary": classes(holes(cancer)),
    "missing values, multiclass": classes(holes(wine)),
    "missing values, regression": values(holes(diabetes)),
    "missing values, rf": values(holes(diabetes), **RF),
    "missing values, dart": classes(holes(cancer), boosting_type="dart"),
    "use_missing=False": classes(holes(cancer), use_missing=False),
    "use_missing=False, regression": values(holes(diabetes), use_missing=False),
    "zero_as_missing": classes(zeros(cancer), zero_as_missing=True),
    "zero_as_missing, NaN as well": classes(holes(zeros(cancer)), zero_as_missing=True),
    "zero_as_missing, sparse digits": classes(digits, zero_as_missing=True),
    "zero_as_missing, regression": values(zeros(diabetes), zero_as_missing=True),
    "zero_as_missing, poisson": values(zeros(diabetes), zero_as_missing=True, objective="poisson"),
    "zero_as_missing, rf": classes(zeros(cancer), zero_as_missing=True, **RF),
    "zero_as_missing, tiny values": classes(zeros(cancer, (0.0, 1e-36, -1e-35, 2e-35)), zero_as_missing=True),
    "zero_as_missing, use_missing=False": classes(zeros(cancer), zero_as_missing=True, use_missing=False),
    "tiny values": classes(zeros(cancer, (0.0, 1e-36, -1e-35, 2e-35, -1e-34))),
    "zeros on both sides": classes(zeros(cancer)),
    "infinite values": classes(infinite),
    "continued with zero_as_missing": continued,
    # native categories
    "categories, binary": categories(CLASSIFIER, up),
    "categories, multiclass": categories(CLASSIFIER, move),
    "categories, regression": categories(REGRESSOR, candles),
    "categories, rf": categories(REGRESSOR, candles, **RF),
    "categories, dart": categories(CLASSIFIER, up, boosting_type="dart"),
    "categories, multiclassova": categories(CLASSIFIER, move, objective="multiclassova"),
    "categories, missing ones": categories(CLASSIFIER, holes(up)),
    "categories, max_cat_to_onehot=1": categories(CLASSIFIER, up, max_cat_to_onehot=1),
    "categories, max_cat_to_onehot=100": categories(CLASSIFIER, up, max_cat_to_onehot=100),
    "categories, a thousand levels": categories(REGRESSOR, many_days, (3,), max_bin=2000, cat_l2=0.1, max_cat_threshold=500),
    "categories, codes of up to 100,000": categories(REGRESSOR, postcodes, (3,)),
    "categories, zero_as_missing": categories(CLASSIFIER, up, zero_as_missing=True),
    "categories, use_missing=False": categories(CLASSIFIER, up, use_missing=False),
    "categories, all columns": categories(CLASSIFIER, digits, tuple(range(32))),
    "categories in later trees alone": mixed_categories,
    "DataFrame with text categories": frame(),
    "DataFrame with text categories, regression": frame(REGRESSOR),
    "DataFrame with ordered categories": frame(extra=True),
    "DataFrame with text categories, huber": frame(REGRESSOR, objective="huber"),
    # linear trees
    "linear_tree": values(**LINEAR),
    "linear_tree, linear_lambda": values(linear_lambda=1.0, **LINEAR),
    "linear_tree, binary": classes(**LINEAR),
    "linear_tree, multiclass": classes(wine, **LINEAR),
    "linear_tree, missing values": values(holes(diabetes), **LINEAR),
    "linear_tree, zeros": values(zeros(diabetes), **LINEAR),
    "linear_tree, large values": values(lambda: (diabetes()[0] * np.float32(1e6), diabetes()[1] * 1e6), **LINEAR),
    "linear_tree, dart": values(boosting_type="dart", **LINEAR),
    "linear_tree, rf": values(**(RF | LINEAR)),
    "linear_tree, poisson": values(objective="poisson", **LINEAR),
    "linear_tree, huber": values(objective="huber", **LINEAR),
    "linear_tree, sigmoid=0.7": classes(sigmoid=0.7, **LINEAR),
    "linear_tree, multiclassova": classes(wine, objective="multiclassova", **LINEAR),
    "linear_tree, reg_sqrt": values(reg_sqrt=True, **LINEAR),
    "linear_tree, categories": categories(REGRESSOR, candles, **LINEAR),
    "linear_tree, constant target": values(constant(3.5), **LINEAR),
    # Boosters
    "Booster, binary": booster(cancer, chances, objective="binary"),
    "Booster, multiclass": booster(wine, chances, objective="multiclass", num_class=3),
    "Booster, multiclass, a class without rows": booster(wine, chances, objective="multiclass", num_class=4),
    "Booster, multiclassova": booster(wine, chances, objective="multiclassova", num_class=3),
    "Booster, cross_entropy": booster(soft, chances, objective="cross_entropy"),
    "Booster, cross_entropy_lambda": booster(soft, objective="cross_entropy_lambda"),
    "Booster, regression": booster(diabetes, objective="regression"),
    "Booster, gamma": booster(diabetes, objective="gamma"),
    "Booster, rf": booster(cancer, chances, objective="binary", boosting="rf", bagging_freq=1, bagging_fraction=0.6),
    "Booster, zero_as_missing": booster(zeros(cancer), chances, objective="binary", zero_as_missing=True),
    "Booster, pred_early_stop among its parameters": booster(
        cancer, chances, objective="binary", pred_early_stop=True, pred_early_stop_freq=1, pred_early_stop_margin=0.1
    ),
    "Booster from a file": from_file,
    "LGBMModel, binary": plain(cancer, objective="binary"),
    "LGBMModel, regression": plain(diabetes, objective="regression"),
    "one iteration": booster(cancer, chances, rounds=1, objective="binary"),
}  # fmt: skip


CASES = [Case("LightGBM", name, fit, stock="lightgbm") for name, fit in TABLE.items()] + [
    Case(
        "LightGBM", "pred_early_stop", classes(pred_early_stop=True), stock="lightgbm",
        refused="lightgbm: pred_early_stop=True leaves trees out", reason="predict leaves trees out, row by row",
    ),
]  # fmt: skip
