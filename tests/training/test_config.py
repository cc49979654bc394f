"""The config: its file, what changes it, every error by its text, and writing it back."""

import inspect
import re
import subprocess
import sys
import tempfile
import tomllib
from datetime import UTC, date, datetime
from datetime import time as clock
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glulam.errors import ConfigError
from glulam.training import _overrides, _toml, config
from glulam.training.config import Config, DataConfig, LabelConfig, MemberConfig, Section
from glulam.training.loading import check_names, digest, load_config, to_toml

LEAST = 'label = "next_direction"\ndata = { path = "candles.csv" }\n'
SECTIONS = [
    each for _, each in inspect.getmembers(config, inspect.isclass) if issubclass(each, Section) and each is not Section
]
DOCUMENT = Path(__file__).parents[2] / "docs" / "config.md"


@pytest.fixture
def load(tmp_path, monkeypatch):
    """Load a config of some text from ``glulam.toml`` in a directory of its own."""
    monkeypatch.chdir(tmp_path)

    def loaded(text: str = LEAST, *overrides: str, **environ: str) -> Config:
        Path("glulam.toml").write_text(text)
        return load_config(Path("glulam.toml"), overrides=overrides, environ=environ)

    return loaded


@pytest.fixture
def refused(load):
    """Return the one line that a config is refused with."""

    def message(text: str = LEAST, *overrides: str, **environ: str) -> str:
        with pytest.raises(ConfigError) as caught:
            load(text, *overrides, **environ)
        said = str(caught.value)
        assert "\n" not in said
        return said

    return message


# -- reading --------------------------------------------------------------------------------


def test_the_least_config_has_every_default(load):
    """Data and label are all that must be said; places stay as they are written."""
    assert load() == Config(data=DataConfig(path="candles.csv"), label=LabelConfig(name="next_direction"))


def test_short_forms_mean_the_long_ones(load):
    """Names stand for tables of a name alone, and a list of members for equal weights."""
    short = """
        label = "next_direction"
        members = ["lightgbm", "xgboost"]
        data.path = "candles.csv"
        features.generators = ["technical", { name = "lags", columns = ["close"], lags = [1, 2] }]
    """
    long = """
        data.path = "candles.csv"
        label.name = "next_direction"
        members.lightgbm.weight = 1.0
        members.xgboost.weight = 1.0
        [[features.generators]]
        name = "technical"
        [[features.generators]]
        name = "lags"
        columns = ["close"]
        lags = [1, 2]
    """
    found = load(short)
    assert found == load(long)
    assert found.features.generators[1].params == {"columns": ["close"], "lags": [1, 2]}


def test_options_win_over_variables_and_both_over_the_file(load):
    """The precedence is file, environment, --set; of several options the last one wins."""
    text = "seed = 1\n" + LEAST + "[evaluation]\nfolds = 2\nembargo = 2\nbootstrap = 200\n"
    found = load(
        text, "evaluation.folds=4", "evaluation.folds=5",
        GLULAM_EVALUATION__FOLDS="3", GLULAM_EVALUATION__EMBARGO="3", GLULAM_SEED="7",
    )  # fmt: skip
    assert (found.evaluation.folds, found.evaluation.embargo, found.evaluation.bootstrap, found.seed) == (5, 3, 200, 7)


def test_the_environment_of_the_process_counts(load, monkeypatch, tmp_path):
    """Unless another one is given, variables are the process's own."""
    load()
    monkeypatch.setenv("GLULAM_DATA__PATH", "other.csv")
    assert load_config(tmp_path / "glulam.toml").data.path == "other.csv"


@pytest.mark.parametrize(
    "variable", ["GLULAM_KERNEL", "GLULAM_BUILD_KERNEL", "GLULAM_KEEP_EXPORTS", "GLULAM_SEEED", "PATH"]
)
def test_other_variables_are_left_alone(load, variable):
    """Variables of one word that is no key of the config are somebody else's."""
    assert load(**{variable: "x"}) == load()


