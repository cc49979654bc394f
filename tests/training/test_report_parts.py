# ruff: noqa: RUF001  # minus signs and dashes as readers see them
"""What the report is made of: numbers as people read them, and the points of its curves."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import spearmanr
from sklearn.metrics import auc, precision_recall_curve, roc_auc_score

from glulam.training.report.classes import _cell
from glulam.training.report.curves import precision_recall, rank_agreement, reliability, roc, thin, thin_series
from glulam.training.report.text import duration, interval, interval_percent, number, percent, size, started
from glulam.training.results import Interval


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"), (float("nan"), "–"), (float("inf"), "∞"), (0.0, "0"), (0.52749, "0.527"), (-0.0041, "−0.004"),
        (12.3456, "12.35"), (123.456, "123.5"), (13130, "13,130"), (1.3e-7, "1.3 × 10⁻⁷"), (True, "yes"), ("auc", "auc"),
        (np.float32(2.5), "2.500"), (np.int64(-3), "−3"), (5e12, "5.0 × 10¹²"),
    ],
)  # fmt: skip
def test_numbers(value: object, text: str) -> None:
    """Numbers have about three sensible digits and a real minus; what is not known is a dash."""
    assert number(value) == text


@given(st.floats())
def test_no_number_is_a_nan(value: float) -> None:
    """Whatever a number is, its text is something to read, on every way that the report writes it."""
    for text in (number(value), percent(value), size(abs(value)), duration(abs(value)), interval(Interval(value))):
        assert text
        assert not re.search(r"nan|inf|-", text)


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e3))
def test_intervals_have_as_many_places_as_say_something(value: float, width: float) -> None:
    """The bounds can be told apart, and read back they are right to a tenth of the width."""
    text = interval(Interval(value, value - width / 2, value + width / 2)).replace(",", "").replace("−", "-")
    middle, low, high = re.fullmatch(r"(\S+) \((\S+) to (\S+)\)", text).groups()
    assert abs(float(middle) - value) <= width / 10
    assert float(low) < float(high)


def test_times_and_sizes() -> None:
    """Durations and sizes come in the unit that suits."""
    assert [duration(each) for each in (4.2e-6, 0.0031, 2.5, 250)] == ["4.2 µs", "3.1 ms", "2.5 s", "4 min 10 s"]
    assert [size(each) for each in (900, 15_900, 91_234_304)] == ["900 bytes", "15.9 kB", "91.2 MB"]
    assert interval_percent(Interval(0.1234, -0.04, 0.301)) == "12.3 % (−4.0 to 30.1)"
    assert interval_percent(Interval(float("nan"))) == "–"
    assert interval(Interval(-0.0001, -0.02, 0.03)) == "0.000 (−0.020 to 0.030)"
    assert started("2026-03-01T06:00:00+00:00") == "2026-03-01 06:00 UTC"
    assert started("yesterday") == "yesterday"


@given(st.integers(0, 1000))
def test_a_cell_of_the_confusion_matrix_can_be_read(each: int) -> None:
    """The text has a contrast of at least 4.5 to 1 on its ground, as the web's accessibility rules ask."""
    ground, ink = re.search(r"rgb\(([\d, ]+)\); color: (#\w+)", _cell(each, 1000)).groups()
    light = [
        (part / 255 / 12.92 if part <= 10 else ((part / 255 + 0.055) / 1.055) ** 2.4)
        for part in map(int, ground.split(","))
    ]
    ground_light = float(np.dot(light, [0.2126, 0.7152, 0.0722]))
    bright, dark = sorted([ground_light, 1.0 if ink == "#fff" else 0.0], reverse=True)
    assert (bright + 0.05) / (dark + 0.05) >= 4.5


LABELS = arrays(bool, 60).filter(lambda y: y.any() and not y.all())
SCORES = arrays(np.float64, 60, elements=st.sampled_from(np.linspace(0, 1, 12)))


@given(LABELS, SCORES)
def test_curves_are_scikit_learns(y: np.ndarray, scores: np.ndarray) -> None:
    """The area under the ROC curve and the points of precision and recall are scikit-learn's, ties and all."""
    assert auc(*roc(y, scores)) == pytest.approx(roc_auc_score(y, scores))
    precision, recall, _ = precision_recall_curve(y, scores)  # its last point, (1, 0), stands on no row
    own_recall, own_precision = precision_recall(y, scores)
    assert own_recall[::-1] == pytest.approx(recall[:-1])
    assert own_precision[::-1] == pytest.approx(precision[:-1])


@given(LABELS, SCORES)
def test_bins_of_calibration_hold_every_row(y: np.ndarray, scores: np.ndarray) -> None:
    """Every row is in one bin; each interval holds its share; the bins' means are the whole's."""
    found = reliability(y, scores)
    assert found["rows"].sum() == 60
    assert (found["low"] <= found["happened"] + 1e-12).all()
    assert (found["happened"] <= found["high"] + 1e-12).all()
    assert np.dot(found["happened"], found["rows"]) == pytest.approx(y.sum())
    assert np.dot(found["stated"], found["rows"]) == pytest.approx(scores.sum())
    assert (np.diff(found["stated"]) > 0).all()


def test_thinned_series_keep_their_extremes() -> None:
    """A long series loses points, never its ends, its highest or its lowest value."""
    rng = np.random.default_rng(3)
    walk, other = rng.normal(size=(2, 20_000)).cumsum(axis=1)
    kept = thin_series([walk, other])
    assert len(kept) <= 3_000
    assert {0, 19_999, walk.argmin(), walk.argmax(), other.argmin(), other.argmax()} <= set(kept.tolist())
    assert (np.diff(kept) > 0).all()
    assert thin_series([walk[:10]]).tolist() == list(range(10))
    assert thin(5, 10).tolist() == [0, 1, 2, 3, 4]
    assert thin(100, 3).tolist() == [0, 50, 99]
    assert thin(0, 3).tolist() == []


def test_rank_agreement_is_spearmans() -> None:
    """Of two folds it is Spearman's rank correlation, ties included; of one there is none."""
    rows = np.array([[0.5, 0.2, 0.2, 0.1], [0.1, 0.4, 0.3, 0.2]])
    assert rank_agreement(rows) == pytest.approx(spearmanr(*rows).statistic)
    assert np.isnan(rank_agreement(rows[:1]))
    assert np.isnan(rank_agreement(np.ones((3, 4))))
