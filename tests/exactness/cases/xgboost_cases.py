"""XGBoost: every booster, objective, missing value and kind of category that people set."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import scipy.special
import xgboost
from exactness.case import Answers, Case, Fitted, classifier
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_linnerud, load_wine

SMALL = {"n_estimators": 6, "max_depth": 3, "n_jobs": 1, "random_state": 0}
BOOSTER = {"max_depth": 3, "nthread": 1, "seed": 0}


def regressor(model: Any) -> Callable[[np.ndarray], Answers]:
    """Return the public answers of a regressor, in the float32 that they are computed in."""
    return lambda rows: {"value": model.predict(rows)}


def with_gaps(rows: np.ndarray, value: float = np.nan) -> np.ndarray:
    """Return the rows with a tenth of their values missing."""
    rows = np.array(rows, dtype=np.float32)
    rows[np.random.default_rng(0).random(rows.shape) < 0.1] = value
    return rows


def cancer() -> tuple[np.ndarray, np.ndarray]:
    """Return half of the breast cancer rows, 12 features with gaps, and two classes."""
    X, y = load_breast_cancer(return_X_y=True)
    return with_gaps(X[::2, :12]), y[::2]


def wine() -> tuple[np.ndarray, np.ndarray]:
    """Return the wine rows with gaps, and three classes."""
    X, y = load_wine(return_X_y=True)
    return with_gaps(X), y


def diabetes() -> tuple[np.ndarray, np.ndarray]:
    """Return 300 diabetes rows with gaps, and a value."""
    X, y = load_diabetes(return_X_y=True)
    return with_gaps(X[:300]), y[:300]


def exercise() -> tuple[np.ndarray, np.ndarray]:
    """Return rows around those of linnerud, and three values."""
    X, y = load_linnerud(return_X_y=True)
    random = np.random.default_rng(0)
    pick = random.integers(0, len(X), 150)
    return with_gaps(X[pick] + random.normal(size=(150, 3))), y[pick]


def fitted(made: Any, data: Callable[[], tuple[np.ndarray, np.ndarray]], **params: Any) -> Fitted:
    """Return an estimator fitted on float32 rows."""
    X, y = data()
    model = made(**(SMALL | params)).fit(X, y)
    answers = classifier if isinstance(model, xgboost.XGBClassifier) else regressor
    return Fitted(model, X, answers(model))


def classified(**params: Any) -> Callable[[], Fitted]:
    """Return how to fit a classifier of two classes."""
    return partial(fitted, xgboost.XGBClassifier, cancer, **params)


def many_classes(**params: Any) -> Callable[[], Fitted]:
    """Return how to fit a classifier of three classes."""
    return partial(fitted, xgboost.XGBClassifier, wine, **params)


def valued(target: Callable[[np.ndarray], np.ndarray] = lambda y: y, **params: Any) -> Callable[[], Fitted]:
    """Return how to fit a regressor on a target made of that of diabetes."""

    def data() -> tuple[np.ndarray, np.ndarray]:
        X, y = diabetes()
        return X, target(y)

    return partial(fitted, xgboost.XGBRegressor, data, **params)


def trained(
    data: Callable[[], tuple[np.ndarray, np.ndarray]],
    answers: Callable[[Any, np.ndarray], dict[str, np.ndarray]],
    rounds: int = 6,
    obj: Any = None,
    **params: Any,
) -> Callable[[], Fitted]:
    """Return how to train a bare Booster; ``answers`` are made of its predict."""

    def fit() -> Fitted:
        X, y = data()
        booster = xgboost.train(BOOSTER | params, xgboost.DMatrix(X, label=y), rounds, obj=obj)
        return Fitted(booster, X, lambda rows: answers(booster, rows))

    return fit


def value(booster: Any, rows: np.ndarray) -> dict[str, np.ndarray]:
    """Return a Booster's answer as values."""
    return {"value": booster.inplace_predict(rows)}


