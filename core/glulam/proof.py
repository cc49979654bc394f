"""The proof: an exported graph, run by onnxruntime, gives the native libraries' answers.

It is taken in steps that add up. First, each member's vote in the file is the library's own within
a tolerance, and every row reaches the library's own leaves. Second, what the file makes of these
votes (scores, label, guards) is what the voting strategy's numpy rule makes of *the same* votes. So
a label can differ from the native one only where the votes differ by less than the tolerance and
the native vote is as close to the decision; such rows are counted and reported as ties. A model
that is exported alone is held to its library's own ``predict`` as well.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from glulam._native import Native, Rows, ask
from glulam._rows import Family, families
from glulam._scale import Scale, difference
from glulam.errors import ProofError
from glulam.forest import Forest
from glulam.interpreter import Outputs, decide, interpret, labels, member_leaves, member_vote
from glulam.program import EnsembleProgram, Steps
from glulam.report import FamilyResult, ParityReport

__all__ = ["TOLERANCE", "FamilyResult", "Native", "ParityReport", "prove"]

Float64 = npt.NDArray[np.float64]
LabelsOf = Callable[[Rows], npt.NDArray[Any] | None]

TOLERANCE = {"float32": 1e-6, "float64": 1e-12}
_ULPS = 32
"""Units in the last place by which sums of hundreds of leaves may differ in the library's own arithmetic."""
_LEAVES = 2_000_000
"""Rows times trees of a family whose leaves are compared, about."""


def prove(
    program: EnsembleProgram,
    run: Callable[[Rows], Outputs],
    native: Native,
    training: Rows,
    *,
    precision: str = "float32",
    rows: int = 20_000,
    seed: int = 0,
    tolerance: float | None = None,
    by_kernel: Callable[[Rows], Outputs] | None = None,
) -> ParityReport:
    """Hold an exported graph to the native libraries on about ``rows`` rows of all families.

    run
        the exported bytes in onnxruntime, all outputs
    native
        the libraries' own answers
    training
        rows to start from, in the type of the file's input
    tolerance
        allowed difference; by default what is promised of the precision
    by_kernel
        the same bytes as glulam's tree kernel runs them; held to the same

    Raises ProofError naming member, family, row and features of the first disagreement.
    """
    forests = [forest for member in program.members for forest in member.forests_of(len(program.schema))]
    relative = program.task == "regression" or program.scores != "probabilities"
    beside_training = 0
    trial = _Trial(program, native, precision, relative, TOLERANCE[precision] if tolerance is None else tolerance)
    results = []
    worst = dict.fromkeys(program.names, 0.0)
    for family in families(program.schema, forests, training, rows=rows, seed=seed):
        begun = time.perf_counter()
        if not trial.scales:
            trial.scales = _scales(program, native, family)
        answers = run(family.rows)
        _check_guards(program, family, answers)
        compared, expected, refused = _native_votes(program, native, family, answers.valid)
        block, got = family.rows[compared], answers.where(compared)
        if family.name not in ("training", "missing", "infinite"):
            beside_training += len(block)
        tried = _Tried(family.name, block, expected, got)
        largest, differing = _check_answers(trial, tried, worst)
        leaves = max(_check_leaves(trial, index, tried) for index in range(len(program.members))) if len(block) else 0
        fast: tuple[float | None, int | None] = (None, None)
        if by_kernel is not None:
            try:
                fast = _check_kernel(trial, family, replace(tried, got=by_kernel(family.rows)), compared)
            except ProofError as error:
                raise ProofError(f"by glulam's kernel: {error}", rounding=error.rounding) from error
        seconds = round(time.perf_counter() - begun, 4)
        results.append(
            FamilyResult(
                family.name, len(block), largest, differing, seconds, tuple(refused), family.visited, leaves, *fast
            )
        )
    if not beside_training:
        raise ProofError(
            f"members {list(program.names)}: their libraries refuse all rows but those of training, so nothing can be "
            "proven; give rows of all kinds that they take"
        )
    held_to = max(trial.tolerance(index) for index in range(len(program.members)))
    return ParityReport(precision, held_to, tuple(results), worst, relative)


@dataclass(slots=True)
class _Trial:
    """What all families are held to; ``scales`` are learnt from the first."""

    program: EnsembleProgram
    native: Native
    precision: str
    relative: bool
    promised: float
    scales: list[Scale] = field(default_factory=list)

    def tolerance(self, index: int) -> float:
        """Return what is allowed of a member: the proof cannot ask for more digits than its library computes."""
        return max(self.promised, TOLERANCE[self.program.members[index].arithmetic])


