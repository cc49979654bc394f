# ruff: noqa: RUF001  # minus signs and dashes as readers see them
"""The report: every section, honest words, nothing that calls out, and what a real browser makes of it."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from plotly.graph_objects import Figure
from training.made_result import EVIL, bare, failed, hostile, leaking, made

from glulam.errors import ArtifactError
from glulam.training.report import write_report
from glulam.training.report.figures import library
from glulam.training.report.page import Markup, tag
from glulam.training.report.text import interval, interval_percent
from glulam.training.report.verdict import honest_sentence, verdict
from glulam.training.results import Comparison, Interval, RunResult

TASKS = ("binary", "multiclass", "regression")
FIRST = ["verdict", "metrics", "folds"]
LAST = ["importance", "members", "weights", "choices", "backtest", "data", "proof", "latency", "config"]
CLASSES = ["calibration", "ranking", "confusion", "thresholds"]
SECTIONS = {
    "binary": [*FIRST, *CLASSES, *LAST],
    "multiclass": [*FIRST, *CLASSES, *LAST],
    "regression": [*FIRST, "predicted", "residuals", *LAST],
}
CHARTS = {"binary": 11, "multiclass": 9, "regression": 6}
VOID = {"meta", "br", "img", "link", "input", "hr"}


class Page(HTMLParser):
    """What a page holds: its sections, its text, its scripts, its attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.sections: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.charts: list[dict] = []
        self.scripts = 0
        self.text: list[str] = []
        self.by_section: dict[str, str] = {}
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep attributes, and which section and script begin."""
        found = {name: value or "" for name, value in attrs}
        self.attributes += [(tag, name, value) for name, value in found.items()]
        if tag == "section":
            self.sections.append(found["id"])
        if tag == "script":
            self.scripts += 1
            self.of_chart = found.get("type") == "application/json"
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Leave out the parts of symbols."""

    def handle_endtag(self, tag: str) -> None:
        """Check that it ends what is open."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Keep the text by section, and the JSON of charts."""
        if self.open[-1:] == ["script"]:
            if self.of_chart:
                self.charts.append(json.loads(data))
        elif self.open[-1:] != ["style"]:
            self.text.append(data)
            if "section" in self.open:
                self.by_section[self.sections[-1]] = self.by_section.get(self.sections[-1], "") + data


def written(result: RunResult, folder: Path) -> str:
    """Return the report of a result, without plotly's own five million letters."""
    write_report(result, folder / "report.html")
    text = (folder / "report.html").read_text(encoding="utf-8")
    assert len(text) < 6_000_000
    assert text.count(library()) == 1
    return text.replace(library(), "")


def _length(values) -> int:
    """Return how many numbers a list has, or an array as plotly packs it."""
    if isinstance(values, dict):
        return len(np.frombuffer(base64.b64decode(values["bdata"]), dtype=values["dtype"]))
    return len(values)


@pytest.mark.parametrize("task", TASKS)
def test_every_section_is_there(task: str, tmp_path: Path) -> None:
    """Every section is there, in order, with a link to it and its charts, which plotly accepts; the page is small."""
    text = written(made(task), tmp_path)
    page = Page(text)
    assert page.sections == SECTIONS[task]
    assert [value[1:] for name, key, value in page.attributes if (name, key) == ("a", "href")] == SECTIONS[task]
    assert len(page.charts) == CHARTS[task]
    for chart in page.charts:
        drawn = Figure(chart)
        assert len(drawn.data) > 0
        assert all(_length(trace.x) == _length(trace.y) > 0 for trace in drawn.data)
        assert drawn.layout.yaxis.title.text or drawn.layout.yaxis.ticktext
        assert drawn.layout.dragmode is False


