"""The benchmarks run as a whole, and their results have every figure. No time is judged here."""

import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from benchmarks import (
    claims,
    converters,
    curves,
    environments,
    fleet,
    instructions,
    judging,
    plot,
    report,
    scale,
    settings,
    store,
    stream,
    worker,
)  # fmt: skip
from benchmarks.__main__ import main
from benchmarks.models import read_model
from benchmarks.peers import PEERS

ROOT = Path(__file__).parents[1]
TIMES = {"p50", "p99", "p999", "turns", "ratio", "ratio_low", "ratio_high", "calls"}
CONVERTED = {"seconds", "before_bytes", "peak_bytes", "increase_bytes", "file_bytes"}
STARTED = {"start_seconds", "load_seconds", "resident_bytes", "peak_bytes"}
HERE = {"glulam", "glulam_session", "builtin", "booster"}
"""Peers that take the LightGBM member alone and need no environment of their own."""


def benchmarks(*arguments):
    """Run the command; return the finished process."""
    command = [sys.executable, "-m", "benchmarks", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    """Return stdout, JSON, and the folder of one quick run of all sections, on two models and some peers."""
    folder = tmp_path_factory.mktemp("benchmarks")
    peers = [*sorted(HERE), "floor", "native", "skl2onnx", "lleaves"]
    done = benchmarks(
        "--quick", "--home", folder / "home", "--peers", ",".join(peers),
        "--json", folder / "run.json", "--out", folder / "run.md", "--plot", folder / "run.svg",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout, json.loads((folder / "run.json").read_text()), folder


def test_a_run_says_what_was_measured_and_on_what(quick):
    """Machine, versions of all environments and models are in the results; a date only if asked for."""
    _, run, _ = quick
    assert {"cpu", "cores", "load", "system", "python", "versions"} == set(run["machine"])
    assert {"glulam", "onnxruntime", "lightgbm", "scikit-learn"} <= set(run["machine"]["versions"])
    assert run["quick"] is True
    assert "date" not in run
    assert run["environments"]["own"]["numpy"] == np.__version__
    models = run["workload"]["models"]
    assert set(models) == {"ensemble", "lightgbm", "xgboost", "random_forest", "leafwise", "multiclass"}
    assert models["ensemble"]["trees"] == [run["scale"]["trees"]] * 3
    assert models["multiclass"]["trees"] == [10 * run["scale"]["trees"]]
    assert models["ensemble"]["levels"] == pytest.approx(
        sum(models[name]["levels"] for name in ("lightgbm", "xgboost", "random_forest"))
    )


def test_every_peer_has_its_figures(quick):
    """Each record of calls has the peers that can take part, with all figures, none negative."""
    results = quick[1]["results"]
    kinds = [(each["model"], each["threads"], each["rows"], each["cache"]) for each in results["calls"]]
    both = [(1, 1, "hot"), (1, 1, "cold"), (1, 50, "hot")]
    assert set(kinds) == {
        *(("ensemble", *kind) for kind in [*both, (2, 1, "hot"), (2, 50, "hot")]),
        *(("lightgbm", *kind) for kind in both),
    }
    assert len(set(kinds)) == len(kinds)
    for record in results["calls"]:
        others = HERE if record["model"] == "lightgbm" else HERE - {"booster"} | {"floor", "skl2onnx"}
        assert set(record["peers"]) == others | {"native"}
        assert all(set(each) == TIMES for each in record["peers"].values())
        assert record["peers"]["glulam"]["ratio"] == 1
        assert all(0 < each["p50"] <= each["p99"] for each in record["peers"].values())


def test_absent_peers_have_a_reason(quick):
    """Who is not set up, or does not take a model, is named with the reason, in the results and in the report."""
    stdout, run, _ = quick
    gone = run["results"]["gone"]
    assert gone["ensemble"]["lleaves"] == "not set up: python -m benchmarks setup lleaves"
    assert gone["lightgbm"]["skl2onnx"] == "a VotingClassifier has several members"
    assert gone["ensemble"]["booster"] == "one library's Booster is not the ensemble"
    assert "- lleaves, ensemble, lightgbm: not set up: python -m benchmarks setup lleaves" in stdout
    assert run["environments"]["lleaves"] == "not set up: python -m benchmarks setup lleaves"


def test_differences_tell_wrong_peers_from_right_ones(quick):
    """The file gives the libraries' probabilities on hard rows too; the libraries are no different from themselves."""
    differences = quick[1]["results"]["differences"]
    for model in ("ensemble", "lightgbm"):
        assert differences[model]["native"] == {"training": 0, "hard": 0}
        for peer in ("glulam_session", "builtin"):
            assert max(differences[model][peer].values()) <= 1e-6
        assert differences[model]["glulam"]["training"] <= 1e-6
    assert differences["ensemble"]["glulam"]["hard"] is None  # no missing values in training: refused


def test_answers_that_are_wrong_or_no_numbers_are_seen(model):
    """The largest difference counts, NaN as 1; of two classes a peer may give the second alone."""
    rows, wanted = model.checks()["training"]
    right = dict(zip(map(bytes, rows), wanted, strict=True)) | dict(
        zip(map(bytes, model.checks()["hard"][0]), model.checks()["hard"][1], strict=True)
    )

    def answer(rows):
        return np.array([right[bytes(row)] for row in rows])

    assert worker.differences(lambda rows: answer(rows)[:, 1], model) == {"training": 0, "hard": 0}
    off = worker.differences(lambda rows: answer(rows) + 0.25, model)
    assert off == pytest.approx({"training": 0.25, "hard": 0.25})
    assert worker.differences(lambda rows: answer(rows) * np.nan, model) == {"training": 1, "hard": 1}


def test_conversions_and_starts_are_measured(quick):
    """Those who convert have seconds, memory and size; all who answer have a start."""
    results = quick[1]["results"]
    converts = {"glulam", "floor", "skl2onnx"}
    assert {name for name, each in results["convert"]["ensemble"].items() if set(each) == CONVERTED} == converts
    started = {name for name, each in results["start"]["ensemble"].items() if set(each) == STARTED}
    assert started == converts | {"glulam_session", "builtin", "native"}
    figures = results["start"]["ensemble"]
    assert 0 < figures["floor"]["resident_bytes"] < figures["native"]["resident_bytes"]
    assert all(figures[name]["load_seconds"] < figures[name]["start_seconds"] for name in started)


def test_curves_have_a_record_a_point(quick):
    """The curve over rows is there for one and two threads, growth for each axis."""
    results = quick[1]["results"]
    points = {(each["threads"], each["rows"]) for each in results["sweep"]}
    assert points == {(threads, rows) for threads in (1, 2) for rows in (1, 20, 200)}
    assert all(set(each["peers"]) == {"glulam", "glulam_session", "builtin"} for each in results["sweep"])
    assert [(each["axis"], each["value"]) for each in results["growth"]] == [
        ("trees", 4),
        ("classes", 3),
    ]
    for each in results["growth"]:
        assert each["nodes"] > each["levels"] > 0
        assert set(each["calls"]["1"]) == set(each["calls"]["1000"]) == {"glulam", "builtin", "booster"}


def test_precisions_are_compared_on_all_three_counts(quick):
    """float32 and float64 stand side by side for warm and cold rows, a batch, and differences."""
    stdout, run, _ = quick
    precision = run["results"]["precision"]
    assert set(precision) == {"files", "hot", "cold", "batch"}
    for part in ("hot", "cold", "batch"):
        assert set(precision[part]) == {"float32", "float64"}
    assert all(each["difference_hard"] <= 1e-6 for each in precision["files"].values())
    assert re.search(r"^Verdict: float64 costs [+-]\d+ % at one row", stdout, re.MULTILINE)


def test_overhead_is_the_difference_of_two_medians(quick):
    """Both files tell all sides and what lies between."""
    overhead = quick[1]["results"]["overhead"]
    assert set(overhead) == {"ensemble", "small"}
    for each in overhead.values():
        assert each["added"] == pytest.approx(each["predict_proba_p50"] - each["session_run_p50"])
        assert each["added_to_bound"] == pytest.approx(each["predict_proba_p50"] - each["bound_run_p50"])


def test_a_quick_run_judges_no_claim(quick):
    """Claims are printed with what was measured, but a smoke run neither passes nor fails them."""
    stdout, run, _ = quick
    # A hundred thousand rows are not measured.
    assert len(run["claims"]) == len(claims.CLAIMS) - 1
    assert all(claim["passed"] is None for claim in run["claims"])
    assert stdout.count("- not judged: ") == len(claims.CLAIMS) - 1


def test_what_is_printed_is_what_is_written_and_holds_whole_tables(quick):
    """What --out writes and stdout are the same Markdown; every row of a table has as many cells as its head."""
    stdout, _, folder = quick
    assert stdout == (folder / "run.md").read_text()
    tables = [block.splitlines() for block in stdout.split("\n\n") if block.startswith("|")]
    assert len(tables) == 8
    assert all(len({line.count("|") for line in table}) == 1 for table in tables)


def test_the_plot_is_a_picture_of_all_peers(quick):
    """It is well-formed, and has a line and a name for each peer of a panel."""
    picture = ET.parse(quick[2] / "run.svg").getroot()  # noqa: S314  our own file
    panels = [each for each in picture if each.tag.endswith("}g")]
    assert len(panels) == 2
    names = {"".join(text.itertext()) for text in panels[0].iter() if text.tag.endswith("}text")}
    peers = HERE - {"booster"} | {"floor", "native", "skl2onnx"}
    assert {PEERS[peer].label for peer in peers} <= names
    assert len([line for line in panels[0] if line.tag.endswith("polyline")]) == len(peers)


def test_names_in_the_plot_do_not_lie_on_each_other():
    """Names are moved apart, in their order, and stay within the panel."""
    wanted = {"a": 100.0, "b": 101.0, "c": 102.0, "d": 198.0, "e": 199.0, "f": 20.0}
    placed = plot._spread(wanted, 10, 200)
    heights = [placed[name] for name in "fabcde"]
    assert all(high - low >= 15 for low, high in pairwise(heights))
    assert 10 <= heights[0] <= heights[-1] <= 200


def test_single_sections_are_put_together(quick, capsys, tmp_path):
    """The report of two runs has what either measured, the later in place of the earlier."""
    run = quick[1]
    early, late = tmp_path / "early.json", tmp_path / "late.json"
    record = run["results"]["calls"][0]
    faster = {**record, "peers": {"glulam": {**record["peers"]["glulam"], "p50": 1e-6}}}
    early.write_text(json.dumps(run))
    late.write_text(json.dumps({**run, "results": {"calls": [faster], "start": {"xgboost": {}}}}))
    assert main(["report", str(early), str(late), "--json", str(tmp_path / "both.json")]) == 0
    both = json.loads((tmp_path / "both.json").read_text())["results"]
    assert both["calls"] == [faster, *run["results"]["calls"][1:]]
    assert set(both["start"]) == {"ensemble", "lightgbm", "xgboost"}
    assert both["growth"] == run["results"]["growth"]
    assert capsys.readouterr().out.count("| glulam, predict_proba |") >= 4


def test_models_are_fitted_anew_where_another_library_would_fit_them(monkeypatch, tmp_path):
    """XGBoost counts under either of its distributions' names."""
    fitted, versions = [], {}
    monkeypatch.setattr(store, "in_child", lambda task, **_: fitted.append(task) or {"times": len(fitted)})
    monkeypatch.setattr(store, "version_of", versions.get)
    for name, version, times in (("xgboost", 3, 1), ("xgboost", 3, 1), ("xgboost", 4, 2), ("xgboost-cpu", 4, 3)):
        versions[name] = version
        assert store.workload(tmp_path / "models", settings.QUICK) == {"times": times}


def test_runs_of_different_models_are_not_put_together():
    """The error says what to do."""
    run = {"scale": {"trees": 3}, "workload": {}, "results": {}}
    with pytest.raises(ValueError, match="these runs measured different models or with different settings; run them"):
        store.merge([run, {**run, "scale": {"trees": 4}}])


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (
            "--only",
            "unknown ['speed']; expected some of convert,start,sweep,growth,overhead,precision,latency,cold,batch",
        ),
        ("--models", "unknown ['speed']; expected some of ensemble,lightgbm,xgboost,random_forest,leafwise,multiclass"),
        ("--peers", "unknown ['speed']; expected some of glulam,glulam_session,"),
    ],
)
def test_an_unknown_name_is_refused(option, message, capsys):
    """The error says which there are."""
    with pytest.raises(SystemExit) as ended:
        main([option, "speed"])
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


