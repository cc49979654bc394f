"""``glulam train``: what it writes, what it says, and what it refuses."""

import gzip
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

import glulam as library
from glulam.cli import _show, _training
from glulam.cli._data import Source
from glulam.cli._options import specification
from glulam.cli._target import decide_task, generated_table
from glulam.errors import FeatureTypeError

MEMBER = ["--member", "lightgbm:n_estimators=5,n_jobs=1"]


def test_summary_tells_members_and_proof(glulam, data, tmp_path):
    """The summary has the task and why, members, the proof by family, and both places."""
    out = tmp_path / "m.onnx"
    done = glulam(
        "train", data, "--target", "y", *MEMBER, "--member", "random_forest:n_estimators=5,n_jobs=1", "--out", out
    )
    assert done.code == 0, done.err
    for expected in (
        "classification (the target has 2 distinct numbers",
        "random_forest",
        "joint thresholds",
        "training",
        str(out),
    ):
        assert expected in done.out
    assert str(tmp_path / "m.trained") in done.out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.onnx", "m.trained"]
    assert library.EnsembleClassifier.load(tmp_path / "m.trained").weights_.tolist() == [1.0, 1.0]


def test_json_is_the_only_thing_on_stdout(process, data, tmp_path):
    """Even a talkative library does not get between: LightGBM's own lines go to stderr."""
    member = "lightgbm:n_estimators=5,n_jobs=1,verbosity=1"
    done = process("train", data, "--target", "y", "--member", member, "--out", tmp_path / "m.onnx", "--json")
    assert done.code == 0, done.err
    document = json.loads(done.out)
    assert "[LightGBM]" in done.err
    assert document["task"] == "classification"
    assert document["parity"]["label_differences"] == 0
    assert document["training"]["rows"] == 300
    assert document["members"][0]["plugin"] == "lightgbm"


def test_quiet_says_nothing(glulam, data, tmp_path):
    """With --quiet neither stdout nor stderr has a line."""
    done = glulam("train", data, "--target", "y", *MEMBER, "--out", tmp_path / "m.onnx", "--quiet")
    assert (done.code, done.out, done.err) == (0, "", "")


def test_options_reach_the_file(glulam, data, tmp_path):
    """Weights, vote, threshold, abstention and checks are those that were asked for."""
    out, saved = tmp_path / "m.onnx", tmp_path / "kept"
    done = glulam(
        "train", data, "--target", "y", *MEMBER, "--member", "extra_trees:n_estimators=5,max_depth=4",
        "--weights", "3,1", "--voting", "log_pool", "--threshold", "0.6", "--min-confidence", "0.55",
        "--abstain-label", "7", "--validator", "range:margin=0.5", "--drop", "x27", "--precision", "float64",
        "--out", out, "--save", saved,
    )  # fmt: skip
    assert done.code == 0, done.err
    info = library.load(out).info()
    assert info["weights"] == {"lightgbm": 3.0, "extra_trees": 1.0}
    assert info["voting"] == "log_pool"
    assert info["decision"] == {"threshold": 0.6, "min_confidence": 0.55, "abstain_label": 7}
    assert info["guards"] == ["range"]
    assert info["validators"][0]["state"]["margin"] == 0.5
    assert info["feature_names"] == [f"x{index}" for index in range(27)]
    assert info["precision"] == "float64"
    assert (saved / "manifest.json").is_file()


def test_regression_is_taken_for_fractions(glulam, data, tmp_path):
    """A fractional target makes a regressor, and the summary says so."""
    out = tmp_path / "m.onnx"
    done = glulam("train", data, "--target", "x1", "--drop", "y", *MEMBER, "--out", out)
    assert done.code == 0, done.err
    assert "regression (the target has" in done.out
    assert "some fractional; --task classification otherwise" in done.out
    assert glulam("predict", out, data, "--out", tmp_path / "p.csv").code == 0
    assert (tmp_path / "p.csv").read_text().splitlines()[0] == '"value"'
    assert glulam("inspect", out).code == 0
    assert glulam("verify", out, tmp_path / "m.trained", "--rows", 1_000).code == 0


