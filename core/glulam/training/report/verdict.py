"""The verdict, and the honest sentence: what reader and model card must see first."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from glulam.training.report.page import Markup, Section, facts, join, note, paragraph, table, tag
from glulam.training.report.text import UNKNOWN, count, decimals, interval, number
from glulam.training.results import Comparison, Interval, RunResult

__all__ = ["Verdict", "banner", "compared", "honest_sentence", "section", "verdict"]

Kind = Literal["passed", "worse", "failed", "leak", "unchecked"]

_SYMBOLS = {
    "passed": "M14 33 L26 45 L47 17",
    "worse": "M30 18 L30 42 M21 33 L30 42 L39 33",
    "failed": "M17 17 L43 43 M43 17 L17 43",
    "unchecked": "M18 30 L42 30",
    "leak": "M30 13 L30 36 M30 45 L30 46",
}
_SHAPES = {
    "passed": '<circle cx="30" cy="30" r="27"/>',
    "worse": '<path d="M30 3 L57 30 L30 57 L3 30 Z"/>',
    "failed": '<rect x="4" y="4" width="52" height="52" rx="4"/>',
    "unchecked": '<circle cx="30" cy="30" r="27" stroke-dasharray="8 9"/>',
    "leak": '<path d="M30 3 L58 55 L2 55 Z"/>',
}
"""Circle, diamond, square, triangle, broken circle: the verdict can be told without colours and without reading."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came out: a word in capitals and the sentence that says why."""

    kind: Kind
    word: str
    why: str


def verdict(result: RunResult) -> Verdict:
    """Return the verdict. A suspected leak comes before gates: it says that their numbers mean nothing.

    Where there was neither a gate nor a leak check, nothing has passed; and what is worse than an answer that needs no
    ensemble, beyond doubt, is not praised for passing, nor what nobody has asked to be better and is not.
    """
    failed = [gate.name for gate in result.gates if not gate.passed]
    gates = f"{len(failed)} of {count(len(result.gates), 'gate')} failed ({', '.join(failed)})"
    if result.suspicions:
        found = sorted({each.check for each in result.suspicions})
        also = f" Besides, {gates}." if failed else ""
        return Verdict(
            "leak", "SUSPECTED LEAK",
            f"{count(len(result.suspicions), 'thing')} {'smells' if len(result.suspicions) == 1 else 'smell'} of a "
            f"leak ({', '.join(found)}): do not believe the numbers below before this is explained.{also}",
        )  # fmt: skip
    checks = f"{count(len(result.checked_for), 'leak check')} found nothing" if result.checked_for else (
        "no leak check was made"
    )  # fmt: skip
    if not result.gates and not result.checked_for:
        return Verdict("unchecked", "NOT CHECKED", f"No gate was asked for; {checks}.")
    if failed:
        return Verdict("failed", "NOT PASSED", f"{gates}; {checks}.")
    passed = f"{count(len(result.gates), 'gate')} passed" if result.gates else "No gate was asked for"
    if result.evaluation.against_best.difference.high < 0:
        return Verdict(
            "worse", "WORSE THAN A BASELINE",
            f"{passed}; {checks}; but {result.evaluation.best_baseline}, which needs no ensemble, is better.",
        )  # fmt: skip
    if not result.gates and not result.evaluation.against_best.better:
        return Verdict(
            "worse", "NOT SHOWN TO BE BETTER",
            f"{passed}; {checks}; but nothing shows that it is better than {result.evaluation.best_baseline}, which "
            "needs no ensemble.",
        )  # fmt: skip
    return Verdict("passed", "PASSED", f"{passed}; {checks}.")


def honest_sentence(result: RunResult) -> str:
    """Return the first metric with its interval against the best baseline, in one sentence."""
    evaluation = result.evaluation
    metric = evaluation.metrics[0]
    best = evaluation.best_baseline
    if best not in metric.baselines:
        return f"{metric.title} {interval(metric.ensemble)}; no baseline was measured."
    against = evaluation.against_best
    sign = "" if metric.greater_is_better else " (positive is better)"
    other = interval(Interval(metric.baselines[best].value), places=decimals(metric.ensemble))
    return (
        f"{metric.title} {interval(metric.ensemble)}; the best baseline, {best}, has {other}; "
        f"the difference{sign} {interval(against.difference)} {_meaning(against)}."
    )


