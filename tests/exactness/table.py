"""The table of what exports, as docs/what-exports.md has it: ``python -m exactness.table`` in ``tests`` writes it."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

from exactness.matrix import CASES

DOCUMENT = Path(__file__).parents[2] / "docs" / "what-exports.md"
HEAD = """# What exports, what does not, and why

Made from the test matrix (`tests/exactness/`), in which every configuration is fitted on real data, exported, and compared
in onnxruntime with its library's public `predict` and `predict_proba`, in float32 and in float64, on rows made to find
mistakes. **exact** means: the same leaves and labels, probabilities within 1e-6 (1e-12 in float64), values within as much of
their spread. What is not exact is refused by name, before a file is written. [What "exact" means](exactness.md) has the
details; `glulam.export(model, "model.onnx")` is how.
"""


def text() -> str:
    """Return the document."""
    ordered = sorted(CASES, key=lambda case: case.library.lower())
    by_library = {library: list(cases) for library, cases in groupby(ordered, key=lambda case: case.library)}
    lines = [HEAD, "| library | configurations | exact | refused by name |", "|---|---:|---:|---:|"]
    for library, cases in by_library.items():
        refused = sum(bool(case.refused) for case in cases)
        lines.append(f"| {library} | {len(cases)} | {len(cases) - refused} | {refused} |")
    refused = sum(bool(case.refused) for case in CASES)
    lines.append(f"| **all** | **{len(CASES)}** | **{len(CASES) - refused}** | **{refused}** |")
    for library, cases in by_library.items():
        lines += ["", f"## {library}", "", "| configuration | | why |", "|---|---|---|"]
        lines += [f"| {_cell(case.name)} | {_verdict(case)} | {_cell(case.reason)} |" for case in cases if case.refused]
        lines += [f"| {_cell(case.name)} | {_verdict(case)} | |" for case in cases if not case.refused]
    return "\n".join(lines) + "\n"


def _verdict(case: object) -> str:
    if case.refused:
        return "refused"
    return "exact; rows of float32 only" if case.float32_only else "exact"


def _cell(words: str) -> str:
    return words.replace("|", "\\|")


if __name__ == "__main__":
    DOCUMENT.write_text(text())