@pytest.mark.parametrize(
    ("target", "asked", "expected", "dtype"),
    [
        ([0, 1, 1], "auto", "classification", "i"),
        ([0.0, 1.0, 1.0], "auto", "classification", "i"),
        ([0.0, 1.5, 1.0], "auto", "regression", "f"),
        (list(range(20)), "auto", "classification", "i"),
        (list(range(21)), "auto", "regression", "f"),
        (list(range(21)), "classification", "classification", "i"),
        ([0, 1, 1], "regression", "regression", "f"),
        (["a", "b"], "auto", "classification", "U"),
        ([True, False], "auto", "classification", "b"),
    ],
)
def test_task_and_labels(target, asked, expected, dtype):
    """Fractions and many numbers mean regression, whole labels become integers."""
    task, _, labels = decide_task(np.array(target), asked)
    assert (task, labels.dtype.kind) == (expected, dtype)


def test_tasks_that_the_target_cannot_serve():
    """Fractions are no labels, and text is no number."""
    with pytest.raises(FeatureTypeError, match=r"target is fractional \(row 2: 0.5\)"):
        decide_task(np.array([1.0, 0.5]), "classification")
    with pytest.raises(FeatureTypeError, match="holds labels such as 'a', no numbers"):
        decide_task(np.array(["a", "b"]), "regression")


def test_targets_beyond_int64(glulam, tmp_path):
    """Whole numbers that int64 does not hold are one line with the row, not an overflow or other labels."""
    path = tmp_path / "d.parquet"
    rows = {"a": np.arange(100.0), "y": np.array([0, 2**63] * 50, dtype=np.uint64)}
    pa.parquet.write_table(pa.table(rows), path)
    done = glulam("train", path, "--target", "y", *MEMBER, "--out", tmp_path / "m.onnx")
    assert (done.code, done.err.count("\n")) == (1, 1)
    assert "d.parquet, row 2: the target 'y' is 9223372036854775808, expected whole numbers within int64" in done.err
    for values in ([0.0, 2.0**63], [0.0, -1e19]):
        with pytest.raises(FeatureTypeError, match=r"the target is beyond int64 \(row 2: "):
            decide_task(np.array(values), "auto")
    assert decide_task(np.array([0.0, -(2.0**63)]), "classification")[2].tolist() == [0, -(2**63)]
    assert decide_task(np.array([0.0, 1e19]), "regression")[2].tolist() == [0.0, 1e19]


def test_errors_of_the_target_name_the_row_of_the_file():
    """Where the target is of some rows only, their numbers in the file are told."""
    with pytest.raises(FeatureTypeError, match=r"fractional \(row 52: 0.5\)"):
        decide_task(np.array([1.0, 0.5]), "classification", [50, 51])


def test_specifications():
    """Values are JSON where they look like it, commas inside lists do not separate, anything else is text."""
    assert specification("a", "--member") == ("a", {})
    assert specification("a:n=3,rate=1e-2,flag=true,none=None,word=gini", "--member") == (
        "a",
        {"n": 3, "rate": 0.01, "flag": True, "none": None, "word": "gini"},
    )
    assert specification("a:signs=[1,0,-1],n=3", "--member") == ("a", {"signs": [1, 0, -1], "n": 3})


def table(path, head, *lines):
    """Write a CSV of a hundred times some lines."""
    path.write_text("\n".join([head, *lines * 100]) + "\n")
    return path


def test_text_columns_must_be_declared(glulam, tmp_path):
    """Text and dates are refused together, by name and first value, with what to do."""
    path = table(tmp_path / "d.csv", "city,day,a,y", "Oslo,2024-01-01,1,0", "Rome,2024-01-02,2,1")
    done = glulam("train", path, "--target", "y", *MEMBER, "--out", tmp_path / "m.onnx")
    assert done.code == 1
    assert "column 'city' holds string (row 1: 'Oslo')" in done.err
    assert "column 'day' holds date32[day] (row 1: '2024-01-01')" in done.err
    assert "leave such a column out with --drop NAME, or declare it with --categorical NAME" in done.err
    dated = glulam("train", path, "--target", "y", "--categorical", "city", "--categorical", "day", "--out", "m.onnx")
    assert dated.code == 1
    assert "column 'day' holds date32[day], but categories are text, numbers or true/false" in dated.err
    declared = ["--categorical", "city", "--drop", "day"]
    assert glulam("train", path, "--target", "y", *declared, *MEMBER, "--out", tmp_path / "m.onnx").code == 0
    assert [feature.kind for feature in library.load(tmp_path / "m.onnx").schema.features] == ["categorical", "numeric"]


