"""A training run from config to a proven file: evaluate honestly, look for leaks, fit, export, judge, report."""

from __future__ import annotations

import contextlib
import datetime
import importlib
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from glulam import exporting
from glulam.dataset import Dataset
from glulam.errors import ConfigError, GlulamError
from glulam.runtime import load
from glulam.training import champion as champions
from glulam.training._generating import generators_of
from glulam.training.assembling import make_dataset, regenerate
from glulam.training.card import write_card
from glulam.training.config import Config
from glulam.training.data import read_raw
from glulam.training.ensembles import final_ensemble, make_members
from glulam.training.evaluating import Evaluator, Judged
from glulam.training.facts import git_revision, not_reproducible, run_key, serving_cost, versions_of
from glulam.training.folder import RunFolder, open_folder
from glulam.training.gates import judge
from glulam.training.leaks import look_for_leaks
from glulam.training.loading import digest, load_config, to_toml
from glulam.training.places import check_places, put_in_place
from glulam.training.report import write_report
from glulam.training.results import Comparison, Interval, RunResult
from glulam.trainspecs import LeakCase, Suspicion

__all__ = ["Finished", "Say", "prepare", "summary", "train"]

Say = Callable[[str], None]
SAMPLE_ROWS = 2_000
"""Rows that a dry run trains on: the last ones."""
SERVED_ROWS = 1_000
TUNED, TUNING = "tuned.toml", "tuning.json"
"""In the folder of a run that searches parameters: the config to go on with, and what the search found."""


@dataclass(frozen=True, slots=True)
class Finished:
    """A run that has ended.

    folder
        where all of it is; None for a dry run
    ensemble
        the trained ensemble itself
    out, saved
        the exported file and the trained ensemble, where they were put in place; None where a gate or a suspected
        leak kept them from it, and for a dry run
    """

    result: RunResult
    ensemble: Any
    folder: Path | None
    out: Path | None
    saved: Path | None


def prepare(config: Config, base: Path, say: Say) -> Dataset:
    """Read and check the data, make features and labels."""
    raw = read_raw(config.data, base, needs_time=bool(config.features.generators))
    data = make_dataset(raw, config)
    say(f"data: {raw.source}: {len(raw):,} rows; {len(data):,} with {len(data.schema)} features and a label")
    for finding in data.raw.findings:
        say(f"  {finding}")
    return data


def train(
    config: Config,
    *,
    base: Path,
    resume: bool = False,
    dry_run: bool = False,
    overwrite: bool = False,
    say: Say = lambda line: None,
) -> Finished:
    """Train, evaluate, check, export and report as a config says.

    base
        directory that the config's paths are relative to
    resume
        go on with the interrupted run of the same config, data and versions
    dry_run
        do all of it on the last rows only, and write nothing
    overwrite
        whether the exported file replaces one that is there
    say
        is told of each stage in a line

    Raises GlulamError for what cannot work; gates that fail and suspected leaks are in the result.
    """
    _check_libraries()
    # A dry run replaces nothing: it is asked before the first file is there, and after.
    out, saved = check_places(config, base, overwrite=overwrite or dry_run)
    data = prepare(config, base, say)
    if dry_run:
        data = data.take(np.arange(max(0, len(data) - SAMPLE_ROWS), len(data)))
        say(f"dry run: the last {len(data):,} rows, nothing is written")
    members = make_members(config, data.task, data.schema)
    versions = versions_of(members, generators_of(config))
    key = run_key(digest(config), data.raw.sha256, versions)
    with _folder(base / config.output.runs, key, resume=resume, dry_run=dry_run) as folder:
        facts = _facts(config, base, data, versions) | {"exceptions": not_reproducible(config, members)}
        if not dry_run:
            folder.write("config.toml", to_toml(config))
            folder.mark("running", facts)
        finished = _Run(config, base, data, folder, facts, say).run()
        if dry_run:
            return replace(finished, folder=None)
        if finished.result.passed or _allowed(config, finished.result):
            put_in_place(folder.path, out, saved, overwrite=overwrite)
            finished = replace(finished, out=out, saved=saved)
        folder.mark("done" if finished.out else "refused", dict(finished.result.facts))
        return finished


def _check_libraries() -> None:
    """Refuse now what would be missed at the end: what export and report need."""
    for name, extra in (("onnx", "onnx"), ("plotly", "cli")):
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise ConfigError(
                f"a run needs {name}, which is not installed ({error}); install it with: pip install 'glulam[{extra}]'"
            ) from error


def _allowed(config: Config, result: RunResult) -> bool:
    """Tell whether only suspected leaks stand against a file, and the config lets them pass."""
    return config.leaks.allow and all(gate.passed for gate in result.gates)


