"""Evaluating an ensemble that is there already, on labelled rows that it has not seen."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import is_regressor

from glulam import plugins
from glulam._reading import rows_of
from glulam.dataset import Dataset, RawTable
from glulam.errors import ConfigError, FeatureError
from glulam.runtime import ProductionEnsemble
from glulam.schema import FeatureSchema
from glulam.training.assembling import make_dataset
from glulam.training.baselines import predict_baselines
from glulam.training.config import Config, DataConfig, EnsembleConfig, EvaluationConfig, FeaturesConfig, LabelConfig
from glulam.training.data import in_window, read_raw
from glulam.training.measuring import measure, metrics_named
from glulam.training.results import Comparison, MetricResult, OutOfFold

__all__ = ["Question", "Reevaluation", "evaluate_again"]

Array = npt.NDArray[Any]
Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]

LEAST_ASKED = 30
"""Fewer rows than this say little of an ensemble."""
LEAST_FITTED = 100
"""Rows that the ensemble knows and the file has too; with fewer, baselines that need fitting are left out."""


@dataclass(frozen=True, slots=True)
class Question:
    """What to evaluate on.

    path
        the file with the rows
    target
        column with the labels, or a label by its name; empty for what the ensemble was trained to predict
    include_trained
        whether rows that it was fitted on count too; then the result says nothing of new rows
    """

    path: Path
    target: str = ""
    query: str = ""
    days: int | None = None
    since: str = ""
    until: str = ""
    metrics: tuple[str, ...] = ()
    include_trained: bool = False


@dataclass(frozen=True, slots=True)
class Reevaluation:
    """How good an ensemble's answers are.

    rows, trained
        how many were asked about, and how many it was fitted on were left out (or counted, if so asked)
    limits
        what the result cannot say
    """

    metrics: tuple[MetricResult, ...]
    best_baseline: str
    against_best: Comparison
    rows: int
    trained: int
    data: Dataset
    limits: tuple[str, ...]


def evaluate_again(model: Any, question: Question, *, seed: int = 42, n_draws: int = 1_000) -> Reevaluation:
    """Return how good the answers of an ensemble are on labelled rows.

    model
        a `ProductionEnsemble`, or a trained EnsembleClassifier or EnsembleRegressor

    Rows that the ensemble was fitted on are left out where the file says which these are. Raises ConfigError where it
    does not and the very same data are given, or where the label is not known; FeatureError for rows or labels that
    do not fit the ensemble.
    """
    training = _training_of(model)
    config = _config(training, question, model)
    raw = read_raw(config.data, question.path.parent, needs_time=bool(config.features.generators))
    if not config.features.generators:
        config = _of_columns(config, raw, _schema_of(model))
    made = make_dataset(raw, config)
    with rows_of(raw.source, made.raw.file_rows[made.rows].tolist()):
        data = _with_schema(made, model)
    known, limits = _known_rows(training, data, question)
    # Earlier rows than those asked about are history for features and baselines.
    window = in_window(data.raw, _windowed(config.data, question))[data.rows]
    asked = np.flatnonzero(window if question.include_trained else window & ~known)
    if not len(asked):
        raise FeatureError(
            f"{question.path}: the ensemble was fitted on all {int(window.sum()):,} rows with a label; give later "
            "ones, or see how well it knows these with --include-trained"
        )
    with rows_of(raw.source, data.raw.file_rows[data.rows[asked]].tolist()):
        answers = _answers(model, data, asked, np.flatnonzero(known))
    measured, best, against = measure(
        data, [(np.flatnonzero(known), asked)], answers, metrics_named(question.metrics, data.task), [],
        ordered=data.time is not None, n_draws=n_draws, seed=seed,
    )  # fmt: skip
    if len(asked) < LEAST_ASKED:
        limits.append(f"{len(asked)} rows say little; expected {LEAST_ASKED} or more")
    abstained = int((~np.isin(_labels_of(model, data, asked), data.classes)).sum()) if len(data.classes) else 0
    if abstained:
        limits.append(f"{abstained:,} rows on which it abstains count by their likeliest class")
    return Reevaluation(measured, best, against, len(asked), int((known & window).sum()), data, tuple(limits))


def _windowed(data: DataConfig, question: Question) -> DataConfig:
    window = {"days": question.days, "since": question.since, "until": question.until}
    return data.model_copy(update=window)


def _schema_of(model: Any) -> FeatureSchema:
    schema: FeatureSchema = model.schema if isinstance(model, ProductionEnsemble) else model.schema_
    return schema


def _training_of(model: Any) -> dict[str, Any]:
    found: dict[str, Any] = model.info()["training"] if isinstance(model, ProductionEnsemble) else model.training_
    return found


def _config(training: dict[str, Any], question: Question, model: Any) -> Config:
    """Return the config of the training with these data, or one of the file's columns and the named target."""
    if training.get("config"):
        config = Config.model_validate(tomllib.loads(training["config"]))
        label = config.label if not question.target else _label(question.target)
        data = config.data
        query = question.query or (data.query if question.path.suffix == Path(data.path).suffix else "")
    elif question.target:
        config = Config(data=DataConfig(path=question.path.name), label=_label(question.target))
        label, data, query = _label(question.target), config.data, question.query
    else:
        raise ConfigError(
            "evaluate: the ensemble was not trained by a config, so that nobody knows what it predicts; name the "
            "column with the labels: --target COLUMN"
        )
    # Which columns are features, and of which kind, the ensemble knows itself.
    everything = {"days": None, "since": "", "until": ""}
    columns = {"path": question.path.name, "query": query, "drop": (), "categorical": (), **everything}
    values = model.info()["task"] == "regression" if isinstance(model, ProductionEnsemble) else is_regressor(model)
    return config.model_copy(
        update={
            "data": data.model_copy(update=columns),
            "label": label,
            "ensemble": EnsembleConfig(task="regression" if values else "classification"),
            "evaluation": EvaluationConfig(folds=2),
            "features": FeaturesConfig(generators=config.features.generators),
        }
    )