@pytest.mark.parametrize("change", [lambda result: result, failed, leaking, bare, hostile])
@pytest.mark.parametrize("task", TASKS)
def test_what_is_not_known_is_no_nan(task: str, change, tmp_path: Path) -> None:
    """No text says nan, None, inf or null, however little is known; nothing points outside."""
    page = Page(written(change(made(task)), tmp_path))
    assert not re.search(r"\b(nan|NaN|None|inf|null|undefined|array|np\.\w+)\b", " ".join(page.text))
    addresses = [value for _, name, value in page.attributes if name in ("src", "href", "action", "data", "srcset")]
    assert addresses
    assert all(value.startswith("#") for value in addresses)
    policies = [value for _, name, value in page.attributes if name == "content" and "default-src" in value]
    assert len(policies) == 1
    assert policies[0].startswith(
        "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data"
    )


def test_markup_of_users_stays_text(tmp_path: Path) -> None:
    """Names and texts that are markup are shown as they are: on the page, in attributes and in charts."""
    text = written(hostile(made()), tmp_path)
    assert EVIL not in text
    assert "<img" not in text[: text.index("<script>")]
    page = Page(text)
    assert page.scripts == len(page.charts) + 2
    assert page.sections == SECTIONS["binary"]
    assert EVIL in " ".join(page.text)
    # Plotly reads tags in texts, so that they are escaped once more for it.
    ticks = [tick for chart in page.charts for tick in chart["layout"]["yaxis"].get("ticktext", ())]
    assert "&lt;script&gt;alert(1)&lt;/script&gt;0"[:30] in {tick[:30] for tick in ticks}
    assert not re.search("<script|<img", json.dumps(page.charts))


def test_tags_escape_all_but_markup() -> None:
    """Texts and attributes are escaped; markup is not, once more."""
    assert tag("p", "<b>", Markup("<i></i>"), class_='"x"') == '<p class="&quot;x&quot;">&lt;b&gt;<i></i></p>'
    assert tag("div", 3, aria_label="a & b") == '<div aria-label="a &amp; b">3</div>'


def test_verdicts(tmp_path: Path) -> None:
    """The first words are the verdict; a suspected leak comes before failed gates, and neither hides the other."""
    passed = verdict(made())
    assert (passed.kind, passed.word) == ("passed", "PASSED")
    assert passed.why == "3 gates passed; 4 leak checks found nothing."
    missed = verdict(failed(made()))
    assert (missed.kind, missed.word) == ("failed", "NOT PASSED")
    assert missed.why == "1 of 4 gates failed (min_auc_low); 4 leak checks found nothing."
    smells = verdict(leaking(failed(made())))
    assert (smells.kind, smells.word) == ("leak", "SUSPECTED LEAK")
    assert smells.why == (
        "1 thing smells of a leak (too good to be true): do not believe the numbers below before this is explained. "
        "Besides, 1 of 4 gates failed (min_auc_low)."
    )
    nothing = verdict(bare(made()))
    assert (nothing.kind, nothing.word) == ("unchecked", "NOT CHECKED")
    assert nothing.why == "No gate was asked for; no leak check was made."
    only_leaks = verdict(replace(made(), gates=()))
    assert (only_leaks.word, only_leaks.why) == ("PASSED", "No gate was asked for; 4 leak checks found nothing.")
    for result, found in ((made(), passed), (failed(made()), missed), (leaking(failed(made())), smells)):
        page = Page(written(result, tmp_path))
        words = [text.strip() for text in page.text if text.strip()]
        assert words[0].startswith(found.word)
        assert words.index(found.word) < words.index("Gates and leak checks")
        assert ("div", "class", f"verdict {found.kind}") in page.attributes
        # What is wrong comes before the number.
        assert (words.index(found.why) > words.index(honest_sentence(result))) == (found.kind == "passed")


def test_a_leak_is_explained(tmp_path: Path) -> None:
    """A suspicion is shown with its evidence, the features it is about and what to do."""
    section = Page(written(leaking(made()), tmp_path)).by_section["verdict"]
    assert "AUC 0.981 on 10,899 rows is beyond what prices let anybody know" in section
    assert "Features: return_1" in section
    assert "expected at most0.600" in section
    assert "0.979, 0.984, 0.980" in section
    assert "What to do: look at feature 'return_1' first" in section
    assert "suspected" in section