@contextlib.contextmanager
def _folder(runs: Path, key: str, *, resume: bool, dry_run: bool) -> Iterator[RunFolder]:
    """Give the run's folder; for a dry run one that is gone afterwards."""
    if not dry_run:
        with open_folder(runs, key, resume=resume) as folder:
            try:
                yield folder
            except BaseException as error:  # Ctrl-C as well
                stopped = not isinstance(error, GlulamError) or isinstance(error.__cause__, OSError)
                if not (folder.has_more_than_the_start() if stopped else folder.has_folds()):
                    folder.discard()
                elif stopped:
                    error.add_note(f"what is done is kept in {folder.path}; go on with the same command and --resume")
                raise
        return
    with tempfile.TemporaryDirectory(prefix="glulam-dry-run-") as directory:
        yield RunFolder(Path(directory), key)


def _facts(config: Config, base: Path, data: Dataset, versions: dict[str, str]) -> dict[str, Any]:
    """Return what the run is known by."""
    raw = data.raw
    span = {} if raw.time is None else {"since": _iso(raw.time[0]), "until": _iso(raw.time[-1])}
    name, params = data.label
    return {
        "config_name": f"{params.get('column', name)} of {Path(config.data.path).name}",
        "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "config": to_toml(config),
        "config_sha256": digest(config),
        "data": {
            "source": config.data.path, "rows": len(raw), "sha256": raw.sha256, **span, "findings": list(raw.findings)
        },
        "rows": len(data),
        "features": data.schema.names,
        "label": name + "".join(f", {key} = {value}" for key, value in params.items()),
        "horizon": data.horizon,
        "seed": config.seed,
        "git": git_revision(base),
        "versions": versions,
    }  # fmt: skip


def _iso(microseconds: np.int64) -> str:
    return str(np.datetime64(int(microseconds), "us").astype("datetime64[s]")) + "Z"


