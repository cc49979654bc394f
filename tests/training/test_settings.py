"""What only the last fit of a run would refuse is refused before the first, in the words of the config."""

from __future__ import annotations

import numpy as np
import pytest

from glulam.errors import ConfigError, FeatureError
from glulam.training.assembling import make_dataset
from glulam.training.config import Config
from glulam.training.data import read_raw
from glulam.training.ensembles import fit_fold
from glulam.training.evaluating import Evaluator

TARGETS = {"binary": ["no", "yes"], "multiclass": ["a", "b", "c"], "regression": [0.5, 1.25, 2.0, 3.0]}


def evaluator(place, task="binary", rows=240, odd=None, **sections):
    """Return what evaluates a table of two features, of which ``odd`` gives one more value in row 8."""
    random = np.random.default_rng(0)
    values = random.normal(size=(rows, 2)).round(3).astype(str)
    if odd is not None:
        values[7, 1] = odd
    labels = (TARGETS[task][row % len(TARGETS[task])] for row in range(rows))
    lines = (f"{a},{b},{label}\n" for (a, b), label in zip(values, labels, strict=True))
    (place / "t.csv").write_text("a,b,y\n" + "".join(lines))
    config = Config.model_validate(
        {
            "data": {"path": "t.csv"}, "label": {"name": "column", "column": "y"},
            "members": {"lightgbm": {"params": {"n_estimators": 2}}}, "evaluation": {"folds": 2}, **sections,
        }
    )  # fmt: skip
    data = make_dataset(read_raw(config.data, place, needs_time=False), config)
    return Evaluator(config, data, None, print)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"odd": "inf"}, r"t\.csv, row 8, column 'b': expected a finite number, got inf \(infinity\)"),
        (
            {"rows": 60},
            r"at least 100 rows to fit, got 60; .* set ensemble\.validators = "
            r'\["columns", "finite", \{ name = "minimum_samples", rows = 50 \}\]',
        ),
    ],
)
def test_rows_that_validators_refuse(tmp_path, options, message):
    """The row is that of the file, and the advice is one that a config can follow."""
    with pytest.raises(FeatureError, match=message):
        evaluator(tmp_path, **options)


def test_validators_are_those_of_the_config(tmp_path):
    """Who does not ask for a check is not held up by it."""
    fewer = {"name": "minimum_samples", "rows": 50}
    evaluator(tmp_path, odd="inf", rows=60, ensemble={"validators": ["columns", fewer]})


@pytest.mark.parametrize(
    ("task", "sections", "message"),
    [
        (
            "binary",
            {"ensemble": {"min_confidence": 0.7}},
            r"ensemble\.abstain_label: the classes are \['no', 'yes'\]; ",
        ),
        ("binary", {"ensemble": {"min_confidence": 0.7, "abstain_label": "yes"}}, r"ensemble\.abstain_label: 'yes' is"),
        (
            "multiclass",
            {"ensemble": {"threshold": 0.3}},
            r"ensemble\.threshold: 0.3 was given, but there are 3 classes",
        ),
        ("multiclass", {"ensemble": {"threshold": "f1"}}, r"ensemble\.threshold: 'f1' was given, but .* is multiclass"),
        ("regression", {"ensemble": {"threshold": 0.3}}, r"ensemble\.threshold: 0.3 was given, .* this is regression"),
        (
            "regression",
            {"ensemble": {"min_confidence": 0.7}},
            r"ensemble\.min_confidence: 0.7 was given, .* regression",
        ),
        ("regression", {"ensemble": {"voting": "hard"}}, r'not for regression; use ensemble\.voting = "soft"'),
        (
            "regression",
            {"gates": {"min_auc_low": 0.5}},
            r"gates\.min_auc_low: auc is no metric of regression; leave",
        ),
        (
            "binary",
            {"ensemble": {"validators": [{"name": "minimum_samples", "n": 5}]}},
            r"validator 'minimum_samples': got an unexpected keyword argument 'n'",
        ),
    ],
)
def test_settings_that_the_task_does_not_have(tmp_path, task, sections, message):
    """Nothing that was asked for is left out silently."""
    with pytest.raises(ConfigError, match=message):
        evaluator(tmp_path, task=task, **sections)


def test_members_that_take_no_missing_values(tmp_path):
    """The error names estimator and columns, and members that do, in one line without a guide to imputing."""
    given = evaluator(tmp_path, odd="", members={"gradient_boosting": {"params": {"n_estimators": 2}}})
    train, test = given.folds[0] if np.isnan(given.data.X[given.folds[0][0]]).any() else given.folds[1]
    expected = (
        r"^fold 1 of 2: GradientBoostingClassifier does not accept missing values encoded as NaN natively, and values "
        r"are missing in \['b'\]; fill them in, drop these columns, or take members that accept them, such as lightgbm, "
        r"xgboost, random_forest or hist_gradient_boosting$"
    )
    with pytest.raises(ConfigError, match=expected):
        fit_fold(given.config, given.data, train, test, where="fold 1 of 2")
