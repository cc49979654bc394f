"""The model card of a run: Markdown with YAML front matter, in the form that the Hugging Face Hub reads."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

from glulam._files import atomic_file
from glulam.training.report.metrics import period
from glulam.training.report.provenance import label_text, source_facts
from glulam.training.report.text import count, decimals, duration, interval, number, scientific, size
from glulam.training.report.verdict import honest_sentence, verdict
from glulam.training.results import Interval, RunResult

__all__ = ["write_card"]

_KINDS = {"auc": "roc_auc", "average_precision": "average_precision", "log_loss": "log_loss", "brier": "brier_score"}
"""What the Hub calls metrics that it knows by another name."""
_TASKS = {
    "binary": "chooses between two classes",
    "multiclass": "chooses among several classes",
    "regression": "predicts values",
}
_UNPRINTABLE = re.compile("[\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")
_MARKS = re.compile(r"([\\`*_{}\[\]<>#|!~$&])")


def write_card(result: RunResult, path: Path) -> None:
    """Write the model card of a run, or replace it whole. Raises `ArtifactError` if it cannot be written."""
    front = "".join(_yaml(_front_matter(result)))
    parts = [
        _description(result), _use(result), _training_data(result), _evaluation(result), _checks(result),
        _loading(result), _reproducibility(result),
    ]  # fmt: skip
    text = f"---\n{front}---\n\n# {_plain(_name(result))}\n\n" + "\n".join(parts)
    with atomic_file(path, overwrite=True) as out:
        out.write(text.encode("utf-8", "replace"))


def _name(result: RunResult) -> str:
    return str(result.facts.get("config_name") or "glulam ensemble")


def _front_matter(result: RunResult) -> dict[str, Any]:
    """Return what the Hub reads; metrics without a value are left out."""
    kind = "tabular-regression" if result.data.task == "regression" else "tabular-classification"
    measured = [
        {"type": _KINDS.get(metric.name, metric.name), "value": float(metric.ensemble.value), "name": metric.title}
        for metric in result.evaluation.metrics
        if math.isfinite(metric.ensemble.value)
    ]
    source = dict(source_facts(result))["source"]
    dataset = {"name": PurePath(str(source)).name or str(source), "type": "tabular"}
    found = {"task": {"type": kind, "name": label_text(result)}, "dataset": dataset, "metrics": measured}
    return {
        "library_name": "onnx",
        "pipeline_tag": kind,
        "tags": ["glulam", "onnx", kind],
        "model-index": [{"name": _name(result), "results": [found]}],
    }


def _yaml(value: Any, indent: int = 0) -> Iterable[str]:
    """Yield the lines of a mapping. JSON is YAML: texts are written as JSON writes them, and can say anything."""
    margin = " " * indent
    for key, each in value.items():
        if isinstance(each, Mapping):
            yield f"{margin}{key}:\n"
            yield from _yaml(each, indent + 2)
        elif isinstance(each, Sequence) and not isinstance(each, str):
            yield f"{margin}{key}:{'' if each else ' []'}\n"
            for item in each:
                if isinstance(item, Mapping):
                    first, *others = _yaml(item, indent + 4)
                    yield f"{margin}  - {first.lstrip()}"
                    yield from others
                else:
                    yield f"{margin}  - {_scalar(item)}\n"
        else:
            yield f"{margin}{key}: {_scalar(each)}\n"


def _scalar(value: str | float) -> str:
    """Return a text or a finite number so that any reader of YAML takes it for what it is."""
    if isinstance(value, str):
        # What YAML does not print stands as \uXXXX, which means the same in both.
        quoted = json.dumps(value, ensure_ascii=False)
        return _UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", quoted)
    written = repr(float(value))
    # Readers of YAML 1.1 take 1e-07 for a text: they want the point, and the sign of the exponent.
    mantissa, mark, exponent = written.partition("e")
    return f"{mantissa if '.' in mantissa else f'{mantissa}.0'}e{int(exponent):+03d}" if mark else written


def _description(result: RunResult) -> str:
    """Return what the ensemble is."""
    file = result.ensemble
    lines = ["## Model description\n"]
    if file:
        vote = f"joined by {file['voting']} vote" if file.get("voting") else "by itself"
        lines.append(
            f"An ensemble that {_TASKS[result.data.task]}: {count(len(file.get('members', ())), 'member')} {vote}, in "
            "one ONNX file, features in, answers out. It needs `numpy` and `onnxruntime` alone.\n"
        )
        rows = [
            (each["name"], each["plugin"], number(float(each["weight"])), _versions(each.get("versions") or {}))
            for each in file.get("members", ())
        ]
        lines.append(_table(("member", "plugin", "weight", "trained with"), rows))
        decision = file.get("decision") or {}
        if result.data.task == "binary" and isinstance(decision.get("threshold"), (int, float)):
            lines.append(f"Decision threshold: {number(float(decision['threshold']))}.\n")
    else:
        lines.append(f"An ensemble that {_TASKS[result.data.task]}, evaluated and not exported: there is no file.\n")
    lines.append(f"- Predicts: {_plain(label_text(result))}")
    if len(result.data.classes):
        lines.append(f"- Classes: {_plain(', '.join(map(str, result.data.classes)))}")
    names = result.data.schema.names
    lines.append(f"- Features ({len(names)}): {_plain(', '.join(map(str, names)))}\n")
    return "\n".join(lines)


def _versions(versions: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def _use(result: RunResult) -> str:
    """Return what the ensemble is for, and what nobody has shown."""
    limits = [
        "It answers rows that are like the ones it learnt from. Nothing here says how it does on others, or later.",
        "Its metrics are those of the rows below, with the intervals given; they are not a promise.",
    ]
    if result.data.raw.time is not None:
        limits.append("Data drift: evaluate again when newer rows are there.")
    if not result.evaluation.against_best.better:
        limits.append("It is **not shown to be better than the best baseline**: prefer the baseline if it is simpler.")
    if result.evaluation.backtest is not None:
        limits.append("The backtest counts fees and slippage, and nothing else; it is no advice to trade.")
    limits += [f"Warning: {_plain(each)}." for each in result.facts.get("warnings", ())]
    listed = "\n".join(f"- {limit}" for limit in limits)
    return (
        f"## Intended use and limits\n\nTo predict {_plain(label_text(result))} from the features above.\n\n{listed}\n"
    )


def _training_data(result: RunResult) -> str:
    return "## Training data\n\n" + _table(("", ""), source_facts(result))


def _evaluation(result: RunResult) -> str:
    """Return how it was judged, and every metric with its interval and its baselines."""
    evaluation = result.evaluation
    names = list(dict.fromkeys(name for metric in evaluation.metrics for name in metric.baselines))
    unknown = Interval(float("nan"))
    rows = [
        (
            f"{metric.title} ({'higher' if metric.greater_is_better else 'lower'} is better)",
            interval(metric.ensemble),
            *(interval(metric.baselines.get(name, unknown), places=decimals(metric.ensemble)) for name in names),
        )
        for metric in evaluation.metrics
    ]
    tested = evaluation.out_of_fold.rows
    return (
        f"## Evaluation\n\n**{verdict(result).word}.** {_plain(honest_sentence(result))}\n\n"
        f"Split: {_plain(evaluation.splitter)}; {count(len(tested), 'row')} tested, {period(result.data, tested)}. "
        "Every answer is by an ensemble that was not fitted on its row. In parentheses: 95 % bootstrap interval.\n\n"
    ) + _table(("metric", "ensemble", *names), rows)


def _checks(result: RunResult) -> str:
    """Return leak checks, gates and the proof."""
    lines = ["## Leak checks\n"]
    suspected = {each.check for each in result.suspicions}
    names = [*result.checked_for, *sorted(suspected - set(result.checked_for))]
    found = [(name, "SUSPECTED" if name in suspected else "nothing found") for name in names]
    lines.append(_table(("looked for", "result"), found) if names else "No leak check was made.\n")
    lines += [f"- {_plain(str(each))}" for each in result.suspicions] + ([""] if result.suspicions else [])
    lines.append("## Gates\n")
    gates = [(gate.name, "passed" if gate.passed else "FAILED", gate.what) for gate in result.gates]
    lines.append(_table(("gate", "result", "asked and found"), gates) if gates else "No gate was set.\n")
    parity = result.ensemble.get("parity") or {}
    if parity.get("families"):
        lines.append(
            f"## Proof\n\nThe file's answers to {parity['rows']:,} rows were compared with the training libraries': "
            f"the largest difference is {_tiny(parity['largest_difference'])}, "
            f"{parity['label_differences']} labels differ.\n"
        )
    return "\n".join(lines)


def _tiny(value: float) -> str:
    return scientific(float(value)) if value else "0"


def _loading(result: RunResult) -> str:
    """Return how to load the ensemble."""
    facts = []
    if "p50" in result.latency:
        facts.append(f"one row in {duration(result.latency['p50'])}")
    if "file_bytes" in result.latency:
        facts.append(size(result.latency["file_bytes"]))
    measured = f"Measured where it was trained: {', '.join(facts)}.\n\n" if facts else ""
    asked = "predict(rows)" if result.data.task == "regression" else "predict_proba(rows)"
    return (
        f"## How to load it\n\n{measured}```python\n"
        'from glulam import ProductionEnsemble\n\nensemble = ProductionEnsemble("ensemble.onnx")\n'
        f"answers = ensemble.{asked}  # a table with the features' names, or an array in their order\n```\n"
    )


def _reproducibility(result: RunResult) -> str:
    """Return what it takes to do the run again."""
    known, git = result.facts, result.facts.get("git") or {}
    rows = [(name, str(known[key])) for name, key in (("started", "started"), ("seed", "seed")) if key in known]
    text = str(known.get("config") or "")
    if known.get("config_sha256"):
        rows.append(("SHA-256 of the config, without its output", str(known["config_sha256"])))
    if git.get("revision"):
        rows.append(("git revision", f"{git['revision']}{', with uncommitted changes' if git.get('dirty') else ''}"))
    rows += [(str(name), str(version)) for name, version in (known.get("versions") or {}).items()]
    exceptions = "".join(
        f"- Not byte for byte the same again: {_plain(each)}\n" for each in known.get("exceptions", ())
    )
    config = f"\n<details><summary>Config</summary>\n\n{_fenced(text, 'toml')}\n</details>\n" if text else ""
    return f"## Reproducibility\n\n{_table(('', ''), rows)}\n{exceptions}{config}"


def _fenced(text: str, language: str) -> str:
    """Return a code block whose fence is longer than any in the text."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text.rstrip()}\n{fence}\n"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [" | ".join(map(_plain, head)), " | ".join("---" for _ in head)]
    lines += [" | ".join(map(_plain, row)) for row in rows]
    return "\n".join(f"| {line} |" for line in lines) + "\n"


def _plain(text: str) -> str:
    """Return a text on one line that Markdown shows as it is."""
    return _MARKS.sub(r"\\\1", " ".join(str(text).split()))
