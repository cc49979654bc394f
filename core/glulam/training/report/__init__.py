"""The report of a run: one HTML page that needs nothing but itself, to read on a phone and to print."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from glulam._files import atomic_file
from glulam.errors import ConfigError
from glulam.training.report import classes, figures, members, metrics, provenance, trading, values, verdict
from glulam.training.report.page import Markup, Section, join, page, tag
from glulam.training.report.text import count, started
from glulam.training.results import RunResult

__all__ = ["write_report"]

_ANSWERS: dict[str, tuple[Callable[[RunResult], Section], ...]] = {
    "classification": (classes.calibration, classes.ranking, classes.confusion, classes.thresholds),
    "regression": (values.predicted, values.residuals),
}
_TASKS = {"binary": "Two classes", "multiclass": "Several classes", "regression": "Values"}
_BEFORE = (verdict.section, metrics.metrics, metrics.folds)
_AFTER = (
    members.importance, members.members, members.weights, metrics.choices, trading.backtest, provenance.data,
    provenance.proof, provenance.latency, provenance.config,
)  # fmt: skip


def write_report(result: RunResult, path: Path) -> None:
    """Write the report of a run, or replace it whole.

    The page calls nobody: plotly is inside, and its content security policy forbids the rest. Raises
    `ArtifactError` if it cannot be written, `ConfigError` if plotly is missing.
    """
    try:
        library = figures.library()
    except ImportError as error:
        raise ConfigError(f"report {path}: plotly is missing ({error}); pip install 'glulam[cli]'") from error
    task = "regression" if result.data.task == "regression" else "classification"
    sections = [make(result) for make in (*_BEFORE, *_ANSWERS[task], *_AFTER)]
    name = result.facts.get("config_name") or "training"
    text = page(
        f"{verdict.verdict(result).word}: {name} - glulam report", _header(result, str(name)), sections, library
    )
    with atomic_file(path, overwrite=True) as out:
        # A name with half of a surrogate pair cannot be UTF-8; a question mark stands for it.
        out.write(text.encode("utf-8", "replace"))


def _header(result: RunResult, name: str) -> Markup:
    oof = result.evaluation.out_of_fold
    about = [
        f"{_TASKS[result.data.task]}: {provenance.label_text(result)}",
        f"{count(len(oof.rows), 'row')} tested, {metrics.period(result.data, oof.rows)}",
        f"seed {result.facts['seed']}" if "seed" in result.facts else "",
        started(str(result.facts.get("started", ""))),
        f"glulam {version}" if (version := (result.facts.get("versions") or {}).get("glulam")) else "",
    ]
    line = tag("p", " · ".join(part for part in about if part), class_="about")
    title = tag("h1", f"Training report: {name}")
    return tag("header", join([title, line, verdict.banner(result)]))
