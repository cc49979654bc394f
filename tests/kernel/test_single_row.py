"""One row at a time: the same answers as a session's own run, in arrays that are the caller's to keep."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
import weakref

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_diabetes, load_iris
from sklearn.ensemble import RandomForestClassifier

import glulam
from glulam import EnsembleClassifier, EnsembleRegressor
from glulam._single import SingleRow
from glulam.errors import FeatureError

FEW = {"n_estimators": 3, "max_depth": 4}
MEMBERS = [("random_forest", FEW), ("extra_trees", FEW)]
NAMES = [f"f{i}" for i in range(28)]
WAYS = {"label": "predict", "value": "predict", "probabilities": "predict_proba", "votes": "votes"}


@pytest.fixture(scope="module")
def rows(binary):
    """Return rows, float32 [1500, 28]."""
    return binary[0]


@pytest.fixture(scope="module")
def path(binary, tmp_path_factory):
    """Return the file of a small ensemble with named columns."""
    X, y = binary
    target = tmp_path_factory.mktemp("exported") / "e.onnx"
    ensemble = EnsembleClassifier(MEMBERS).fit(pd.DataFrame(X[:300], columns=NAMES), y[:300])
    ensemble.export(target, proof_rows=1_000)
    return target


@pytest.fixture
def model(path):
    """Return the file, opened."""
    return glulam.load(path)


def regression():
    """Return an ensemble with a value, and rows for it."""
    X, y = load_diabetes(return_X_y=True)
    return EnsembleRegressor(MEMBERS).fit(X, y), X.astype(np.float32)


def three_words():
    """Return an ensemble with strings for labels, and rows for it."""
    X, y = load_iris(return_X_y=True)
    words = np.array(["setosa", "versicolor", "virginica"])[y]
    return EnsembleClassifier(MEMBERS, min_confidence=0.6, abstain_label="none").fit(X, words), X.astype(np.float32)


@pytest.mark.parametrize("make", [regression, three_words])
@pytest.mark.parametrize("invalid", ["raise", "ignore"])
def test_every_output_is_that_of_a_run(tmp_path, make, invalid):
    """Value, labels (of strings as well), probabilities and votes, with the checks and without."""
    ensemble, X = make()
    ensemble.export(tmp_path / "e.onnx", proof_rows=1_000)
    model = glulam.load(tmp_path / "e.onnx", invalid=invalid)
    expected = model.answers(X)
    for name in expected.keys() & WAYS.keys():
        ask = getattr(model, WAYS[name])
        for row in range(50):
            found = ask(X[row : row + 1])
            np.testing.assert_array_equal(found, expected[name][row : row + 1])
            assert found.dtype.kind == expected[name].dtype.kind


def test_several_outputs_and_float64_rows(tmp_path, rows):
    """Probabilities of several outputs are split as ever; rows may be float64 in a file of that type."""
    y = np.column_stack([rows[:300, 0] > 0.5, (rows[:300, 1] * 2).astype(int) % 3])
    forest = RandomForestClassifier(n_estimators=3, max_depth=4, random_state=0).fit(rows[:300].astype(np.float64), y)
    glulam.export(forest, tmp_path / "several.onnx", precision="float64")
    model = glulam.load(tmp_path / "several.onnx")
    X = rows.astype(model.info()["rows"])
    whole = model.predict_proba(X)
    for row in range(20):
        for found, expected in zip(model.predict_proba(X[row]), whole, strict=True):
            np.testing.assert_array_equal(found, expected[row : row + 1])
        np.testing.assert_array_equal(model.predict(X[row]), model.predict(X)[row : row + 1])


def test_an_answer_is_never_overwritten(model, rows):
    """Answers that are kept stay as they were; what is written into them changes no later one."""
    expected = model.predict_proba(rows)
    kept = [model.predict_proba(rows[row : row + 1]) for row in range(200)]
    np.testing.assert_array_equal(np.concatenate(kept), expected[:200])
    assert all(each.flags.owndata and each.flags.writeable for each in kept)
    for each in kept:
        each[:] = -1
    np.testing.assert_array_equal(model.predict_proba(rows[:1]), expected[:1])


def test_the_callers_row_is_not_kept(model, rows):
    """A row may be changed after the call, and is not changed by it."""
    row = rows[:1].copy()
    first = model.predict_proba(row)
    np.testing.assert_array_equal(row, rows[:1])
    row[:] = rows[1:2]
    np.testing.assert_array_equal(model.predict_proba(row), model.predict_proba(rows[:2])[1:])
    np.testing.assert_array_equal(first, model.predict_proba(rows[:2])[:1])


def test_a_row_comes_in_any_form(model, rows):
    """List, mapping, 1-d array, table, a row of a table, a slice with gaps, another type: one answer."""
    expected = model.predict_proba(rows)[3:4]
    wide = np.repeat(rows, 2, axis=1)
    frame = pd.DataFrame(rows, columns=NAMES)
    for row in (
        rows[3:4].tolist(),
        dict(zip(NAMES, rows[3].tolist(), strict=True)),
        rows[3],
        rows[3:4],
        frame[3:4],
        frame.iloc[3],
        wide[3:4, ::2],
        np.asfortranarray(rows)[3:4],
        rows[3:4].astype(np.float64),
        rows[3:4].astype(">f4"),
    ):
        np.testing.assert_array_equal(model.predict_proba(row), expected)


def test_a_refused_row_leaves_no_trace(model, path, rows):
    """A row that fails the checks is named as ever, and the next one is answered."""
    expected = model.predict_proba(rows)
    wrong = rows[:1].copy()
    wrong[0, 5] = np.inf
    for row in range(5):
        with pytest.raises(FeatureError, match=r"row 0: column 'f5' is inf, .*finite.*; 1 of 1 rows fail"):
            model.predict_proba(wrong)
        np.testing.assert_array_equal(model.predict_proba(rows[row : row + 1]), expected[row : row + 1])
    assert glulam.load(path, invalid="ignore").predict_proba(wrong).shape == (1, 2)


def test_eight_threads_share_nothing(model, rows):
    """Each gets the answers to its own rows, and memory is bound once for each at most."""
    expected = model.predict_proba(rows)
    start, wrong = threading.Barrier(8), []

    def ask(first):
        start.wait()
        kept = {row: model.predict_proba(rows[row : row + 1]) for row in range(first, 1500, 8)}
        wrong.extend(row for row, answer in kept.items() if not np.array_equal(answer[0], expected[row]))

    threads = [threading.Thread(target=ask, args=(first,)) for first in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert 1 <= len(model._single["probabilities"]._shelf) <= 8


def test_a_call_within_a_call_has_memory_of_its_own(model, rows):
    """A signal handler may come between any two steps of a call, and ask the same model for another row."""
    expected = model.predict_proba(rows)
    within = []

    def interrupt(frame, event, _):
        if frame.f_code is SingleRow.answer.__code__ and event in ("c_call", "c_return"):
            within.append(model.predict_proba(rows[len(within) + 1 : len(within) + 2]))

    model.predict_proba(rows[:1])
    sys.setprofile(interrupt)
    try:
        found = model.predict_proba(rows[:1])
    finally:
        sys.setprofile(None)
    np.testing.assert_array_equal(found, expected[:1])
    assert len(within) >= 4
    np.testing.assert_array_equal(np.concatenate(within), expected[1 : len(within) + 1])


def test_a_failed_run_leaves_nothing_behind(model, rows):
    """Memory whose run failed is not used again."""
    single = model._single["probabilities"]
    single.answer(rows[:1])
    with pytest.raises(ValueError, match="broadcast"):
        single.answer(rows[:1, :5])
    assert single._shelf == []
    np.testing.assert_array_equal(single.answer(rows[:1])[0], model.predict_proba(rows)[:1])


def test_a_closed_file_is_given_back(path, rows):
    """Nothing that is bound keeps a session."""
    model = glulam.load(path)
    model.predict_proba(rows[:1])
    session = weakref.ref(model._session)
    del model
    gc.collect()
    assert session() is None


def test_a_forked_process_answers(path, tmp_path, rows):
    """A server that opens the file and then forks gets the same answers in its children."""
    np.save(tmp_path / "rows.npy", rows[:20])
    code = """
import os, sys
import numpy as np
import glulam
model, rows = glulam.load(sys.argv[1]), np.load(sys.argv[2])
before = [model.predict_proba(row) for row in rows]
child = os.fork()
after = [model.predict_proba(row) for row in rows]
if child == 0:
    os._exit(0 if np.array_equal(before, after) else 3)
assert np.array_equal(before, after)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    command = [sys.executable, "-c", code, path, tmp_path / "rows.npy"]
    done = subprocess.run(command, env=os.environ, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
