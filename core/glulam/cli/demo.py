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
        directory for ``ensemble.onnx`` and the saved ensemble ``trained``, made if need be; by
        default both are thrown away
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
        folds (a list of train, test, and ensemble, majority, always_up as in mean), mean
        (ensemble: auc, accuracy, f1; majority, which is the training rows' larger class, and
        always_up: accuracy, f1), seconds
    export
        members (name to weight), voting, fit_seconds, export_seconds, file_bytes, trained_bytes,
        parity (`ParityReport.to_dict`), file and trained (paths; None if thrown away)
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
    candles, found_candles = stages.read_candles(data)
    with _directory(out) as directory:
        file, trained = directory / "ensemble.onnx", directory / "trained"
        for target in (file, trained):
            _check_free(target)
        labelled, found_features = stages.make_labelled(candles)
        screen.show_candles(console, found_candles, found_features)
        with console.status("fitting five times"):
            evaluation = stages.evaluate(labelled, members)
        screen.show_evaluation(console, evaluation)
        with console.status("fitting, exporting, proving"):
            ensemble, export = stages.fit_and_export(labelled, members, file, trained)
        screen.show_export(console, export)
        serving = stages.serve(ensemble, labelled, file, trained)
        screen.show_serving(console, serving)
        timing = measure(ensemble, labelled.X, file)
        screen.show_timing(console, timing, serving, export)
    seconds = time.perf_counter() - begun
    screen.show_end(console, seconds, out)
    return {
        "candles": found_candles,
        "features": found_features,
        "evaluation": evaluation,
        "export": export | {"file": str(file) if out else None, "trained": str(trained) if out else None},
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
