"""ProductionEnsemble: answers, inputs, threads, and what damaged or foreign files get."""

from __future__ import annotations

import json
import os
import threading

import numpy as np
import onnx
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from sklearn.datasets import load_diabetes, load_iris
from sklearn.linear_model import LogisticRegression

from glulam import EnsembleClassifier, EnsembleRegressor, Feature, FeatureSchema, ProductionEnsemble, load
from glulam.errors import ArtifactError, ConfigError, FeatureError
from glulam.metadata import checksum

SMALL = {"n_estimators": 5}
MEMBERS = [("lightgbm", SMALL), ("xgboost", SMALL), ("random_forest", SMALL)]
NAMES = [f"f{i}" for i in range(28)]


@pytest.fixture(scope="module")
def trained(binary):
    """Return an ensemble fitted on named columns."""
    X, y = binary
    return EnsembleClassifier(MEMBERS, weights=[0.4, 0.4, 0.2]).fit(pd.DataFrame(X, columns=NAMES), y)


@pytest.fixture(scope="module")
def path(trained, tmp_path_factory):
    """Return the exported file of it."""
    target = tmp_path_factory.mktemp("exported") / "ensemble.onnx"
    trained.export(target, proof_rows=1_000)
    return target


def exported(tmp_path, ensemble, **options):
    """Export a fitted ensemble with a small proof and open it."""
    ensemble.export(tmp_path / "e.onnx", proof_rows=1_000, overwrite=True, **options)
    return load(tmp_path / "e.onnx")


def test_answers_are_the_trained_ensembles(trained, path, binary):
    """Labels, probabilities and votes are those of the training process."""
    X, _ = binary
    model = load(path)
    np.testing.assert_allclose(model.predict_proba(X), trained.predict_proba(X), atol=1e-6)
    np.testing.assert_allclose(model.votes(X), trained.votes(X), atol=1e-6)
    np.testing.assert_array_equal(model.predict(X), trained.predict(X))
    np.testing.assert_array_equal(model.classes, trained.classes_)
    assert model.schema == trained.schema_


def test_bytes_open_like_a_file(path, binary):
    """A file may come as bytes, for example from a database."""
    np.testing.assert_array_equal(
        load(path.read_bytes()).predict_proba(binary[0]), load(str(path)).predict_proba(binary[0])
    )


@pytest.mark.parametrize(
    "convert",
    [
        lambda f: f, pl.from_pandas, pa.Table.from_pandas, lambda f: f.to_numpy(), lambda f: f.to_dict("list"),
        lambda f: f.to_numpy(np.float32)[:, ::-1][:, ::-1], lambda f: np.asfortranarray(f.to_numpy(np.float32)),
        lambda f: f.to_numpy(np.float32).astype(">f4"), lambda f: f.to_numpy().tolist(),
    ],
    ids=["pandas", "polars", "pyarrow", "float64", "mapping", "strided", "fortran", "big-endian", "lists"],
)  # fmt: skip
def test_every_kind_of_table_is_taken(path, binary, convert):
    """The same rows give the same answers, whatever holds them."""
    frame = pd.DataFrame(binary[0][:20], columns=NAMES)
    model = load(path)
    np.testing.assert_array_equal(
        model.predict_proba(convert(frame)), model.predict_proba(np.ascontiguousarray(frame.to_numpy(np.float32)))
    )


def test_a_single_row_is_an_array_or_a_mapping(path, binary):
    """One row comes as a 1-d array or a mapping of values, and answers come as one row."""
    row = binary[0][7]
    model = load(path)
    expected = model.predict_proba(row[None])
    assert expected.shape == (1, 2)
    values = dict(zip(NAMES, row.tolist(), strict=True))
    for one in (
        row,
        values,
        {k: np.float32(v) for k, v in values.items()},
        {k: np.array(v) for k, v in values.items()},
    ):
        np.testing.assert_array_equal(model.predict_proba(one), expected)
    shuffled = dict(reversed(values.items()))
    with pytest.raises(FeatureError, match="must be in the same order"):
        model.predict(shuffled)
    np.testing.assert_array_equal(load(path, reorder=True).predict_proba(shuffled | {"more": "text"}), expected)


