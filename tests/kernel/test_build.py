"""How the kernel is built: with which compiler, what is said where there is none, and what the library shows."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hatchling.bridge.app import Application

ROOT = Path(__file__).parents[2]


def load(path: Path):
    """Return a script of the checkout as a module."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


hatch_build = load(ROOT / "hatch_build.py")

SHOWN = """
#ifdef _WIN32
#define SHOW extern "C" __declspec(dllexport)
#else
#define SHOW extern "C" __attribute__((visibility("default")))
#endif
int inside();
"""
SOURCES = {
    "shown.cpp": SHOWN + "".join(f"SHOW int {name}() {{ return inside(); }}\n" for name in hatch_build.EXPORTS),
    # A template of the C++ library, which stays visible unless the linker hides it; and a function of our own.
    "inside.cpp": '#include <vector>\n#include "inside.h"\n'
    'extern "C" __attribute__((visibility("default"))) int stray() { return 1; }\n'
    "int inside() { std::vector<int> all(size); all.push_back(41); return all.back() + stray(); }\n",
    "inside.h": "constexpr int size = 3;\n",
}


def has_compiler() -> bool:
    """Return whether this machine has a compiler."""
    try:
        return bool(hatch_build.find_compiler())
    except hatch_build.NoCompilerError:
        return False


