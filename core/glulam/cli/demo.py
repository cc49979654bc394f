"""`glulam demo`: real candles to an exported file, and that file in a process without the libraries."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from glulam._files import check_target
from glulam.cli import _demo_screen as screen
from glulam.cli import _demo_stages as stages
from glulam.cli._demo_speed import measure
from glulam.errors import ArtifactError, ArtifactExistsError

__all__ = ["run"]


def run(
    console: Console,
    *,
    out: Path | None = None,
    data: Path | None = None,
    members: Sequence[Any] | None = None,
) -> dict[str, Any]:
    """Show on real candles what glulam is for, and return what was found, as JSON values.

    console
        where to print, stage by stage; a quiet one prints nothing
    out
        directory for ``ensemble.onnx``, the saved ensemble ``ensemble.trained`` and the run with its
        report, made if need be; by default all are thrown away
    data
        CSV file with timestamp, open, high, low, close and volume; by default the shipped candles
    members
        of the ensemble, weighted equally; by default LightGBM 0.4, XGBoost 0.4, random forest 0.2

    The result has these keys; sizes are in bytes, durations in seconds:

    candles
        file, gaps, and `CandleReport`'s: rows, kept, dropped, start, end, step_seconds,
        missing_bars, findings
    features
        columns, warm_up (rows dropped at the start), unlabelled (rows without a next bar), rows
        (the rest), up_share
    evaluation
        folds (a list of train, test, and ensemble, majority, always_up as in all), all tested rows
        (ensemble: auc, accuracy, f1; majority, which is the training rows' larger class, and
        always_up: accuracy, f1), auc_interval (95 %), best_baseline (name, auc), checked_for (leak
        checks), suspicions
    export
        members (name to weight), voting, fit_seconds, export_seconds, file_bytes, trained_bytes,
        parity (`ParityReport.to_dict`), file, trained and report (paths; None if thrown away)
    serving
        rows, blocked (packages that could not be imported), packages (those imported, without
        Python's own), blocked_imported, refused (blocked ones that something tried to import),
        memory_bytes (None where unknown), seconds_to_first, bitwise_equal, largest_difference (to
        the libraries' probabilities), tolerance, labels_equal (a count), native (memory_bytes and
        seconds_to_first of a process that opens the saved ensemble with the libraries)
    timing
        threads, kernel and kernel_reason (as `ProductionEnsemble.info` has them), single and batch:
        native, glulam and, where glulam's kernel walks the trees, builtin, the same file without it
        (p50, p99, calls each), ratio of the p50s of native and glulam; batch also rows
    seconds
        the whole

    Raises ArtifactError if the candles are missing or ``out`` holds such files, FeatureError for
    impossible candles, ProofError if any answer differs from the libraries'.
    """
    begun = time.perf_counter()
    candles = stages.read_candles(data)
    with _directory(out) as directory:
        file, trained = directory / "ensemble.onnx", directory / "ensemble.trained"
        for target in (file, trained):
            _check_free(target)
        with console.status("evaluating, looking for leaks, fitting, exporting, proving"):
            finished = stages.run_training(data, directory, members)
        features, evaluation = stages.found_features(finished), stages.found_evaluation(finished)
        export = stages.found_export(finished, file, trained)
        screen.show_candles(console, candles, features)
        screen.show_evaluation(console, evaluation)
        screen.show_export(console, export)
        serving = stages.serve(finished.ensemble, finished.result.data.X, file, trained)
        screen.show_serving(console, serving)
        timing = measure(finished.ensemble, finished.result.data.X, file)
        screen.show_timing(console, timing, serving, export)
    seconds = time.perf_counter() - begun
    report = out / "runs" / finished.folder.name / "report.html" if out and finished.folder else None
    screen.show_end(console, seconds, out, report)
    return {
        "candles": candles,
        "features": features,
        "evaluation": evaluation,
        "export": export
        | {
            "file": str(file) if out else None,
            "trained": str(trained) if out else None,
            "report": str(report) if report else None,
        },
        "serving": serving,
        "timing": timing,
        "seconds": seconds,
    }


def _check_free(target: Path) -> None:
    """Refuse what is there already; the advice to overwrite it is not for the demo, which never does."""
    try:
        check_target(target, overwrite=False)
    except ArtifactExistsError as error:
        raise ArtifactExistsError(f"demo: {target} exists; choose another directory with --out") from error


@contextlib.contextmanager
def _directory(out: Path | None) -> Iterator[Path]:
    """Give ``out``, made if need be, or a temporary directory."""
    if out is None:
        with tempfile.TemporaryDirectory(prefix="glulam-demo-") as temporary:
            yield Path(temporary)
        return
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ArtifactError(f"{out}: cannot be made a directory: {error.strerror}; choose another") from error
    yield out
