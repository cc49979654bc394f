"""Builds wheels with the kernel for other machines, and for older Linux, than this one.

``python kernel/cross.py`` needs the packages ziglang, build and hatchling; ziglang is clang with the C libraries of
many systems. Each target becomes a wheel in the folder that --into names. Those for Linux need glibc 2.17 or newer
(manylinux2014), which readelf of the binutils confirms.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from hatch_build import EXPORTS  # noqa: E402  # the folder above is no package

TARGETS = {
    "x86_64-linux-gnu.2.17": "manylinux2014_x86_64",
    "aarch64-linux-gnu.2.17": "manylinux2014_aarch64",
    "x86_64-macos.11.0": "macosx_11_0_x86_64",
    "aarch64-macos.11.0": "macosx_11_0_arm64",
    "x86_64-windows-gnu": "win_amd64",
}
"""zig's name for a machine, and the platform tag of its wheel."""

NEWEST_GLIBC = (2, 17)
# What manylinux2014 lets a library need.
SYSTEM_LIBRARIES = re.compile(r"(libc|libm|libdl|libpthread|librt|ld-linux[-\w]*)\.so\.\d+")


def build_wheel(target: str, into: Path) -> Path:
    """Build the wheel of a target in a folder; return its path."""
    platform = {"GLULAM_BUILD_KERNEL": "1", "GLULAM_BUILD_PLATFORM": TARGETS[target]}
    zig = f'"{Path(sys.executable).as_posix()}" -m ziglang c++ -target {target}'
    # Built in a folder of its own: its name is then the only one there.
    with tempfile.TemporaryDirectory(dir=into) as folder:
        command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, str(ROOT)]
        ended = subprocess.run(
            command, env={**os.environ, **platform, "CXX": zig}, capture_output=True, text=True, check=False
        )
        if ended.returncode:
            raise SystemExit(f"{target}: the wheel cannot be built:\n{ended.stdout}{ended.stderr}")
        made = next(Path(folder).glob("*.whl"))
        return made.replace(into / made.name)


def problems(symbols: str) -> list[str]:
    """Return what is wrong with a library for Linux, given what ``readelf -W --dyn-syms --dynamic`` says of it."""
    needed = re.findall(r"\(NEEDED\).*\[(.+)\]", symbols)
    found = [f"needs {name}" for name in needed if not SYSTEM_LIBRARIES.fullmatch(name)]
    rows = [line.split() for line in symbols.splitlines() if re.match(r"\s*\d+: ", line)]
    shown = [row[7] for row in rows if len(row) > 7 and row[4] != "LOCAL"]
    if not shown:
        return [*found, "readelf lists no symbols"]
    exported = {row[7] for row in rows if len(row) > 7 and row[4] != "LOCAL" and row[6] != "UND"}
    found += [f"lacks {name}" for name in sorted(set(EXPORTS) - exported)]
    found += [f"shows {name}" for name in sorted(exported - set(EXPORTS))]
    if not any(name.startswith("expf@") for name in shown):
        # zig's own is taken where anything else of its runtime library is, __builtin_cpu_supports for one.
        found.append("has an expf of its own, with other last bits than the system's, which onnxruntime takes")
    for name in shown:
        version = re.search(r"@+GLIBC_(\d+)\.(\d+)", name)
        newer = version and tuple(map(int, version.groups())) > NEWEST_GLIBC
        if newer or "@GLIBCXX" in name or "@CXXABI" in name:
            found.append(f"needs {name}")
    return found


def main() -> int:
    """Build what the command line asks for; returns 1 if a library for Linux is not as promised."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*", metavar="target", help=f"{', '.join(TARGETS)}; all unless named")
    parser.add_argument("--into", type=Path, default=ROOT / "dist", help="folder for the wheels (dist)")
    asked = parser.parse_args()
    unknown = sorted(set(asked.targets) - set(TARGETS))
    if unknown:
        parser.error(f"unknown target {unknown[0]!r}; expected {', '.join(TARGETS)}")
    asked.into.mkdir(parents=True, exist_ok=True)
    wrong = 0
    for target in asked.targets or TARGETS:
        wheel = build_wheel(target, asked.into)
        if "linux" not in target:
            print(f"{wheel.name}: built, nothing of it looked at")
            continue
        with tempfile.TemporaryDirectory() as folder:
            library = zipfile.ZipFile(wheel).extract("glulam/libglulam.so", folder)
            read = ["readelf", "-W", "--dyn-syms", "--dynamic", library]
            found = problems(subprocess.run(read, capture_output=True, text=True, check=True).stdout)
        wrong += bool(found)
        print(f"{wheel.name}: {'; '.join(found) or 'needs glibc 2.17 at most, and shows our functions alone'}")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