def test_variables_find_keys_of_any_case(load):
    """A key that the file has is found in its own spelling, others are in lower case."""
    text = LEAST + "[members.Forest]\nplugin = 'random_forest'\n"
    found = load(text, GLULAM_MEMBERS__FOREST__WEIGHT="0.5", GLULAM_MEMBERS__EXTRA_TREES__PARAMS__N_ESTIMATORS="9")
    assert found.members["Forest"].weight == 0.5
    assert found.members["extra_trees"].params == {"n_estimators": 9}


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("label.x=5", 5),
        ("label.x = 0.25 ", 0.25),
        ("label.x=true", True),
        ("label.x=yes", "yes"),
        ("label.x='5'", "5"),
        ("label.x=a = b", "a = b"),
        ("label.x=", ""),
        ("label.x=[1, 2]", [1, 2]),
        ('label.x={ a = 1, "b c" = [2] }', {"a": 1, "b c": [2]}),
        ("label.x.y=1", {"y": 1}),
        ('label.x."a.b=c".d=1', {"a.b=c": {"d": 1}}),
        ("label.x=1\ny = 2", "1\ny = 2"),
        ("label.x=2023-01-31", date(2023, 1, 31)),
    ],
)
def test_values_are_toml_or_text(load, option, value):
    """What reads as a TOML value is one, anything else is text; keys are dotted and quoted as in TOML."""
    assert load(LEAST, option).label.params["x"] == value


def test_text_that_looks_like_a_number_stays_text(load):
    """A file may be called 2023, and TOML's own dates are moments."""
    found = load(LEAST, "data.group=1", "data.since=2023-01-01", "data.until='2023-02-01'", GLULAM_DATA__PATH="2023")
    assert (found.data.path, found.data.group) == ("2023", "1")
    assert (found.data.since, found.data.until) == ("2023-01-01", "2023-02-01")
    in_file = 'label = "next_direction"\n[data]\npath = "a.csv"\nsince = 2023-01-01T04:00:00Z\n'
    assert load(in_file).data.since == "2023-01-01T04:00:00+00:00"


def test_changing_a_default_member_keeps_the_others(load):
    """Without members in the file an override changes the default ones; a whole list replaces them."""
    assert {name: each.weight for name, each in load(LEAST, "members.xgboost.weight=0.3").members.items()} == {
        "lightgbm": 0.4, "xgboost": 0.3, "random_forest": 0.2,
    }  # fmt: skip
    assert list(load(LEAST, 'members=["xgboost"]', "members.xgboost.params.max_depth=3").members) == ["xgboost"]
    assert load(LEAST, "label=column", "label.column=y").label == LabelConfig(name="column", column="y")
    assert load(LEAST, 'features.generators=["technical"]').features.generators[0].name == "technical"


def test_home_is_found_and_a_mark_of_the_encoding_skipped(load, monkeypatch, tmp_path):
    """``~`` is the user's home, and a file that begins with a byte order mark is read like any other."""
    monkeypatch.setenv("HOME", "/home/ada")
    load("\ufeff" + LEAST.replace("candles.csv", "~/candles.csv"))
    assert load_config(tmp_path / "glulam.toml").data.path == "/home/ada/candles.csv"


# -- errors of the file ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "a = = 3",
            "glulam.toml: line 1, column 5: is no TOML: invalid value; see https://toml.io for how TOML is written",
        ),
        ("[data\n", "glulam.toml: line 1, column 6: is no TOML: expected ']' at the end of a table declaration; "),
        ("seed = ", "glulam.toml: at its end: is no TOML: invalid value; "),
        ("seed = 1\nseed = 2\n", "a key comes twice; "),
        ("seed = " + "9" * 5000, "glulam.toml: is no TOML that can be read: "),
        ("x = " + "[" * 100_000, "glulam.toml: is no TOML that can be read: "),
    ],
)
def test_what_is_no_toml_is_refused_with_its_place(refused, text, said):
    """Line and column come first; what is wrong and where to look follow."""
    assert said in refused(text)


