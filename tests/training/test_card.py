"""The model card: front matter that any reader of YAML takes for what it is, and Markdown that says what is known."""

from __future__ import annotations

import hashlib
import json
import math
import re
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from training.made_result import CONFIG, EVIL, bare, failed, hostile, leaking, made

from glulam.errors import ArtifactError
from glulam.training.card import _fenced, _plain, _scalar, _yaml, write_card
from glulam.training.report.text import decimals, interval
from glulam.training.results import RunResult

SECTIONS = [
    "Model description", "Intended use and limits", "Training data", "Evaluation", "Leak checks", "Gates", "Proof",
    "How to load it", "Reproducibility",
]  # fmt: skip


def written(result: RunResult, folder: Path) -> tuple[dict, str]:
    """Return the front matter of a card, as a reader of YAML takes it, and its text."""
    write_card(result, folder / "MODEL_CARD.md")
    text = (folder / "MODEL_CARD.md").read_text(encoding="utf-8")
    empty, front, body = re.split(r"^---\n", text, maxsplit=2, flags=re.MULTILINE)
    assert empty == ""
    return yaml.safe_load(front), body


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_front_matter_is_the_hubs(task: str, tmp_path: Path) -> None:
    """Task, library, tags and every metric stand in the form of the Hub's model index."""
    result = made(task)
    front, body = written(result, tmp_path)
    kind = "tabular-regression" if task == "regression" else "tabular-classification"
    assert front["library_name"] == "onnx"
    assert front["pipeline_tag"] == kind
    assert front["tags"] == ["glulam", "onnx", kind]
    (index,) = front["model-index"]
    (found,) = index["results"]
    assert index["name"] == "btcusdt-4h-direction"
    assert found["task"]["type"] == kind
    assert found["dataset"] == {"name": "candles.csv.gz", "type": "tabular"}
    expected = {metric.title: metric.ensemble.value for metric in result.evaluation.metrics}
    assert {metric["name"]: metric["value"] for metric in found["metrics"]} == expected
    assert found["metrics"][0]["type"] == {"binary": "roc_auc", "multiclass": "log_loss", "regression": "rmse"}[task]
    assert re.findall(r"^## (.*)$", body, flags=re.MULTILINE) == SECTIONS


def test_the_card_says_what_the_result_holds(tmp_path: Path) -> None:
    """Metrics with intervals and baselines, data, leak checks, gates, versions and the config's digest are there."""
    result = made()
    _, body = written(result, tmp_path)
    for metric in result.evaluation.metrics:
        assert interval(metric.ensemble) in body
        for baseline in metric.baselines.values():
            assert interval(baseline, places=decimals(metric.ensemble)) in body
    for known in (
        "**PASSED.**", "WalkForward(n\\_splits=5, horizon=1)", result.data.raw.sha256, "candles.csv.gz",
        "| label overlap | nothing found |", "| max\\_size\\_mb | passed |", 'ProductionEnsemble("ensemble.onnx")',
        "| seed | 42 |", "| glulam | 0.2.0 |", "| lightgbm | 4.7.0 |", "3f2c9a7b, with uncommitted changes", hashlib.sha256(CONFIG.encode()).hexdigest(),
        "Decision threshold: 0.500.", "2018-01-09 08:00 to 2023-12-31 16:00",
    ):  # fmt: skip
        assert known in body
    assert CONFIG in body


def test_the_code_of_the_card_is_python(tmp_path: Path) -> None:
    """How to load the ensemble is code that can be run."""
    for task, verb in (("binary", "predict_proba"), ("regression", "predict")):
        _, body = written(made(task), tmp_path)
        (code,) = re.findall(r"```python\n(.*?)```", body, flags=re.DOTALL)
        compile(code, "card", "exec")
        assert f"ensemble.{verb}(rows)" in code