def test_a_stray_word_among_numbers_is_shown(glulam, tmp_path):
    """One word makes a column text; the message shows the word and its row."""
    path = table(tmp_path / "d.csv", "a,b,y", "1,2,0", "2,3,1")
    path.write_text(path.read_text() + "oops,3,1\n")
    done = glulam("train", path, "--target", "y", *MEMBER, "--out", tmp_path / "m.onnx")
    assert done.code == 1
    assert "column 'a' holds string (row 201: 'oops')" in done.err


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (("1,2,0", "2,3,"), "d.csv, row 2: the target 'y' is missing; leave such rows out"),
        (("1,2,0", "2,3,inf"), "d.csv, row 2: the target 'y' is inf; leave such rows out"),
        (("1,2,2024-01-01", "2,3,2024-01-02"), "the target holds date32[day]; expected numbers, text or true/false"),
        (("1,2,0", "2,3,0"), "one class only"),
        (("1,2,0", "2,inf,1"), "d.csv, row 2, column 'b': expected a finite number, got inf"),
    ],
)
def test_rows_that_cannot_be_learnt(glulam, tmp_path, lines, message):
    """Missing targets, infinities and a single class are refused with the file's row, and leave nothing."""
    path = table(tmp_path / "d.csv", "a,b,y", *lines)
    done = glulam("train", path, "--target", "y", *MEMBER, "--out", tmp_path / "m.onnx")
    assert done.code == 1
    assert message.replace("the target holds", "the target 'y' holds") in done.err
    assert [path.name for path in tmp_path.iterdir()] == ["d.csv"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--target", "nope"], "--target: no such column: 'nope'"),
        (["--target", "y", "--drop", "nope"], "--drop: no such column: 'nope'"),
        (["--target", "y", "--drop", "y"], "--drop: 'y' is the target, which is no feature anyway"),
        (["--target", "y", "--categorical", "y"], "no feature, as it is the target or dropped"),
        (["--target", "y", "--member", "lightgbm:n_estimators"], "expected NAME or NAME:key=value,key=value"),
        (["--target", "y", "--weights", "1,b"], "expected numbers separated by commas, got '1,b'"),
        (["--target", "y", "--task", "regression", "--threshold", "0.4"], "--threshold: belongs to classification"),
        (["--target", "y", "--abstain-label", "3"], "--abstain-label: needs --min-confidence"),
        (["--target", "y", "--abstain-label", "x", "--min-confidence", "0.9"], "expected a whole number"),
        (["--target", "y", "--features", "technical", "--drop", "x1"], "the features are the generator's"),
        (["--target", "y", "--drop-bad"], "--drop-bad: needs --features"),
        (["--target", "y", "--task", "guess"], "'guess' is not one of 'auto', 'classification', 'regression'"),
        (["--target", "y", "--save", "m.onnx"], "--save: m.onnx is the --out file"),
        ([], "--target: which column of DATA is to be predicted? Name it; or leave DATA out, and let glulam init"),
    ],
)
def test_wrong_usage_is_code_2(glulam, data, monkeypatch, tmp_path, arguments, message):
    """Options that cannot work are wrong usage, told in one line before any work is done."""
    monkeypatch.chdir(tmp_path)
    done = glulam("train", data, *arguments, "--out", "m.onnx")
    assert done.code == 2
    assert message in done.err
    assert done.err.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--member", "lightgmb"], "unknown model 'lightgmb': did you mean 'lightgbm'?"),
        (["--member", "lightgbm:n_estimator=5"], "unknown parameter 'n_estimator'; did you mean 'n_estimators'?"),
        ([*MEMBER, "--weights", "1,2"], "weights: expected 1 numbers"),
        ([*MEMBER, "--voting", "loud"], "unknown voting 'loud'"),
        # Python 3.13 puts its own suggestion between the two.
        (
            [*MEMBER, "--validator", "range:margn=1"],
            "unexpected keyword argument 'margn'…; the settings were range:margn=1",
        ),
        ([*MEMBER, "--validator", "range:margin=x"], "validator 'range': '<=' not supported"),
        (["--member", "random_forest:depth=1"], "argument 'depth'; the settings were random_forest:depth=1"),
        ([*MEMBER, "--weights", "1,1"], "weights: expected 1 numbers, one for each of ['lightgbm'], got [1.0, 1.0]\n"),
        (["--member", "lightgbm", "--voting", "soft", "--task", "regression", "--voting", "hard"], "use --voting soft"),
        ([*MEMBER, "--threshold", "1.5"], "threshold: expected a number between 0 and 1, got 1.5"),
        ([*MEMBER, "--features", "technical"], "open"),
    ],
)
def test_refusals_are_code_1(glulam, data, tmp_path, arguments, message):
    """What the library refuses is one line and code 1, and leaves nothing behind."""
    done = glulam("train", data, "--target", "y", *arguments, "--out", tmp_path / "m.onnx")
    assert done.code == 1
    assert all(part in done.err for part in message.split("…"))
    assert done.err.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("member", "said"),
    [
        ("lightgbm:n_estimators=abc", "'<=' not supported between instances of 'str' and 'int'"),
        ("lightgbm:n_estimators=-5", "Number of boosting rounds must be greater than 0. Got -5"),
        ("xgboost:max_depth=abc", "Invalid Parameter format for max_depth expect int but value='abc'"),
        ("random_forest:max_depth=abc", "The 'max_depth' parameter of RandomForestClassifier must be an int"),
    ],
)
def test_bad_settings_of_members_are_named(glulam, data, tmp_path, member, said):
    """What a library says of a setting while it trains comes after the setting, without a call for --debug."""
    arguments = ["train", data, "--target", "y", "--member", "extra_trees", "--member", member]
    done = glulam(*arguments, "--out", tmp_path / "m.onnx")
    assert (done.code, done.err.count("\n")) == (1, 1)
    assert f"error: training failed: member settings {member}: {said}" in done.err
    assert done.err.endswith("; correct the settings\n")
    assert "--debug" not in done.err
    assert "Traceback" in glulam("--debug", *arguments, "--out", tmp_path / "m.onnx").err