def test_files_that_cannot_be_read(tmp_path):
    """A missing file, a directory and another encoding say what to do."""
    missing = tmp_path / "glulam.toml"
    with pytest.raises(ConfigError, match=rf"^{missing}: no such file; write one with: glulam init$"):
        load_config(missing)
    with pytest.raises(
        ConfigError, match=rf"^{tmp_path}: is a directory; give the name of a config, such as {missing}$"
    ):
        load_config(tmp_path)
    missing.write_bytes("# café\n".encode("latin-1"))
    with pytest.raises(ConfigError, match=r"glulam.toml: is not UTF-8 \(byte 5\); save it as UTF-8$"):
        load_config(missing)
    with pytest.raises(ConfigError, match=r"cannot be read: Not a directory; check its permissions$"):
        load_config(missing / "x")


# -- errors of keys and types ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (
            "[ensemble]\nvotting = 'soft'",
            "ensemble.votting: unknown key; did you mean 'voting'? known are abstain_label, ",
        ),
        ("[ensembel]", "ensembel: unknown key; did you mean 'ensemble'? known are backtest, data, "),
        (
            "[leaks]\nfolds = 3",
            "leaks.folds: unknown key; did you mean evaluation.folds or tune.folds? known are skip, allow",
        ),
        (
            "[members.xgboost]\nn_estimators = 9",
            "members.xgboost.n_estimators: unknown key; parameters of the model belong under members.xgboost.params; "
            "other keys are plugin, weight, params",
        ),
        (
            "[members.xgboost]\nwieght = 9",
            "members.xgboost.wieght: unknown key; did you mean 'weight'? known are params, ",
        ),
        ("[evaluation]\nfolds = 'five'", "evaluation.folds: expected a whole number of at least 2, got 'five'"),
        ("[evaluation]\nfolds = 1", "evaluation.folds: expected a whole number of at least 2, got 1"),
        ("[evaluation]\nfolds = true", "evaluation.folds: expected a whole number of at least 2, got true"),
        ("[evaluation]\nfolds = 5.0", "evaluation.folds: expected a whole number of at least 2, got 5.0"),
        ("[evaluation]\nmetrics = 'auc'", "evaluation.metrics: expected a list, each text, got 'auc'"),
        ("[evaluation]\nmetrics = ['auc', 1]", "evaluation.metrics[1]: expected text, got 1"),
        ("[evaluation]\nparams = 3", "evaluation.params: expected a table, got 3"),
        ("[evaluation]\nallow_shuffled = 1", "evaluation.allow_shuffled: expected true or false, got 1"),
        ("[ensemble]\ntask = 'x'", "ensemble.task: expected one of 'auto', 'classification', 'regression', got 'x'"),
        ("[ensemble]\nthreshold = [1]", "ensemble.threshold: expected a number or text, got [1]"),
        ("[ensemble]\nthreshold = nan", "ensemble.threshold: expected a number or text, got nan"),
        ("[ensemble]\nabstain_label = 1.5", "ensemble.abstain_label: expected a whole number or text, got 1.5"),
        ("[ensemble]\nvalidators = [3]", "ensemble.validators[0]: expected text or a table, got 3"),
        ("[ensemble]\nweights_penalty = inf", "ensemble.weights_penalty: expected a number of at least 0, got inf"),
        ("[ensemble]\nmin_confidence = 2.0", "ensemble.min_confidence: expected a number from 0 to 1, got 2.0"),
        ("[tune]\ntimeout = 0", "tune.timeout: expected a number above 0, got 0"),
        ("[tune]\ntrials = 0", "tune.trials: expected a whole number above 0, got 0"),
        ("[features]\ngenerators = [3]", "features.generators[0]: expected a table, got 3"),
        ("[features]\ngenerators = [{ window = 3 }]", "features.generators[0].name: missing; give it"),
        ("[members]", "members: expected a table with at least 1 entry, got {}"),
        ("[members]\nlightgbm = 0.4", "members.lightgbm: expected a table, got 0.4"),
        ('[members."a b"]\nweight = -1', 'members."a b".weight: expected a number of at least 0, got -1'),
        (
            "[output]\npath = '" + "x" * 99 + "'\nruns = " + str(["y" * 99]),
            f'output.runs: expected text, got ["{"y" * 55}...',
        ),
    ],
)
def test_wrong_keys_and_values_say_where_and_what(refused, more, said):
    """The file, the key's path, what was expected and what came; keys nearest to a wrong one."""
    assert refused(LEAST + more).startswith(f"glulam.toml: {said}")