def test_setup_refuses_an_unknown_environment(capsys):
    """The error says which there are."""
    with pytest.raises(SystemExit):
        main(["setup", "speed"])
    assert (
        "unknown ['speed']; expected some of lleaves, treelite, tl2cgen, daal4py, hummingbird"
        in capsys.readouterr().err
    )


def test_an_environment_that_does_not_install_is_remembered(monkeypatch, tmp_path):
    """Its peers are refused with pip's reason, it is not tried again unless asked, and a change of requirements counts."""
    monkeypatch.setattr(environments, "_requirements", lambda name: [str(tmp_path / "no-such-distribution")])
    failed = environments.set_up(["lleaves"], tmp_path)
    assert "no-such-distribution" in failed["lleaves"]
    with pytest.raises(environments.NotReadyError, match="does not install: .*no-such-distribution"):
        environments.python_of("lleaves", tmp_path)
    stamp = (tmp_path / "lleaves" / "state.json").stat().st_mtime_ns
    assert environments.set_up(["lleaves"], tmp_path) == failed
    assert (tmp_path / "lleaves" / "state.json").stat().st_mtime_ns == stamp
    monkeypatch.setattr(environments, "_requirements", lambda name: ["something-else"])
    with pytest.raises(environments.NotReadyError, match="not set up: python -m benchmarks setup lleaves"):
        environments.python_of("lleaves", tmp_path)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Return a small fitted model."""
    from benchmarks import workload

    folder = tmp_path_factory.mktemp("model")
    ensemble = workload._alone("lightgbm", {"n_estimators": 2, "n_jobs": 1})
    X = np.random.default_rng(0).normal(size=(300, 3)).astype(np.float32)
    workload.write_model(folder / "lightgbm", ensemble.fit(X, (X[:, 0] > 0).astype(int)), X, ("lightgbm",))
    return read_model(folder / "lightgbm")


def test_peers_take_turns_and_those_that_die_leave(model):
    """All turns and calls are there; a process that ends leaves with its reason, the others go on."""
    gone = {}
    with fleet.fleet(["native", "booster", "dmatrix"], model, 1, gone) as workers:
        assert gone == {"dmatrix": "only XGBoost has a DMatrix"}
        assert workers["booster"].ask("differences") == {"training": 0, "hard": 0}
        taken = fleet.interleave(workers, 1, fleet.Turns(3, 1e-9), gone)
        assert {peer: [len(turn) for turn in turns] for peer, turns in taken.items()} == {
            "native": [1, 1, 1], "booster": [1, 1, 1],
        }  # fmt: skip
        workers["native"]._process.kill()
        taken = fleet.interleave(workers, 7, fleet.Turns(2, 1.0, calls=20), gone, do="cold")
        assert [len(turn) for turn in taken["booster"]] == [20, 20]
        assert gone["native"] == "its process ended with status -9"


def test_a_model_has_the_splits_that_a_row_meets(model):
    """They are counted as the library's own trees are walked."""
    booster = model.estimators()["lightgbm"].booster_
    frame = booster.trees_to_dataframe()
    depth = frame.set_index("node_index")["node_depth"] - 1
    leaves = booster.predict(model.rows(), pred_leaf=True)
    met = sum(depth[f"{tree}-L{leaf}"] for row in leaves for tree, leaf in enumerate(row)) / len(leaves)
    assert model.levels == pytest.approx(met)