@pytest.mark.parametrize(
    ("members", "error"), [(None, TypeError("odd")), ([("lightgbm", {"n_jobs": 1})], RuntimeError("odd"))]
)
def test_other_failures_are_not_put_on_settings(members, error):
    """Without settings, or where the error is none of a value or a library, it stays as it is."""
    settings = _training.Settings(members, None, "soft", None, None, None, None)
    with pytest.raises(type(error), match="^odd$"), _training._naming_settings(settings):
        raise error


def test_a_directory_is_no_file(glulam, data, monkeypatch, tmp_path):
    """--out with a directory, the current one too, is wrong usage, whether or not --force is given."""
    monkeypatch.chdir(tmp_path)
    for out, *more in ((".",), ("..", "--force"), (tmp_path,)):
        done = glulam("train", data, "--target", "y", *MEMBER, "--out", out, *more)
        assert done.code == 2
        assert f"--out: {out} is a directory; give the name of a file" in done.err


def test_other_encodings_are_named(glulam, trained, tmp_path):
    """Latin-1 in names or text is told with what to do, in training and prediction."""
    path = tmp_path / "d.csv"
    arguments = ["train", path, "--target", "y", *MEMBER, "--out", tmp_path / "m.onnx", "--categorical", "city"]
    path.write_bytes("city,größe,y\na,1,0\n".encode("latin-1"))
    assert glulam(*arguments).err == f"glulam: error: {path} is not UTF-8; save it as UTF-8\n"
    path.write_bytes("city,y\nKöln,1\n".encode("latin-1"))
    assert glulam(*arguments).err == f"glulam: error: {path}: column 'city' is not UTF-8; save it as UTF-8\n"
    path.write_bytes(trained.data.read_bytes().replace(b"\n0", b"\n\xf60", 1).replace(b"\n-", b"\n\xf6-", 1))
    done = glulam("predict", trained.model, path, "--out", tmp_path / "p.csv")
    assert done.err == f"glulam: error: {path} is not UTF-8; save it as UTF-8\n"