def test_seeds_are_those_that_every_library_takes(refused):
    """A seed has 32 bits."""
    assert refused(f"seed = {2**32}\n" + LEAST) == (
        "glulam.toml: seed: expected a whole number from 0 to 4,294,967,295, got 4294967296"
    )


def test_missing_sections_say_what_they_are_for(refused):
    """Data and label must be there, and a label has a name."""
    assert refused("seed = 1") == (
        'glulam.toml: 2 errors: (1) data: missing; it says where the rows are: path = "FILE"; glulam init writes a '
        'whole config (2) label: missing; it says what is to be predicted: name = "column", column = "NAME"; '
        "glulam init writes a whole config"
    )
    assert "label.name: missing; give it" in refused("data.path = 'x.csv'\n[label]\ncolumn = 'y'")
    assert 'data.path: missing; give the file that has the rows: path = "FILE"' in refused("label = 'column'\n[data]")


def test_several_errors_are_told_at_once(refused):
    """The first three are told in the order of sections, of the others how many there are."""
    more = "[tune]\ntrials = 0\nworkers = 0\n[evaluation]\nfolds = 1\nembargo = -1\n[leaks]\nallow = 1\n"
    said = refused(LEAST + more)
    assert said.startswith("glulam.toml: 5 errors: (1) evaluation.folds: expected")
    assert " (2) evaluation.embargo: " in said
    assert " (3) leaks.allow: " in said
    assert said.endswith("got 1 and 2 more")


def test_members_in_a_list_come_once(refused):
    """A name that comes twice would be one member less than asked for."""
    assert refused("members = ['xgboost', 'xgboost']\n" + LEAST).startswith(
        "glulam.toml: members: each name may come once, got ['xgboost', 'xgboost']; give two members of a kind names of their own"
    )
    assert refused(LEAST, 'members=["a", "a"]').startswith("--set members: members: each name may come once, got ")


# -- errors of the environment and of options -----------------------------------------------


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["seed"], "--set 'seed': expected KEY=VALUE, such as evaluation.folds=5"),
        (
            ["=5"],
            "--set '=5': expected KEY=VALUE, such as evaluation.folds=5; quote parts of the key that are no plain words",
        ),
        (["a b=5"], "--set 'a b=5': expected KEY=VALUE, such as evaluation.folds=5; quote parts of the key"),
        (["seed=1\nx=2=3"], "glulam.toml: seed (set by --set seed): expected a whole number"),
        (["seed\nx=2"], "--set 'seed\\nx=2': expected KEY=VALUE"),
        (['label."x=1'], "--set 'label.\"x=1': expected KEY=VALUE, such as evaluation.folds=5"),
        (
            ["evaluation.fold=5"],
            "glulam.toml: evaluation.fold (set by --set evaluation.fold): unknown key; did you mean 'folds'?",
        ),
        (
            ["evaluation={ fold = 5 }"],
            "glulam.toml: evaluation.fold (set by --set evaluation): unknown key; did you mean",
        ),
        (["label.x=1", "label.x.y=2"], "--set label.x.y: label.x is 1, no table; give it as a whole: label.x=VALUE"),
        (
            ["features.generators=['technical']", "features.generators.technical=1"],
            '--set features.generators.technical: features.generators is [{ name = "technical" }], no table; give it',
        ),
    ],
)
def test_options_that_cannot_be_are_named(refused, options, said):
    """An error of an option names it, and where in the config it would be."""
    assert refused(LEAST, *options).startswith(said)


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        (
            "GLULAM_MEMBRES__XGBOOST",
            "0",
            "glulam.toml: membres (set by GLULAM_MEMBRES__XGBOOST): unknown key; did you mean 'members'?",
        ),
        (
            "GLULAM_EVALUATION__FOLD",
            "3",
            "glulam.toml: evaluation.fold (set by GLULAM_EVALUATION__FOLD): unknown key; did you mean 'folds'?",
        ),
        (
            "GLULAM_EVALUATION__FOLDS",
            "x",
            "glulam.toml: evaluation.folds (set by GLULAM_EVALUATION__FOLDS): expected a whole number of at least 2, got 'x'",
        ),
        ("GLULAM_DATA", "x.csv", "glulam.toml: data (set by GLULAM_DATA): expected a table, got 'x.csv'"),
        (
            "GLULAM_DATA____PATH",
            "x",
            "GLULAM_DATA____PATH: a key is empty; write GLULAM_SECTION__KEY, such as GLULAM_DATA__PATH",
        ),
        ("GLULAM_DATA__PATH", "\udcff.csv", "GLULAM_DATA__PATH: its value is not UTF-8; set it again as UTF-8"),
    ],
)
def test_variables_that_cannot_be_are_named(refused, variable, value, said):
    """An error of a variable names it, and where in the config it would be."""
    assert refused(LEAST, **{variable: value}).startswith(said)


