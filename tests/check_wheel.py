"""Build the wheels and check what they hold: three packages, the entry points, the demo's data and the kernel.

A machine without a compiler gets a wheel without the kernel, for any platform; it is built here as well.
"""

from __future__ import annotations

import configparser
import os
import subprocess
import sys
import tarfile
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


LIBRARIES = ("glulam/libglulam.so", "glulam/libglulam.dylib", "glulam/glulam.dll")
SOURCES = ("hatch_build.py", "kernel/library.cpp", "kernel/tables.h", "core/glulam/kernel.py")


def build(kind: str, folder: Path, *, compiler: bool = True) -> tuple[Path, str]:
    """Build the "wheel" or "sdist" of this checkout into a folder; return its path, and what was said.

    Without ``compiler`` the machine seems to have none.
    """
    environment = dict(os.environ)
    if not compiler:
        nothing = folder / "nothing"
        nothing.mkdir(exist_ok=True)
        environment = {name: value for name, value in environment.items() if name not in ("CXX", "GLULAM_BUILD_KERNEL")}
        environment["PATH"] = str(nothing)
    into = folder / f"{kind}-{'with' if compiler else 'without'}-compiler"
    done = subprocess.run(
        [sys.executable, "-m", "build", f"--{kind}", "--no-isolation", "--outdir", str(into), str(ROOT)],
        check=True,
        capture_output=True,
        text=True,
        env=environment,
    )
    return next(into.glob("glulam-*")), done.stdout + done.stderr


def build_wheel(folder: Path, *, compiler: bool = True) -> Path:
    """Build the wheel of this checkout into a folder; return its path."""
    return build("wheel", folder, compiler=compiler)[0]


def has_kernel(wheel: Path) -> bool:
    """Return whether a wheel holds the kernel."""
    with zipfile.ZipFile(wheel) as archive:
        return any(name in LIBRARIES for name in archive.namelist())


def problems_of_platform(wheel: Path) -> list[str]:
    """Return how a wheel's name and tags disagree with its holding a library or not."""
    anywhere = wheel.name.endswith("-py3-none-any.whl")
    with zipfile.ZipFile(wheel) as archive:
        said = archive.read(next(name for name in archive.namelist() if name.endswith(".dist-info/WHEEL"))).decode()
    tag = wheel.stem.partition("-py3-")[2]
    found = [] if f"Tag: py3-{tag}\n" in said else [f"is tagged otherwise than named: {said!r}"]
    if has_kernel(wheel) == anywhere:
        found.append(
            "holds a library, and is for any platform" if anywhere else "is for one platform, without a library"
        )
    if f"Root-Is-Purelib: {'true' if anywhere else 'false'}\n" not in said:
        found.append(f"has the wrong root: {said!r}")
    return found


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
    found += [f"holds {name}" for name in strays if not name.endswith(".dist-info")]
    return found + problems_of_platform(wheel)


def problems_of_sources(sdist: Path) -> list[str]:
    """Return what the archive of sources lacks to build the kernel, and what was built already."""
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    found = [f"lacks {name}" for name in SOURCES if name not in names]
    return found + [f"holds {name}" for name in sorted(names) if name.endswith((".so", ".dylib", ".dll"))]


def main(folder: Path) -> int:
    """Build and check what is published; print what is wrong. Returns 1 if anything is."""
    wheel, _ = build("wheel", folder)
    pure, said = build("wheel", folder, compiler=False)
    sdist, _ = build("sdist", folder)
    checked = {
        wheel: problems(wheel),
        pure: problems(pure),
        sdist: problems_of_sources(sdist),
    }
    if has_kernel(pure):
        checked[pure].append("holds a library that nothing here could compile")
    if said.count("built without its tree kernel: no C++ compiler found") != 1:
        checked[pure].append(f"was not said to be without the kernel: {said}")
    for path, wrong in checked.items():
        print(f"{path.parent.name}/{path.name}: {'; '.join(wrong) or 'as it should be'}")
    if not has_kernel(wheel):
        print("the kernel was not built, and not looked at")
    return int(any(checked.values()))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        sys.exit(main(Path(scratch)))