@pytest.mark.parametrize(
    ("difference", "greater", "said"),
    [
        (Interval(0.006, -0.004, 0.016), True, "the difference 0.006 (−0.004 to 0.016) is not distinguishable from none."),
        (Interval(0.016, 0.004, 0.026), True, "the difference 0.016 (0.004 to 0.026) is distinguishable from none: the ensemble is better."),
        (Interval(-0.016, -0.026, -0.004), True, "the difference −0.016 (−0.026 to −0.004) is distinguishable from none: the ensemble is worse."),
        (Interval(0.006, -0.004, 0.016), False, "the difference (positive is better) 0.006 (−0.004 to 0.016) is not distinguishable from none."),
        (Interval(0.006), True, "the difference 0.006 has no interval, so that nothing can be said of it."),
    ],
)  # fmt: skip
def test_the_honest_sentence(difference: Interval, greater: bool, said: str) -> None:
    """Metric and interval, best baseline and the paired difference are one sentence, with what the difference means."""
    result = made()
    first = replace(
        result.evaluation.metrics[0], ensemble=Interval(0.527, 0.514, 0.541), greater_is_better=greater,
        baselines={"logistic": Interval(0.5211, 0.5, 0.54)},
    )  # fmt: skip
    judged = replace(
        result.evaluation, metrics=(first,), against_best=Comparison("", "auc", difference), best_baseline="logistic"
    )
    start = "AUC 0.527 (0.514 to 0.541); the best baseline, logistic, has 0.521; "
    assert honest_sentence(replace(result, evaluation=judged)) == start + said
    alone = replace(judged, best_baseline="")
    assert honest_sentence(replace(result, evaluation=alone)) == "AUC 0.527 (0.514 to 0.541); no baseline was measured."


def test_passing_is_not_being_better(tmp_path: Path) -> None:
    """Where gates pass and no difference to the baseline is shown, the report says that this is no praise."""
    result = made()
    undecided = Comparison("", "auc", Interval(0.006, -0.004, 0.016))
    same = replace(result, evaluation=replace(result.evaluation, against_best=undecided))
    assert "not shown to be better than the best baseline" in Page(written(same, tmp_path)).by_section["verdict"]


def test_what_is_worse_than_a_baseline_is_not_praised(tmp_path: Path) -> None:
    """All gates passed, and yet an answer that needs no ensemble is better beyond doubt: that is the verdict."""
    result = made()
    against = replace(result.evaluation.against_best, difference=Interval(-0.02, -0.03, -0.01))
    worse = replace(result, evaluation=replace(result.evaluation, against_best=against))
    found = verdict(worse)
    assert (found.kind, found.word) == ("worse", "WORSE THAN A BASELINE")
    assert f"but {result.evaluation.best_baseline}, which needs no ensemble, is better." in found.why
    assert 'class="verdict worse"' in written(worse, tmp_path)


def test_what_nobody_asked_to_be_good_and_is_not(tmp_path: Path) -> None:
    """Without a gate, an ensemble that is not shown to be better than a baseline is told so, and not praised."""
    result = replace(made(), gates=())
    undecided = replace(result.evaluation.against_best, difference=Interval(0.006, -0.004, 0.016))
    found = verdict(replace(result, evaluation=replace(result.evaluation, against_best=undecided)))
    assert (found.kind, found.word) == ("worse", "NOT SHOWN TO BE BETTER")
    better = replace(result.evaluation.against_best, difference=Interval(0.02, 0.01, 0.03))
    assert verdict(replace(result, evaluation=replace(result.evaluation, against_best=better))).word == "PASSED"