def test_figures_are_of_all_calls_and_ratios_of_turns():
    """p50 is over all calls, the ratio the median of the turns' ratios; few calls have no p99.9."""
    taken = {"glulam": [[100, 200, 300], [100, 100, 100]], "builtin": [[400] * 3, [500] * 3]}
    found = fleet.summary(taken)
    assert found["glulam"]["p50"] == pytest.approx(1e-7)
    assert found["glulam"]["p999"] is None
    assert found["builtin"]["turns"] == pytest.approx([4e-7, 5e-7])
    assert found["builtin"]["ratio"] == pytest.approx((2 + 5) / 2)
    assert fleet.summary({"builtin": [[1] * 1_000]})["builtin"]["p999"] == pytest.approx(1e-9)


def test_claims_pass_at_their_limit_and_fail_above_it():
    """A claim is judged by the figure it names; one that was not measured is left out; an aim is below."""
    results = {
        "convert": {"ensemble": {"glulam": {"seconds": 5.0, "peak_bytes": 600_000_001, "file_bytes": 3e6}}},
        "start": {"ensemble": {"glulam": {"load_seconds": 0.2, "resident_bytes": 1e8}}},
    }
    judged = claims.judge(results, quick=False)
    assert [claim["passed"] for claim in judged] == [True, False, True, False, True]
    assert [claim["limit"] for claim in judged] == [5, 600, 6, 150, 100]
    lines = report.claim_lines(judged)
    assert "FAIL: its process never holds 600 MB (600.00 MB)" in lines
    assert "below: load under 150 ms (200.00 ms)" in lines


