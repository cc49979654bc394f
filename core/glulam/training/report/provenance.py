"""Sections on where all this comes from: data and their checks, the proof, speed, config and versions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from glulam.training.report.page import Markup, Section, facts, join, note, paragraph, table, tag
from glulam.training.report.text import UNKNOWN, count, duration, moment, percent, scientific, size, started
from glulam.training.results import RunResult

__all__ = ["config", "data", "label_text", "latency", "proof", "source_facts"]


def data(result: RunResult) -> Section:
    """Return what was learnt from, and what the checks of the table noted."""
    about = result.facts.get("data") or {}
    findings = [*(about.get("findings") or result.data.raw.findings)]
    parts = [facts(source_facts(result)), tag("h3", "What the checks noted")]
    parts.append(_listed(findings) if findings else paragraph("Nothing to report."))
    if warned := result.facts.get("warnings"):
        parts += [tag("h3", "Warnings"), _listed(warned)]
    if len(result.data.classes):
        parts.append(_class_shares(result))
    names = result.data.schema.names  # those of the file; with a selector the run began with more
    parts += [tag("h3", count(len(names), "feature").capitalize()), paragraph(", ".join(map(str, names)))]
    return Section("data", "Data and their checks", join(parts))


def source_facts(result: RunResult) -> list[tuple[str, str]]:
    """Return the source of the rows with what identifies it."""
    about, raw, time = result.facts.get("data") or {}, result.data.raw, result.data.time
    known = [
        ("source", about.get("source") or raw.source),
        ("rows read", f"{about.get('rows', len(raw)):,}"),
        ("rows with features and label", f"{len(result.data):,}"),
    ]
    if time is not None and len(time):
        known.append(("time of these rows (UTC)", f"{moment(time[0])} to {moment(time[-1])}"))
    for name, key in (("first row read", "since"), ("last row read", "until")):
        if about.get(key):
            known.append((name, str(about[key])))
    known.append(("SHA-256 of the rows", about.get("sha256") or raw.sha256))
    known.append(("label", label_text(result)))
    reach = "its own row only" if result.data.horizon == 0 else f"up to {count(result.data.horizon, 'row')} ahead"
    return [*known, ("label reads", reach)]


def label_text(result: RunResult) -> str:
    """Return in words what is predicted."""
    name, params = result.data.label
    given = ", ".join(f"{key}={value!r}" for key, value in params.items())
    return str(result.facts.get("label") or (f"{name} ({given})" if given else name))


def _class_shares(result: RunResult) -> Markup:
    counts = np.bincount(result.data.y, minlength=len(result.data.classes))
    rows = [
        (str(name), f"{int(n):,}", percent(float(n / max(1, counts.sum()))))
        for name, n in zip(result.data.classes, counts, strict=True)
    ]
    return table(("class", "rows", "share"), rows, caption="Classes")


def proof(result: RunResult) -> Section:
    """Return what the proof tried, and how far the file is from the training libraries."""
    parity: Mapping[str, Any] = result.ensemble.get("parity") or {}
    title = "Proof of the exported file"
    if not parity.get("families"):
        return Section(
            "proof", title, paragraph("No file was exported in this run, so that there is nothing to prove.")
        )
    kernel = any(each.get("kernel_difference") is not None for each in parity["families"])
    rows = []
    for each in [*parity["families"], {"family": "all", **parity}]:
        row = [each["family"], f"{each['rows']:,}", _tiny(each["largest_difference"])]
        if kernel:
            row.append(_tiny(each.get("kernel_difference")))
        row += [f"{each['label_differences']:,}", _share(each.get("visited")), ", ".join(each.get("refused_by", ()))]
        rows.append(tuple(row))
    what = "largest relative difference" if parity.get("relative") else "largest difference"
    head = ("kind of rows", "rows", what, *(["by the kernel"] if kernel else []), "labels that differ")
    text = (
        "Before the file was written, its answers were compared with those of the training libraries themselves. "
        f"Nothing may differ by more than {scientific(float(parity['tolerance']))} ({parity['precision']}), and labels "
        "only where the libraries' own vote is a tie within that. Visited is the share of all thresholds in the trees "
        "that rows stood on."
    )
    whole = table((*head, "visited", "refused by"), rows, text=(0, len(head) + 1))
    return Section("proof", title, join([paragraph(text), whole]))


def _tiny(value: float | None) -> str:
    return UNKNOWN if value is None else scientific(value) if value else "0"


def _share(value: float | None) -> str:
    return "" if value is None else percent(value, 0)


def latency(result: RunResult) -> Section:
    """Return speed and size of the exported file."""
    found = result.latency
    title = "Latency and size"
    known = []
    if "p50" in found:
        known.append(("one row, median", duration(found["p50"])))
    if "p99" in found:
        known.append(("one row, 99 of 100 are faster than", duration(found["p99"])))
    if "batch" in found:
        rows = f" of {found['batch_rows']:,.0f} rows" if "batch_rows" in found else ""
        each = f" ({duration(found['batch'] / found['batch_rows'])} a row)" if found.get("batch_rows") else ""
        known.append((f"one batch{rows}", f"{duration(found['batch'])}{each}"))
    if "file_bytes" in found:
        known.append(("size of the file", size(found["file_bytes"])))
    if "memory_bytes" in found:
        known.append(("memory after loading", size(found["memory_bytes"])))
    if result.ensemble.get("kernel"):
        known.append(("trees are walked by", f"{result.ensemble['kernel']}'s kernel"))
    if not known:
        return Section("latency", title, paragraph("No file was exported in this run, so that nothing was measured."))
    text = "Measured on the machine that trained, one thread, with whatever else ran on it; elsewhere it is different."
    return Section("latency", title, join([facts(known), paragraph(text)]))


def config(result: RunResult) -> Section:
    """Return all that is needed to do this run again."""
    known, git = result.facts, result.facts.get("git") or {}
    pairs = [
        ("config", known.get("config_name")),
        ("seed", known.get("seed")),
        ("started", started(str(known.get("started", "")))),
    ]
    pairs.append(("took", duration(known["seconds"]) if "seconds" in known else None))
    if git.get("revision"):
        pairs.append(
            ("git revision", f"{git['revision']}{' with changes that are not committed' if git.get('dirty') else ''}")
        )
    pairs.append(("versions", ", ".join(f"{name} {number}" for name, number in (known.get("versions") or {}).items())))
    parts = [facts([(name, str(value)) for name, value in pairs if value not in (None, "")])]
    if known.get("exceptions"):
        parts += [tag("h3", "Not byte for byte the same in a second run"), _listed(known["exceptions"])]
    if known.get("config"):
        code = tag("pre", tag("code", known["config"]))
        parts.append(tag("details", tag("summary", "The whole config, with every default"), code))
    else:
        parts.append(note("The config was not kept with this run."))
    return Section("config", "Config and reproducibility", join(parts))


def _listed(lines: Any) -> Markup:
    return tag("ul", *(tag("li", str(line)) for line in lines))
