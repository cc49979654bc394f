"""The benchmarks run as a whole, and their results have every figure. No time is judged here."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from benchmarks import claims, converters, judging, report, scale

ROOT = Path(__file__).parents[1]
TIMES = {"p50", "p99", "ratio", "ratio_low", "ratio_high", "calls"}
DIFFERENCES = {"difference_training", "difference_hard", "differences"}
EXPORTED = {"seconds", "before_bytes", "peak_bytes", "increase_bytes", "file_bytes"} | DIFFERENCES
PROOF = {"precision", "proof_rows", "proof_seconds", "proof_difference"}


def benchmarks(*arguments):
    """Run the command; return the finished process."""
    command = [sys.executable, "-m", "benchmarks", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    """Return stdout, JSON and Markdown file of one quick run of everything."""
    folder = tmp_path_factory.mktemp("benchmarks")
    done = benchmarks("--quick", "--json", folder / "run.json", "--out", folder / "run.md")
    assert done.returncode == 0, done.stderr
    return done.stdout, json.loads((folder / "run.json").read_text()), (folder / "run.md").read_text()


def test_a_run_says_what_was_measured_and_on_what(quick):
    """Machine, versions and workload are in the results; a date only if asked for."""
    _, run, _ = quick
    assert {"cpu", "cores", "load", "system", "python", "versions"} == set(run["machine"])
    assert {"glulam", "onnxruntime", "lightgbm", "scikit-learn"} <= set(run["machine"]["versions"])
    assert run["quick"] is True
    assert "date" not in run
    members = run["workload"]["members"]
    assert set(members) == {"lightgbm", "xgboost", "random_forest"}
    assert run["workload"]["nodes"] == sum(each["splits"] + each["leaves"] for each in members.values())
    assert {each["trees"] for each in members.values()} == {run["scale"]["trees"]}


def test_every_contestant_has_its_figures(quick):
    """Each section holds the contestants that it compares, each with all figures, none negative."""
    results = quick[1]["results"]
    assert set(results) == {"export", "load", "memory", "latency", "batch", "precision", "overhead"}
    assert {name: set(each) for name, each in results["export"].items()} == {
        "glulam": EXPORTED | PROOF,
        "skl2onnx": EXPORTED,
    }
    files = {"glulam", "onnxruntime", "skl2onnx", "native"}
    assert set(results["load"]) == set(results["memory"]) == files | {"floor"}
    assert set(results["latency"]) == files | {"native_all"}
    assert set(results["batch"]) == files | {"native_all", "glulam_all"}
    for part in ("latency", "batch"):
        assert all(set(each) == TIMES for each in results[part].values())
        assert results[part]["glulam"]["ratio"] == 1
        assert all(0 < each["p50"] <= each["p99"] for each in results[part].values())
    assert 0 < results["memory"]["floor"]["resident_bytes"] < results["memory"]["glulam"]["resident_bytes"]


def test_glulams_answers_are_native_ones(quick):
    """The file that is timed gives the libraries' probabilities, on rows made to find mistakes too."""
    exported = quick[1]["results"]["export"]["glulam"]
    assert exported["difference_training"] <= 1e-6
    assert exported["difference_hard"] == max(exported["differences"].values()) <= 1e-6
    assert {"threshold", "joint thresholds", "missing", "extreme"} <= set(exported["differences"])


def test_precisions_are_compared_on_all_three_counts(quick):
    """float32 and float64 stand side by side for warm and cold rows, a batch, and differences."""
    stdout, run, _ = quick
    precision = run["results"]["precision"]
    assert set(precision) == {"files", "hot", "cold", "batch"}
    for part in ("hot", "cold", "batch"):
        assert set(precision[part]) == {"float32", "float64"}
    for each in precision["files"].values():
        assert set(each) == DIFFERENCES | {"export_seconds", "file_bytes", "proof_differences"}
        assert each["difference_hard"] <= 1e-6
    assert re.search(r"^Verdict: float64 costs [+-]\d+ % at one row", stdout, re.MULTILINE)


