"""The proof: an exported graph, run by onnxruntime, gives the native libraries' answers.

It is taken in two steps that add up. First, each member's vote in the file is the library's own
within a tolerance. Second, what the file makes of these votes (scores, label, guards) is what the
voting strategy's numpy rule makes of *the same* votes. So a label can differ from the native one
only where the votes differ by less than the tolerance and the native vote is as close to the
decision; such rows are counted and reported as ties.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from glulam._rows import families
from glulam.errors import ProofError
from glulam.forest import Forest
from glulam.interpreter import Outputs, decide, member_vote
from glulam.program import EnsembleProgram

__all__ = ["FamilyResult", "NativeVotes", "ParityReport", "prove"]

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
NativeVotes = Callable[[int, Float32], Float64]
"""``native(member, rows)`` returns the library's own vote of one member; ValueError if it refuses the rows."""

TOLERANCE = {"float32": 1e-6, "float64": 1e-12}
_ULPS = 32
"""Units in the last place by which sums of hundreds of leaves may differ in the library's own arithmetic."""


@dataclass(frozen=True, slots=True)
class FamilyResult:
    """One family of rows.

    largest_difference
        of any member's vote from the native one; for regression relative to how far the value is
        from the member's usual one, or to its usual spread
    label_differences
        rows whose label is not the native one. Their native vote lies within the tolerance of the
        decision: anything else is a ProofError
    refused_by
        members whose library refuses these rows; there the reference interpreter stood in
    """

    family: str
    rows: int
    largest_difference: float
    label_differences: int
    seconds: float
    refused_by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ParityReport:
    """What was tried and how far apart it was; written into the file's metadata."""

    precision: str
    tolerance: float
    families: tuple[FamilyResult, ...]
    members: dict[str, float] = field(default_factory=dict)
    relative: bool = False

    @property
    def rows(self) -> int:
        """Rows tried in all."""
        return sum(result.rows for result in self.families)

    @property
    def largest_difference(self) -> float:
        """Largest difference of any vote in any family."""
        return max(result.largest_difference for result in self.families)

    @property
    def label_differences(self) -> int:
        """Labels that are not the native ones, all of them ties within the tolerance."""
        return sum(result.label_differences for result in self.families)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        summary = {
            "rows": self.rows,
            "largest_difference": self.largest_difference,
            "label_differences": self.label_differences,
            "seconds": round(sum(result.seconds for result in self.families), 3),
        }
        return asdict(self) | summary

    def __str__(self) -> str:
        """Return the report as a table."""
        what = "relative difference" if self.relative else "difference"
        lines = [f"{'family':<18}{'rows':>8}{'largest ' + what:>30}{'labels that differ':>20}"]
        for result in self.families:
            note = f"  (refused by {', '.join(result.refused_by)}: interpreter)" if result.refused_by else ""
            figures = (result.rows, result.largest_difference, result.label_differences)
            lines.append(_line(result.family, *figures) + note)
        lines.append(_line("all", self.rows, self.largest_difference, self.label_differences))
        lines.append(f"{self.precision}, tolerance {self.tolerance:g}; labels may differ only at a native tie")
        return "\n".join(lines)


def _line(family: str, rows: int, difference: float, labels: int) -> str:
    return f"{family:<18}{rows:>8,}{difference:>30.2e}{labels:>20}"


