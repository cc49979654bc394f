"""What a proof found, by family of rows."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

__all__ = ["FamilyResult", "ParityReport"]


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
        members whose library refuses rows of this family. There the reference interpreter stands in
        for a forest; rows that another kind of member need not answer are not counted
    visited
        share of all distinct thresholds, or categories, that these rows stood on; None for a family
        that is not about them
    leaves
        rows for which the leaf in each tree was compared with the library's
    kernel_difference, kernel_label_differences
        the same of the file's answers by glulam's tree kernel; None where there was none
    """

    family: str
    rows: int
    largest_difference: float
    label_differences: int
    seconds: float
    refused_by: tuple[str, ...] = ()
    visited: float | None = None
    leaves: int = 0
    kernel_difference: float | None = None
    kernel_label_differences: int | None = None


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

    @property
    def kernel_difference(self) -> float | None:
        """Largest difference of any vote by glulam's tree kernel; None where the proof had none."""
        return max(
            (each.kernel_difference for each in self.families if each.kernel_difference is not None), default=None
        )

    @property
    def kernel_label_differences(self) -> int | None:
        """Labels by glulam's tree kernel that are not the native ones, all ties; None where the proof had none."""
        found = [each.kernel_label_differences for each in self.families if each.kernel_label_differences is not None]
        return sum(found) if found else None

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        summary = {
            "rows": self.rows,
            "largest_difference": self.largest_difference,
            "label_differences": self.label_differences,
            "kernel_difference": self.kernel_difference,
            "kernel_label_differences": self.kernel_label_differences,
            "seconds": round(sum(result.seconds for result in self.families), 3),
        }
        return asdict(self) | summary

    def __str__(self) -> str:
        """Return the report as a table."""
        what = "relative difference" if self.relative else "difference"
        lines = [
            f"{'family':<18}{'rows':>8}{'largest ' + what:>30}{'labels that differ':>20}{'visited':>9}"
            f"{'leaves':>8}{'seconds':>9}"
        ]
        for result in self.families:
            note = f"  (some refused by {', '.join(result.refused_by)})" if result.refused_by else ""
            visited = "" if result.visited is None else f"{result.visited:.0%}"
            figures = (result.rows, result.largest_difference, result.label_differences)
            lines.append(
                f"{_line(result.family, *figures)}{visited:>9}{result.leaves or '':>8}{result.seconds:>9.2f}{note}"
            )
        lines.append(_line("all", self.rows, self.largest_difference, self.label_differences))
        if self.kernel_difference is not None and self.kernel_label_differences is not None:
            lines.append(_line("by the kernel", self.rows, self.kernel_difference, self.kernel_label_differences))
        lines.append(f"{self.precision}, tolerance {self.tolerance:g}; labels may differ only at a native tie")
        return "\n".join(lines)


def _line(family: str, rows: int, difference: float, labels: int) -> str:
    return f"{family:<18}{rows:>8,}{difference:>30.2e}{labels:>20}"
