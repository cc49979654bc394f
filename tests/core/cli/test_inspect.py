"""``glulam inspect``, ``verify``, ``plugins`` and ``bench``."""

import json
from typing import get_args

import numpy as np
import pytest

import glulam as library
from glulam.cli._bench import _random_rows
from glulam.cli._inspect import PluginKind
from glulam.plugins import Kind

MEMBER = ["--member", "lightgbm:n_estimators=5,n_jobs=1"]


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    """Return a model whose names look like markup and terminal commands."""
    place = tmp_path_factory.mktemp("odd")
    random = np.random.default_rng(0)
    classes = np.where(random.random(200) < 0.5, "[red]no[/red]", "\x1b[31myes")
    columns = {"[bold]a": random.normal(size=200), "[link=x]": random.choice(["[i]p", "q"], 200)}
    schema = library.FeatureSchema.learn(columns, categorical=["[link=x]"])
    ensemble = library.EnsembleClassifier(
        [("lightgbm", {"n_estimators": 5, "n_jobs": 1})], schema=schema, validators=["finite", "range"]
    ).fit(columns, classes)
    ensemble.export(place / "m.onnx", proof_rows=1_000)
    return place / "m.onnx"


def test_inspect_shows_what_the_file_says(glulam, trained):
    """Type, vote, decision, checks, training, features, members with versions, and the proof are there."""
    done = glulam("inspect", trained.model)
    assert done.code == 0, done.err
    info = library.load(trained.model).info()
    for expected in (
        "EnsembleClassifier, binary", "soft", "finite", info["training"]["sha256"], info["training"]["fitted"],
        "300 rows", "x27", "xgboost", "lightgbm 4", "joint thresholds", f"{trained.model.stat().st_size:,} bytes",
        "one node, whose body is the standard graph",
    ):  # fmt: skip
        assert expected in done.out


def test_inspect_and_bench_say_which_kernel_walks_the_trees(glulam, trained, monkeypatch):
    """Glulam's own, or onnxruntime's and why."""
    commands = (("inspect",), ("bench", "--rows", 10, "--repeat", 1))
    monkeypatch.setenv("GLULAM_KERNEL", "0")
    for command, *options in commands:
        shown = " ".join(glulam(command, trained.model, *options).out.split())
        assert "onnxruntime, because GLULAM_KERNEL=0 switches it off" in shown
    monkeypatch.delenv("GLULAM_KERNEL")
    name = library.load(trained.model).info()["kernel"]
    for command, *options in commands:
        shown = " ".join(glulam(command, trained.model, *options).out.split())
        assert f"tree kernel{' here' if command == 'inspect' else ''} {name}" in shown


def test_inspect_as_json_is_the_whole_description(glulam, trained):
    """The document is `info` with the schema and the file's size."""
    done = glulam("inspect", trained.model, "--json")
    document, model = json.loads(done.out), library.load(trained.model)
    assert document["bytes"] == trained.model.stat().st_size
    assert document["schema"] == json.loads(model.schema.to_json())
    for key, value in model.info().items():
        assert document[key] == value


def test_data_is_no_markup(glulam, odd, tmp_path):
    """Brackets are shown as they are, and escape sequences as text."""
    done = glulam("inspect", odd)
    assert done.code == 0, done.err
    for expected in ("[red]no[/red]", "\\x1b[31myes", "[bold]a", "[link=x]", "[i]p"):
        assert expected in done.out
    assert "\x1b" not in done.out
    (tmp_path / "d.csv").write_text('[bold]a,[link=x]\n1,"[/oops]\x1b[2J"\n')
    refused = glulam("predict", odd, tmp_path / "d.csv", "--out", tmp_path / "p.csv")
    assert refused.code == 1
    assert "category '[/oops]" in refused.err
    assert "\x1b" not in refused.err


def test_inspect_refuses_what_is_no_model(glulam, trained):
    """A file that is no model is code 1; with --json the error is a document too."""
    done = glulam("inspect", trained.data, "--json")
    assert done.code == 1
    assert json.loads(done.out)["error"]["type"] == "ArtifactError"
    assert "not an ONNX model" in json.loads(done.out)["error"]["message"]
    assert done.err.startswith("glulam: error: ")
    assert glulam("inspect", "nowhere.onnx").code == 2


