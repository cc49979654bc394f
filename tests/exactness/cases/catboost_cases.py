"""CatBoost: grow policies, losses, missing values, labels, categories, stored models, and what is refused."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import catboost
import numpy as np
import pandas as pd
from exactness.case import Case, Fitted, classifier, regressor
from sklearn import datasets

from glulam_plugins.models.catboost import CatBoost, name_categories

KINDS = {
    "classifier": catboost.CatBoostClassifier, "regressor": catboost.CatBoostRegressor,
    "ranker": catboost.CatBoostRanker,
}  # fmt: skip
SMALL = {
    "iterations": 10, "depth": 4, "random_seed": 7, "thread_count": 1, "verbose": 0, "allow_writing_files": False,
}  # fmt: skip


def holes(X: np.ndarray) -> np.ndarray:
    """Return rows of which a tenth of the values is missing, but none of the first column."""
    missing = np.random.default_rng(5).random(X.shape) < 0.1
    missing[:, 0] = False
    return np.where(missing, np.float32(np.nan), X)


def cancer() -> tuple[np.ndarray, np.ndarray]:
    """Two classes."""
    X, y = datasets.load_breast_cancer(return_X_y=True)
    return X[:300].astype(np.float32), y[:300]


def wine() -> tuple[np.ndarray, np.ndarray]:
    """Three classes."""
    X, y = datasets.load_wine(return_X_y=True)
    return X.astype(np.float32), y


def diabetes() -> tuple[np.ndarray, np.ndarray]:
    """Positive numbers of up to 346."""
    X, y = datasets.load_diabetes(return_X_y=True)
    return X[:300].astype(np.float32), y[:300]


def answers(model: Any) -> Callable[[np.ndarray], dict[str, np.ndarray]]:
    """Return what a model's own methods answer."""
    if not isinstance(model, catboost.CatBoostClassifier):
        return regressor(model)

    def predict(rows: np.ndarray) -> dict[str, np.ndarray]:
        found = dict(classifier(model)(rows))
        if found["label"].shape[1:] == (1,):  # of several classes labels come as a column
            found["label"] = found["label"].ravel()
        return found

    return predict


def case(
    name: str,
    kind: str,
    data: Callable[[], tuple[np.ndarray, np.ndarray]],
    *,
    missing: bool = False,
    target: Callable[[np.ndarray], np.ndarray] = lambda y: y,
    change: Callable[[Any], Any] = lambda model: model,
    stock: str = "catboost",
    fit: dict[str, Any] | None = None,
    refused: str = "",
    reason: str = "",
    threshold: float = 0.0,
    **params: Any,
) -> Case:
    """Return a case: CatBoost of a kind with these parameters, fitted and then changed."""

    def fitted() -> Fitted:
        X, y = data()
        X = holes(X) if missing else X
        settings = SMALL | params
        model = catboost.CatBoost(settings) if kind == "base" else KINDS[kind](**settings)
        model = change(model.fit(X, target(y), **(fit or {})))
        return Fitted(model, X, answers(model))

    return Case("CatBoost", name, fitted, stock=stock, refused=refused, reason=reason, threshold=threshold)


def stored(kind: str, made: type) -> Callable[[Any], Any]:
    """Return what saves a model in a format and loads it by another class, perhaps."""

    def change(model: Any) -> Any:
        with tempfile.TemporaryDirectory() as folder:
            path = str(Path(folder) / "model")
            model.save_model(path, format=kind)
            return made().load_model(path, format=kind)

    return change


def changed(method: str, *args: Any) -> Callable[[Any], Any]:
    """Return what calls a method of a fitted model."""

    def change(model: Any) -> Any:
        getattr(model, method)(*args)
        return model

    return change


def summed(model: Any) -> Any:
    """Return a weighted sum of models."""
    return catboost.sum_models([model, model], weights=[0.25, 0.5])


def three(y: np.ndarray) -> np.ndarray:
    """Return classes of a target."""
    return np.digitize(y, [100, 200])


def yes_no(y: np.ndarray) -> np.ndarray:
    """Return two classes of a target."""
    return (y > 140).astype(int)


def labels_of(y: np.ndarray) -> np.ndarray:
    """Return three labels of a target."""
    return np.column_stack([y > 140, y > 100, y > 200]).astype(int)


def groups() -> np.ndarray:
    """Return query groups of five rows."""
    return np.repeat(np.arange(60), 5)