def chance(booster: Any, rows: np.ndarray) -> dict[str, np.ndarray]:
    """Return a Booster's answer as the second class's probability."""
    second = booster.inplace_predict(rows)
    return {"probabilities": np.column_stack([1 - second, second]), "label": (second > 0.5).astype(int)}


def chances(booster: Any, rows: np.ndarray) -> dict[str, np.ndarray]:
    """Return a Booster's answer as probabilities."""
    each = booster.inplace_predict(rows)
    return {"probabilities": each, "label": each.argmax(axis=1)}


def labels_alone(booster: Any, rows: np.ndarray) -> dict[str, np.ndarray]:
    """Return a Booster's answer as labels, and the probabilities of its margins."""
    margin = booster.inplace_predict(rows, predict_type="margin")
    return {"probabilities": scipy.special.softmax(margin, axis=1), "label": booster.inplace_predict(rows).astype(int)}


def stopped(**params: Any) -> Callable[[], Fitted]:
    """Return how to fit with early stopping, past the best iteration."""

    def fit() -> Fitted:
        X, y = cancer()
        model = xgboost.XGBClassifier(
            **(SMALL | {"n_estimators": 60, "early_stopping_rounds": 4, "learning_rate": 0.8} | params)
        )
        model.fit(X[:180], y[:180], eval_set=[(X[180:], y[180:])], verbose=False)
        assert model.best_iteration + 1 < model.get_booster().num_boosted_rounds()
        return Fitted(model, X, classifier(model))

    return fit


def as_missing(number: float, **params: Any) -> Callable[[], Fitted]:
    """Return how to fit a classifier for which this number is missing; its rows hold it, and NaN."""

    def fit() -> Fitted:
        X, y = cancer()
        X = with_gaps(X, number)
        model = xgboost.XGBClassifier(**(SMALL | {"missing": number} | params)).fit(X, y)
        return Fitted(model, X if np.isfinite(number) else cancer()[0], classifier(model))

    return fit


def coded(
    levels: int,
    made: Any = xgboost.XGBRegressor,
    target: Callable[[np.ndarray], np.ndarray] = lambda y: y,
    **params: Any,
) -> Callable[[], Fitted]:
    """Return how to fit on category codes; the rows hold unseen, negative and fractional ones too."""

    def fit() -> Fitted:
        random = np.random.default_rng(0)
        X, y = diabetes()
        codes = random.integers(0, levels, len(X))
        y = y + 100.0 * random.standard_normal(levels)[codes]
        X = np.column_stack([codes, X[:, :4], codes % 3]).astype(np.float32)
        X[::9, 0] = np.nan
        kinds = {"enable_categorical": True, "feature_types": ["c", *"qqqq", "c"]}
        model = made(**(SMALL | kinds | params)).fit(X, target(y))
        rows = X.copy()
        odd = [-1, -0.5, -5, 0.5, 1.999, levels - 0.5, levels, levels + 40, 2**24 - 1, 2**24, 1e9, 1e30, -0.0]
        rows[: len(odd), 0], rows[: len(odd), 5] = odd, odd[::-1]
        return Fitted(model, rows, (classifier if made is xgboost.XGBClassifier else regressor)(model))

    return fit