def test_verify_proves_again(glulam, trained):
    """The proof of file and saved ensemble is run and shown, or given as JSON."""
    done = glulam("verify", trained.model, trained.saved, "--rows", 1_000)
    assert done.code == 0, done.err
    assert "joint thresholds" in done.out
    assert f"verified  {trained.model} gives the answers of {trained.saved}" in done.out
    document = json.loads(glulam("verify", trained.model, trained.saved, "--rows", 1_000, "--json").out)
    assert document["verified"] is True
    assert document["parity"]["label_differences"] == 0


def test_verify_fails_for_another_ensemble(glulam, trained, data, tmp_path):
    """A file of the same members fitted otherwise fails the proof; one of other members is told apart at once."""
    other = tmp_path / "other.onnx"
    members = ["--member", "lightgbm:n_estimators=20,n_jobs=1", "--member", "xgboost:n_estimators=21,n_jobs=1"]
    assert glulam("train", data, "--target", "y", *members, "--out", other, "-q").code == 0
    done = glulam("verify", trained.model, tmp_path / "other.trained", "--json")
    assert done.code == 1
    assert "member 'xgboost': the exported graph does not give the library's answer" in done.err
    assert json.loads(done.out)["error"]["type"] == "ProofError"
    assert glulam("train", data, "--target", "y", *MEMBER, "--out", other, "-q", "--force").code == 0
    done = glulam("verify", trained.model, tmp_path / "other.trained")
    assert done.code == 1
    assert "members: the file has ['lightgbm', 'xgboost'], the trained ensemble ['lightgbm']" in done.err


def test_plugins_are_listed(glulam):
    """Every built-in plugin is there with its distribution; --kind keeps one kind."""
    done = glulam("plugins", "--json")
    assert done.code == 0, done.err
    found = {(row["kind"], row["name"]): row for row in json.loads(done.out)["plugins"]}
    assert found["model", "lightgbm"] == {
        "kind": "model", "name": "lightgbm", "distribution": "glulam", "version": library.__version__,
        "available": True, "why_not": None,
    }  # fmt: skip
    assert {"soft", "hard"} <= {name for kind, name in found if kind == "voting"}
    shown = glulam("plugins", "--kind", "voting").out
    assert "log_pool" in shown
    assert "lightgbm" not in shown


def test_plugins_of_every_kind_can_be_listed(glulam):
    """--kind takes each kind that there is, and each has a built-in plugin that can be used."""
    assert [kind.value for kind in PluginKind] == list(get_args(Kind))
    for kind in get_args(Kind):
        done = glulam("plugins", "--kind", kind, "--json")
        assert done.code == 0, done.err
        rows = json.loads(done.out)["plugins"]
        assert {row["kind"] for row in rows} == {kind}
        assert any(row["available"] and row["distribution"] == "glulam" for row in rows)


def test_plugins_say_why_one_cannot_be_used(process):
    """A plugin without its library is listed with the reason and the advice."""
    done = process("plugins", "--kind", "model", "--json", blocked=["xgboost"])
    assert done.code == 0, done.err
    found = {row["name"]: row for row in json.loads(done.out)["plugins"]}
    assert not found["xgboost"]["available"]
    assert "pip install 'glulam[xgboost]'" in found["xgboost"]["why_not"]
    assert found["lightgbm"]["available"]


def test_bench_times_rows_and_batches(glulam, trained):
    """The document has percentiles of single rows and of the batch; the table names the threads."""
    document = json.loads(glulam("bench", trained.model, "--rows", 100, "--repeat", 3, "--json").out)
    assert document["threads"] == "one thread"
    assert document["batch"]["rows"] == 100
    assert document["batch"]["calls"] == 3
    assert (
        0 < document["single_row"]["least_us"] <= document["single_row"]["p50_us"] <= document["single_row"]["p99_us"]
    )
    shown = glulam("bench", trained.model, "--rows", 100, "--repeat", 1, "--profile", "throughput")
    assert shown.code == 0, shown.err
    assert "throughput (all cores)" in " ".join(shown.out.split())


def test_bench_rows_are_within_the_checks(glulam, odd):
    """Rows respect the limits and categories of the file, so that its checks pass."""
    model = library.load(odd)
    rows = _random_rows(model, 500, np.random.default_rng(0))
    assert model.validate_predictions(rows)["invalid_rows"] == 0
    assert set(rows["[link=x]"]) == {"[i]p", "q"}
    assert glulam("bench", odd, "--rows", 10, "--repeat", 1).code == 0
