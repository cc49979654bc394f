"""``glulam predict``, value by value: what fields mean, and rows named as the file counts them."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

import glulam as library
from glulam.cli import main

FAR = 70_000
"""A row beyond the first chunk of 65,536."""


@pytest.fixture(scope="module")
def long_lines(trained) -> list[str]:
    """Return the lines of a CSV with 70,100 rows: header and 28 features."""
    lines = [line.rpartition(",")[0] for line in trained.data.read_text().splitlines()]
    return [lines[0], *(lines[1:] * 234)[: FAR + 100]]


@pytest.fixture(scope="module")
def categories(tmp_path_factory):
    """Return model and CSV with text, whole numbers, fractions and truth values as features."""
    place = tmp_path_factory.mktemp("categories")
    random = np.random.default_rng(0)
    rows = [
        (city, grade, half, flag, f"{value:.3f}" if value > -1 else "", "yes" if (grade + flag) % 2 else "no")
        for city, grade, half, flag, value in zip(
            random.choice(["Oslo", "Bergen", "[b]Å[/b]"], 300), random.integers(1, 5, 300),
            random.choice([0.5, 1.0, 2.0], 300), random.choice([True, False], 300), random.normal(size=300),
            strict=True,
        )
    ]  # fmt: skip
    data = place / "rows.csv"
    data.write_text("city,grade,half,flag,value,y\n" + "".join(",".join(map(str, row)) + "\n" for row in rows))
    model = place / "ensemble.onnx"
    declared = [part for name in ("city", "grade", "half") for part in ("--categorical", name)]
    code = main(
        [
            "train",
            str(data),
            "--target",
            "y",
            *declared,
            "--member",
            "lightgbm:n_estimators=10,n_jobs=1",
            "--out",
            str(model),
            "-q",
        ]
    )
    assert code == 0
    columns = {
        "city": [row[0] for row in rows],
        "grade": [int(row[1]) for row in rows],
        "half": [float(row[2]) for row in rows],
        "flag": [bool(row[3]) for row in rows],
        "value": [float(row[4]) if row[4] else None for row in rows],
    }
    return model, data, columns


@pytest.mark.parametrize(
    ("put", "message"),
    [
        ("abc", "row 70000, column 'x0': expected a number, got 'abc'"),
        ("1e39", "row 70000, column 'x0':"),
        ("inf", "row 70000: column 'x0' is inf, which fails the file's checks (finite)"),
        ("", "row 70000: column 'x0' is nan, which fails the file's checks (finite)"),
        ("1,2", "row 70000: Expected 28 columns, got 29"),
    ],
)
def test_wrong_value_is_named_by_the_files_row(glulam, trained, tmp_path, long_lines, put, message):
    """What is wrong in row 70,000 is reported there, not in the second chunk's row; nothing is written."""
    lines = list(long_lines)
    lines[FAR] = f"{put},{lines[FAR].partition(',')[2]}"
    source = tmp_path / "long.csv"
    source.write_text("\n".join(lines))
    done = glulam("predict", trained.model, source, "--out", tmp_path / "p.csv")
    assert done.code == 1
    assert f"{source}" in done.err
    assert message in done.err
    assert done.err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["long.csv"]


def test_parquet_rows_are_counted_over_row_groups(glulam, trained, tmp_path, long_lines):
    """A missing value beyond the first row group is reported with its row in the file."""
    columns = {name: np.zeros(FAR + 5, dtype=np.float32) for name in long_lines[0].split(",")}
    columns["x3"][FAR - 1] = np.nan
    pa.parquet.write_table(pa.table(columns), tmp_path / "long.parquet", row_group_size=1000)
    done = glulam("predict", trained.model, tmp_path / "long.parquet", "--out", tmp_path / "p.csv")
    assert done.code == 1
    assert "row 70000: column 'x3' is nan" in done.err


def test_failing_rows_can_be_answered_and_marked(glulam, trained, tmp_path, answers):
    """With --invalid answer a row that fails the checks is marked, not refused."""
    lines = trained.data.read_text().splitlines()[:4]
    lines[2] = f"inf,{lines[2].partition(',')[2]}"
    (tmp_path / "d.csv").write_text("\n".join(lines))
    done = glulam(
        "predict", trained.model, tmp_path / "d.csv", "--out", tmp_path / "p.csv", "--invalid", "answer", "--json"
    )
    assert done.code == 0
    assert json.loads(done.out)["invalid_rows"] == 1
    assert answers(tmp_path / "p.csv")["valid"].to_pylist() == [True, False, True]


def test_categories_are_read_as_what_they_are(glulam, categories, tmp_path, answers):
    """Text, numbers and truth values of a CSV mean what the same Python values mean."""
    model, data, columns = categories
    done = glulam("predict", model, data, "--out", tmp_path / "p.parquet")
    assert done.code == 0, done.err
    found, opened = answers(tmp_path / "p.parquet"), library.load(model)
    assert found["label"].to_pylist() == opened.predict(columns).tolist()
    np.testing.assert_array_equal(found["probability_yes"].to_numpy(), opened.predict_proba(columns)[:, 1])