def test_overhead_is_the_difference_of_two_medians(quick):
    """Both files tell both sides and what lies between."""
    overhead = quick[1]["results"]["overhead"]
    assert set(overhead) == {"ensemble", "small"}
    for each in overhead.values():
        assert each["added"] == pytest.approx(each["predict_proba_p50"] - each["session_run_p50"])


def test_a_quick_run_judges_no_claim(quick):
    """Claims are printed with what was measured, but a smoke run neither passes nor fails them."""
    stdout, run, _ = quick
    assert len(run["claims"]) == len(claims.CLAIMS)
    assert all(claim["passed"] is None for claim in run["claims"])
    assert stdout.count("- not judged: ") == len(claims.CLAIMS)


def test_what_is_printed_is_what_is_written_and_holds_a_whole_table(quick):
    """What --out writes and stdout are the same Markdown; every row of a table has as many cells as its head."""
    stdout, _, written = quick
    assert stdout == written
    tables = [block.splitlines() for block in stdout.split("\n\n") if block.startswith("|")]
    assert len(tables) == 3
    assert all(len({line.count("|") for line in table}) == 1 for table in tables)


def test_an_unknown_section_is_refused_by_name():
    """The error says which sections there are."""
    done = benchmarks("--only", "export,speed")
    assert done.returncode == 2
    assert "unknown ['speed']; expected some of export,load,memory,latency,batch,precision,overhead" in done.stderr


def test_claims_pass_at_their_limit_and_fail_above_it():
    """A claim is judged by the figure it names; one that was not measured is left out."""
    results = {"export": {"glulam": {"seconds": 5.0, "peak_bytes": 600_000_001, "file_bytes": 3e6}}}
    judged = claims.judge(results, quick=False)
    assert [claim["passed"] for claim in judged] == [True, False, True]
    assert [claim["limit"] for claim in judged] == [5, 600, 6]
    assert "FAIL: its process never holds 600 MB (600.00 MB)" in report.claim_lines(judged)


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    """Return stdout and JSON of three cases of the matrix through converters and glulam."""
    folder = tmp_path_factory.mktemp("converters")
    found = []
    for library, case in (("XGBoost", "reg:logistic"), ("CatBoost", "loss Poisson")):
        file = folder / f"{library}.json"
        done = benchmarks("converters", "--library", library, "--case", case, "--all", "--json", file)
        assert done.returncode == 0, done.stderr
        found += json.loads(file.read_text())
    return done.stdout, found


def test_converters_are_compared_case_by_case(compared):
    """What stock converters get wrong is told with an example; glulam's answers are the library's."""
    found = {(each["library"], each["name"]): each for each in compared[1]}
    assert found["XGBoost", "reg:logistic"]["stock"] == "ordinary"
    assert found["CatBoost", "loss Poisson"]["stock"] == "ordinary"
    assert found["CatBoost", "loss Poisson"]["stock_detail"].startswith("value of ")
    assert {each["glulam"] for each in compared[1]} == {"exact"}


def test_converters_are_counted(compared):
    """The table has a row for each converter and for glulam, in all as well; --all lists the cases."""
    stdout, _ = compared
    assert "| CatBoost | CatBoost save_model | 1 | 0 | 1 | 0 |" in stdout
    assert stdout.count("|  | glulam | 1 | 1 | 0 | 0 |") == 2
    assert "| CatBoost | loss Poisson | wrong on ordinary rows | exact |" in stdout
    tables = [block.splitlines() for block in stdout.split("\n\n") if block.startswith("|")]
    assert all(len({line.count("|") for line in table}) == 1 for table in tables)


