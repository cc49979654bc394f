"""What the project promises in figures, held against a run."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["judge"]


@dataclass(frozen=True, slots=True)
class Claim:
    """A promise about one figure of the results."""

    text: str
    path: tuple[str, ...]
    limit: float
    unit: str
    scale: float


CLAIMS = (
    Claim("export, proof included, takes less than 5 s", ("export", "glulam", "seconds"), 5, "s", 1),
    Claim("its process never holds 600 MB", ("export", "glulam", "peak_bytes"), 600, "MB", 1e-6),
    Claim("the file has less than 6 MB", ("export", "glulam", "file_bytes"), 6, "MB", 1e-6),
    Claim("Python around session.run costs at most 2 us", ("overhead", "ensemble", "added"), 2, "us", 1e6),
    Claim("... and on a file of a few nodes too", ("overhead", "small", "added"), 2, "us", 1e6),
)


def judge(results: dict[str, Any], *, quick: bool) -> list[dict[str, Any]]:
    """Return the claims whose figure was measured; ``passed`` is None where the run is a smoke run."""
    judged = []
    for claim in CLAIMS:
        found: Any = results
        for key in claim.path:
            found = found.get(key) if found else None
        if found is not None:
            measured = found * claim.scale
            passed = None if quick else measured <= claim.limit
            judged.append(
                {key: value for key, value in asdict(claim).items() if key not in ("path", "scale")}
                | {"measured": measured, "passed": passed}
            )
    return judged