def framed(kind: str, *, booster: bool = False, **params: Any) -> Callable[[], Fitted]:
    """Return how to fit on a DataFrame with a category column; the rows hold its codes."""

    def fit() -> Fitted:
        random = np.random.default_rng(0)
        X, y = diabetes()
        number = random.integers(0, 7, len(X))
        names = {"text": list("zyxwvut"), "numbers": [70, 10, 60, 20, 50, 30, 40], "umlauts": list("äöüßéèa")}[kind]
        column = pandas.Categorical([names[each] for each in number])
        table = pandas.DataFrame(X[:, :3], columns=["age", "sex", "bmi"]).assign(town=column)
        table.loc[::8, "town"] = np.nan
        y = y + 50.0 * number
        if booster:
            data = xgboost.DMatrix(table, label=y, enable_categorical=True)
            model = xgboost.train(BOOSTER | params, data, 6)
        else:
            model = xgboost.XGBRegressor(**(SMALL | {"enable_categorical": True} | params)).fit(table, y)
        codes = table["town"].cat.codes.to_numpy().astype(np.float32)
        rows = np.column_stack([X[:, :3], np.where(codes < 0, np.nan, codes)]).astype(np.float32)

        def predict(asked: np.ndarray) -> dict[str, np.ndarray]:
            known = np.isin(asked[:, 3], np.arange(7)) | np.isnan(asked[:, 3])
            given = pandas.DataFrame(asked[:, :3], columns=["age", "sex", "bmi"])
            code = np.where(known & ~np.isnan(asked[:, 3]), asked[:, 3], -1).astype(int)
            given["town"] = pandas.Categorical.from_codes(code, dtype=table["town"].dtype)
            ask = model.inplace_predict if booster else model.predict
            # Codes that are no category cannot be had in a DataFrame: those are asked as an array.
            bare = model.inplace_predict(asked) if booster else model.predict(asked)
            return {"value": np.where(known, ask(given), bare)}

        return Fitted(model, rows, predict)

    return fit


def several(**params: Any) -> Callable[[], Fitted]:
    """Return how to fit a regressor on three targets."""
    return partial(fitted, xgboost.XGBRegressor, exercise, **params)


def yes_or_no(**params: Any) -> Callable[[], Fitted]:
    """Return how to fit a classifier of three labels at once."""

    def data() -> tuple[np.ndarray, np.ndarray]:
        X, y = cancer()
        return X, np.column_stack([y, np.nan_to_num(X[:, 0]) > 14, np.nan_to_num(X[:, 1]) > 18]).astype(int)

    return partial(fitted, xgboost.XGBClassifier, data, **params)


def with_a_constant() -> tuple[np.ndarray, np.ndarray]:
    """Return rows of three labels, of which the second is always 0."""
    X, y = cancer()
    return X, np.column_stack([y, np.zeros_like(y), 1 - y])


def ranked(objective: str) -> Callable[[], Fitted]:
    """Return how to fit a ranker on groups of ten."""

    def fit() -> Fitted:
        X, y = cancer()
        X, y = X[:200], y[:200] if objective == "rank:map" else y[:200] + (np.nan_to_num(X[:200, 1]) > 18)
        model = xgboost.XGBRanker(objective=objective, **SMALL).fit(X, y, qid=np.repeat(np.arange(20), 10))
        return Fitted(model, X, regressor(model))

    return fit


def survival(**params: Any) -> Callable[[], Fitted]:
    """Return how to train an accelerated failure time model on censored times."""

    def fit() -> Fitted:
        X, y = diabetes()
        data = xgboost.DMatrix(X)
        data.set_float_info("label_lower_bound", y)
        data.set_float_info("label_upper_bound", np.where(y > 200, np.inf, y))
        booster = xgboost.train(BOOSTER | {"objective": "survival:aft"} | params, data, 6)
        return Fitted(booster, X, lambda rows: value(booster, rows))

    return fit


def linear(made: Any, data: Callable[[], tuple[np.ndarray, np.ndarray]], **params: Any) -> Callable[[], Fitted]:
    """Return how to fit gblinear, on scaled rows."""

    def scaled() -> tuple[np.ndarray, np.ndarray]:
        X, y = data()
        center, spread = np.nanmean(X, axis=0, dtype=np.float64), np.nanstd(X, axis=0, dtype=np.float64)
        return ((X - center) / spread).astype(np.float32), y

    params = {"n_estimators": 6, "n_jobs": 1, "booster": "gblinear", "updater": "coord_descent"} | params

    def fit() -> Fitted:
        X, y = scaled()
        model = made(**params).fit(X, y)
        return Fitted(model, X, (classifier if made is xgboost.XGBClassifier else regressor)(model))

    return fit