def test_a_variable_that_means_two_keys_is_refused(refused):
    """Upper case cannot tell C from c."""
    text = LEAST + "[evaluation.params]\nC = 1\nc = 2\n"
    assert refused(text, GLULAM_EVALUATION__PARAMS__C="3") == (
        "GLULAM_EVALUATION__PARAMS__C: may mean C or c; name one with --set instead"
    )


# -- names ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (
            "[members.xgbost]",
            "members.xgbost: unknown model plugin 'xgbost'; did you mean 'xgboost'? known are adaboost, ",
        ),
        ("[members.a]\nplugin = 'b'", "members.a.plugin: unknown model plugin 'b'; known are adaboost, "),
        (
            "[label]\nname = 'next_dirction'",
            "label.name: unknown label 'next_dirction'; did you mean 'next_direction'? ",
        ),
        ("[evaluation]\nsplitter = 'k_fold'", "evaluation.splitter: unknown splitter 'k_fold'; did you mean "),
        ("[evaluation]\nmetrics = ['AUC']", "evaluation.metrics[0]: unknown metric 'AUC'; did you mean 'auc'? "),
        (
            "[ensemble]\nvoting = 'sofd'",
            "ensemble.voting: unknown voting strategy 'sofd'; did you mean 'soft'? known are ",
        ),
        ("[ensemble]\ncalibration = 'platt'", "ensemble.calibration: unknown calibrator 'platt'; known are isotonic, "),
        (
            "[ensemble]\nthreshold = 'f2'",
            "ensemble.threshold: expected a number between 0 and 1, expected_value or a metric's name, got 'f2'; ",
        ),
        (
            "[ensemble]\nvalidators = ['finit']",
            "ensemble.validators[0]: unknown feature validator 'finit'; did you mean 'finite'? ",
        ),
        (
            "[ensemble]\nvalidators = [{ name = 'rang' }]",
            "ensemble.validators[0]: unknown feature validator 'rang'; did you mean 'range'? ",
        ),
        (
            "[features]\ngenerators = ['technicl']",
            "features.generators[0]: unknown feature generator 'technicl'; did you mean 'technical'? ",
        ),
        (
            "[features]\nselect = 'stable'",
            "features.select: unknown feature selector 'stable'; did you mean 'stability'? ",
        ),
        ("[leaks]\nskip = ['x']", "leaks.skip[0]: unknown leak check 'x'; "),
        ("[tune]\nmetric = 'rsme'", "tune.metric: unknown metric 'rsme'; did you mean 'rmse'? "),
    ],
)
def test_unknown_names_are_found_before_any_work(refused, more, said):
    """Each kind of plugin is known by name, and the nearest one is shown."""
    text = LEAST if "[label]" not in more else 'data.path = "x.csv"\n'
    assert refused(text + more).startswith(f"glulam.toml: {said}")


def test_names_can_be_checked_by_themselves():
    """`check_names` does for a config made in Python what `load_config` does for a file."""
    made = Config(data=DataConfig(), label=LabelConfig(name="columns"))
    with pytest.raises(ConfigError, match=r"^label.name: unknown label 'columns'; did you mean 'column'\? known are "):
        check_names(made)
    check_names(made.model_copy(update={"label": LabelConfig(name="column")}))