@dataclass(frozen=True, slots=True)
class _Tried:
    """Rows of a family that are compared, native votes [n, n_members, width], and the file's answers."""

    family: str
    rows: Rows
    native: Float64
    got: Outputs


def _scales(program: EnsembleProgram, native: Native, family: Family) -> list[Scale]:
    """Return what each member's differences are measured by."""
    if program.task != "regression" and program.scores == "probabilities":
        return [Scale()] * len(program.members)
    scales = []
    for index, name in enumerate(program.names):
        values, answered = ask(partial(native.votes, index), family.rows)
        if not answered.any():
            raise ProofError(
                f"member {name!r}: its library refuses all rows of family {family.name!r}, so nothing can be proven; "
                "give rows that it takes"
            )
        scales.append(Scale.of_values(values[answered]))
    return scales


def _native_votes(
    program: EnsembleProgram, native: Native, family: Family, valid: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.bool_], Float64, list[str]]:
    """Return which rows are compared, their native votes, and the members whose library refuses some.

    For rows with NaN or infinity that a forest's library refuses the interpreter stands in: a forest
    answers all rows, as its tables say. Another kind of member, or a model alone, need not answer what
    its library refuses.
    """
    rows, refused = family.rows, []
    compared = np.ones(len(rows), dtype=bool)
    votes = np.empty((len(rows), len(program.names), program.vote_width))
    finite = np.isfinite(rows).all(axis=1) & valid
    for member in program.members:
        finite &= member.within_reach(rows)
    for index, name in enumerate(program.names):
        values, answered = ask(partial(native.votes, index), rows, finite)
        # A library that overflows has no answer.
        answered &= ~np.isnan(values).any(axis=1) & program.members[index].within_reach(rows)
        if answered.all():
            votes[:, index] = values
            continue
        refused.append(name)
        stands_in = ~answered & ~finite
        if isinstance(program.members[index].body, Forest) and program.vote is not None and stands_in.any():
            with np.errstate(all="ignore"):  # rows of infinities, in a rule that was not made for them
                votes[stands_in, index] = member_vote(program.members[index], rows[stands_in])
            compared &= answered | stands_in
        else:
            compared &= answered
        votes[answered, index] = values[answered]
    return compared, votes[compared], refused


def _check_answers(trial: _Trial, tried: _Tried, worst: dict[str, float]) -> tuple[float, int]:
    """Check votes, scores and labels; return the largest difference of a vote and how many labels differ.

    ``worst`` learns the largest difference of each member.
    """
    if not len(tried.rows):
        return 0.0, 0
    largest = 0.0
    for index, name in enumerate(trial.program.names):
        found = _check_member(trial, index, tried)
        worst[name] = max(worst[name], found)
        largest = max(largest, found)
    return largest, _check_vote(trial, tried)


def _check_kernel(trial: _Trial, family: Family, tried: _Tried, compared: npt.NDArray[np.bool_]) -> tuple[float, int]:
    """Check what the kernel answers to all rows of a family, of which some are compared."""
    _check_guards(trial.program, family, tried.got)
    worst = dict.fromkeys(trial.program.names, 0.0)
    return _check_answers(trial, replace(tried, got=tried.got.where(compared)), worst)


def _check_member(trial: _Trial, index: int, tried: _Tried) -> float:
    """Compare one member's votes; return the largest difference or raise ProofError."""
    program, member = trial.program, trial.program.members[index]
    want, have = tried.native[:, index], tried.got.votes[:, index]
    size = trial.scales[index].size(want)
    found = difference(want, have) / size
    tolerance = trial.tolerance(index)
    ulps = _ULPS * float(np.finfo(member.arithmetic).eps) if trial.relative else 0.0
    with np.errstate(invalid="ignore"):
        rounding = np.nan_to_num(ulps * np.abs(want) / size)
    # Written so that NaN fails.
    wrong = ~(found <= tolerance + rounding)
    if not wrong.any():
        return float(found.max())
    row = int(np.flatnonzero(wrong.any(axis=1))[0])
    with np.errstate(all="ignore"):
        reference = member_vote(member, tried.rows[row : row + 1])[0]
    # The interpreter adds up in float64: if it is right, every leaf is, and a wider sum may help.
    leaves_right = bool((difference(reference, want[row]) / size[row] <= tolerance + rounding[row]).all())
    narrow = trial.precision == "float32" and leaves_right
    advice = "Nothing was written; please report it with this message"
    if narrow:
        advice = "Sums in float32 are too narrow: export with precision='float64'"
    elif own := _own_rounding(trial, index, tried, row):
        advice = (
            f"The library multiplies in float32 here, and its answer is itself {own:.3g} from its own in float64: fit "
            "the model on float64. Nothing was written"
        )
    raise ProofError(
        f"member {program.names[index]!r}: the exported graph does not give the library's answer in "
        f"{np.count_nonzero(wrong.any(axis=1))} of {len(tried.rows)} rows of family {tried.family!r}; first, "
        f"row {row}: expected {want[row].tolist()}, got {have[row].tolist()} (reference interpreter: "
        f"{reference.tolist()}) for features {_describe(program, tried.rows[row])}; largest difference "
        f"{np.nanmax(found):.3g}, allowed {tolerance:g}. {advice}",
        rounding=narrow,
    )