def test_goals_are_ratios_turn_by_turn_against_the_faster_of_others():
    """Each size is judged by itself, cold calls are told, what was not measured is left out."""

    def record(rows, cache="hot", **turns):
        return {
            "model": "xgboost", "threads": 1, "rows": rows, "cache": cache,
            "peers": {name: {"turns": seconds} for name, seconds in turns.items()},
        }  # fmt: skip

    results = {
        "calls": [
            record(1, glulam=[1, 2, 1], dmatrix=[30, 60, 31], booster=[16, 30, 16]),
            record(1, "cold", glulam=[2], booster=[10]),
            record(10_000, glulam=[1], dmatrix=[2]),
        ]
    }
    (goal,) = claims.goals(results)
    assert goal["cells"] == {
        "1": {"ratio": 16, "wanted": 15, "reached": True},
        "10000": {"ratio": 2, "wanted": 2.5, "reached": False},
    }
    assert goal["cold"] == 5
    assert "| XGBoost itself, alone | glulam, predict_proba | 16.0 of 15: PASS |  | 2.0 of 2.5: below | 5.0 |" in (
        report._goals(results)
    )


def test_the_steepest_step_is_a_cliff():
    """It is the largest factor of neighbours, wherever it is."""
    assert curves.worst_step({1: 10.0, 2: 5.0, 5: 6.0, 10: 3.0}) == (1.2, 2, 5)
    assert curves.worst_step({7: 1.0}) == (1.0, 7, 7)