def test_advice_is_for_the_command_line(glulam, data, tmp_path):
    """What errors advise in Python is told in options."""
    path = tmp_path / "d.csv"
    path.write_text("".join(data.read_text().splitlines(keepends=True)[:20]))
    arguments = ["train", path, "--target", "y", *MEMBER, "--out", tmp_path / "m.onnx"]
    done = glulam(*arguments)
    assert "or set --validator columns --validator finite --validator minimum_samples:rows=N\n" in done.err
    (tmp_path / "m.trained").mkdir()
    expected = f"{tmp_path / 'm.trained'} exists (the trained ensemble; see --save); choose another name, or overwrite"
    assert glulam(*arguments).err == f"glulam: error: {expected} it with --force\n"


def test_force_replaces_saved_ensembles_only(glulam, trained, data, tmp_path):
    """--force replaces file and saved ensemble, but never a directory of anything else."""
    arguments = ["train", data, "--target", "y", *MEMBER, "--out", tmp_path / "m.onnx"]
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("years of work")
    done = glulam(*arguments, "--save", mine, "--force")
    assert done.code == 1
    assert f"{mine} exists and is no saved ensemble; --force does not replace it" in done.err
    assert (mine / "thesis.txt").is_file()
    assert glulam(*arguments).code == 0
    again = glulam(*arguments)
    assert again.code == 1
    assert "m.onnx exists" in again.err
    assert glulam(*arguments, "--force").code == 0


def test_a_missing_library_is_told_with_its_advice(process, data, tmp_path):
    """Without LightGBM the error is the plugin's own line, without scikit-learn that of the extra."""
    arguments = ["train", data, "--target", "y", "--out", tmp_path / "m.onnx"]
    done = process(*arguments, blocked=["lightgbm"])
    assert done.code == 1
    assert done.err.startswith("glulam: error: model 'lightgbm' is not available:")
    assert "pip install 'glulam[lightgbm]'" in done.err
    done = process(*arguments, blocked=["sklearn"])
    assert done.code == 1
    assert "pip install 'glulam[train]'" in done.err
    assert done.err.count("\n") == 1


def test_warnings_are_lines(process, tmp_path):
    """A warning is one line on stderr without file name and source."""
    path = table(tmp_path / "d.csv", "a,b,y", *(f"{100_000_000 + index},1,{index % 2}" for index in range(3)))
    done = process("train", path, "--target", "y", *MEMBER, "--out", tmp_path / "m.onnx", "-q")
    assert done.code == 0, done.err
    lines = done.err.splitlines()
    assert lines[0].startswith("glulam: warning: column 'a': 2 of 3 distinct float64 values become equal in float32")
    assert len(lines) == 1


@pytest.fixture
def some_candles(candles, tmp_path):
    """Write 400 candles without and, as file ``bad``, with a repeated bar and an impossible one; y is the row."""
    with gzip.open(candles, "rt") as file:
        head, *lines = [next(file).strip() for _ in range(401)]
    fields = lines[200].split(",")
    lines.insert(101, lines[100])
    lines.insert(201, ",".join(["2018-02-03T08:00:01Z", *fields[1:4], "-1", fields[5]]))
    bad = [f"{line},{row}" for row, line in enumerate(lines)]
    good = [line for row, line in enumerate(bad) if row not in (101, 201)]
    for name, rows in (("bad.csv", bad), ("good.csv", good)):
        (tmp_path / name).write_text("\n".join([f"{head},y", *rows]) + "\n")
    return tmp_path


GENERATED = ["--features", "technical", *MEMBER]