def test_info_tells_the_whole_story(path):
    """info() names type, version, classes, features, members, weights, vote, proof and training data."""
    info = load(path).info()
    assert json.loads(json.dumps(info)) == info
    assert (info["type"], info["task"], info["voting"]) == ("EnsembleClassifier", "binary", "soft")
    assert (info["classes"], info["feature_names"]) == ([0, 1], NAMES)
    assert info["weights"] == {"lightgbm": 0.4, "xgboost": 0.4, "random_forest": 0.2}
    assert [member["plugin"] for member in info["members"]] == ["lightgbm", "xgboost", "random_forest"]
    assert all(member["versions"] for member in info["members"])
    assert info["parity"]["label_differences"] == 0
    assert info["parity"]["rows"] > 900
    assert info["training"]["rows"] == 1500
    assert len(info["training"]["sha256"]) == 64
    assert (info["version"], info["precision"], info["guards"]) == ("0.1.0", "float32", ["finite"])
    assert info["decision"] == {"threshold": 0.5, "min_confidence": None, "abstain_label": None}
    assert repr(load(path)).startswith("<ProductionEnsemble EnsembleClassifier soft(lightgbm=0.4")


def test_rows_that_fail_the_guards_are_refused(path, binary):
    """NaN and infinities raise with row, column and value; invalid='ignore' answers them."""
    rows = binary[0][:5].copy()
    rows[3, 2] = np.nan
    rows[4, 1] = np.inf
    with pytest.raises(
        FeatureError, match=r"row 3: column 'f2' is nan, which fails the file's checks \(finite\); 2 of 5 rows fail"
    ):
        load(path).predict(rows)
    with pytest.raises(FeatureError, match="row 0: column 'f1' is inf"):
        load(path).predict_proba(rows[4])
    assert load(path, invalid="ignore").predict(rows).shape == (5,)


def test_range_guard_tells_the_limits(tmp_path, binary):
    """A value outside the training range raises with the limits, in any process that has the file."""
    X, y = binary
    model = exported(tmp_path, EnsembleClassifier(MEMBERS, validators=["finite", ("range", {"margin": 0.0})]).fit(X, y))
    low = float(X[:, 0].min())
    bad = X[:3].copy()
    bad[1, 0] = np.nextafter(np.float32(low), np.float32(-np.inf))
    with pytest.raises(
        FeatureError, match=rf"row 1: column 'x0' is .*, expected {low}.* \(finite, range\); 1 of 3 rows"
    ):
        model.predict(bad)
    assert model.predict(X).shape == (1500,)


def test_validate_predictions_summarises(path, binary):
    """The summary counts samples, invalid rows and classes, and gives ranges and confidence."""
    rows = binary[0][:200].copy()
    rows[[5, 9], 0] = np.inf
    model = load(path)
    summary = model.validate_predictions(rows)
    valid = np.delete(np.arange(200), [5, 9])
    confidence = model.predict_proba(rows[valid]).max(axis=1)
    labels = model.predict(rows[valid])
    assert summary["n_samples"] == 200
    assert (summary["invalid_rows"], summary["first_invalid_rows"]) == (2, [5, 9])
    assert summary["prediction_range"] == [0, 1]
    assert summary["probability_range"] == [pytest.approx(confidence.min()), pytest.approx(confidence.max())]
    assert summary["class_share"] == {0: pytest.approx((labels == 0).mean()), 1: pytest.approx((labels == 1).mean())}
    assert summary["mean_confidence"] == pytest.approx(confidence.mean())
    assert json.loads(json.dumps(summary))
    nothing = model.validate_predictions(np.full((2, 28), np.inf, dtype=np.float32))
    assert (nothing["invalid_rows"], nothing["mean_confidence"], nothing["prediction_range"]) == (2, None, None)


def test_several_outputs_come_from_one_run(path, binary):
    """Answers gives any outputs by name, and refuses nothing."""
    rows = binary[0][:4].copy()
    rows[2, 0] = np.inf
    model = load(path)
    found = model.answers(rows, ["votes", "valid"])
    assert list(found) == ["votes", "valid"]
    assert found["valid"].tolist() == [True, True, False, True]
    assert list(model.answers(rows)) == ["label", "probabilities", "votes", "valid"]
    with pytest.raises(ArtifactError, match="this file has no output 'scores'; it was exported with outputs"):
        model.answers(rows, ["scores"])


