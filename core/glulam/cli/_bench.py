"""``glulam bench``: time an exported file on this machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import numpy.typing as npt
import typer
from rich.console import Console

from glulam.cli._options import Json, Model
from glulam.cli._show import facts, finish, table, tree_kernel

if TYPE_CHECKING:
    from glulam.runtime import ProductionEnsemble

__all__ = ["bench"]

SINGLE_ROWS = 2_000
"""Single rows timed, each another one: asking the same row again would find its path in the caches."""


class Profile(StrEnum):
    """Thread profiles of `ProductionEnsemble`."""

    LATENCY = "latency"
    THROUGHPUT = "throughput"


_THREADS = {Profile.LATENCY: "one thread", Profile.THROUGHPUT: "all cores"}


def bench(
    ctx: typer.Context,
    model: Model,
    rows: Annotated[int, typer.Option(min=1, help="Rows of the batch.")] = 5_000,
    repeat: Annotated[int, typer.Option(min=1, help="How often the batch is timed.")] = 20,
    profile: Annotated[
        Profile, typer.Option(help="Threads: one, best for single rows, or all cores, for large batches.")
    ] = Profile.LATENCY,
    as_json: Json = False,
) -> None:
    """Time MODEL on this machine: single rows, another one each call, and a batch.

    The rows are random, within the limits of the model's range check if it has one, else from -3 to 3.
    """
    from glulam.runtime import ProductionEnsemble

    opened = ProductionEnsemble(model, profile=profile.value, invalid="ignore")
    info = opened.info()
    ask = opened.predict_proba if "probabilities" in info["outputs"] else opened.predict
    random = np.random.default_rng(0)
    opened.warmup()
    singles = [_random_rows(opened, 1, random) for _ in range(SINGLE_ROWS)]
    batches = [_random_rows(opened, rows, random) for _ in range(min(repeat, 3))]
    single = _seconds(ask, singles)
    batch = _seconds(ask, [batches[index % len(batches)] for index in range(repeat)])
    document = {
        "file": model, "call": ask.__name__, "profile": profile.value, "threads": _THREADS[profile],
        "kernel": info["kernel"], "kernel_reason": info["kernel_reason"],
        "single_row": {"calls": len(single), **_microseconds(single)},
        "batch": {"rows": rows, "calls": len(batch), **_microseconds(batch),
                  "rows_per_second": round(rows / float(np.median(batch)))},
    }  # fmt: skip
    finish(ctx, document, lambda screen: _show(screen, document))


def _random_rows(model: ProductionEnsemble, count: int, random: np.random.Generator) -> Any:
    """Return rows as a caller would have them: a float32 matrix, or columns if some are categorical."""
    low, high = _limits(model)
    # float32 rounding must not step over a limit.
    matrix = np.clip(random.uniform(low, high, (count, len(low))).astype(np.float32), low, high)
    if all(feature.kind == "numeric" for feature in model.schema.features):
        return matrix
    columns: dict[str, npt.NDArray[Any]] = {}
    for index, feature in enumerate(model.schema.features):
        choices: Sequence[Any] = {"categorical": feature.categories, "boolean": (False, True)}.get(feature.kind, ())
        if choices:
            found = np.empty(len(choices), dtype=object)
            found[:] = choices
            columns[feature.name] = found[random.integers(0, len(choices), count)]
        else:
            columns[feature.name] = matrix[:, index]
    return columns


def _limits(model: ProductionEnsemble) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return plausible limits of each feature: those of a check that has some, else -3 and 3."""
    low = np.full(len(model.schema), -3, dtype=np.float32)
    high = -low
    for validator in model.info()["validators"]:
        least, most = (validator["state"].get(side) for side in ("low", "high"))
        if least is None or most is None:
            continue
        for index, limits in enumerate(zip(least, most, strict=True)):
            if None not in limits:
                low[index], high[index] = limits
    return low, high


def _seconds(ask: Callable[[Any], Any], tables: Sequence[Any]) -> npt.NDArray[np.float64]:
    """Return how long each call took."""
    taken = np.empty(len(tables))
    for index, rows in enumerate(tables):
        begun = time.perf_counter()
        ask(rows)
        taken[index] = time.perf_counter() - begun
    return taken


def _microseconds(taken: npt.NDArray[np.float64]) -> dict[str, float]:
    """Return the median, the 99th percentile and the least, in microseconds."""
    p50, p99 = np.percentile(taken, (50, 99))
    return {"p50_us": round(p50 * 1e6, 1), "p99_us": round(p99 * 1e6, 1), "least_us": round(taken.min() * 1e6, 1)}


def _show(screen: Console, document: dict[str, Any]) -> None:
    single, batch = document["single_row"], document["batch"]
    screen.print(
        table(
            f"{document['call']}, profile {document['profile']} ({document['threads']}), microseconds a call",
            ("rows>", "calls>", "p50>", "p99>", "least>"),
            (
                (f"{count:,}", f"{part['calls']:,}", *(f"{part[key]:,.1f}" for key in ("p50_us", "p99_us", "least_us")))
                for count, part in ((1, single), (batch["rows"], batch))
            ),
        )
    )
    facts(screen, {"batch": f"{batch['rows_per_second']:,} rows a second", "tree kernel": tree_kernel(document)})
