"""Build the wheel and check that it holds the three packages, the entry points and the demo's data."""

from __future__ import annotations

import configparser
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
NEEDED = (
    "glulam/__init__.py", "glulam/py.typed", "glulam_plugins/models/lightgbm.py", "glulam_plugins/py.typed",
    "glulam_exporters/onnx/__init__.py", "glulam_exporters/py.typed",
    "glulam/cli/data/btcusdt_4h_2018_2023.csv.gz", "glulam/cli/data/README.md",
)  # fmt: skip


def build_wheel(folder: Path) -> Path:
    """Build the wheel of this checkout into a folder; return its path."""
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)],
        check=True,
        capture_output=True,
    )
    return next(folder.glob("glulam-*.whl"))


def problems(wheel: Path) -> list[str]:
    """Return what the wheel lacks."""
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["glulam"]
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        found = [f"lacks {name}" for name in NEEDED if name not in names]
        entries = configparser.ConfigParser()
        entries.optionxform = str  # type: ignore[assignment,method-assign]  # names keep their case
        text = next(name for name in names if name.endswith("entry_points.txt"))
        entries.read_string(archive.read(text).decode())
    for name, module in declared.items():
        if entries["glulam"].get(name) != module:
            found.append(f"lacks the entry point {name} = {module}")
        if f"{module.replace('.', '/')}.py" not in names and f"{module.replace('.', '/')}/__init__.py" not in names:
            found.append(f"entry point {name}: lacks its module {module}")
    if entries["console_scripts"].get("glulam") != "glulam.cli:main":
        found.append("lacks the glulam command")
    strays = sorted({name.split("/")[0] for name in names} - {"glulam", "glulam_plugins", "glulam_exporters"})
    return found + [f"holds {name}" for name in strays if not name.endswith(".dist-info")]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        wheel = build_wheel(Path(folder))
        wrong = problems(wheel)
        print(f"{wheel.name}: {'; '.join(wrong) or 'three packages and all entry points'}")
        sys.exit(bool(wrong))