def test_bad_news_is_in_the_card(tmp_path: Path) -> None:
    """Failed gates and suspected leaks are said as plainly as good news."""
    _, body = written(failed(made()), tmp_path)
    assert "**NOT PASSED.**" in body
    assert "| min\\_auc\\_low | FAILED |" in body
    _, body = written(leaking(made()), tmp_path)
    assert "**SUSPECTED LEAK.**" in body
    assert "| too good to be true | SUSPECTED |" in body
    assert "- suspected leak (too good to be true): AUC 0.981" in body
    result = made()
    _, body = written(replace(result, facts={**result.facts, "warnings": ["this flatters"]}), tmp_path)
    assert "- Warning: this flatters." in body


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_a_card_of_little_knowledge(task: str, tmp_path: Path) -> None:
    """A dry run has a card too: it says what is not there, and nan nowhere."""
    front, body = written(bare(made(task)), tmp_path)
    assert front["model-index"][0]["name"] == "glulam ensemble"
    assert "evaluated and not exported: there is no file" in body
    assert "No leak check was made." in body
    assert "No gate was set." in body
    assert not re.search(r"\b(nan|None|inf)\b", body)


def test_a_metric_without_a_value_is_left_out(tmp_path: Path) -> None:
    """The Hub takes no nan: such a metric stands in the table alone, as a dash."""
    result = made()
    first = replace(
        result.evaluation.metrics[0], ensemble=replace(result.evaluation.metrics[0].ensemble, value=math.nan)
    )
    judged = replace(result.evaluation, metrics=(first, *result.evaluation.metrics[1:]))
    front, body = written(replace(result, evaluation=judged), tmp_path)
    assert "AUC" not in [each["name"] for each in front["model-index"][0]["results"][0]["metrics"]]
    assert "| AUC (higher is better) | \N{EN DASH} |" in body


def test_markup_of_users_stays_text(tmp_path: Path) -> None:
    """Names and texts that are markup are shown as they are, and can end neither front matter nor code block."""
    front, body = written(hostile(made()), tmp_path)
    assert front["model-index"][0]["name"] == EVIL
    outside = re.sub(r"(`{3,})\w*\n.*?\n\1\n", "", body, flags=re.DOTALL)
    assert "<script" not in outside.replace(r"\<script", "")
    assert _plain("a|b\n# c `d` <e>") == r"a\|b \# c \`d\` \<e\>"
    assert _fenced("x = '''```'''", "toml") == "````toml\nx = '''```'''\n````\n"


def test_a_card_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    """A second card replaces the first; one that cannot be written says so."""
    write_card(failed(made()), tmp_path / "card.md")
    write_card(made(), tmp_path / "card.md")
    assert "NOT PASSED" not in (tmp_path / "card.md").read_text(encoding="utf-8")
    with pytest.raises(ArtifactError, match=r"gone/card\.md: the directory .*gone does not exist; create it first"):
        write_card(made(), tmp_path / "gone" / "card.md")


TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
SCALARS = TEXTS | st.floats(allow_nan=False, allow_infinity=False)
KEYS = st.text("abcdefgh_-", min_size=1).filter(lambda key: key[0] not in "-_" and yaml.safe_load(key) == key)


@given(SCALARS)
def test_scalars_are_read_back(value: str | float) -> None:
    """Any text and any finite number is read back by YAML as what it was, bit by bit."""
    read = yaml.safe_load(f"key: {_scalar(value)}\n")["key"]
    assert type(read) is type(value)
    assert read == value
    if isinstance(value, str):
        assert "\n" not in _scalar(value)
        assert json.loads(_scalar(value)) == value


@given(
    st.recursive(
        st.dictionaries(KEYS, SCALARS | st.lists(SCALARS), min_size=1, max_size=3),
        lambda inner: st.dictionaries(KEYS, inner | st.lists(inner, min_size=1, max_size=2), min_size=1, max_size=3),
        max_leaves=6,
    )
)
def test_mappings_are_read_back(value: dict) -> None:
    """Mappings in lists in mappings are read back as they were."""
    assert yaml.safe_load("".join(_yaml(value))) == value