compiles = pytest.mark.skipif(not has_compiler(), reason="this machine has no C++ compiler to build with")


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch):
    """Forget what steers a build on this machine."""
    for name in ("GLULAM_BUILD_KERNEL", "GLULAM_BUILD_PLATFORM"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def checkout(tmp_path):
    """Return a checkout with a kernel of few lines."""
    (tmp_path / "core" / "glulam").mkdir(parents=True)
    (tmp_path / "kernel").mkdir()
    for name, text in SOURCES.items():
        (tmp_path / "kernel" / name).write_text(text)
    return tmp_path


def library_of(checkout: Path) -> Path:
    """Return where an editable install has the library."""
    return checkout / "core" / "glulam" / hatch_build.library_name(hatch_build.this_platform())


def run_hook(checkout: Path, version: str, look=lambda build_data: None) -> dict:
    """Run the hook as hatchling does; ``look`` sees what is to go into the wheel before it is removed."""
    hook = hatch_build.CustomBuildHook(str(checkout), {}, None, None, str(checkout / "dist"), "wheel", Application())
    build_data = {"force_include": {}, "pure_python": True}
    hook.initialize(version, build_data)
    look(build_data)
    hook.finalize(version, build_data, "")
    return build_data


PURE = {"force_include": {}, "pure_python": True}


@compiles
def test_a_wheel_has_the_library_and_its_platform(checkout):
    """The library goes in from outside the checkout, shows what it is to show, and is gone afterwards."""
    seen = []

    def look(build_data):
        (path,) = build_data["force_include"]
        library = ctypes.CDLL(path)
        assert [getattr(library, name)() for name in hatch_build.EXPORTS] == [42] * len(hatch_build.EXPORTS)
        if sys.platform == "linux":
            assert not hasattr(library, "stray")
        seen.append(Path(path))

    build_data = run_hook(checkout, "standard", look)
    tag = hatch_build.this_platform()
    assert list(build_data["force_include"].values()) == [f"glulam/{hatch_build.library_name(tag)}"]
    assert build_data["tag"] == f"py3-none-{tag}"
    assert build_data["pure_python"] is False
    assert not seen[0].exists()
    assert not library_of(checkout).exists()


@compiles
def test_an_editable_install_builds_in_place_and_only_what_is_new(checkout):
    """A library newer than its sources stays; one older than any of them is built again, and nothing else is left."""
    library = library_of(checkout)
    assert run_hook(checkout, "editable") == PURE
    first = library.stat().st_mtime_ns
    assert run_hook(checkout, "editable") == PURE
    assert library.stat().st_mtime_ns == first
    newer = first / 1e9 + 10
    os.utime(checkout / "kernel" / "inside.h", (newer, newer))
    assert run_hook(checkout, "editable") == PURE
    assert library.stat().st_mtime_ns != first
    assert [path.name for path in library.parent.iterdir()] == [library.name]


def test_no_compiler(checkout, monkeypatch, capsys):
    """The install goes on without the kernel and says so, unless it was asked to have it."""
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", str(checkout))
    said = (
        "glulam: built without its tree kernel: no C++ compiler found: expected c++, g++ or clang++ on PATH; install "
        "one, or name it in CXX\nonnxruntime's own tree kernel will be used, which is slower; all else works\n"
    )
    for version in ("standard", "editable"):
        assert run_hook(checkout, version) == PURE
        assert "".join(capsys.readouterr()) == said
    monkeypatch.setenv("GLULAM_BUILD_KERNEL", "1")
    with pytest.raises(hatch_build.KernelError, match="^no C\\+\\+ compiler found: expected c\\+\\+"):
        run_hook(checkout, "standard")


def test_a_compiler_that_is_not_there(checkout, monkeypatch, capsys):
    """CXX decides; a compiler of the path does not take the place of one that was asked for."""
    monkeypatch.setenv("CXX", "no-such-compiler -O1")
    assert run_hook(checkout, "standard") == PURE
    said = "CXX names 'no-such-compiler', which is not on PATH; name a C++ compiler, or unset CXX\n"
    assert said in "".join(capsys.readouterr())


@pytest.mark.skipif(os.name != "posix", reason="any file can be marked as a program here")
def test_a_compiler_that_is_no_program(checkout, monkeypatch, capsys):
    """The system's own words are told, and the install goes on."""
    compiler = checkout / "c++"
    compiler.write_bytes(b"\x7fno program")
    compiler.chmod(0o755)
    monkeypatch.setenv("CXX", str(compiler))
    assert run_hook(checkout, "standard") == PURE
    assert f"the C++ compiler {compiler} cannot be run: " in "".join(capsys.readouterr())


@compiles
def test_a_compiler_that_fails(checkout, monkeypatch, capsys):
    """The install goes on, says what the compiler said, and leaves no library of older sources to be used."""
    (checkout / "kernel" / "inside.cpp").write_text("int before;\n#error not on this machine\n")
    library_of(checkout).write_bytes(b"of older sources")
    os.utime(library_of(checkout), (0, 0))
    assert run_hook(checkout, "editable") == PURE
    said = "".join(capsys.readouterr())
    assert said.startswith("glulam: built without its tree kernel: the C++ compiler ")
    assert "error" in said.splitlines()[1]
    assert "not on this machine" in said
    assert "onnxruntime's own tree kernel will be used" in said
    assert not library_of(checkout).exists()
    monkeypatch.setenv("GLULAM_BUILD_KERNEL", "1")
    with pytest.raises(hatch_build.KernelError, match="not on this machine"):
        run_hook(checkout, "standard")


@compiles
def test_a_failed_build_touches_nothing(checkout):
    """The library that is there stays whole until a new one is ready."""
    library = library_of(checkout)
    library.write_bytes(b"as it was")
    (checkout / "kernel" / "inside.cpp").write_text("int inside();\n")  # and so it cannot be linked
    with pytest.raises(hatch_build.KernelError, match=r"failed with \d+:\n"):
        hatch_build.build(
            library,
            kernel=checkout / "kernel",
            compiler=hatch_build.find_compiler(),
            tag=hatch_build.this_platform(),
        )
    assert library.read_bytes() == b"as it was"
    assert list(library.parent.iterdir()) == [library]


@compiles
def test_warnings_are_errors_for_us_alone(checkout):
    """A warning that a compiler of tomorrow finds does not cost its users the kernel."""
    with (checkout / "kernel" / "inside.cpp").open("a") as source:
        source.write("void warned(int unused) {}\n")
    how = {
        "kernel": checkout / "kernel",
        "compiler": hatch_build.find_compiler(),
        "tag": hatch_build.this_platform(),
    }
    hatch_build.build(library_of(checkout), **how)
    with pytest.raises(hatch_build.KernelError, match="unused"):
        hatch_build.build(library_of(checkout), **how, strict=True)


def test_the_kernel_is_not_wanted(checkout, monkeypatch, capsys):
    """GLULAM_BUILD_KERNEL=0 leaves it out, also one that is there; other words are refused."""
    library_of(checkout).write_bytes(b"built before")
    monkeypatch.setenv("GLULAM_BUILD_KERNEL", "0")
    assert run_hook(checkout, "editable") == PURE
    assert "built without its tree kernel: GLULAM_BUILD_KERNEL is 0\n" in "".join(capsys.readouterr())
    assert not library_of(checkout).exists()
    monkeypatch.setenv("GLULAM_BUILD_KERNEL", "yes")
    with pytest.raises(hatch_build.KernelError, match="^GLULAM_BUILD_KERNEL: expected 0, 1 or nothing, got 'yes'"):
        run_hook(checkout, "standard")


def test_sources_that_are_not_there(tmp_path):
    """A copy without the sources says so, and not that some file is missing."""
    with pytest.raises(hatch_build.KernelError, match=r"no kernel sources: expected .*kernel.*cpp; take a complete"):
        hatch_build.build(
            tmp_path / "libglulam.so", kernel=tmp_path / "kernel", compiler=["c++"], tag="manylinux2014_x86_64"
        )


def test_the_script_says_what_it_cannot_do(tmp_path):
    """`python hatch_build.py` without a compiler fails where a file is named, in one line and without a traceback."""
    environment = {name: value for name, value in os.environ.items() if name != "CXX"}
    ended = subprocess.run(
        [sys.executable, str(ROOT / "hatch_build.py"), str(tmp_path / "library.so")],
        env={**environment, "PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1
    assert ended.stderr == (
        "glulam: no C++ compiler found: expected c++, g++ or clang++ on PATH; install one, or name it in CXX\n"
    )


GOOD = """
 0x0000000000000001 (NEEDED)             Shared library: [libc.so.6]
 0x0000000000000001 (NEEDED)             Shared library: [ld-linux-x86-64.so.2]
   Num:    Value          Size Type    Bind   Vis      Ndx Name
     1: 0000000000000000     0 FUNC    GLOBAL DEFAULT  UND memcpy@GLIBC_2.14 (2)
     3: 0000000000000000     0 FUNC    GLOBAL DEFAULT  UND expf@GLIBC_2.2.5 (4)
     2: 0000000000000000     0 SECTION LOCAL  DEFAULT    7 .text
    10: 0000000000013140   230 FUNC    GLOBAL DEFAULT   13 RegisterCustomOps
    11: 0000000000013230    39 FUNC    GLOBAL DEFAULT   13 glulam_kernels
    12: 0000000000013260    39 FUNC    GLOBAL DEFAULT   13 glulam_show
"""


@pytest.mark.parametrize(
    ("was", "becomes", "found"),
    [
        ("", "", []),
        ("memcpy@GLIBC_2.14", "log@GLIBC_2.29", ["needs log@GLIBC_2.29"]),
        ("memcpy@GLIBC_2.14", "_ZSt9terminatev@GLIBCXX_3.4", ["needs _ZSt9terminatev@GLIBCXX_3.4"]),
        (
            "UND expf@GLIBC_2.2.5 (4)",
            "UND free@GLIBC_2.2.5 (3)",
            ["has an expf of its own, with other last bits than the system's, which onnxruntime takes"],
        ),
        ("libc.so.6", "libstdc++.so.6", ["needs libstdc++.so.6"]),
        ("13 glulam_kernels", "13 _ZN6glulam5checkEv", ["lacks glulam_kernels", "shows _ZN6glulam5checkEv"]),
        (GOOD, "nothing of an ELF file", ["readelf lists no symbols"]),
    ],
)
def test_what_a_library_for_all_of_linux_may_need(was, becomes, found, monkeypatch):
    """A newer glibc, a C++ library, a symbol too many or too few, and mathematics of its own are seen."""
    monkeypatch.syspath_prepend(str(ROOT))
    cross = load(ROOT / "kernel" / "cross.py")
    assert cross.problems(GOOD.replace(was, becomes) if was else GOOD) == found


def test_a_target_that_cross_does_not_know(capsys, monkeypatch):
    """The message has all that it knows, and nothing is built."""
    monkeypatch.syspath_prepend(str(ROOT))
    monkeypatch.setattr(sys, "argv", ["cross.py", "sparc-linux"])
    with pytest.raises(SystemExit):
        load(ROOT / "kernel" / "cross.py").main()
    assert "unknown target 'sparc-linux'; expected x86_64-linux-gnu.2.17, " in capsys.readouterr().err
