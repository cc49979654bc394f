"""FeatureSchema: learning, encoding from every kind of table, policies, JSON, and what bad tables get."""

from __future__ import annotations

import string

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glulam.errors import ConfigError, FeatureError, FeatureTypeError
from glulam.schema import Feature, FeatureSchema, Float32CollisionWarning

FRAME = pd.DataFrame(
    {
        "age": [30.5, 41.0, np.nan],
        "member": [True, False, True],
        "city": pd.Categorical(["Bern", "Ulm", "Bern"], categories=["Ulm", "Bern"]),
        "visits": pd.array([1, None, 3], dtype="Int64"),
    }
)
EXPECTED = np.float32([[30.5, 1, 1, 1], [41, 0, 0, np.nan], [np.nan, 1, 1, 3]])


def test_learns_kinds_and_missing_values_from_pandas():
    """Numbers, booleans and categories keep their kind; missing values are allowed where there were some."""
    schema = FeatureSchema.learn(FRAME)
    assert schema.named
    assert schema.features == (
        Feature("age", missing="allow"),
        Feature("member", "boolean"),
        Feature("city", "categorical", ("Ulm", "Bern")),
        Feature("visits", missing="allow"),
    )


@pytest.mark.parametrize(
    "table",
    [
        FRAME,
        FRAME.assign(age=FRAME.age.astype("float64[pyarrow]"), member=FRAME.member.astype("boolean")),
        pl.from_pandas(FRAME),
        pa.Table.from_pandas(FRAME),
        {
            "age": np.array([30.5, 41, np.nan]),
            "member": [True, False, True],
            "city": ["Bern", "Ulm", "Bern"],
            "visits": [1, None, 3],
        },
        [[30.5, True, "Bern", 1], [41, False, "Ulm", None], [None, True, "Bern", 3]],
    ],
    ids=["pandas", "pandas extension types", "polars", "pyarrow", "mapping", "list of rows"],
)
def test_every_kind_of_table_encodes_alike(table):
    """The same rows give the same float32 matrix from each library's table."""
    table = np.array(table, dtype=object) if isinstance(table, list) else table
    encoded = FeatureSchema.learn(FRAME).encode(table)
    assert encoded.dtype == np.float32
    assert encoded.flags.c_contiguous
    np.testing.assert_array_equal(encoded, EXPECTED)


@pytest.mark.parametrize("convert", [pl.from_pandas, pa.Table.from_pandas], ids=["polars", "pyarrow"])
def test_other_libraries_teach_the_same_schema(convert):
    """Polars and pyarrow tables teach what pandas does (categories in sorted order)."""
    learned = FeatureSchema.learn(convert(FRAME))
    kinds = [(feature.name, feature.kind, feature.missing) for feature in learned.features]
    assert kinds == [(feature.name, feature.kind, feature.missing) for feature in FeatureSchema.learn(FRAME).features]
    assert sorted(learned.features[2].categories) == ["Bern", "Ulm"]


def test_arrays_teach_positions():
    """Without names features are x0, x1, ..., and later tables are taken by position."""
    schema = FeatureSchema.learn(np.zeros((3, 2)))
    assert (schema.names, schema.named) == (["x0", "x1"], False)
    frame = pd.DataFrame({"b": [1.0], "a": [2.0]})
    assert schema.encode(frame).tolist() == [[1, 2]]


def test_named_schema_takes_arrays_by_position():
    """A table without names is taken by position, as scikit-learn does."""
    assert FeatureSchema.learn(FRAME[["age"]]).encode(np.array([[7.0]])).tolist() == [[7.0]]


def test_reordering_is_done_only_when_asked():
    """Wrong order is an error that shows expected and got; reorder=True takes columns by name."""
    schema = FeatureSchema.learn(pd.DataFrame({"a": [1.0], "b": [2.0]}))
    swapped = pd.DataFrame({"b": [2.0], "z": [9.0], "a": [1.0]})
    with pytest.raises(FeatureError) as error:
        schema.encode(swapped[["b", "a"]])
    assert "must be in the same order" in str(error.value)
    assert "expected: ['a', 'b']\ngot: ['b', 'a']\n" in str(error.value)
    assert "reorder=True" in str(error.value)
    assert schema.encode(swapped, reorder=True).tolist() == [[1, 2]]


@given(st.permutations(range(5)), st.integers(0, 3))
def test_reorder_gives_each_feature_its_own_column(order, extra):
    """Whatever the order and whatever else is there, each feature gets the column of its name."""
    names = list(string.ascii_lowercase[:5])
    schema = FeatureSchema(tuple(map(Feature, names)))
    columns = {names[i]: [float(i)] for i in order} | {f"extra{i}": ["text"] for i in range(extra)}
    assert schema.encode(columns, reorder=True).tolist() == [[0, 1, 2, 3, 4]]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"a": [1.0]}, "seen at fit time, yet now missing:\n- b"),
        ({"a": [1.0], "b": [1.0], "c": [1.0]}, "unseen at fit time:\n- c"),
        ({"a": [1.0], "B": [1.0]}, r"(?s)unseen.*- B.*missing:\n- b.*expected: \['a', 'b'\]\ngot: \['a', 'B'\]"),
    ],
)
def test_wrong_columns_say_expected_and_got(columns, message):
    """Missing and unknown columns are named."""
    schema = FeatureSchema((Feature("a"), Feature("b")))
    with pytest.raises(FeatureError, match=message):
        schema.encode(columns)