KNOWN = {"machine": "m", "compiler": "c", "counts": {"deep": {"pack": 1000, "single": 10.0}}}


def test_instructions_are_held_to_what_is_known():
    """More than allowed fails and says how to accept it; fewer are to be kept."""
    lines, failed = instructions.compare(KNOWN, KNOWN)
    assert not failed
    assert lines == [
        "ok deep pack: 1,000.00 instructions, known 1,000.00 (+0.0%)",
        "ok deep single: 10.00 a split, known 10.00 (+0.0%)",
    ]
    worse = {**KNOWN, "counts": {"deep": {"pack": 1000, "single": 11.0}}}
    lines, failed = instructions.compare(worse, KNOWN)
    assert failed
    assert lines[1] == "FAIL deep single: 11.00 a split, known 10.00 (+10.0%)"
    assert lines[-1] == (
        "more instructions than known by over 5%; if that is meant, accept them: python -m benchmarks instructions --update"
    )
    lines, failed = instructions.compare(KNOWN, worse)
    assert not failed
    assert lines[-1] == (
        "fewer instructions than known: keep what was gained: python -m benchmarks instructions --update"
    )


def test_instructions_of_other_compilers_and_machines_are_held_less():
    """Another compiler may take 30 % more; of another machine nothing is known; a new count is to be accepted."""
    worse = {**KNOWN, "compiler": "d", "counts": {"deep": {"pack": 1299, "single": 10.0}}}
    lines, failed = instructions.compare(worse, KNOWN)
    assert not failed
    assert lines[0] == "known by c, counted by d: 30% are allowed"
    lines, failed = instructions.compare({**KNOWN, "machine": "n"}, KNOWN)
    assert (lines, failed) == (["counts are known for m, this is n: nothing to compare"], False)
    lines, failed = instructions.compare({**KNOWN, "counts": {"flat": {"pack": 1.0}}}, KNOWN)
    assert failed
    assert lines[0] == "FAIL flat pack: 1.00, not known"


def test_instructions_need_a_compiler_and_valgrind(monkeypatch, capsys):
    """Without them the command says what to install."""
    monkeypatch.setattr(instructions.shutil, "which", lambda name: None)
    monkeypatch.delenv("CXX", raising=False)
    assert instructions.main([]) == 2
    assert "instructions: needs g++ and valgrind, on Linux: apt-get install g++ valgrind" in capsys.readouterr().err


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


def test_features_of_live_candles_are_measured(capsys):
    """Every way has its figures, and the features are those of the table."""
    stream.main(["--candles", "50"])
    lines = capsys.readouterr().out.splitlines()
    assert "| one of 50 candles | p50 | p99 |" in lines
    assert len([line for line in lines if line.startswith("| ")]) == 1 + len(stream.LABELS)
    found = stream.measure(50)
    assert found["difference"] <= 1e-9
    slow = {**found, "ways": {**found["ways"], "stream": {"p50": 21e-6, "p99": 21e-6}}}
    assert "- FAIL: a candle takes less than 20.0 us (21.0 us)" in stream.markdown(slow)