def test_many_threads_get_their_own_answers(path, binary):
    """Eight threads on one model each get what one thread gets."""
    X, _ = binary
    model = load(path)
    expected = model.predict_proba(X)
    wrong = []

    def ask(start: int) -> None:
        for row in range(start, 1500, 8):
            if not np.array_equal(model.predict_proba(X[row : row + 1])[0], expected[row]):
                wrong.append(row)
            if row % 40 == start and not np.array_equal(model.predict_proba(X[row:]), expected[row:]):
                wrong.append(-row)

    threads = [threading.Thread(target=ask, args=(start,)) for start in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_throughput_profile_gives_the_same_answers(path, binary):
    """The profile for batches uses all cores and answers alike."""
    throughput = load(path, profile="throughput")
    throughput.warmup()
    np.testing.assert_allclose(throughput.predict_proba(binary[0]), load(path).predict_proba(binary[0]), atol=1e-6)


def test_strings_booleans_and_abstention_survive_the_file(tmp_path):
    """Labels of each kind, threshold and abstain label are the trained ensemble's."""
    X, y = load_iris(return_X_y=True)
    few = [("random_forest", SMALL)]
    words = np.array(["setosa", "versicolor", "virginica"])[y]
    for ensemble, labels in (
        (EnsembleClassifier(few), words),
        (EnsembleClassifier(few, min_confidence=0.9, abstain_label="none of them all"), words),
        (EnsembleClassifier(few, min_confidence=0.9), y),
        (EnsembleClassifier(few, min_confidence=0.9), y * 10),
        (EnsembleClassifier(few, threshold=0.7), y > 0),
        (EnsembleClassifier(few, threshold=0.3, min_confidence=0.8), (y > 0) * 7),
        (EnsembleClassifier(few, threshold=0.3, min_confidence=0.8, abstain_label=0.5), (y > 0) * 2.0),
    ):
        ensemble.fit(X, labels)
        model = exported(tmp_path, ensemble)
        predicted = model.predict(X)
        np.testing.assert_array_equal(predicted, ensemble.predict(X))
        assert predicted.dtype.kind == ensemble.predict(X).dtype.kind
        assert set(model.validate_predictions(X)["class_share"]) >= set(ensemble.classes_.tolist())


def test_categories_are_encoded_by_the_file(tmp_path):
    """A served file takes the raw categories, by name or by position, and refuses unseen ones."""
    random = np.random.default_rng(0)
    frame = pd.DataFrame({"x": random.normal(size=300), "city": pd.Categorical(random.choice(["Bern", "Ulm"], 300))})
    y = (frame.city == "Ulm") ^ (frame.x > 1)
    model = exported(tmp_path, EnsembleClassifier(MEMBERS).fit(frame, y))
    assert model.predict({"x": 0.0, "city": "Ulm"}).tolist() == [True]
    assert model.predict(frame.head(10)).tolist() == y.head(10).tolist()
    with pytest.raises(FeatureError, match="EnsembleClassifier: column 'city', row 0: category 'Rom' was not seen"):
        model.predict({"x": 0.0, "city": "Rom"})


def test_regression_gives_values(tmp_path):
    """A regression file has value and votes, and says so when asked for labels."""
    X, y = load_diabetes(return_X_y=True)
    ensemble = EnsembleRegressor(MEMBERS).fit(X, y)
    model = exported(tmp_path, ensemble)
    np.testing.assert_allclose(model.predict(X), ensemble.predict(X), rtol=1e-6)
    assert model.votes(X).shape == (442, 3, 1)
    assert model.validate_predictions(X)["prediction_range"] == [model.predict(X).min(), model.predict(X).max()]
    with pytest.raises(ArtifactError, match="no output 'probabilities'; .* regression has 'value'"):
        model.predict_proba(X)


def test_outputs_left_out_are_named(tmp_path, trained, binary):
    """A file exported with fewer outputs says which it has."""
    model = exported(tmp_path, trained, outputs=["probabilities"])
    np.testing.assert_allclose(model.predict_proba(binary[0]), trained.predict_proba(binary[0]), atol=1e-6)
    with pytest.raises(ArtifactError, match=r"no output 'label'; it was exported with outputs \['probabilities'\]"):
        model.predict(binary[0])
    with pytest.raises(ArtifactError, match="no output 'label'"):
        model.validate_predictions(binary[0])


def test_members_that_are_no_forest_are_refused_at_export(binary, tmp_path):
    """An estimator that no plugin can lower votes in training and is refused at export, by name."""

    class Own(LogisticRegression):
        """Whatever its rules are, no plugin knows them."""

    X, y = binary
    ensemble = EnsembleClassifier([("lightgbm", SMALL), ("own", Own(max_iter=2000))]).fit(X, y)
    with pytest.raises(ValueError, match=r"member 'own': no plugin can lower .*Own exactly"):
        ensemble.export(tmp_path / "e.onnx")
    assert list(tmp_path.iterdir()) == []


# -- files that are none ------------------------------------------------------------------------


def with_metadata(path, tmp_path, sign=True, **changes):
    """Write a copy of a file with some metadata entries changed, and its sum made right; None removes one."""
    model = onnx.load(path)
    entries = {entry.key: entry.value for entry in model.metadata_props} | changes
    if sign and None not in entries.values():
        entries["glulam.sum"] = checksum(entries)
    del model.metadata_props[:]
    for key, value in entries.items():
        if value is not None:
            model.metadata_props.add(key=key, value=value)
    target = tmp_path / "changed.onnx"
    target.write_bytes(model.SerializeToString())
    return target


def test_missing_files_and_directories_are_named(tmp_path):
    """A path that is no file says so."""
    with pytest.raises(ArtifactError, match="nothing.onnx: no such file; export an ensemble to it first"):
        load(tmp_path / "nothing.onnx")
    with pytest.raises(ArtifactError, match="is a directory; expected an exported .onnx file"):
        load(tmp_path)


def test_damaged_files_are_refused(path, tmp_path):
    """Empty, truncated and foreign bytes are refused, wherever the cut is."""
    data = path.read_bytes()
    with pytest.raises(ArtifactError, match="<bytes>: the file is empty; export again"):
        load(b"")
    for cut in (1, 100, len(data) // 2, len(data) - 1):
        (tmp_path / "cut.onnx").write_bytes(data[:cut])
        with pytest.raises(ArtifactError, match="cut.onnx: "):
            load(tmp_path / "cut.onnx")
    for foreign in (b"not a model", b"\x80\x04pickle", b"{}", os.urandom(1000)):
        with pytest.raises(ArtifactError, match="not an ONNX model that onnxruntime .* can load"):
            load(foreign)


def test_foreign_onnx_files_are_named(path, tmp_path):
    """An ONNX file of another program is not glulam's."""
    changed = with_metadata(path, tmp_path, **{"glulam.format": None})
    with pytest.raises(
        ArtifactError, match="an ONNX file, but not one that glulam exported .*; open it with glulam.fast_session"
    ):
        load(changed)


def test_newer_formats_are_refused_with_what_to_upgrade(path, tmp_path):
    """A newer layout is not guessed at."""
    changed = with_metadata(path, tmp_path, **{"glulam.format": "2"})
    with pytest.raises(
        ArtifactError, match="written in glulam format 2; this glulam reads up to 1; upgrade it with: pip install"
    ):
        load(changed)


def edited(path, key, edit):
    """Return the JSON of a metadata entry after ``edit`` changed it."""
    model = onnx.load(path)
    value = json.loads(next(entry.value for entry in model.metadata_props if entry.key == key))
    edit(value)
    return {key: json.dumps(value)}


@pytest.mark.parametrize(
    ("key", "edit", "message"),
    [
        ("glulam.ensemble", lambda e: e["classes"]["labels"].append(2), "metadata and graph disagree: .* outputs"),
        ("glulam.ensemble", lambda e: e["members"].pop(), "metadata and graph disagree: .* outputs"),
        ("glulam.ensemble", lambda e: e["outputs"].remove("label"), "metadata and graph disagree: .* outputs"),
        ("glulam.schema", lambda s: s["features"].pop(), "metadata and graph disagree: .* 27 float32 features, the graph takes"),
        ("glulam.ensemble", lambda e: e.pop("voting"), "damaged metadata: KeyError: 'voting'"),
        ("glulam.ensemble", lambda e: e.update(validators=[3]), "damaged metadata"),
        ("glulam.ensemble", lambda e: e["classes"].update(kind="complex"), "damaged metadata"),
        ("glulam.ensemble", lambda e: e["members"][0].update(weight="much"), "damaged metadata"),
        ("glulam.schema", lambda s: s["features"][0].update(kind="tensor"), "damaged metadata"),
    ],
)  # fmt: skip
def test_metadata_that_disagrees_is_refused(path, tmp_path, key, edit, message):
    """Metadata that does not describe the graph, or nothing at all, is refused when the file is opened."""
    with pytest.raises(ArtifactError, match=message):
        load(with_metadata(path, tmp_path, **edited(path, key, edit)))


def test_any_change_of_metadata_or_graph_is_refused(path, tmp_path):
    """What the file says of itself, and what it computes, are as they were when it was proven."""
    changed = edited(path, "glulam.ensemble", lambda e: e["members"][0].update(weight=99.0))
    with pytest.raises(ArtifactError, match="its metadata has changed since it was exported; export again"):
        load(with_metadata(path, tmp_path, sign=False, **changed))
    model = onnx.load(path)
    tensors = [each.t for node in model.graph.node for each in node.attribute if each.HasField("t")]
    splits = next(tensor for tensor in tensors if tensor.data_type == onnx.TensorProto.FLOAT)
    splits.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(splits) * 3, splits.name))
    (tmp_path / "graph.onnx").write_bytes(model.SerializeToString())
    for source in (tmp_path / "graph.onnx", model.SerializeToString()):
        with pytest.raises(ArtifactError, match="the graph is not the one that was proven"):
            load(source)