def test_wrong_column_count_says_how_many():
    """An array of another width is refused in scikit-learn's words."""
    schema = FeatureSchema((Feature("a"), Feature("b")))
    with pytest.raises(
        FeatureError, match=r"X has 3 features, but FeatureSchema is expecting 2 .* expected \['a', 'b'\]"
    ):
        schema.encode(np.zeros((1, 3)))


CITY = FeatureSchema((Feature("city", "categorical", ("Bern", "Ulm")),))


def test_unseen_category_is_an_error_by_default():
    """The error names column, row, value, what is known and the way out."""
    with pytest.raises(FeatureError) as error:
        CITY.encode({"city": ["Ulm", "Rom"]})
    assert "column 'city', row 1: category 'Rom' was not seen in training; expected one of ['Bern', 'Ulm']" in str(
        error.value
    )
    assert "unseen='missing'" in str(error.value)


def test_unseen_category_may_count_as_missing():
    """With unseen='missing' it becomes NaN."""
    schema = FeatureSchema((Feature("city", "categorical", ("Bern", "Ulm"), "allow", "missing"),))
    np.testing.assert_array_equal(schema.encode({"city": ["Ulm", "Rom", None]}), np.float32([[1], [np.nan], [np.nan]]))


def test_text_columns_become_categorical_when_named():
    """learn(categorical=[...]) takes sorted values as categories, and unseen values as told."""
    table = {"city": ["Ulm", "Bern", "Ulm"], "x": [1.0, 2.0, 3.0]}
    schema = FeatureSchema.learn(table, categorical=["city"], unseen="missing")
    assert schema.features[0] == Feature("city", "categorical", ("Bern", "Ulm"), "allow", "missing")
    with pytest.raises(ConfigError, match=r"categorical: \['town'\] are no columns; the table has \['city', 'x'\]"):
        FeatureSchema.learn(table, categorical=["town"])


def test_true_is_not_the_category_one():
    """Python holds True == 1; a schema does not."""
    schema = FeatureSchema((Feature("code", "categorical", (0, 1)),))
    with pytest.raises(FeatureError, match="category True was not seen"):
        schema.encode({"code": np.array([True], dtype=object)})


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"age": ["old"]}, "column 'age', row 0: expected float32, got text 'old'; cast it, or declare it categorical"),
        ({"age": np.array(["old"])}, "column 'age': expected numbers, got text .*; cast it, or declare it categorical"),
        (pd.DataFrame({"age": ["old"]}), "column 'age', row 0: expected float32, got text 'old'"),
        (pl.DataFrame({"age": ["old"]}), "column 'age', row 0: expected float32, got text 'old'"),
        (pa.table({"age": ["old"]}), "column 'age', row 0: expected float32, got text 'old'"),
        ({"age": np.array([{"a": 1}], dtype=object)}, "column 'age', row 0: expected a number, got dict: float"),
        ({"age": np.array([1j])}, "Complex data not supported"),
        ({"age": np.array([1j], dtype=object)}, "Complex data not supported"),
        ({"age": np.array(["2020-01-01"], dtype="datetime64[D]")}, "expected numbers, got datetime64"),
    ],
)  # fmt: skip
def test_what_is_no_number_is_named(table, message):
    """Text, objects, complex numbers and dates are refused with column, row and value."""
    for schema in (FeatureSchema.learn, FeatureSchema((Feature("age"),)).encode):
        with pytest.raises(FeatureTypeError, match=message):
            schema(table)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (np.float64(3), "Expected 2D array, got 0D array instead"),
        (np.zeros(3), "Expected 2D array, got 1D array instead. Reshape your data"),
        (np.zeros((2, 2, 2)), "Expected 2D array, got 3D array instead. give one row a sample"),
        ([[1, 2], [3]], "rows of different lengths make no table"),
        (np.zeros((0, 2)), "the table is empty"),
        (np.zeros((2, 0)), r"0 feature\(s\) \(shape=\(2, 0\)\) while a minimum of 1 is required"),
        (pd.DataFrame({"a": []}), "the table is empty"),
        ({}, r"0 feature\(s\)"),
        ({"a": [1, 2], "b": [1]}, r"columns of a mapping must be of one length; got \{'a': 2, 'b': 1\}"),
        ({"a": [[1, 2]]}, r"column 'a': expected one value a row \(1-d\), got shape \(1, 2\)"),
        (pd.DataFrame([[1.0, 2.0]], columns=["a", "a"]), r"column names must be unique; \['a'\] come more than once"),
        (pd.DataFrame([[1.0, 2.0]], columns=["a", 1]), "Feature names are only supported if all input features have string"),
        ("text", "expected a table of features, got str"),
        (None, "expected a table of features, got NoneType"),
        (pl.LazyFrame({"a": [1.0]}), r"a polars LazyFrame has no rows yet; call .collect\(\) first"),
    ],
)  # fmt: skip
def test_what_is_no_table_is_refused(table, message):
    """0-d, 1-d, 3-d, ragged, empty and unnamed tables say what they are."""
    with pytest.raises(FeatureError, match=message):
        FeatureSchema.learn(table)