class Squared:
    """A squared error of one's own."""

    def calc_ders_range(self, approxes: Any, targets: Any, weights: Any) -> list[tuple[float, float]]:
        """Return derivatives."""
        return [(target - approx, -1.0) for approx, target in zip(approxes, targets, strict=True)]


# -- native categories ------------------------------------------------------------------------


def trades() -> tuple[pd.DataFrame, np.ndarray]:
    """Return rows with strings, integers, booleans and pandas categories."""
    rng = np.random.default_rng(3)
    X, y = diabetes()
    table = pd.DataFrame({"bmi": holes(X)[:, 2], "bp": X[:, 3]})
    table["side"] = np.where(X[:, 1] > 0, "buy", "sell")
    table["venue"] = rng.choice(["Berlin", "Zürich", "New York", ""], len(X))
    table["tier"] = np.digitize(X[:, 8], [-0.05, 0.0, 0.05]) * 10 - 10
    table["desk"] = pd.Categorical(np.array(["a", "b", "c"])[np.digitize(X[:, 4], [-0.02, 0.03])])
    table["night"] = X[:, 9] > 0
    return table, y


COLUMNS = ["side", "venue", "tier", "desk", "night"]


def categorical(
    name: str, kind: str, *, named: bool = True, target: Any = None, refused: str = "", reason: str = "", **params: Any
) -> Case:
    """Return a case with native categories; its rows hold their codes."""

    def fitted() -> Fitted:
        table, y = trades()
        model = KINDS[kind](**{**SMALL, "one_hot_max_size": 20, **params}, cat_features=COLUMNS)
        chosen = target or (yes_no if kind == "classifier" else np.asarray)
        model.fit(table, chosen(y))
        if not named:
            return Fitted(model, np.zeros((100, table.shape[1]), np.float32), answers(model))
        name_categories(model, table)
        schema = CatBoost().signature(model).schema

        def predict(rows: np.ndarray) -> dict[str, np.ndarray]:
            rows = rows.astype(np.float32)
            frame = pd.DataFrame({feature.name: rows[:, index] for index, feature in enumerate(schema.features)})
            for feature in schema.features:
                if feature.name in COLUMNS:
                    listed = feature.categories or (False, True)
                    frame[feature.name] = pd.Series(
                        [listed[int(c)] if c in range(len(listed)) else "never seen" for c in frame[feature.name]],
                        dtype=object,
                    )
            return answers(model)(frame)

        rows = schema.encode(table)
        odd = rows[:40].copy()
        for index, value in enumerate([np.nan, -1.0, -0.5, 0.5, 99.0, 1e9, 1e30, np.inf]):
            odd[index::8, 2:-1] = value
        odd[::3, -1] = np.nan
        return Fitted(model, np.concatenate([rows, odd]), predict)

    return Case("CatBoost", name, fitted, stock="catboost", refused=refused, reason=reason)


def of_columns(name: str, column: Callable[[int], pd.Series], refused: str, **settings: Any) -> Case:
    """Return a case with a column that becomes numbers inside of CatBoost."""

    def fitted() -> Fitted:
        X, y = diabetes()
        table = pd.DataFrame({"bmi": X[:, 2], "other": column(len(X))})
        model = catboost.CatBoostRegressor(**SMALL, **settings).fit(table, y)
        return Fitted(model, X[:, :2], answers(model))

    return Case("CatBoost", name, fitted, refused=refused, reason="no such operator in ONNX", stock="catboost")


def vectors(n: int) -> pd.Series:
    """Return embeddings."""
    return pd.Series(list(np.random.default_rng(1).normal(size=(n, 3))))


def texts(n: int) -> pd.Series:
    """Return short texts."""
    return pd.Series(np.random.default_rng(1).choice(["a good day", "a bad night", "day and night"], n))


GROW = ("SymmetricTree", "Lossguide", "Depthwise")
REGRESSION = (
    "RMSE", "MAE", "Quantile:alpha=0.7", "Huber:delta=5", "LogLinQuantile:alpha=0.5", "Poisson",
    "Tweedie:variance_power=1.5", "MAPE", "Lq:q=3", "Expectile:alpha=0.3", "LogCosh", "RMSEWithUncertainty",
    "MultiQuantile:alpha=0.1,0.5,0.9",
)  # fmt: skip
RANKING = ("YetiRank", "QueryRMSE", "PairLogit", "YetiRankPairwise", "QuerySoftMax", "StochasticRank:metric=NDCG")