def test_appended_bytes_are_refused(path):
    """Bytes after the metadata would merge into the graph; nothing may follow it."""
    data = path.read_bytes()
    extra = onnx.ModelProto()
    extra.graph.initializer.append(onnx.numpy_helper.from_array(-np.ones((3, 1), dtype=np.float32), "vote.weight"))
    for more in (extra.SerializeToString(), onnx.ModelProto(producer_name="somebody").SerializeToString()):
        with pytest.raises(ArtifactError, match=r"<bytes>: "):
            load(data + more)


def test_any_flipped_bit_of_the_metadata_is_refused(path):
    """Whichever bit of the last 4,000 bytes flips, the error is glulam's own."""
    data = path.read_bytes()
    for place in range(len(data) - 4_000, len(data), 97):
        for bit in (0x01, 0x80):
            changed = bytearray(data)
            changed[place] ^= bit
            with pytest.raises(ArtifactError):
                load(bytes(changed))


def test_metadata_of_ones_own_may_be_added(path, tmp_path, binary):
    """A file that somebody labels with further entries still opens."""
    labelled = with_metadata(path, tmp_path, **{"owner": "risk team"})
    np.testing.assert_array_equal(load(labelled).predict(binary[0]), load(path).predict(binary[0]))
    label = onnx.ModelProto(metadata_props=[onnx.StringStringEntryProto(key="owner", value="somebody else")])
    assert load(path.read_bytes() + label.SerializeToString()).schema == load(path).schema