class _Run:
    """One run: its stages in order, each on what the ones before found."""

    def __init__(
        self, config: Config, base: Path, data: Dataset, folder: RunFolder, facts: dict[str, Any], say: Say
    ) -> None:
        self.config, self.base, self.data, self.folder, self.facts, self.say = config, base, data, folder, facts, say
        self.begun = time.perf_counter()

    def run(self) -> Finished:
        """Return the result; the exported file is in the folder."""
        model = None
        if self.config.gates.not_worse_than:
            model = champions.check_champion(self.base / self.config.gates.not_worse_than, self.data)
        tuned = self._tune() if self.config.tune.enabled else ()
        judged = Evaluator(self.config, self.data, self.folder, self.say).judge(model, tuned)
        suspicions, checked = self._look_for_leaks(judged)
        data = judged.data  # with the selected features only, if that paid
        self.say(f"final fit on {len(data):,} rows")
        begun = time.perf_counter()
        ensemble = final_ensemble(self.config, data, judged.finishing)
        fitted = time.perf_counter()
        ensemble.training_ |= self._description(data, judged)
        file = self.folder.path / "ensemble.onnx"
        report = exporting.export(
            ensemble, file, exporter="onnx", overwrite=True, precision=self.config.output.precision,
            proof_rows=20_000, options={}, reproducible=True,
        )  # fmt: skip
        exported = time.perf_counter()
        self.say(
            f"exported and proven: {report.rows:,} rows tried, largest difference {report.largest_difference:.1e} "
            f"({report.precision}, tolerance {report.tolerance:g})"
        )
        ensemble.save(self.folder.path / "ensemble.trained", overwrite=True)
        cost = serving_cost(file, data.X[-SERVED_ROWS:])
        gates = judge(self.config.gates, judged.evaluation, cost, judged.champion)
        result = RunResult(
            data=data,
            evaluation=judged.evaluation,
            suspicions=suspicions,
            checked_for=checked,
            gates=gates,
            importance=judged.importance,
            ensemble=load(file).info(),
            latency=cost,
            facts={
                **self.facts,
                **judged.facts,
                "warnings": [*self.facts.get("warnings", ()), *judged.facts["warnings"]],
                "fit_seconds": round(fitted - begun, 3),
                "export_seconds": round(exported - fitted, 3),
                "seconds": round(time.perf_counter() - self.begun, 3),
            },
        )
        self._report(result)
        return Finished(result, ensemble, self.folder.path, None, None)

    def _tune(self) -> tuple[Comparison, ...]:
        """Search parameters; take what was found if it is better on rows that the search did not see.

        The study is in the run's folder. Once it has ended, what came of it is kept there, and a run that is resumed
        searches no more: another search might find other parameters than the folds were fitted with.
        """
        kept = self.folder.path / TUNING
        if not kept.exists():
            self._search(kept)
        found = json.loads(kept.read_text(encoding="utf-8"))
        self.say(found["verdict"])
        self.config = load_config(self.folder.path / TUNED, environ={})
        self.facts |= {
            "config": to_toml(self.config),
            "config_sha256": digest(self.config),
            "tuned": {name: found[name] for name in ("adopted", "params", "holdout", "verdict")},
        }
        if found["adopted"] and "test_size" not in self.config.evaluation.params:
            self.facts["warnings"] = ["some tested rows are those that parameters were searched on, which flatters"]
        difference = Interval(*(float("nan") if each is None else each for each in found["difference"]))
        return (Comparison(found["what"], found["metric"], difference),)

    def _search(self, kept: Path) -> None:
        """Search, and write down what came of it: the config to go on with, and then the comparison."""
        from glulam.training.tuning import tune

        self.say("tuning")
        found = tune(self.data, self.config, base=self.folder.path, progress=False)
        done = found.config.tune.model_copy(update={"enabled": False})
        self.folder.write(TUNED, to_toml(found.config.model_copy(update={"tune": done})))
        difference = found.comparison.difference
        self.folder.write_json(
            kept.name,
            {
                "adopted": found.adopted, "params": found.params, "holdout": found.holdout, "verdict": found.verdict,
                "what": found.comparison.what, "metric": found.comparison.metric,
                "difference": [difference.value, difference.low, difference.high],
            },
        )  # fmt: skip

    def _look_for_leaks(self, judged: Judged) -> tuple[tuple[Suspicion, ...], tuple[str, ...]]:
        config, answers = self.config, judged.evaluation.out_of_fold
        self.say("looking for leaks")
        scores = np.full((len(self.data), self.data.n_outputs), np.nan)
        scores[answers.rows] = answers.scores
        case = LeakCase(
            data=self.data,
            folds=judged.evaluation.folds,
            scores=scores,
            generate=regenerate(config) if config.features.generators else None,
            seed=config.seed,
        )
        suspicions, checked = look_for_leaks(case, skip=config.leaks.skip)
        for suspicion in suspicions:
            self.say(str(suspicion))
        if not suspicions:
            self.say(f"leaks: {len(checked)} checks found nothing suspicious")
        return suspicions, checked

    def _description(self, data: Dataset, judged: Judged) -> dict[str, Any]:
        """Return what the file says of its training, beside rows and sha256 of the matrix."""
        kept = ("config", "config_sha256", "data", "label", "horizon", "seed", "git", "versions")
        described = {name: self.facts[name] for name in kept}
        first = judged.evaluation.metrics[0]
        interval = first.ensemble
        described["evaluation"] = {
            "splitter": judged.evaluation.splitter,
            "metric": first.name,
            "value": interval.value,
            "low": interval.low if np.isfinite(interval.low) else None,
            "high": interval.high if np.isfinite(interval.high) else None,
        }
        if data.time is not None and data.raw.time is not None:
            # The last row that any label has read: what comes later is new to this ensemble.
            described["until_us"] = int(data.raw.time[data.label_end.max()])
        return described

    def _report(self, result: RunResult) -> None:
        self.folder.write_json("metrics.json", summary(result))
        write_report(result, self.folder.path / "report.html")
        write_card(result, self.folder.path / "MODEL_CARD.md")


def summary(result: RunResult) -> dict[str, Any]:
    """Return the figures of a run for programs: metrics, comparisons, gates, suspicions."""
    evaluation = result.evaluation

    def interval(found: Any) -> dict[str, float]:
        return {"value": found.value, "low": found.low, "high": found.high}

    return {
        "splitter": evaluation.splitter,
        "metrics": {
            metric.name: {
                "ensemble": interval(metric.ensemble),
                "by_fold": metric.by_fold,
                "baselines": {name: interval(found) for name, found in metric.baselines.items()},
                "members": {name: interval(found) for name, found in metric.members.items()},
            }
            for metric in evaluation.metrics
        },
        "best_baseline": evaluation.best_baseline,
        "comparisons": [
            {"what": each.what, "metric": each.metric, **interval(each.difference)}
            for each in (evaluation.against_best, *evaluation.comparisons)
        ],
        "backtest": None if evaluation.backtest is None else {
            "strategy": {name: interval(found) for name, found in evaluation.backtest.strategy.items()},
            "hold": {name: interval(found) for name, found in evaluation.backtest.hold.items()},
            "settings": evaluation.backtest.settings,
        },
        "gates": [{"name": gate.name, "passed": gate.passed, "what": gate.what} for gate in result.gates],
        "suspicions": [
            {"check": each.check, "what": each.what, "advice": each.advice, "evidence": each.evidence}
            for each in result.suspicions
        ],
        "checked_for": result.checked_for,
        "latency": result.latency,
        "passed": result.passed,
    }  # fmt: skip