def prove(
    program: EnsembleProgram,
    run: Callable[[Float32], Outputs],
    native: NativeVotes,
    training: Float32,
    *,
    precision: str = "float32",
    rows: int = 20_000,
    seed: int = 0,
) -> ParityReport:
    """Hold an exported graph to the native libraries on about ``rows`` rows of eight families.

    run
        the exported bytes in onnxruntime, all outputs
    native
        the libraries' own votes
    training
        float32 rows to start from

    Raises ProofError naming member, family, row and features of the first disagreement.
    """
    forests = [member.body for member in program.members if isinstance(member.body, Forest)]
    scales = _scales(program, native, training)
    results = []
    worst = dict.fromkeys(program.names, 0.0)
    for family, tried in families(program.schema, forests, training, rows=rows, seed=seed):
        begun = time.perf_counter()
        answers = run(tried)
        _check_guards(program, family, tried, answers)
        votes, refused = _native_votes(program, native, family, tried)
        compared = _answerable(program, tried, refused)
        block, expected = tried[compared], votes[compared]
        got = Outputs(
            answers.label[compared], answers.scores[compared], answers.votes[compared], answers.valid[compared]
        )
        largest, differing = 0.0, 0
        if len(block):
            trial = _Trial(expected, got.votes, scales)
            for index, name in enumerate(program.names):
                difference = _check_member(program, index, family, block, trial, precision)
                worst[name] = max(worst[name], difference)
                largest = max(largest, difference)
            differing = _check_vote(program, family, block, expected, got, precision)
        seconds = round(time.perf_counter() - begun, 4)
        results.append(FamilyResult(family, len(block), largest, differing, seconds, tuple(refused)))
    relative = program.task == "regression"
    return ParityReport(precision, TOLERANCE[precision], tuple(results), worst, relative)


@dataclass(frozen=True, slots=True)
class _Scale:
    """What a difference is measured by: 1 for probabilities; for values the distance from the usual one.

    Measured by the value itself, a file could lose all that a model says of a target around 1e7.
    """

    center: float = 0.0
    spread: float = 1.0
    relative: bool = False

    @classmethod
    def of_values(cls, values: Float64) -> _Scale:
        """Take the median, and the median distance from it (for a few outliers the standard deviation)."""
        center = float(np.median(values))
        least = 1e-12 * abs(center)  # less than this is the rounding of a constant
        spreads = (float(np.median(np.abs(values - center))), float(values.std()), abs(center), 1.0)
        spread = next(each for each in spreads if each > least)
        return cls(center, spread, relative=True)

    def size(self, values: Float64) -> Float64:
        """Return what to divide differences from these values by."""
        if not self.relative:
            return np.ones_like(values)
        return np.maximum(np.abs(values - self.center), self.spread)


def _scales(program: EnsembleProgram, native: NativeVotes, training: Float32) -> list[_Scale]:
    """Return each member's scale."""
    if program.task != "regression":
        return [_Scale()] * len(program.members)
    return [_Scale.of_values(native(index, training)) for index in range(len(program.members))]


def _native_votes(
    program: EnsembleProgram, native: NativeVotes, family: str, rows: Float32
) -> tuple[Float64, list[str]]:
    """Return native votes [n, n_members, width]; the interpreter's for rows that a library refuses.

    It may refuse NaN and infinities. Refusing any other row is a ProofError.
    """
    votes, refused = [], []
    finite = np.isfinite(rows).all(axis=1)
    for index, name in enumerate(program.names):
        try:
            votes.append(native(index, rows))
            continue
        except ValueError:
            with np.errstate(all="ignore"):  # rows of infinities, in a rule that was not made for them
                stand_in = member_vote(program.members[index], rows)
        if finite.any():
            try:
                stand_in[finite] = native(index, rows[finite])
            except ValueError as error:
                raise ProofError(
                    f"member {name!r}: its library refuses rows of family {family!r} that hold finite numbers only, "
                    f"so nothing can be proven: {error}"
                ) from error
        votes.append(stand_in)
        refused.append(name)
    return np.stack(votes, axis=1), refused


@dataclass(frozen=True, slots=True)
class _Trial:
    """Votes of a family of rows, native and the file's, float64 [n, n_members, width]."""

    native: Float64
    got: Float64
    scales: list[_Scale]


def _answerable(program: EnsembleProgram, rows: Float32, refused: list[str]) -> npt.NDArray[np.bool_]:
    """Tell which rows every member must answer, bool [n].

    A forest answers all, as its tables say. Another kind of member need not answer NaN and
    infinities that its own library refuses.
    """
    others = [name for name in refused if not isinstance(program.members[program.names.index(name)].body, Forest)]
    return np.asarray(np.isfinite(rows).all(axis=1)) if others else np.ones(len(rows), dtype=bool)