def test_a_case_that_crashes_or_hangs_ends_no_run(monkeypatch, tmp_path):
    """What brings the process down, or never ends, fails; those before and behind it are judged all the same."""
    (tmp_path / "converting.py").write_text(
        "import json, os, sys, time\n"
        "for task in json.loads(sys.argv[2]):\n"
        "    with open(sys.argv[1], 'a') as out: print(json.dumps({'begun': task}), file=out)\n"
        "    if task[0] == 'crashes': os.abort()\n"
        "    if task[0] == 'hangs': time.sleep(60)\n"
        "    with open(sys.argv[1], 'a') as out:\n"
        "        print(json.dumps({'done': task, 'found': 'exact', 'detail': ''}), file=out)\n"
    )
    monkeypatch.setattr(converters, "WORKER", [sys.executable, str(tmp_path / "converting.py")])
    tasks = [(name, "stock") for name in ("right", "crashes", "hangs", "right too")]
    assert list(converters.run(tasks, seconds=2)) == [
        (("right", "stock"), "exact", ""),
        (("crashes", "stock"), "fails", "its process ends with status -6"),
        (("hangs", "stock"), "fails", "not done in 2 s"),
        (("right too", "stock"), "exact", ""),
    ]


def test_rows_are_blamed_by_what_is_in_them():
    """A wrong row is told by its family, a NaN or a code that is none; the plainest kind is blamed first."""
    rows = np.array([[1, 0], [2, np.nan], [3, 0.5]])
    kinds = judging.kinds_of({"training": rows, "threshold": rows[:1], "infinite": rows}, {1: 4.0})
    assert kinds.tolist() == ["ordinary", "missing", "category", "threshold", "extreme", "extreme", "extreme"]
    want = {"value": np.arange(7.0)}
    for wrong, kind in ((range(1, 7), "missing"), ((2, 3), "threshold"), ((2, 4), "category"), ((5,), "extreme")):
        got = want["value"].copy()
        got[list(wrong)] += 1
        assert judging.judge(want, {"value": got}, kinds, 0.0)[0] == kind
    assert judging.judge(want, {"value": want["value"] + 1e-6}, kinds, 0.0) == ("", "")


def test_a_label_is_wrong_unless_the_scores_tie():
    """Labels may differ where the library's own scores are within the tolerance of its decision."""
    scores = np.array([[0.5, 0.5], [0.4, 0.6], [0.2, 0.8]])
    want = {"label": np.array(["a", "b", "b"]), "probabilities": scores}
    kinds = np.full(3, "ordinary")
    tie = {"label": np.array(["b", "b", "b"]), "probabilities": scores}
    assert judging.judge(want, tie, kinds, 0.0) == ("", "")
    other = {"label": np.array(["a", "a", "b"]), "probabilities": scores}
    assert judging.judge(want, other, kinds, 0.0) == ("ordinary", "label of 1 of 3 rows, as a for b")
    assert judging.judge(want, other, kinds, 0.6) == ("", "")


def test_stock_outputs_are_named():
    """Dictionaries by class become columns; a pair of scores is its second where the library gives one."""
    want = {"label": np.array([0, 1]), "probabilities": np.zeros((2, 2))}
    got = judging.named([np.array([0, 1]), [{0: 0.75, 1: 0.25}, {0: 0.5, 1: 0.5}]], want)
    assert got["probabilities"].tolist() == [[0.75, 0.25], [0.5, 0.5]]
    decided = {"label": np.array([0, 1]), "decision_function": np.zeros(2)}
    scores = judging.named([np.array([0, 1]), np.array([[-1.0, 1.0], [2.0, -2.0]])], decided)
    assert scores["decision_function"].tolist() == [1.0, -2.0]
    assert judging.named([np.ones((2, 1))], {"value": np.zeros(2)})["value"].shape == (2,)


def test_large_models_are_measured(capsys):
    """A forest is exported in a process of its own, and its figures printed as a table."""
    assert scale.main(["--trees", "5", "--rows", "60", "120"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("| nodes | export, proof included")
    assert len([line for line in lines if line.startswith("| ")]) == 3
    assert "times the nodes take" in lines[-1]