def test_names_are_checked_without_importing_a_library(tmp_path):
    """Whether lightgbm is known does not take lightgbm."""
    (tmp_path / "glulam.toml").write_text(LEAST + "[ensemble]\nweights = 'auto'\n")
    program = (
        "import sys, pathlib; from glulam.training.loading import load_config; "
        f"load_config(pathlib.Path({str(tmp_path / 'glulam.toml')!r})); "
        "print(sorted({'sklearn', 'lightgbm', 'xgboost', 'pandas', 'scipy', 'onnxruntime'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


# -- what does not go together --------------------------------------------------------------

PATH = "label = 'next_direction'\n[data]\npath = "


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (LEAST + "[ensemble]\nabstain_label = -1", "ensemble.abstain_label: needs ensemble.min_confidence, below which it is given"),
        (LEAST + "[ensemble]\nthreshold = 1.0", "ensemble.threshold: expected a number between 0 and 1, got 1.0"),
        (LEAST + "[ensemble]\nvalidators = [{ margin = 1 }]", 'ensemble.validators[0]: expected the name of a validator or a table such as { name = "range", margin = 0.1 }, got { margin = 1 }'),
        (LEAST + "[ensemble]\ntask = 'regression'\ncalibration = 'sigmoid'", "ensemble.calibration: belongs to classification, but ensemble.task is 'regression'; leave it out"),
        (LEAST + "[ensemble]\nweights = 'auto'\nvoting = 'stacking'", "ensemble.weights: 'auto' does not go with voting 'stacking', which learns what votes are worth itself; leave it out, or take voting = \"soft\""),
        (LEAST + "[members.xgboost]\nweight = 0", "members: every weight is 0, so that nobody votes; give one of them a weight above 0"),
        (LEAST + "[features]\nselect_params = { n = 3 }", "features.select_params: needs features.select, the name of a feature selector"),
        (PATH + "'x.duckdb'", "data.path: a database ('x.duckdb') needs data.query, the SQL that gives the rows: query = \"SELECT * FROM prices\""),
        (PATH + "'x.csv'\nquery = 'SELECT 1'", "data.query: only a database takes one, and data.path is 'x.csv'; leave it out, or give a file that ends in .duckdb, .ddb, .sqlite, .sqlite3, .db"),
        (PATH + "'x.csv'\ndrop = ['a']\n[features]\ngenerators = ['technical']", "data.drop: with features.generators the features are theirs, no columns; leave it out, or the generators"),
        (PATH + "'x.csv'\ncategorical = ['a']\n[features]\ngenerators = ['technical']", "data.categorical: with features.generators the features are theirs"),
        (PATH + "'x.csv'\ndays = 3\nsince = '2023-01-01'", "data.days: does not go with data.since: both say where the rows begin; leave one out"),
        (PATH + "'x.csv'\nsince = 2023-01-02\nuntil = 2023-01-02", "data.since: expected a moment before data.until (2023-01-02), got 2023-01-02; no row would be left"),
        (PATH + "'x.csv'\nsince = 'yesterday'", "data.since: expected a date or time such as 2023-01-31 or 2023-01-31T04:00:00Z, got 'yesterday'"),
        (PATH + "'x.csv'\ntimezone = 'Berlin'", "data.timezone: unknown time zone 'Berlin'; "),
        (PATH + "'x.csv'\ntimezone = 'europe/berlin'", "data.timezone: unknown time zone 'europe/berlin'; did you mean 'Europe/Berlin'?"),
        (PATH + "'x.csv'\ntimezone = '../x'", "data.timezone: unknown time zone '../x'; give a name such as UTC or Europe/Berlin"),
        (PATH + "'x.csv'\ntimezone = 'Europe'", "data.timezone: unknown time zone 'Europe'; "),
    ],
)  # fmt: skip
def test_what_does_not_go_together_is_refused(refused, text, said):
    """What needs no data to be seen is seen before any are read."""
    assert refused(text).startswith(f"glulam.toml: {said}")


def test_moments_are_compared_in_their_zones(load, refused):
    """A moment without a zone is in the config's, so that what is written later may be earlier."""
    text = PATH + "'x.csv'\ntimezone = '{}'\nsince = '2023-01-01T00:00:00'\nuntil = '2022-12-31T23:30:00Z'\n"
    assert "data.since: expected a moment before" in refused(text.format("UTC"))
    assert load(text.format("Europe/Berlin")).data.timezone == "Europe/Berlin"


