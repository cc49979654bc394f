"""The documents' Python runs as it stands, and says the truth about files and hooks."""

from __future__ import annotations

import inspect
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from glulam import plugins, testing
from glulam.hookspecs import Hooks

ROOT = Path(__file__).parents[1]
DOCUMENTS = ["README.md", "CONTRIBUTING.md", *(str(path.relative_to(ROOT)) for path in sorted(ROOT.glob("docs/*.md")))]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SHELL = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("name", [name for name in DOCUMENTS if BLOCK.search((ROOT / name).read_text())])
def test_python_of_a_document_runs(name, tmp_path):
    """All Python blocks of a document, one after the other, run without error or warning."""
    program = "\n".join(BLOCK.findall((ROOT / name).read_text()))
    (tmp_path / "document.py").write_text(program)
    shutil.copy(ROOT / "examples" / "data" / "btcusdt_4h_2018_2023.csv.gz", tmp_path)
    done = subprocess.run(
        [sys.executable, "-W", "error", "document.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", [name for name in DOCUMENTS if SHELL.search((ROOT / name).read_text())])
def test_commands_of_a_document_run(name, tmp_path):
    """All shell blocks of a document, one after the other, run and say nothing on standard error."""
    shutil.copy(ROOT / "examples" / "data" / "btcusdt_4h_2018_2023.csv.gz", tmp_path)
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", "\n".join(SHELL.findall((ROOT / name).read_text()))],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_of_a_document_lead_somewhere(name):
    """Every relative link names a file that exists."""
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", (ROOT / name).read_text()):
        assert ((ROOT / name).parent / target).exists(), target


def test_every_hook_is_documented():
    """The plugin guide names every hook, its kind, its interface and its contract check."""
    guide = (ROOT / "docs" / "plugins.md").read_text()
    hooks = [name for name, _ in inspect.getmembers(Hooks, inspect.isfunction)]
    assert sorted(hooks) == sorted(hook for hook, _ in plugins._HOOKS.values())
    checks = [name for name in testing.__all__ if name.startswith("check_")]
    rows = [
        line for line in guide.splitlines()
        for kind, (hook, interface) in plugins._HOOKS.items()
        if line.startswith(f"| `{hook}` | `{interface.__name__}`") and f"| `{kind}` |" in line
    ]  # fmt: skip
    assert len(rows) == len(hooks)
    assert sorted(re.findall(r"`(check_\w+)` \|$", "\n".join(rows), re.MULTILINE)) == sorted(checks)


def test_every_public_name_has_a_docstring():
    """Each name that the package offers says what it is."""
    import glulam

    assert [name for name in glulam.__all__ if not getattr(glulam, name).__doc__] == []