CASES = [
    *(case(f"classifier, {grow}", "classifier", cancer, grow_policy=grow) for grow in GROW),
    *(case(f"classifier, three classes, {grow}", "classifier", wine, missing=True, grow_policy=grow) for grow in GROW),
    *(case(f"regressor, {grow}, NaN", "regressor", diabetes, missing=True, grow_policy=grow) for grow in GROW),
    *(
        case(f"nan_mode {mode}, {grow}", "classifier", cancer, missing=True, nan_mode=mode, grow_policy=grow)
        for mode in ("Min", "Max")
        for grow in GROW
    ),
    case("nan_mode Forbidden", "regressor", diabetes, nan_mode="Forbidden"),
    case("nan_mode by feature", "regressor", diabetes, missing=True,
         per_float_feature_quantization=["2:nan_mode=Max,border_count=9", "8:nan_mode=Min"]),
    case("loss CrossEntropy", "classifier", diabetes, target=lambda y: y / 400, loss_function="CrossEntropy"),
    case("loss Focal", "classifier", cancer, loss_function="Focal:focal_alpha=0.5;focal_gamma=2"),
    case("loss MultiClass, two classes", "classifier", cancer, loss_function="MultiClass"),
    *(
        case(f"loss MultiClassOneVsAll, {grow}", "classifier", wine, loss_function="MultiClassOneVsAll",
             grow_policy=grow, learning_rate=0.5)
        for grow in GROW
    ),
    *(
        case(f"loss {loss}", "classifier", diabetes, missing=True, target=labels_of, loss_function=loss)
        for loss in ("MultiLogloss", "MultiCrossEntropy")
    ),
    *(case(f"loss {loss}", "regressor", diabetes, missing=True, loss_function=loss) for loss in REGRESSION),
    case("loss MultiRMSE", "regressor", diabetes, target=lambda y: np.column_stack([y, -y]), loss_function="MultiRMSE"),
    case("loss MultiRMSEWithMissingValues", "regressor", diabetes, loss_function="MultiRMSEWithMissingValues",
         target=lambda y: np.column_stack([y, np.where(y > 250, np.nan, y)])),
    case("objective=Poisson", "regressor", diabetes, objective="Poisson"),
    case("loss of one's own", "regressor", diabetes, loss_function=Squared(), eval_metric="RMSE"),
    *(
        case(f"ranker, {loss}", "ranker", diabetes, target=lambda y: y / 400, fit={"group_id": groups()},
             loss_function=loss)
        for loss in RANKING
    ),
    case("CatBoost, RMSE", "base", diabetes, missing=True),
    case("CatBoost, Logloss (predicts raw values)", "base", cancer, loss_function="Logloss"),
    case("CatBoost, MultiClass (predicts raw values)", "base", wine, loss_function="MultiClass"),
    case("CatBoost, Poisson (predicts raw values)", "base", diabetes, loss_function="Poisson"),
    case("string labels", "classifier", cancer, target=lambda y: np.array(["no", "yes"])[y]),
    case("three string labels", "classifier", wine, target=lambda y: np.array(["red", "rosé", "white"])[y]),
    case("boolean labels", "classifier", cancer, target=lambda y: y.astype(bool)),
    case("labels 3 and 7", "classifier", cancer, target=lambda y: 3 + 4 * y),
    case("class_names in another order", "classifier", cancer, class_names=[1, 0]),
    case("class_weights", "classifier", cancer, class_weights=[1, 5]),
    case("auto_class_weights", "classifier", wine, auto_class_weights="Balanced"),
    case("scale_pos_weight", "classifier", cancer, scale_pos_weight=3.0),
    case("sample_weight", "regressor", diabetes, fit={"sample_weight": np.linspace(0.1, 2, 300)}),
    case("probability threshold", "classifier", cancer, change=changed("set_probability_threshold", 0.3), threshold=0.3),
    case("probability threshold of several labels", "classifier", diabetes, target=labels_of,
         loss_function="MultiLogloss", change=changed("set_probability_threshold", 0.3),
         refused="catboost: a probability threshold of 0.3 for several labels", reason="one threshold in the file"),
    case("early stopping", "regressor", diabetes, iterations=60, learning_rate=0.9,
         fit={"eval_set": (diabetes()[0][::2], -diabetes()[1][::2]), "early_stopping_rounds": 5}),
    case("use_best_model", "classifier", cancer, iterations=30,
         fit={"eval_set": (cancer()[0][::3], cancer()[1][::3]), "use_best_model": True}),
    case("shrink", "regressor", diabetes, change=changed("shrink", 4)),
    case("set_scale_and_bias", "regressor", diabetes, change=changed("set_scale_and_bias", 2.5, -7.0)),
    case("set_scale_and_bias, three classes", "classifier", wine,
         change=changed("set_scale_and_bias", 2.5, [0.5, 0.0, -1.0])),
    case("sum_models", "regressor", diabetes, change=summed),
    case("boost_from_average", "classifier", cancer, boost_from_average=True),
    case("boost_from_average=False", "regressor", diabetes, boost_from_average=False),
    case("border_count=8", "regressor", diabetes, border_count=8),
    case("feature_border_type=UniformAndQuantiles", "regressor", diabetes, feature_border_type="UniformAndQuantiles"),
    case("monotone_constraints", "regressor", diabetes, monotone_constraints={2: 1, 4: -1}),
    case("ignored_features", "regressor", diabetes, ignored_features=[0, 3]),
    case("depth=1", "classifier", cancer, depth=1),
    case("depth=10", "regressor", diabetes, depth=10, iterations=3),
    case("Lossguide, max_leaves, unbalanced", "regressor", diabetes, missing=True, grow_policy="Lossguide",
         max_leaves=40, depth=12, min_data_in_leaf=1),
    case("Ordered boosting", "classifier", cancer, boosting_type="Ordered"),
    case("Langevin", "regressor", diabetes, langevin=True, diffusion_temperature=100),
    case("posterior_sampling", "regressor", diabetes, posterior_sampling=True),
    case("l2_leaf_reg, rsm, bootstrap", "regressor", diabetes, l2_leaf_reg=9, rsm=0.5, bootstrap_type="Bernoulli",
         subsample=0.7),
    case("leaf estimation Exact", "regressor", diabetes, loss_function="MAE", leaf_estimation_method="Exact"),
    case("from a .cbm file", "classifier", cancer, missing=True, change=stored("cbm", catboost.CatBoostClassifier)),
    case("from a .json file", "classifier", wine, change=stored("json", catboost.CatBoostClassifier)),
    case("Lossguide from a .json file", "regressor", diabetes, missing=True, grow_policy="Lossguide", depth=9,
         change=stored("json", catboost.CatBoostRegressor)),
    case("Poisson from a .cbm file", "regressor", diabetes, loss_function="Poisson",
         change=stored("cbm", catboost.CatBoostRegressor)),
    case("a classifier's .cbm as CatBoost", "classifier", cancer, change=stored("cbm", catboost.CatBoost)),
    case("a regressor's .cbm as CatBoostClassifier", "regressor", diabetes,
         change=stored("cbm", catboost.CatBoostClassifier), refused="catboost: this CatBoostClassifier knows no classes",
         reason="its own predict fails"),
    *(categorical(f"one-hot categories, {grow}", "classifier", grow_policy=grow) for grow in GROW),
    categorical("one-hot categories, regressor", "regressor", nan_mode="Max"),
    categorical("one-hot categories without their names", "classifier", named=False,
                refused="catboost: the model keeps its categories (columns ['side', 'venue', 'tier', 'desk', 'night'])",
                reason="the model has hashes only"),
    *(
        categorical(f"target statistics (CTR), {grow}", "classifier", one_hot_max_size=2, grow_policy=grow)
        for grow in GROW
    ),
    categorical("target statistics, regressor", "regressor", one_hot_max_size=2),
    categorical("target statistics, three classes", "classifier", one_hot_max_size=2, target=three),
    categorical("target statistics, one against all", "classifier", one_hot_max_size=2, target=three,
                loss_function="MultiClassOneVsAll", learning_rate=0.5),
    categorical("target statistics of combinations", "classifier", one_hot_max_size=2, max_ctr_complexity=3,
                model_size_reg=0, iterations=20),
    categorical("target statistics of combinations, nan_mode Max", "regressor", one_hot_max_size=2,
                max_ctr_complexity=3, model_size_reg=0, iterations=20, nan_mode="Max"),
    *(
        categorical(f"target statistics of type {kind}", "regressor", one_hot_max_size=2, max_ctr_complexity=2,
                    simple_ctr=[kind], combinations_ctr=[kind], model_size_reg=0)
        for kind in ("Borders:TargetBorderCount=3", "Buckets", "BinarizedTargetMeanValue", "Counter")
    ),
    of_columns("text features", texts, "catboost: text features (columns [1])", text_features=["other"]),
    of_columns("embedding features", vectors, "catboost: embedding features (columns [1])",
               embedding_features=["other"]),
]  # fmt: skip