def from_file(suffix: str) -> Callable[[], Fitted]:
    """Return how to load a saved Booster."""

    def fit() -> Fitted:
        X, y = wine()
        model = xgboost.XGBClassifier(**SMALL).fit(X, y)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"model.{suffix}"
            model.save_model(path)
            booster = xgboost.Booster(model_file=path)
        return Fitted(booster, X, lambda rows: chances(booster, rows))

    return fit


def sliced() -> Fitted:
    """Return the middle of a Booster."""
    X, y = cancer()
    booster = xgboost.train(BOOSTER | {"objective": "binary:logistic"}, xgboost.DMatrix(X, label=y), 9)[2:7]
    return Fitted(booster, X, lambda rows: chance(booster, rows))


def loaded() -> Fitted:
    """Return a classifier that was saved past its best iteration, and loaded."""
    model = xgboost.XGBClassifier()
    model.load_model(bytearray(stopped()().model.get_booster().save_raw("json")))
    return Fitted(model, cancer()[0], classifier(model))


def continued() -> Fitted:
    """Return a classifier whose training went on from another's."""
    X, y = cancer()
    first = xgboost.XGBClassifier(**SMALL).fit(X, y)
    model = xgboost.XGBClassifier(**(SMALL | {"learning_rate": 0.1})).fit(X, y, xgb_model=first.get_booster())
    return Fitted(model, X, classifier(model))


def kept_best() -> Fitted:
    """Return a Booster that was stopped early by a callback, which keeps the best iterations alone."""
    X, y = cancer()
    stop = xgboost.callback.EarlyStopping(rounds=4, save_best=True)
    train, test = xgboost.DMatrix(X[:180], label=y[:180]), xgboost.DMatrix(X[180:], label=y[180:])
    params = BOOSTER | {"objective": "binary:logistic", "eta": 0.8, "eval_metric": "auc"}
    booster = xgboost.train(params, train, 60, evals=[(test, "test")], callbacks=[stop], verbose_eval=False)
    return Fitted(booster, X, lambda rows: chance(booster, rows))


def refreshed() -> Fitted:
    """Return a Booster whose leaves were fitted again on other rows."""
    X, y = cancer()
    first = xgboost.train(BOOSTER | {"objective": "binary:logistic"}, xgboost.DMatrix(X[::2], label=y[::2]), 6)
    params = BOOSTER | {"objective": "binary:logistic", "process_type": "update", "updater": "refresh"}
    booster = xgboost.train(params, xgboost.DMatrix(X[1::2], label=y[1::2]), 6, xgb_model=first)
    return Fitted(booster, X, lambda rows: chance(booster, rows))


def weighted() -> Fitted:
    """Return a regressor of weighted rows that start from margins of their own."""
    X, y = diabetes()
    model = xgboost.XGBRegressor(**SMALL).fit(X, y, sample_weight=y / y.mean(), base_margin=y / 2)
    return Fitted(model, X, regressor(model))


def one_class() -> Fitted:
    """Return a classifier that saw one class; its predict_proba has two all the same."""
    X, y = cancer()
    model = xgboost.XGBClassifier(**SMALL).fit(X, np.zeros_like(y))
    return Fitted(model, X, classifier(model))


def named() -> Fitted:
    """Return a regressor of a DataFrame with whole numbers and booleans."""
    X, y = diabetes()
    table = pandas.DataFrame(X[:, :4], columns=["age", "sex", "body mass", "bp"])
    table["old"], table["visits"] = np.nan_to_num(X[:, 0]) > 0, np.arange(len(X)) % 7
    model = xgboost.XGBRegressor(**SMALL).fit(table, y)
    rows = table.to_numpy(dtype=np.float32)
    return Fitted(model, rows, lambda asked: {"value": model.predict(pandas.DataFrame(asked, columns=table.columns))})