def test_the_check_of_candles_is_told(glulam, some_candles):
    """Screen and JSON have what the check found and how many rows have no features or no next bar."""
    path, out = some_candles / "good.csv", some_candles / "m.onnx"
    done = glulam("train", path, "--target", "next_direction", *GENERATED, "--out", out)
    assert done.code == 0, done.err
    assert ": 400 rows, 400 kept, 0 dropped; " in done.out
    assert "49 warm-up rows dropped, 1 without a next bar\n" in done.out
    done = glulam("train", path, "--target", "y", *GENERATED, "--out", out, "--force", "--json")
    document = json.loads(done.out)
    assert (document["warm_up"], document["training"]["rows"]) == (49, 351)
    assert document["check"]["kept"] == 400
    done = glulam("train", path, "--target", "y", "--drop", "timestamp", *MEMBER, "--out", out, "--force", "--json")
    assert (json.loads(done.out)["check"], json.loads(done.out)["warm_up"]) == (None, 0)


def test_bad_candles_are_dropped_if_asked(glulam, some_candles):
    """Without --drop-bad they are refused and it is named; with it they are counted, in screen and JSON."""
    arguments = ["train", some_candles / "bad.csv", "--target", "next_direction", *GENERATED]
    done = glulam(*arguments, "--out", some_candles / "m.onnx")
    assert (done.code, done.err.count("\n")) == (1, 1)
    assert done.err.endswith("pass drop=True to drop and sort; on the command line: --drop-bad\n")
    done = glulam(*arguments, "--out", some_candles / "m.onnx", "--drop-bad")
    assert done.code == 0, done.err
    assert ": 402 rows, 400 kept, 2 dropped; error duplicate: 1 (" in done.out
    done = glulam(*arguments, "--out", some_candles / "m.onnx", "--drop-bad", "--json", "--force")
    assert json.loads(done.out)["check"]["dropped"] == 2
    assert json.loads(done.out)["training"]["rows"] == 350


def test_a_target_among_the_features_is_a_leak(glulam, some_candles):
    """A column that the generator makes a feature of cannot be the target."""
    done = glulam("train", some_candles / "good.csv", "--target", "close", *GENERATED, "--out", some_candles / "m.onnx")
    assert (done.code, done.err.count("\n")) == (1, 1)
    assert "the target 'close' is also a feature of technical; a model would only repeat it: choose" in done.err


def test_missing_columns_are_not_told_to_drop_rows(glulam, data, tmp_path):
    """--drop-bad is no advice where it does not help."""
    done = glulam("train", data, "--target", "y", *GENERATED, "--out", tmp_path / "m.onnx")
    assert done.code == 1
    assert "--drop-bad" not in done.err


@pytest.mark.parametrize("target", ["next_direction", "y"])
def test_labels_stay_with_their_rows_when_some_are_dropped(some_candles, target):
    """With bad rows dropped features and labels are those of the good file, and rows count in the file."""
    bad, good = (
        generated_table(Source.open(some_candles / name), target, "technical", drop=drop)
        for name, drop in (("bad.csv", True), ("good.csv", False))
    )
    np.testing.assert_array_equal(bad.target, good.target)
    for name, values in good.columns.items():
        np.testing.assert_array_equal(bad.columns[name], values)
    kept = [row for row in range(402) if row not in (101, 201)]
    assert bad.rows == kept[49 : 49 + len(good.target)]
    assert (bad.unlabelled, bad.made.warm_up) == (int(target == "next_direction"), 49)
    if target == "y":
        assert bad.target.tolist() == bad.rows


def test_the_proof_says_who_refused(trained):
    """Where a library refuses a family of rows, its name and what judged instead are in the note."""
    parity = library.load(trained.model).info()["parity"]
    refused = [{**family, "refused_by": ["random_forest"]} for family in parity["families"]]
    notes = list(_show.proof_table(parity | {"families": refused}).columns[-1].cells)
    summary = [""] * (1 + ("kernel_difference" in parity))  # of all rows, and of all by the kernel
    assert notes == ["refused by random_forest: interpreter"] * len(refused) + summary


def test_the_proof_says_if_differences_are_relative(trained):
    """The heading of a regression's differences has the word, that of a classification's has not."""
    parity = library.load(trained.model).info()["parity"]
    for relative, expected in ((True, "largest relative difference"), (False, "largest difference")):
        shown = _show.proof_table(parity | {"relative": relative})
        assert expected in [str(column.header).replace("\n", " ") for column in shown.columns]