def _of_columns(config: Config, raw: RawTable, schema: FeatureSchema) -> Config:
    """Return the config for a table that has the features as columns, maybe among others.

    Raises FeatureError for a table that lacks some.
    """
    target = plugins.label(config.label.name, **config.label.params).target
    names = list(schema.names)
    if not schema.named:  # then columns are told by their order alone
        names = [name for name in raw.columns if name not in (target, config.data.group)]
        if len(names) != len(schema):
            raise FeatureError(
                f"{raw.source}: the ensemble reads {len(schema)} features, whose names it does not know; the table has "
                f"{len(names)} columns beside the label: {names}"
            )
    lacking = [name for name in names if name not in raw.columns]
    if lacking:
        raise FeatureError(
            f"{raw.source}: the ensemble reads the features {lacking}, which the table does not have; it has "
            f"{list(raw.columns)}"
        )
    if target in names:
        raise ConfigError(f"evaluate: {target!r} is a feature of the ensemble; name the column with the labels")
    kept = {*names, target, config.data.group}
    categorical = [name for name, feature in zip(names, schema.features, strict=True) if feature.kind == "categorical"]
    columns = {"drop": tuple(name for name in raw.columns if name not in kept), "categorical": tuple(categorical)}
    return config.model_copy(update={"data": config.data.model_copy(update=columns)})


def _label(target: str) -> LabelConfig:
    """Return a label by its name where there is one without parameters, else the column of that name."""
    return (
        LabelConfig(name=target)
        if target == "next_direction"
        else LabelConfig.model_validate({"name": "column", "column": target})
    )