def margin_alone() -> Fitted:
    """Return a classifier of binary:logitraw, whose predict compares the margin with 0.5."""
    X, y = cancer()
    model = xgboost.XGBClassifier(objective="binary:logitraw", **SMALL).fit(X, y)

    def predict(rows: np.ndarray) -> dict[str, np.ndarray]:
        return {"label": model.predict(rows), "decision_function": model.predict(rows, output_margin=True)}

    return Fitted(model, X, predict)


def infinite(number: float) -> Callable[[], tuple[np.ndarray, np.ndarray]]:
    """Return how to get rows of which some values are infinite: for XGBoost with missing=inf these are missing."""

    def data() -> tuple[np.ndarray, np.ndarray]:
        X, y = cancer()
        X[::5, 0] = number
        return X, y

    return data


def always_zero(y: np.ndarray) -> np.ndarray:
    """Return a target without events."""
    return np.zeros_like(y)


def own_classes(y: np.ndarray, margin: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return gradient and hessian of the logistic loss."""
    second = scipy.special.expit(margin)
    return second - y, second * (1 - second)


def own_values(y: np.ndarray, given: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return gradient and hessian of the squared error, under-estimates thrice."""
    weight = np.where(given < y, 3.0, 1.0)
    return weight * (given - y), weight


def case(name: str, fit: Callable[[], Fitted], **about: Any) -> Case:
    """Return a case of XGBoost's."""
    return Case("XGBoost", name, fit, stock="xgboost", **about)


def positive(y: np.ndarray) -> np.ndarray:
    """Return a positive target."""
    return np.abs(y) + 1


def above(y: np.ndarray) -> np.ndarray:
    """Return two classes."""
    return (y > np.median(y)).astype(int)


def thirds(y: np.ndarray) -> np.ndarray:
    """Return three classes."""
    return np.digitize(y, np.quantile(y, [1 / 3, 2 / 3]))


def both(y: np.ndarray) -> np.ndarray:
    """Return two targets."""
    return np.column_stack([y, -y])


def straight(name: str, fit: Callable[[], Fitted]) -> Case:
    """Return a case of gblinear, which refuses float64 rows beyond float32."""
    return case(name, fit, float32_only=True)


def share(y: np.ndarray) -> np.ndarray:
    """Return a target between 0 and 1."""
    return y / 400


def counts(y: np.ndarray) -> np.ndarray:
    """Return a target of small whole numbers."""
    return np.floor(y / 30)


def censored(y: np.ndarray) -> np.ndarray:
    """Return times, the late ones censored."""
    return np.where(y > 200, -y, y)


CASES = [
    *(case(f"classifier, tree_method={each}", classified(tree_method=each)) for each in ("hist", "approx", "exact")),
    *(case(f"regressor, tree_method={each}", valued(tree_method=each)) for each in ("hist", "approx", "exact")),
    case("classifier, three classes", many_classes()),
    case("classifier, ten classes", partial(fitted, xgboost.XGBClassifier, lambda: tuple(
        each[:300].astype(np.float32) for each in load_digits(return_X_y=True)), n_estimators=3)),
    case("classifier, objective multi:softmax", many_classes(objective="multi:softmax")),
    case("classifier, multi:softprob of two classes", classified(objective="multi:softprob", num_class=2)),
    case("classifier, multi:softmax of two classes", classified(objective="multi:softmax", num_class=2)),
    case("classifier, binary:hinge", classified(objective="binary:hinge")),
    case("classifier, binary:logitraw", margin_alone, threshold=0.5),
    case("classifier, reg:logistic", classified(objective="reg:logistic")),
    case("classifier, scale_pos_weight", classified(scale_pos_weight=4.0)),
    case("classifier, objective of one's own", classified(objective=own_classes)),
    case("classifier, grow_policy=lossguide with max_leaves", classified(grow_policy="lossguide", max_leaves=6)),
    case("classifier, subsample and colsample", classified(subsample=0.6, colsample_bytree=0.5, colsample_bynode=0.5)),
    case("classifier, monotone and interaction constraints", classified(
        monotone_constraints=(1, -1, *[0] * 10), interaction_constraints="[[0, 1], [2, 3, 4]]")),
    case("classifier, pruned by gamma", classified(gamma=5.0, tree_method="exact", n_estimators=12)),
    case("classifier, max_depth=0 with max_leaves", classified(
        max_depth=0, max_leaves=8, grow_policy="lossguide", tree_method="hist")),
    case("classifier, trees of one leaf", classified(gamma=1e9)),
    case("classifier, deep trees", classified(max_depth=12, min_child_weight=0.01)),
    case("classifier, num_parallel_tree", classified(num_parallel_tree=4, subsample=0.7)),
    case("three classes, num_parallel_tree", many_classes(num_parallel_tree=3, subsample=0.7)),
    case("random forest classifier", partial(fitted, xgboost.XGBRFClassifier, cancer)),
    case("random forest classifier, three classes", partial(fitted, xgboost.XGBRFClassifier, wine)),
    case("random forest regressor", partial(fitted, xgboost.XGBRFRegressor, diabetes)),
    case("early stopping", stopped()),
    case("early stopping, num_parallel_tree", stopped(num_parallel_tree=3, subsample=0.7)),
    case("early stopping, dart", stopped(booster="dart", rate_drop=0.2, n_estimators=30)),
    case("early stopping, loaded again", loaded),
    case("early stopping by a callback that keeps the best", kept_best),
    case("training continued from another model", continued),
    case("leaves refreshed on other rows", refreshed),
    case("rows with weights and margins", weighted),
    case("DataFrame of numbers", named),
    case("classifier, max_delta_step and L1", classified(max_delta_step=0.5, reg_alpha=1.0, reg_lambda=0.1)),
    case("classifier, max_bin=16", classified(max_bin=16)),
    case("classifier, one class alone", one_class),
    case("classifier, hundreds of trees", classified(n_estimators=300, learning_rate=0.3)),
    case("regressor, hundreds of trees", valued(n_estimators=300, learning_rate=0.3)),
    case("three classes, hundreds of trees", many_classes(n_estimators=100)),
    *(case(f"classifier, base_score={each}", classified(base_score=each)) for each in (0.05, 0.9)),
    *(case(f"regressor, base_score={each}", valued(base_score=each)) for each in (0.0, -1e4)),
    case("three classes, base_score", many_classes(base_score=0.3)),
    # boosters
    case("dart", classified(booster="dart", rate_drop=0.5, n_estimators=12)),
    case("dart, sample_type=weighted", classified(booster="dart", rate_drop=0.5, sample_type="weighted")),
    case("dart, target far from 0", valued(lambda y: y + 1e6, booster="dart", rate_drop=0.5)),
    case("dart, reg:gamma", valued(booster="dart", rate_drop=0.5, objective="reg:gamma")),
    case("dart, random forest", partial(fitted, xgboost.XGBRFClassifier, cancer, booster="dart")),
    case("dart, three classes", many_classes(booster="dart", rate_drop=0.5, skip_drop=0.2, one_drop=1)),
    case("dart, normalize_type=forest, num_parallel_tree", valued(
        booster="dart", rate_drop=0.4, normalize_type="forest", num_parallel_tree=2)),
    straight("gblinear regressor", linear(xgboost.XGBRegressor, diabetes)),
    straight("gblinear classifier", linear(xgboost.XGBClassifier, cancer)),
    straight("gblinear, updater=shotgun", linear(xgboost.XGBRegressor, diabetes, updater="shotgun", n_jobs=1)),
    straight("gblinear, L1 and L2", linear(xgboost.XGBClassifier, cancer, reg_alpha=0.05, reg_lambda=0.5)),
    straight("gblinear, reg:logistic", linear(
        xgboost.XGBRegressor, lambda: (diabetes()[0], share(diabetes()[1])), objective="reg:logistic")),
    straight("gblinear, binary:hinge", linear(xgboost.XGBClassifier, cancer, objective="binary:hinge")),
    straight("gblinear, base_score", linear(xgboost.XGBClassifier, wine, base_score=0.2)),
    straight("gblinear, three classes", linear(xgboost.XGBClassifier, wine)),
    straight("gblinear, multi:softmax", linear(xgboost.XGBClassifier, wine, objective="multi:softmax")),
    straight("gblinear, count:poisson", linear(
        xgboost.XGBRegressor, lambda: (diabetes()[0], counts(diabetes()[1])), objective="count:poisson")),
    straight("gblinear, missing=0", linear(xgboost.XGBRegressor, diabetes, missing=0.0)),
    # values
    case("reg:logistic", valued(share, objective="reg:logistic")),
    case("reg:absoluteerror", valued(objective="reg:absoluteerror")),
    case("reg:pseudohubererror", valued(objective="reg:pseudohubererror", huber_slope=20.0)),
    case("reg:squaredlogerror", valued(objective="reg:squaredlogerror")),
    case("reg:gamma", valued(objective="reg:gamma")),
    case("reg:tweedie", valued(objective="reg:tweedie", tweedie_variance_power=1.3)),
    case("reg:tweedie, base_score", valued(objective="reg:tweedie", base_score=20.0)),
    case("count:poisson", valued(counts, objective="count:poisson")),
    case("count:poisson, a target that is always 0", valued(always_zero, objective="count:poisson"),
         refused="has no finite margin", reason="its base score is 0, whose logarithm is infinite"),
    case("survival:cox", valued(censored, objective="survival:cox")),
    *(case(f"survival:aft, {each}", survival(aft_loss_distribution=each)) for each in ("normal", "logistic", "extreme")),
    case("reg:quantileerror", valued(objective="reg:quantileerror", quantile_alpha=0.9)),
    case("reg:quantileerror, three quantiles", valued(
        objective="reg:quantileerror", quantile_alpha=np.array([0.1, 0.5, 0.9]))),
    case("regressor, objective of one's own", valued(objective=own_values)),
    case("regressor, binary:logistic", partial(fitted, xgboost.XGBRegressor, cancer, objective="binary:logistic")),
    case("regressor, binary:hinge", partial(fitted, xgboost.XGBRegressor, cancer, objective="binary:hinge")),
    case("regressor, multi:softprob", partial(
        fitted, xgboost.XGBRegressor, wine, objective="multi:softprob", num_class=3)),
    case("regressor, multi:softmax", partial(
        fitted, xgboost.XGBRegressor, wine, objective="multi:softmax", num_class=3)),
    case("regressor, target far from 0", valued(lambda y: y + 1e6)),
    *(case(f"ranker, {each}", ranked(each)) for each in ("rank:ndcg", "rank:pairwise", "rank:map")),
    # several outputs
    case("three targets", several()),
    case("three targets, multi_output_tree", several(multi_strategy="multi_output_tree", tree_method="hist")),
    case("three targets, dart", several(booster="dart", rate_drop=0.5)),
    case("three targets, reg:absoluteerror", several(objective="reg:absoluteerror")),
    case("three targets, reg:tweedie", several(objective="reg:tweedie")),
    straight("three targets, gblinear", linear(xgboost.XGBRegressor, exercise)),
    case("three classes, multi_output_tree", many_classes(multi_strategy="multi_output_tree", tree_method="hist")),
    case("three labels", yes_or_no()),
    case("three labels, one of them constant", partial(fitted, xgboost.XGBClassifier, with_a_constant)),
    case("three labels, multi_output_tree", yes_or_no(multi_strategy="multi_output_tree", tree_method="hist")),
    case("three labels, num_parallel_tree", yes_or_no(num_parallel_tree=2, subsample=0.7)),
    # missing values
    *(case(f"missing={each}", as_missing(each)) for each in (0.0, -999.0, 0.1, 1e-40)),
    *(case(f"missing={each}", partial(
        fitted, xgboost.XGBClassifier, infinite(each), missing=each)) for each in (np.inf, -np.inf)),
    case("missing=-999, three quantiles", valued(
        objective="reg:quantileerror", quantile_alpha=np.array([0.1, 0.9]), missing=-999.0)),
    case("missing=-999, dart", as_missing(-999.0, booster="dart")),
    # categories
    case("categories as codes", coded(6)),
    case("categories as codes, one-hot splits", coded(6, max_cat_to_onehot=100)),
    case("categories as codes, partitioned", coded(30, max_cat_to_onehot=1, max_cat_threshold=8)),
    case("categories as codes, 5,000 levels", coded(5000, max_cat_to_onehot=1, max_cat_threshold=5000)),
    case("categories as codes, approx", coded(12, tree_method="approx", max_cat_to_onehot=1)),
    case("categories as codes, dart", coded(12, booster="dart", rate_drop=0.3, max_cat_to_onehot=1)),
    case("categories as codes, classifier", coded(12, xgboost.XGBClassifier, above)),
    case("categories as codes, three classes", coded(40, xgboost.XGBClassifier, thirds, max_cat_to_onehot=1)),
    case("categories as codes, random forest", coded(12, xgboost.XGBRFRegressor, max_cat_to_onehot=1)),
    case("categories as codes, two targets", coded(12, target=both, max_cat_to_onehot=1)),
    case("categories as codes, reg:gamma", coded(12, target=positive, objective="reg:gamma")),
    case("categories as codes, lossguide", coded(12, grow_policy="lossguide", max_leaves=9, max_cat_to_onehot=1)),
    case("categories as codes, missing=0", coded(12, missing=0.0, max_cat_to_onehot=1)),
    case("pandas categories of text", framed("text", max_cat_to_onehot=1)),
    case("pandas categories of text, one-hot splits", framed("text", max_cat_to_onehot=100)),
    case("pandas categories of integers", framed("numbers", max_cat_to_onehot=1)),
    case("pandas categories not in ASCII", framed("umlauts", max_cat_to_onehot=1),
         refused="has categories that are not ASCII", reason="XGBoost itself confuses them when it predicts"),
    case("Booster, pandas categories of text", framed("text", booster=True, max_cat_to_onehot=1)),
    # boosters
    case("Booster, reg:squarederror", trained(diabetes, value)),
    case("Booster, binary:logistic", trained(cancer, chance, objective="binary:logistic")),
    case("Booster, binary:hinge", trained(cancer, chance, objective="binary:hinge")),
    case("Booster, binary:logitraw", trained(cancer, value, objective="binary:logitraw")),
    case("Booster, reg:logistic", trained(
        lambda: (diabetes()[0], share(diabetes()[1])), value, objective="reg:logistic")),
    case("Booster, multi:softprob", trained(wine, chances, objective="multi:softprob", num_class=3)),
    case("Booster, multi:softprob of two classes", trained(cancer, chances, objective="multi:softprob", num_class=2)),
    case("Booster, multi:softmax", trained(wine, labels_alone, objective="multi:softmax", num_class=3)),
    case("Booster, rank:pairwise", trained(cancer, value, objective="rank:pairwise")),
    case("Booster, objective of one's own", trained(
        diabetes, value, obj=lambda given, data: own_values(data.get_label(), given))),
    case("Booster, sliced", sliced),
    case("Booster from JSON", from_file("json")),
    case("Booster from UBJSON", from_file("ubj")),
    case("no trees", trained(diabetes, value, rounds=0),
         refused="the model has no trees", reason="untrained"),
]  # fmt: skip
