"""Builds the tree kernel for onnxruntime: as a part of the wheel, and by itself in a checkout.

hatchling runs ``CustomBuildHook``. ``python hatch_build.py [FILE]`` builds the library where an editable install
finds it, or into a file, with warnings as errors.

The library has no Python in it, so one wheel of a platform serves every Python. Without a compiler the wheel is
pure Python and complete: onnxruntime's own tree kernel does the work. Three variables steer it:

* ``GLULAM_BUILD_KERNEL``: 0 leaves the kernel out, 1 makes a build without it fail; unset takes it if it compiles.
* ``CXX``: the compiler, with its arguments; else c++, g++ or clang++ of the path.
* ``GLULAM_BUILD_PLATFORM``: the platform tag of a wheel that is built for another machine, as kernel/cross.py does.
"""

from __future__ import annotations

import os
import platform
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

EXPORTS = ("RegisterCustomOps", "glulam_kernels", "glulam_show")
"""What the library shows to the outside; the rest of it, and of the C++ library in it, stays within."""

BASIC = ("-std=c++17", "-O3", "-fvisibility=hidden", "-ffp-contract=off")
STRICT = ("-Wall", "-Wextra", "-Werror")
# The library is to run on machines that have another libstdc++, or none.
SELF_CONTAINED = ("-static-libstdc++", "-static-libgcc")
COMPILERS_AT_ONCE = 2
INSTEAD = "onnxruntime's own tree kernel will be used, which is slower; all else works"


class KernelError(Exception):
    """The kernel cannot be built. The message says why and what to do."""


class NoCompilerError(KernelError):
    """There is no compiler to build it with."""


def this_platform() -> str:
    """Return the platform tag of a wheel with a library of ours that is built here."""
    if sys.platform == "darwin":
        return f"macosx_11_0_{platform.machine()}"  # 11.0: the first that runs on both kinds of machines
    return sysconfig.get_platform().replace("-", "_").replace(".", "_")


def library_name(tag: str) -> str:
    """Return the library's file name on the platform of a wheel tag."""
    if tag.startswith("macosx"):
        return "libglulam.dylib"
    return "glulam.dll" if tag.startswith("win") else "libglulam.so"


def find_compiler() -> list[str]:
    """Return the C++ compiler's command: CXX, else the first of c++, g++ and clang++ that there is.

    Raises NoCompilerError if there is none, or not the one that CXX names.
    """
    named = shlex.split(os.environ.get("CXX", ""), posix=os.name != "nt")
    if named:
        if not shutil.which(named[0]):
            raise NoCompilerError(f"CXX names {named[0]!r}, which is not on PATH; name a C++ compiler, or unset CXX")
        return named
    for name in ("c++", "g++", "clang++"):
        if shutil.which(name):
            return [name]
    raise NoCompilerError("no C++ compiler found: expected c++, g++ or clang++ on PATH; install one, or name it in CXX")


def build(target: Path, *, kernel: Path, compiler: Sequence[str], tag: str, strict: bool = False) -> None:
    """Compile the ``*.cpp`` of a folder, not those of folders in it, to a library.

    The library at ``target`` is replaced whole once the new one is ready: others may have it loaded. ``compiler`` is a
    command that takes the options of g++, ``tag`` the platform tag of the machines that the library is for. With
    ``strict``, warnings are errors. Raises KernelError with what the compiler said if it fails.
    """
    sources = sorted(kernel.glob("*.cpp"))
    if not sources:
        raise KernelError(f"no kernel sources: expected {kernel}/*.cpp; take a complete copy of glulam")
    options = [*BASIC, *(STRICT if strict else ()), *_machine(tag)]
    # The folder lies beside the target: a file moves from one to the other in one step.
    with tempfile.TemporaryDirectory(prefix=".kernel-", dir=target.parent) as scratch:
        objects = [Path(scratch, f"{source.stem}.o") for source in sources]
        commands = [
            [*compiler, *options, "-c", str(source), "-o", str(made)]
            for source, made in zip(sources, objects, strict=True)
        ]
        with ThreadPoolExecutor(COMPILERS_AT_ONCE) as pool:
            list(pool.map(_run, commands))
        library = Path(scratch, target.name)
        link = [*compiler, *options, "-shared", *map(str, objects), *_linking(tag, Path(scratch)), "-o", str(library)]
        if tag.startswith("macosx"):
            _run(link)  # the C++ library is the system's there
        else:
            try:
                _run([*link, *SELF_CONTAINED])
            except KernelError:  # some systems come without the static libraries
                _run(link)
        library.replace(target)


def _machine(tag: str) -> list[str]:
    """Return the options that the platform of a wheel tag asks for."""
    if tag.startswith("win"):
        return []
    if not tag.startswith("macosx"):
        return ["-fPIC", "-pthread"]
    _, major, minor, machine = tag.split("_", 3)
    return ["-fPIC", "-arch", machine, f"-mmacosx-version-min={major}.{minor}"]