def test_weights_of_nought_do_not_matter_where_they_are_not_taken(load):
    """Equal and automatic weights are not the members' own; a missing plugin's vote is told as unknown."""
    assert load(LEAST + "[ensemble]\nweights = 'equal'\n[members.xgboost]\nweight = 0").members["xgboost"].weight == 0


# -- writing --------------------------------------------------------------------------------

TEXT = st.text(max_size=8)
VALUES = st.recursive(
    st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT | st.dates() | st.times() | st.datetimes(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
PARAMS = st.dictionaries(TEXT, VALUES, max_size=3)


@settings(deadline=None)
@given(table=st.dictionaries(TEXT, VALUES, max_size=5))
def test_any_toml_reads_back(table):
    """Text, keys, dates and nested tables of any kind are written so that they read back the same."""
    assert tomllib.loads(_toml.document(table)) == table


@settings(deadline=None)
@given(name=TEXT, value=VALUES)
def test_any_value_can_be_set(name, value):
    """What is written as TOML, key and value, reaches the config as it is."""
    raw = {}
    option = f"label.{_toml.key(name)} = {_toml.inline(value)}"
    origins = _overrides.apply(raw, [option], {}, spell_out=lambda raw, source: None)
    assert raw == {"label": {name: value}}
    assert list(origins) == [("label", name)]


@settings(deadline=None)
@given(
    members=st.dictionaries(
        TEXT, st.builds(MemberConfig, weight=st.floats(0, 9), params=PARAMS), min_size=1, max_size=3
    ),
    params=st.dictionaries(TEXT.filter(lambda name: name != "name"), VALUES, max_size=3),
    path=TEXT,
    seed=st.integers(0, 2**32 - 1),
    abstain=st.none() | st.integers() | TEXT,
    validators=st.none() | st.lists(TEXT | PARAMS, max_size=2),
)
def test_a_config_reads_back_equal(members, params, path, seed, abstain, validators):
    """The resolved config as TOML is the same config, with the same digest."""
    made = Config(
        seed=seed, members=members, data={"path": path}, label={"name": "column", **params},
        ensemble={"abstain_label": abstain, "validators": validators},
    )  # fmt: skip
    again = Config.model_validate(tomllib.loads(to_toml(made)))
    assert again == made
    assert digest(again) == digest(made)


def test_a_loaded_config_loads_back(load):
    """What `to_toml` writes has every key, and `load_config` takes it."""
    found = load(LEAST + "[members.forest]\nplugin = 'random_forest'\nparams = { max_depth = 3 }\n")
    written = to_toml(found)
    assert load(written) == found
    assert "[members.forest.params]\nmax_depth = 3\n" in written
    assert "bootstrap = 1000\n" in written
    assert "min_confidence" not in written  # None is left out


def test_what_toml_cannot_say_is_refused():
    """A parameter of None is no missing one, and objects are no text."""
    for value, what in ((None, "None"), (object(), "a object"), ({"b": None}, "None")):
        made = Config(data={}, label={"name": "column"}, members={"xgboost": {"params": {"a": value}}})
        with pytest.raises(
            ConfigError, match=rf"^members.xgboost.params.a(.b)?: {what} cannot be written in TOML; leave "
        ):
            to_toml(made)
    with pytest.raises(ConfigError, match="label.column: None cannot be written"):
        to_toml(Config(data={}, label={"name": "column", "column": None}))
    with pytest.raises(ConfigError, match=r"text '\\udcff' is not Unicode and cannot be written in TOML; correct it"):
        to_toml(Config(data={}, label={"name": "column", "column": "\udcff"}))


def test_numpy_numbers_are_written_as_numbers():
    """A parameter that a search has drawn may be numpy's."""
    params = {"a": np.float64(0.1), "b": np.int64(3), "c": np.bool_(True), "d": np.float32(0.5)}
    made = Config(data={}, label={"name": "column"}, members={"xgboost": {"params": params}})
    again = tomllib.loads(to_toml(made))["members"]["xgboost"]["params"]
    assert again == {"a": 0.1, "b": 3, "c": True, "d": 0.5}
    assert len(digest(made)) == 64


def test_a_digest_tells_configs_apart_but_for_where_results_go(load):
    """Defaults that are written out, the order of keys and the output change nothing; all else does."""
    least = digest(load())
    assert digest(load("data.path = 'candles.csv'\nseed = 42\nlabel.name = 'next_direction'")) == least
    assert digest(load(LEAST, "output.path=other.onnx")) == least
    changed = [
        "seed=1",
        "data.path=b.csv",
        "label.x=1",
        "members.xgboost.weight=1",
        "evaluation.folds=3",
        "label.x=1979-05-27",
    ]
    assert len({least, *(digest(load(LEAST, option)) for option in changed)}) == len(changed) + 1


def test_dates_are_written_as_toml_has_them():
    """Dates, times and moments with a zone read back."""
    table = {"a": date(2023, 1, 31), "b": clock(4, 0, 1, 5), "c": datetime(2023, 1, 31, 4, tzinfo=UTC)}
    assert tomllib.loads(_toml.document(table)) == table


KEYS = sorted({key for section in SECTIONS for key in section.model_fields} | {"lightgbm", "a\nb"})
ANY = st.recursive(
    st.sampled_from(["auc", "soft", "auto", "lightgbm", "x.db", "2023-01-01", "\n"]) | VALUES | st.just(float("nan")),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=3),
    max_leaves=4,
)


@settings(max_examples=100, deadline=None)
@given(
    raw=st.dictionaries(
        st.sampled_from(list(Config.model_fields)), st.dictionaries(st.sampled_from(KEYS), ANY, max_size=3) | ANY
    ),
    whole=st.booleans(),
    option=st.none() | st.tuples(st.sampled_from(list(Config.model_fields)), st.sampled_from(KEYS), ANY),
)
def test_whatever_a_config_holds_it_loads_or_is_refused_in_one_line(raw, whole, option):
    """No TOML at all leads to another error than ConfigError, and that has no line breaks."""
    if whole:
        raw = {"data": {"path": "x.csv"}, "label": "column"} | raw
    options = [f"{option[0]}.{_toml.key(option[1])}={_toml.inline(option[2])}"] if option else []
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "glulam.toml")
        path.write_text(_toml.document(raw))
        try:
            found = load_config(path, overrides=options, environ={})
        except ConfigError as error:
            said = str(error)
        else:
            path.write_text(to_toml(found))
            said = "" if digest(load_config(path, environ={})) == digest(found) else "another config\n"
    assert "\n" not in said