def _meaning(against: Comparison) -> str:
    low, high = against.difference.low, against.difference.high
    if not (math.isfinite(low) and math.isfinite(high)):
        return "has no interval, so that nothing can be said of it"
    if against.better:
        return "is distinguishable from none: the ensemble is better"
    return "is distinguishable from none: the ensemble is worse" if high < 0 else "is not distinguishable from none"


def compared(comparison: Comparison) -> str:
    """Return in one word what a comparison found."""
    if not math.isfinite(comparison.difference.low):
        return UNKNOWN
    return "better" if comparison.better else "worse" if comparison.difference.high < 0 else "no difference shown"


def banner(result: RunResult) -> Markup:
    """Return the verdict as nobody can miss it: symbol, word, reason and the honest sentence."""
    found = verdict(result)
    symbol = Markup(
        f'<svg viewBox="0 0 60 60" fill="none" stroke="#fff" stroke-width="5" stroke-linecap="round" '
        f'stroke-linejoin="round" aria-hidden="true">{_SHAPES[found.kind]}<path d="{_SYMBOLS[found.kind]}"/></svg>'
    )
    sentences = [honest_sentence(result), found.why]
    if found.kind not in (
        "passed",
        "worse",
    ):  # what is wrong comes before a number that may be good for that very reason
        sentences.reverse()
    words = tag("div", tag("strong", found.word), tag("p", sentences[0], class_="honest"), tag("p", sentences[1]))
    return tag("div", symbol, words, class_=f"verdict {found.kind}", id="top", role="status")


def section(result: RunResult) -> Section:
    """Return gates and leak checks."""
    parts = [tag("h3", "Quality gates")]
    if result.gates:
        rows = [(gate.name, _mark(gate.passed, "passed", "failed"), gate.what) for gate in result.gates]
        parts.append(table(("gate", "result", "what was asked and found"), rows, text=(0, 1, 2)))
    else:
        parts.append(paragraph("No gate was set in the config: nothing was demanded of the numbers."))
    parts.append(tag("h3", "Leak checks"))
    suspected = {each.check for each in result.suspicions}
    names = [*result.checked_for, *sorted(suspected - set(result.checked_for))]
    if names:
        rows = [(name, _found(name in suspected), "") for name in names]
        parts.append(table(("looked for", "result"), [row[:2] for row in rows], text=(0, 1)))
    else:
        parts.append(note("No leak check was made: nobody has looked whether these numbers are too good to be true."))
    for each in result.suspicions:
        evidence = [(name.replace("_", " "), _evidence(value)) for name, value in each.evidence.items()]
        about = paragraph(tag("strong", "Features: "), ", ".join(each.features)) if each.features else Markup()
        parts.append(
            tag(
                "div", tag("h3", f"⚠\ufe0e {each.check}"), paragraph(each.what), about, facts(evidence),
                paragraph(tag("strong", "What to do: "), each.advice), class_="suspicion",
            )
        )  # fmt: skip
    if verdict(result).kind in ("passed", "worse") and not result.evaluation.against_best.better:
        parts.append(
            note(
                "Passing says that nothing asked for was missed. It does not say that the ensemble is worth its keep: "
                "by the metric above it is not shown to be better than the best baseline."
            )
        )
    return Section("verdict", "Gates and leak checks", join(parts))


def _evidence(value: object) -> str:
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        return ", ".join(map(number, value))
    if isinstance(value, dict):
        return ", ".join(f"{name}: {number(each)}" for name, each in value.items())
    return number(value)


def _found(suspected: bool) -> Markup:
    return (
        tag("span", "⚠\ufe0e suspected", class_="leaky") if suspected else tag("span", "✓ nothing found", class_="good")
    )


def _mark(good: bool, yes: str, no: str) -> Markup:
    return tag("span", f"✓ {yes}", class_="good") if good else tag("span", f"✗ {no}", class_="bad")