def test_spellings_of_a_category(glulam, categories, tmp_path):
    """2.0 is the category 2, 1 is 1.0, TRUE and 1 are true; blanks around numbers are no matter."""
    model, _, _ = categories
    head = "city,grade,half,flag,value\n"
    (tmp_path / "a.csv").write_text(head + "Oslo,2,1.0,true,0.5\n" * 3)
    (tmp_path / "b.csv").write_text(head + "Oslo,2.0,1,TRUE,5e-1\nOslo,02,1.00,1,+0.5\nOslo, 2 ,1.0,True, 0.5 \n")
    for name in ("a", "b"):
        done = glulam("predict", model, tmp_path / f"{name}.csv", "--out", tmp_path / f"p-{name}.csv")
        assert done.code == 0, done.err
    assert (tmp_path / "p-a.csv").read_bytes() == (tmp_path / "p-b.csv").read_bytes()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("Rome,2,1.0,true,0", "row 2, column 'city': category 'Rome' was not seen in training"),
        ("Oslo,7,1.0,true,0", "row 2, column 'grade': category '7' was not seen in training"),
        ("Oslo,2,1.0,maybe,0", "row 2, column 'flag': expected true or false, got 'maybe'"),
        ("Oslo,2,1.0,true,true", "row 2, column 'value': expected a number, got 'true'"),
    ],
)
def test_what_is_no_category_is_refused(glulam, categories, tmp_path, line, message):
    """An unseen category, or a value of another kind, is an error with its row and column."""
    (tmp_path / "d.csv").write_text(f"city,grade,half,flag,value\nOslo,2,1.0,true,0.5\n{line}\n")
    done = glulam("predict", categories[0], tmp_path / "d.csv", "--out", tmp_path / "p.csv")
    assert done.code == 1
    assert message in done.err


@pytest.mark.parametrize("labels", [["true", "false"], ["é [b]", '"quoted", too'], ["3", "-7"]])
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_labels_of_every_kind_are_written(glulam, tmp_path, labels, kind, answers):
    """Truth values, text that needs quotes, and negative numbers come back as the labels they are."""
    values = np.random.default_rng(0).normal(size=200)
    quoted = ['"' + label.replace('"', '""') + '"' if "," in label else label for label in labels]
    (tmp_path / "d.csv").write_text("a,y\n" + "".join(f"{value},{quoted[value > 0]}\n" for value in values.tolist()))
    model, out = tmp_path / "m.onnx", tmp_path / f"p.{kind}"
    member = "lightgbm:n_estimators=30,n_jobs=1"
    assert glulam("train", tmp_path / "d.csv", "--target", "y", "--member", member, "--out", model).code == 0
    assert glulam("predict", model, tmp_path / "d.csv", "--out", out).code == 0
    expected = pa.csv.read_csv(tmp_path / "d.csv")["y"].to_pylist()
    found = answers(out)["label"].to_pylist()
    assert found == library.load(model).predict(values.reshape(-1, 1)).tolist()
    assert np.mean([a == b for a, b in zip(found, expected, strict=True)]) > 0.9


def test_text_in_a_parquet_is_no_number(glulam, trained, tmp_path):
    """A Parquet file states its types: text is not parsed there."""
    columns = {f"x{index}": pa.array([1.0, 2.0]) for index in range(28)} | {"x5": pa.array(["1", "2"])}
    pa.parquet.write_table(pa.table(columns), tmp_path / "d.parquet")
    done = glulam("predict", trained.model, tmp_path / "d.parquet", "--out", tmp_path / "p.csv")
    assert done.code == 1
    assert "row 1, column 'x5': expected a number, got '1'; the column's type is string" in done.err


def test_memory_does_not_grow_with_the_file(process, trained, tmp_path, long_lines):
    """Four times the rows take far less memory more than they are: pyarrow reads ahead a little, no more."""
    peaks = []
    for times in (2, 8):
        source = tmp_path / "long.csv"
        with source.open("w") as out:
            out.write(long_lines[0] + "\n")
            for _ in range(times):
                out.write("\n".join(long_lines[1:30_001]) + "\n")
        done = process(
            "predict", trained.model, source, "--out", tmp_path / "p.csv", "--force", "--chunk-rows", 4096, "--quiet",
            after="print(re.search(r'VmHWM:\\s*(\\d+)', open('/proc/self/status').read())[1])",
        )  # fmt: skip
        assert done.code == 0, done.err
        peaks.append(int(done.out))  # KiB; ru_maxrss would be that of the process that forked
    size = source.stat().st_size // 1024
    assert peaks[1] - peaks[0] < size / 2, f"{peaks} KiB for a file of {size} KiB"