# -- documents ------------------------------------------------------------------------------


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.__name__)
def test_every_key_has_a_docstring(section):
    """Each section and each key says what it is, and one without a default has an example."""
    assert section.__doc__
    for name, field in section.model_fields.items():
        assert field.description, f"{section.__name__}.{name}"
        assert field.is_required() or field.get_default(call_default_factory=True) is not None or field.examples


def test_every_key_is_documented():
    """The document has a table for each section with a row for each of its keys."""
    text = DOCUMENT.read_text()
    tables = {
        found[1]: re.findall(r"^\| `(\w+)` \|", found[2], re.MULTILINE)
        for found in re.finditer(r"^### `\[([\w.]+)\]`\n(.*?)(?=^##|\Z)", text, re.MULTILINE | re.DOTALL)
    }
    sections = {
        name: field.annotation for name, field in Config.model_fields.items() if name not in ("seed", "members")
    }
    sections["members.NAME"] = MemberConfig
    assert tables == {name: list(section.model_fields) for name, section in sections.items()}
    assert "`seed`" in text


def test_the_examples_of_the_document_load(load):
    """Every TOML block is a config that loads, and the defaults in the tables are the true ones."""
    text = DOCUMENT.read_text()
    blocks = re.findall(r"^```toml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 2
    for block in blocks:
        load(block)
    for found in re.finditer(r"^### `\[(\w+)\]`\n(.*?)(?=^##|\Z)", text, re.MULTILINE | re.DOTALL):
        fields = Config.model_fields[found[1]].annotation.model_fields
        for name, default in re.findall(r"^\| `(\w+)` \| (?:`(.*?)`)? *\|", found[2], re.MULTILINE):
            value = None if fields[name].is_required() else fields[name].get_default(call_default_factory=True)
            assert default == ("" if value is None else _toml.inline(value)), (found[1], name)