@pytest.mark.parametrize("key", ["glulam.schema", "glulam.ensemble", "glulam.parity", "glulam.training"])
@pytest.mark.parametrize("value", [None, "", "{", "[]", "3"])
def test_damaged_metadata_is_refused(path, tmp_path, key, value):
    """A missing or broken entry is refused when the file is opened."""
    with pytest.raises(ArtifactError, match="damaged metadata"):
        load(with_metadata(path, tmp_path, **{key: value}))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"profile": "fast"}, "profile: expected 'latency' or 'throughput', got 'fast'"),
        ({"invalid": "skip"}, "invalid: expected 'raise' or 'ignore', got 'skip'"),
    ],
)
def test_options_that_do_not_exist_are_named(path, options, message):
    """A misspelt option is an error."""
    with pytest.raises(ConfigError, match=message):
        ProductionEnsemble(path, **options)


def test_a_schema_is_public(path):
    """The names that users need are importable from the package itself."""
    assert isinstance(load(path).schema, FeatureSchema)
    assert isinstance(load(path).schema.features[0], Feature)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (np.zeros((2, 5), dtype=np.float32), "X has 5 features, but EnsembleClassifier is expecting 28 features as input"),
        (np.zeros((0, 28), dtype=np.float32), "the table is empty"),
        (np.zeros((2, 2, 28), dtype=np.float32), "Expected 2D array, got 3D array instead"),
        (np.float32(3), "Expected 2D array, got 0D array instead"),
        (np.full((1, 28), "a"), "column 'f0': expected numbers, got text 'a'"),
        (dict.fromkeys(NAMES, "a"), "column 'f0', row 0: expected float32, got text 'a'"),
        ({}, r"0 feature\(s\)"),
        (None, "expected a table of features, got NoneType"),
        (np.full((1, 28), 1e300), "is beyond float32's range"),
    ],
)  # fmt: skip
def test_bad_rows_are_named(path, rows, message):
    """Wrong shapes and values get the same errors in serving as in training."""
    with pytest.raises(FeatureError, match=message):
        load(path).predict(rows)


def test_a_row_of_a_pandas_table_is_a_single_row(path, binary):
    """X.iloc[0] is answered like the row itself, by name."""
    frame = pd.DataFrame(binary[0][:3], columns=NAMES)
    model = load(path)
    np.testing.assert_array_equal(model.predict_proba(frame.iloc[1]), model.predict_proba(frame)[1:2])
