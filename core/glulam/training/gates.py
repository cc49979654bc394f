"""Quality gates: what must hold before a file is put in place."""

from __future__ import annotations

from collections.abc import Mapping

from glulam.training.config import GatesConfig
from glulam.training.results import Comparison, Evaluation, GateResult, MetricResult

__all__ = ["judge", "needs"]


def judge(
    config: GatesConfig,
    evaluation: Evaluation,
    latency: Mapping[str, float],
    champion: tuple[Comparison | None, str] | None = None,
) -> tuple[GateResult, ...]:
    """Return each gate that the config asks for, with what was demanded and what was found.

    latency
        ``p50`` of one row in seconds, ``memory_bytes``, ``file_bytes``
    champion
        the new ensemble against the present one on rows that neither was fitted on, and in words on how many; no
        comparison where there are too few such rows
    """
    found = {metric.name: metric for metric in evaluation.metrics}
    gates = []
    if config.min_auc_low is not None:
        auc = found["auc"]
        gates.append(_gate("auc", auc.ensemble.low, ">=", config.min_auc_low, "lower end of the AUC's interval"))
    if config.max_calibration_error is not None:
        gates.append(
            _gate("calibration_error", found["calibration_error"].ensemble.value, "<=", config.max_calibration_error,
                  "calibration error")
        )  # fmt: skip
    if config.min_f1 is not None:
        gates.append(_f1(found["f1"], config.min_f1))
    if champion is not None:
        gates.append(_against_champion(*champion))
    for name, limit, key, unit, scale in (
        ("size", config.max_size_mb, "file_bytes", "MB", 1e-6),
        ("latency", config.max_latency_us, "p50", "us for one row, p50", 1e6),
        ("memory", config.max_memory_mb, "memory_bytes", "MB", 1e-6),
    ):
        if limit is not None:
            gates.append(_gate(name, latency[key] * scale, "<=", limit, f"{name} in {unit}"))
    return tuple(gates)


def _gate(name: str, value: float, relation: str, limit: float, what: str) -> GateResult:
    """Compare; what is not a number never passes."""
    passed = bool(value >= limit if relation == ">=" else value <= limit)
    return GateResult(name, passed, f"{what}: {value:.4g}, demanded {relation} {limit:g}")


def _f1(metric: MetricResult, limit: float) -> GateResult:
    """Judge F1, and say what the answer that needs no model has."""
    gate = _gate("f1", metric.ensemble.value, ">=", limit, "F1")
    idle = {name: metric.baselines[name].value for name in ("always_positive", "majority") if name in metric.baselines}
    best = max(idle, key=lambda name: idle[name])
    aside = f"; the baseline {best} has {idle[best]:.3f} without knowing anything"
    return GateResult(gate.name, gate.passed, gate.what + aside)


def _against_champion(comparison: Comparison | None, rows: str) -> GateResult:
    """Refuse only what is worse beyond doubt: the whole interval of the difference is below 0."""
    if comparison is None:
        return GateResult("champion", True, f"not compared: {rows}")
    found = comparison.difference
    passed = not found.high < 0
    return GateResult(
        "champion",
        passed,
        f"{comparison.metric} {'better' if found.value > 0 else 'worse'} than the champion's by {abs(found.value):.4g} "
        f"(difference {found.low:.4g} to {found.high:.4g}), {rows}; demanded: not worse beyond doubt",
    )


def needs(config: GatesConfig) -> dict[str, str]:
    """Return which metrics the gates read, by the key that asks for them."""
    asked = {
        "min_auc_low": ("auc", config.min_auc_low),
        "max_calibration_error": ("calibration_error", config.max_calibration_error),
        "min_f1": ("f1", config.min_f1),
    }
    return {key: metric for key, (metric, limit) in asked.items() if limit is not None}