def _own_rounding(trial: _Trial, index: int, tried: _Tried, row: int) -> float:
    """Return how far a library that multiplies in float32 is from its own answer in float64; 0 if it does not."""
    member, rows = trial.program.members[index], tried.rows[row : row + 1]
    if not (member.may_overflow and member.arithmetic == "float32" and rows.dtype == np.float32):
        return 0.0
    wide = np.asarray(trial.native.votes(index, rows.astype(np.float64)))
    return float(difference(tried.native[row : row + 1, index], wide).max())


def _check_leaves(trial: _Trial, index: int, tried: _Tried) -> int:
    """Compare the leaves of some rows with the library's; return of how many, or raise ProofError."""
    program, member = trial.program, trial.program.members[index]
    forests = member.forests_of(len(program.schema))
    if trial.native.leaves is None or len(forests) != 1:
        return 0
    count = min(len(tried.rows), max(1, _LEAVES // forests[0].n_trees))
    some = np.unique(np.linspace(0, len(tried.rows) - 1, count).astype(np.int64))
    rows = tried.rows[some]
    try:
        want = trial.native.leaves(index, rows)
    except ValueError:  # the library refuses such rows
        return 0
    have = None if want is None else member_leaves(member, rows)
    if want is None or have is None:
        return 0
    wrong = want != have
    if wrong.any():
        row, tree = (int(where[0]) for where in np.nonzero(wrong))
        raise ProofError(
            f"member {program.names[index]!r}: a row of family {tried.family!r} reaches another leaf than in its "
            f"library: tree {tree}, expected leaf {want[row, tree]}, got {have[row, tree]} for features "
            f"{_describe(program, rows[row])}. Nothing was written; please report it with this message"
        )
    return len(rows)


def _check_guards(program: EnsembleProgram, family: Family, got: Outputs) -> None:
    """Check ``valid`` against the validators' own rules."""
    expected = np.ones(len(family.rows), dtype=bool)
    for guard in program.guards:
        expected &= guard.rule.reference(family.rows)
    bad = np.flatnonzero(expected != got.valid)
    if bad.size:
        raise ProofError(
            f"guards {[guard.name for guard in program.guards]}: the exported graph differs from the numpy rule in "
            f"{bad.size} of {len(family.rows)} rows of family {family.name!r}; first, row {bad[0]}: expected valid "
            f"{bool(expected[bad[0]])}, got {bool(got.valid[bad[0]])} for features "
            f"{_describe(program, family.rows[bad[0]])}. Nothing was written"
        )


def _check_vote(trial: _Trial, tried: _Tried) -> int:
    """Check scores and labels against the numpy rules; return how many labels are not the native ones."""
    program, got, precision = trial.program, tried.got, trial.precision
    label, scores = decide(program, got.votes)
    # Scores are means of votes: their rounding is relative to the largest of a row.
    size = np.abs(got.votes).max(axis=(1, 2))[:, None]
    with np.errstate(invalid="ignore"):
        wrong = ~(difference(scores, got.scores) <= TOLERANCE[precision] * size).all(axis=1)
    alone = program.members[0]
    chooses = alone.by_sums or (isinstance(alone.body, Steps) and bool(alone.body.choice))
    if program.vote is None and chooses:
        label = got.label  # chosen by another rule: held to the library itself, below
    elif program.task != "regression":
        # The decision is taken on the graph's scores, in the graph's own arithmetic: no tolerance.
        label = labels(program, got.scores.astype(precision))
        wrong |= _unlike(label, got.label)
    bad = np.flatnonzero(wrong)
    if bad.size:
        row = bad[0]
        narrow = precision == "float32" and program.wide_vote
        advice = (
            "The vote magnifies the last digit: export with precision='float64'" if narrow else "Nothing was written"
        )
        raise ProofError(
            f"vote ({program.voting}): the exported graph differs from the numpy rule in {bad.size} of "
            f"{len(tried.rows)} rows of family {tried.family!r}; first, row {row}: expected scores "
            f"{scores[row].tolist()} and {label.tolist()[row]!r}, got {got.scores[row].tolist()} and "
            f"{got.label.tolist()[row]!r} for features {_describe(program, tried.rows[row])}. {advice}",
            rounding=narrow,
        )
    if program.vote is None:
        _check_extras(trial, tried)
    if program.task == "regression":
        return 0
    native_label, native_scores = decide(program, tried.native)
    if program.vote is None and trial.native.labels is not None:
        own = _own_labels(trial.native.labels, tried)
        if own is not None:
            _check_labels(trial, tried, own, native_scores, chooses)
            native_label = own
        elif chooses:  # a library without predict: then the rule itself says how the label is chosen
            with np.errstate(all="ignore"):
                _check_labels(trial, tried, interpret(program, tried.rows).label, native_scores, chooses=False)
    return int(np.count_nonzero(_unlike(native_label, got.label)))


def _own_labels(labels_of: LabelsOf, tried: _Tried) -> npt.NDArray[Any] | None:
    """Return the library's own labels, and the file's for rows that its ``predict`` refuses though it scores them."""

    def labelled(rows: Rows) -> Float64:
        labels_of(rows)  # raises for what it refuses
        return np.zeros((len(rows), 1))

    try:
        return labels_of(tried.rows)
    except ValueError:
        own = tried.got.label.astype(object)
    _, answered = ask(labelled, tried.rows)
    if answered.any():
        own[answered] = labels_of(tried.rows[answered])
    return own


def _check_labels(trial: _Trial, tried: _Tried, own: npt.NDArray[Any], scores: Float64, chooses: bool) -> None:
    """Refuse labels that are not the library's own, but where its scores are within 1e-6 of the decision."""
    program = trial.program
    differ = _unlike(own, tried.got.label)
    if not chooses:
        margin = _margin(program, scores)
        size = np.maximum(1.0, np.abs(scores).max(axis=1)) if trial.relative else 1.0
        differ &= ~(margin <= max(1e-6, trial.tolerance(0)) * size)
    bad = np.flatnonzero(differ)
    if not bad.size:
        return
    row = int(bad[0])
    with np.errstate(all="ignore"):
        reference = interpret(program, tried.rows[row : row + 1]).label
    narrow = trial.precision == "float32" and not _unlike(own[row : row + 1], reference).any()
    raise ProofError(
        f"member {program.names[0]!r}: the exported graph does not predict the library's label in {bad.size} of "
        f"{len(tried.rows)} rows of family {tried.family!r}; first, row {row}: expected {own.tolist()[row]!r}, got "
        f"{tried.got.label.tolist()[row]!r} for features {_describe(program, tried.rows[row])}. Nothing was written",
        rounding=narrow,
    )


def _check_extras(trial: _Trial, tried: _Tried) -> None:
    """Hold further outputs to the library's own, relative to their spread."""
    if not tried.got.extras or trial.native.extras is None:
        return
    for name, values in trial.native.extras(tried.rows).items():
        want = np.asarray(values, dtype=np.float64).reshape(len(tried.rows), -1)
        have = tried.got.extras[name].reshape(want.shape)
        scale = Scale.of_values(want)
        wrong = ~(difference(want, have) / scale.size(want) <= trial.tolerance(0) * 10).all(axis=1)
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0])
            raise ProofError(
                f"output {name!r}: the exported graph does not give the library's values in family {tried.family!r}; "
                f"first, row {row}: expected {want[row].tolist()}, got {have[row].tolist()}. Nothing was written",
                rounding=trial.precision == "float32",
            )


def _margin(program: EnsembleProgram, scores: Float64) -> Float64:
    """Return how far native scores are from another label."""
    if program.task != "multioutput":
        return np.asarray(program.decision.margin(scores))
    margins, start = [], 0
    for width in program.blocks:
        block = scores[:, start : start + width]
        ordered = np.sort(block, axis=1)
        margins.append(np.abs(block[:, 0] - 0.5) if width == 1 else (ordered[:, -1] - ordered[:, -2]) / 2)
        start += width
    return np.asarray(np.min(margins, axis=0))


def _unlike(want: npt.NDArray[Any], have: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Tell which rows have another label, or one of several."""
    unlike = np.asarray(want) != have
    return np.asarray(unlike.any(axis=1) if unlike.ndim == 2 else unlike)


def _describe(program: EnsembleProgram, row: Rows, most: int = 16) -> str:
    shown = {name: float(value) for name, value in zip(program.schema.names[:most], row[:most], strict=True)}
    return f"{shown}{' ...' if len(row) > most else ''}"