def _linking(tag: str, scratch: Path) -> list[str]:
    """Return the options that keep all but EXPORTS within; -fvisibility leaves out templates of the C++ library."""
    if tag.startswith(("win", "macosx")):
        return []  # Windows shows what is declared so; zig's linker for macOS has no such option
    script = scratch / "exports.map"
    script.write_text(f"{{ global: {' '.join(f'{name};' for name in EXPORTS)} local: *; }};\n")
    return [f"-Wl,--version-script={script}", "-Wl,-z,defs", "-Wl,--strip-debug"]


def _run(command: list[str]) -> None:
    try:
        ended = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    except OSError as error:
        raise KernelError(f"the C++ compiler {command[0]} cannot be run: {error}") from error
    if ended.returncode:
        raise KernelError(
            f"the C++ compiler {command[0]} failed with {ended.returncode}:\n{ended.stderr or ended.stdout}"
        )


def _shortened(message: str) -> str:
    """Return the beginning of a message, from where a compiler speaks of an error: an install is no place for all."""
    first, *rest = message.splitlines()
    begin = next((i for i, line in enumerate(rest) if "error" in line), 0)
    return "\n".join([first, *rest[begin : begin + 6]])


def is_current(library: Path, kernel: Path) -> bool:
    """Return whether a library is newer than the sources and this file."""
    made_from = [Path(__file__), *(file for file in kernel.iterdir() if file.suffix in (".cpp", ".h", ".inc"))]
    return library.exists() and library.stat().st_mtime > max(file.stat().st_mtime for file in made_from)


def wanted() -> str:
    """Return GLULAM_BUILD_KERNEL: 0, 1 or nothing.

    Raises KernelError for any other value.
    """
    value = os.environ.get("GLULAM_BUILD_KERNEL", "")
    if value not in ("", "0", "1"):
        raise KernelError(f"GLULAM_BUILD_KERNEL: expected 0, 1 or nothing, got {value!r}; unset it")
    return value


class CustomBuildHook(BuildHookInterface[Any]):
    """Adds the kernel to a wheel; for an editable install builds it in the checkout."""

    _scratch: tempfile.TemporaryDirectory[str] | None = None

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the kernel. ``version`` is "editable" or "standard".

        Raises KernelError if GLULAM_BUILD_KERNEL is 1 and the kernel cannot be built, or if it is neither 0 nor 1.
        """
        asked = wanted()
        tag = os.environ.get("GLULAM_BUILD_PLATFORM") or this_platform()
        kernel = Path(self.root, "kernel")
        if version == "editable":
            folder = Path(self.root, "core", "glulam")
        else:
            self._scratch = tempfile.TemporaryDirectory(prefix="glulam-kernel-")
            folder = Path(self._scratch.name)
        library = folder / library_name(tag)
        try:
            if asked == "0":
                raise KernelError("GLULAM_BUILD_KERNEL is 0")
            if not is_current(library, kernel):
                build(library, kernel=kernel, compiler=find_compiler(), tag=tag)
        except KernelError as error:
            self.finalize(version, build_data, "")  # hatchling does not, after an error
            if asked == "1":
                raise
            library.unlink(missing_ok=True)  # one of older sources would be used unnoticed
            self.app.display_warning(f"glulam: built without its tree kernel: {_shortened(str(error))}\n{INSTEAD}")
            return
        if version != "editable":
            build_data["force_include"][str(library)] = f"glulam/{library.name}"
            build_data["pure_python"] = False
            build_data["tag"] = f"py3-none-{tag}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove the library that is in the wheel now."""
        if self._scratch:
            self._scratch.cleanup()
            self._scratch = None


def main(arguments: Sequence[str]) -> int:
    """Build the library in this checkout, unless it is newer than its sources; or anew into a file that is named."""
    here = Path(__file__).resolve().parent
    library = Path(arguments[0]) if arguments else here / "core" / "glulam" / library_name(this_platform())
    try:
        if wanted() == "0" and not arguments:
            library.unlink(missing_ok=True)
            print(f"glulam: GLULAM_BUILD_KERNEL is 0: {INSTEAD}")
        elif arguments or not is_current(library, here / "kernel"):
            compiler = find_compiler()
            build(library, kernel=here / "kernel", compiler=compiler, tag=this_platform(), strict=True)
            print(f"{library.name} is built with {shlex.join(compiler)}")
    except KernelError as error:
        dispensable = isinstance(error, NoCompilerError) and not arguments and wanted() != "1"
        print(f"glulam: {error}" + (f"\n{INSTEAD}" if dispensable else ""), file=sys.stderr)
        return int(not dispensable)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