def _with_schema(data: Dataset, model: Any) -> Dataset:
    """Return the rows as the ensemble's own schema encodes them, and its classes."""
    production = isinstance(model, ProductionEnsemble)
    schema = _schema_of(model)
    X = schema.encode(data.schema.decode(data.X), reorder=True, owner="evaluate")
    if data.task == "regression":
        return replace(data, X=X, schema=schema)
    classes = np.asarray(model.info()["classes"] if production else model.classes_)
    labels = data.classes[data.y]
    known = classes.tolist()
    strange = [each for each in data.classes.tolist() if each not in known]
    if strange:
        raise FeatureError(
            f"evaluate: the labels {strange[:5]} are none of the ensemble's, which are {known}; correct them, leave "
            "such rows out, or name another column: --target COLUMN"
        )
    y = np.array([known.index(label) for label in labels.tolist()], dtype=np.int64)
    return replace(data, X=X, schema=schema, y=y, classes=classes, task="binary" if len(known) == 2 else "multiclass")


def _known_rows(training: dict[str, Any], data: Dataset, question: Question) -> tuple[Array, list[str]]:
    """Return which rows the ensemble was fitted on, bool [n], and what cannot be known."""
    until = training.get("until_us")
    if until is not None and data.time is not None:
        known = np.asarray(data.time <= until)
        warnings = ["rows that it was fitted on are counted: this is no estimate for new ones"] * bool(
            question.include_trained and known.any()
        )
        return known, warnings
    if training.get("data", {}).get("sha256") == data.raw.sha256:
        if not question.include_trained:
            raise ConfigError(
                f"evaluate: {question.path} is what the ensemble was fitted on, and the rows have no time to tell new "
                "ones by; give other rows, or see how well it knows these with --include-trained"
            )
        return np.ones(len(data), dtype=bool), ["it was fitted on these rows: this is no estimate for new ones"]
    return np.zeros(len(data), dtype=bool), ["whether it was fitted on some of these rows cannot be known"]


def _answers(model: Any, data: Dataset, asked: Int64, known: Int64) -> OutOfFold:
    """Return the ensemble's answers and the baselines', which are fitted on the rows that the ensemble knows."""
    X = _rows_of(data, asked)
    values = data.task == "regression"
    scores = np.asarray(model.predict(X) if values else model.predict_proba(X), dtype=np.float64).reshape(
        len(asked), -1
    )
    labels = scores[:, 0] if values else _positions(_labels_of(model, data, asked), data.classes, scores)
    fitted = np.setdiff1d(known, asked)
    baselines, chosen = _baselines(data, asked, fitted)
    return OutOfFold(asked, np.zeros(len(asked), dtype=np.int64), scores[:, None, :], scores, labels, baselines, chosen)


def _rows_of(data: Dataset, asked: Int64) -> Any:
    """Return rows as an ensemble takes them: a matrix, or columns where some are categories."""
    X = data.X[asked]
    return data.schema.decode(X) if any(each.kind == "categorical" for each in data.schema.features) else X


def _labels_of(model: Any, data: Dataset, asked: Int64) -> Array:
    return np.asarray(model.predict(_rows_of(data, asked)))


def _positions(labels: Array, classes: Array, scores: Float64) -> Int64:
    """Return the positions of chosen labels; the likeliest class where the ensemble abstains."""
    where = {label: position for position, label in enumerate(classes.tolist())}
    likeliest = scores.argmax(axis=1)
    return np.array(
        [where.get(label, position) for label, position in zip(labels.tolist(), likeliest.tolist(), strict=True)]
    )


def _baselines(data: Dataset, asked: Int64, fitted: Int64) -> tuple[dict[str, Float64], dict[str, Array]]:
    """Return the baselines; without rows to fit on, only what the asked rows themselves say most often."""
    enough = len(fitted) >= LEAST_FITTED and (data.task == "regression" or len(np.unique(data.y[fitted])) > 1)
    if enough:
        return predict_baselines(data, fitted, asked)
    if data.task == "regression":
        mean = np.full((len(asked), 1), data.y[asked].mean())
        return {"mean_of_these_rows": mean}, {"mean_of_these_rows": mean[:, 0]}
    shares = np.bincount(data.y[asked], minlength=len(data.classes)) / len(asked)
    scores = np.tile(shares, (len(asked), 1))
    name = "majority_of_these_rows"
    return {name: scores}, {name: np.full(len(asked), int(shares.argmax()))}