def test_boolean_features_take_true_false_one_and_zero():
    """Anything else in a boolean feature is refused, also in a float array."""
    schema = FeatureSchema((Feature("flag", "boolean"),))
    assert schema.encode(np.float32([[1], [0]])).tolist() == [[1], [0]]
    with pytest.raises(FeatureError, match="column 'flag', row 1: expected true or false, got"):
        schema.encode(np.float32([[1], [2]]))


def test_numbers_beyond_float32_are_refused():
    """A finite float64 that float32 cannot hold does not become infinity silently."""
    schema = FeatureSchema.learn(np.zeros((1, 2)))
    with pytest.raises(FeatureError, match="column 'x1', row 0: 1e\\+300.* is beyond float32's range"):
        schema.encode(np.array([[0.0, 1e300]]))
    assert np.isinf(schema.encode(np.array([[0.0, np.inf]]))[0, 1])


def test_float64_values_that_collide_in_float32_warn():
    """Identifiers that float32 cannot tell apart are worth a warning with how many."""
    ids = np.arange(16_777_216.0, 16_777_616.0)[:, None]
    with pytest.warns(Float32CollisionWarning, match="column 'x0': 199 of 400 distinct float64 values become equal"):
        FeatureSchema.learn(ids)


def test_values_that_meet_by_chance_do_not_warn():
    """Ordinary continuous features lose a pair in thousands of rows, which is not worth a warning."""
    FeatureSchema.learn(np.random.default_rng(0).normal(size=(20_000, 2)))


names = st.text(min_size=1, max_size=8)
categories = st.lists(st.text(max_size=5) | st.integers(-5, 5) | st.booleans(), min_size=1, max_size=4)


@st.composite
def features(draw):
    """Draw any valid feature."""
    missing = draw(st.sampled_from(["error", "allow"]))
    kind = draw(st.sampled_from(["numeric", "boolean", "categorical"]))
    found = tuple({repr(c): c for c in draw(categories)}.values()) if kind == "categorical" else ()
    found = found if len(set(found)) == len(found) else found[:1]
    unseen = draw(st.sampled_from(["error", "missing"])) if missing == "allow" else "error"
    return Feature(draw(names), kind, found, missing, unseen)


@given(st.lists(features(), min_size=1, max_size=5, unique_by=lambda f: f.name), st.booleans())
def test_json_round_trip(found, named):
    """A schema read back from its JSON is equal, types of categories included."""
    schema = FeatureSchema(tuple(found), named)
    back = FeatureSchema.from_json(schema.to_json())
    assert back == schema
    assert [type(c) for f in back.features for c in f.categories] == [type(c) for f in found for c in f.categories]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Feature(""), "expected a non-empty string as name"),
        (lambda: Feature("a", "text"), r"feature 'a': kind: expected one of \('numeric', 'boolean', 'categorical'\), got 'text'"),
        (lambda: Feature("a", "categorical"), "it needs at least one; got kind 'categorical' with 0 categories"),
        (lambda: Feature("a", categories=("x",)), "categories belong to kind 'categorical'"),
        (lambda: Feature("a", "categorical", (b"x",)), r"categories are strings, integers, floats or booleans; got b'x' \(bytes\)"),
        (lambda: Feature("a", "categorical", (float("nan"),)), "got nan"),
        (lambda: Feature("a", "categorical", ("x", "x")), "a category is listed twice"),
        (lambda: Feature("a", "categorical", ("x",), unseen="missing"), "unseen='missing' needs missing='allow'"),
        (lambda: FeatureSchema(()), "expected at least one feature, got none"),
        (lambda: FeatureSchema((Feature("a"), Feature("a"))), r"feature names must be unique; \['a'\] come more than once"),
        (lambda: FeatureSchema.from_json("{"), "not the JSON of a schema"),
        (lambda: FeatureSchema.from_json('{"features": [{"nom": 1}], "named": true}'), "not the JSON of a schema"),
    ],
)  # fmt: skip
def test_a_schema_that_cannot_work_is_refused(make, message):
    """Contradictions in a schema are errors when it is made."""
    with pytest.raises(ConfigError, match=message):
        make()