def test_numbers_on_the_page_are_the_results(tmp_path: Path) -> None:
    """What the sections say is what the result holds."""
    result = made()
    page = Page(written(result, tmp_path)).by_section
    metric, oof = result.evaluation.metrics[0], result.evaluation.out_of_fold
    assert interval(metric.ensemble) in page["metrics"]
    assert interval(metric.ensemble) in page["members"]
    right = int((oof.labels == result.data.y[oof.rows]).sum())
    assert f"{right:,} of {len(oof.rows):,} rows" in page["confusion"]
    agree = (oof.votes.argmax(axis=2) == oof.votes.argmax(axis=2)[:, :1]).all(axis=1)
    assert f"all members say the same{agree.sum():,}" in page["members"]
    assert f"{result.ensemble['parity']['rows']:,}" in page["proof"]
    assert result.data.raw.sha256 in page["data"]
    assert "16 bars are missing" in page["data"]
    assert 'params = { n_estimators = 10, num_leaves = 7 }  # "quoted" <and> bracketed' in page["config"]
    assert "3f2c9a7b with changes that are not committed" in page["config"]
    assert interval_percent(result.evaluation.backtest.strategy["total_return"]) in page["backtest"]


def test_rows_without_a_time(tmp_path: Path) -> None:
    """Rows that have no time are counted: no chart has a time axis, and folds stand side by side."""
    result = made()
    data = replace(result.data, raw=replace(result.data.raw, time=None))
    judged = replace(result.evaluation, ordered=False, backtest=None, splitter="5 stratified folds")
    page = Page(written(replace(result, data=data, evaluation=judged), tmp_path))
    assert "5 stratified folds: 10,900 rows were answered" in page.by_section["metrics"]
    assert "rows 2,179 to 13,078" in page.by_section["metrics"]
    assert "UTC" not in " ".join(page.text).replace(" UTC · ", "").replace("06:00 UTC", "")
    assert all(chart["layout"]["xaxis"].get("type") != "date" for chart in page.charts)
    assert page.charts[0]["layout"]["xaxis"]["title"]["text"] == "fold"
    assert page.charts[0]["data"][-1]["x"][:2] == [0.6, 1.4]


def test_nothing_is_over_time_without_one(tmp_path: Path) -> None:
    """Where rows have no order, the page speaks of folds and rows, and of nothing that comes and goes."""
    result = made("regression")
    data = replace(result.data, raw=replace(result.data.raw, time=None))
    plain = replace(result, data=data, evaluation=replace(result.evaluation, ordered=False))
    told = [" ".join(Page(written(each, tmp_path)).text) for each in (result, plain)]
    for phrase in ("over time", "for a while", "comes and goes"):
        assert phrase in told[0]
        assert phrase not in told[1]
    assert "Each line is one fold; lower is better." in told[1]
    assert "Residuals by row" in told[1]


def test_a_report_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    """A second report replaces the first; one that cannot be written says so and leaves nothing."""
    path = tmp_path / "report.html"
    path.write_text("old")
    write_report(bare(made()), path)
    assert "</html>" in path.read_text(encoding="utf-8")
    with pytest.raises(ArtifactError, match=r"gone/report\.html: the directory .*gone does not exist; create it first"):
        write_report(bare(made()), tmp_path / "gone" / "report.html")
    assert [each.name for each in tmp_path.iterdir()] == ["report.html"]


def test_without_plotly_the_error_says_what_to_install(tmp_path: Path) -> None:
    """Reports need plotly; the rest of training can be imported without it."""
    code = (
        "import sys; sys.modules['plotly'] = None; sys.modules['plotly.offline'] = None\n"
        "from pathlib import Path; from glulam.training.report import write_report; import glulam.training.card\n"
        "write_report(None, Path('report.html'))"
    )
    run = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, cwd=tmp_path)
    assert "ConfigError: report report.html: plotly is missing (" in run.stderr
    assert run.stderr.rstrip().endswith("pip install 'glulam[cli]'")
    assert list(tmp_path.iterdir()) == []