def _check_member(
    program: EnsembleProgram, index: int, family: str, rows: Float32, trial: _Trial, precision: str
) -> float:
    """Compare one member's votes; return the largest difference or raise ProofError."""
    want, have, member = trial.native[:, index], trial.got[:, index], program.members[index]
    size = trial.scales[index].size(want)
    difference = np.abs(want - have) / size
    # The proof cannot ask for more digits than the library computes.
    tolerance = max(TOLERANCE[precision], TOLERANCE[member.arithmetic])
    ulps = _ULPS * float(np.finfo(member.arithmetic).eps) if program.task == "regression" else 0.0
    rounding = ulps * np.abs(want) / size
    # Written so that NaN, on either side, fails.
    wrong = ~(difference <= tolerance + rounding)
    if not wrong.any():
        return float(difference.max())
    row = int(np.flatnonzero(wrong.any(axis=1))[0])
    reference = member_vote(member, rows[row : row + 1])[0]
    # The interpreter adds up in float64: if it is right, every leaf is, and a wider sum may help.
    leaves_right = bool((np.abs(reference - want[row]) / size[row] <= tolerance + np.max(rounding)).all())
    narrow = precision == "float32" and leaves_right
    raise ProofError(
        f"member {program.names[index]!r}: the exported graph does not give the library's answer in "
        f"{np.count_nonzero(wrong.any(axis=1))} of {len(rows)} rows of family {family!r}; first, row {row}: expected "
        f"{want[row].tolist()}, got {have[row].tolist()} (reference interpreter: {reference.tolist()}) for features "
        f"{_describe(program, rows[row])}; largest difference {np.nanmax(difference):.3g}, allowed {tolerance:g}. "
        + (
            "Sums in float32 are too narrow: export with precision='float64'"
            if narrow
            else "Nothing was written; please report it with this message"
        ),
        rounding=narrow,
    )


def _check_guards(program: EnsembleProgram, family: str, rows: Float32, got: Outputs) -> None:
    """Check ``valid`` against the validators' own rules."""
    expected = np.ones(len(rows), dtype=bool)
    for guard in program.guards:
        expected &= guard.rule.reference(rows)
    bad = np.flatnonzero(expected != got.valid)
    if bad.size:
        raise ProofError(
            f"guards {[guard.name for guard in program.guards]}: the exported graph differs from the numpy rule in "
            f"{bad.size} of {len(rows)} rows of family {family!r}; first, row {bad[0]}: expected valid "
            f"{bool(expected[bad[0]])}, got {bool(got.valid[bad[0]])} for features {_describe(program, rows[bad[0]])}. "
            "Nothing was written"
        )


def _check_vote(
    program: EnsembleProgram, family: str, rows: Float32, native: Float64, got: Outputs, precision: str
) -> int:
    """Check scores and labels against the numpy rules; return how many labels are not the native ones."""
    label, scores = decide(program, got.votes)
    # Scores are means of votes: their rounding is relative to the largest of a row.
    size = np.abs(got.votes).max(axis=(1, 2))[:, None]
    wrong = ~(np.abs(scores - got.scores) <= TOLERANCE[precision] * size).all(axis=1)
    if program.task != "regression":
        # The decision is taken on the graph's scores, in the graph's own arithmetic: no tolerance.
        chosen = program.decision.choose(got.scores.astype(precision))
        wrong |= program.decision.label_table(program.classes)[chosen] != got.label
    bad = np.flatnonzero(wrong)
    if bad.size:
        row = bad[0]
        raise ProofError(
            f"vote ({program.voting}): the exported graph differs from the numpy rule in {bad.size} of {len(rows)} "
            f"rows of family {family!r}; first, row {row}: expected scores {scores[row].tolist()} and "
            f"{label.tolist()[row]!r}, got {got.scores[row].tolist()} and {got.label.tolist()[row]!r} for features "
            f"{_describe(program, rows[row])}. Nothing was written"
        )
    if program.task == "regression":
        return 0
    native_label, _ = decide(program, native)
    return int(np.count_nonzero(native_label != got.label))


def _describe(program: EnsembleProgram, row: Float32, most: int = 16) -> str:
    shown = {name: float(value) for name, value in zip(program.schema.names[:most], row[:most], strict=True)}
    return f"{shown}{' ...' if len(row) > most else ''}"
