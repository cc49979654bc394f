"""A virtual environment a peer: built on demand, kept, and built again when its requirements change."""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from benchmarks.peers import OWN, PEERS

__all__ = ["HOME", "NotReadyError", "names", "python_of", "set_up", "versions"]

HOME = Path(__file__).parents[1] / ".bench"
SECONDS = 1_800
"""How long an installation may take: Hummingbird's brings a PyTorch of several gigabytes."""


class NotReadyError(Exception):
    """A peer's environment is not there. The message is the reason that the results give."""


def names() -> list[str]:
    """Return the environments that peers need beside the project's own."""
    return list(dict.fromkeys(peer.environment for peer in PEERS.values() if peer.environment != OWN))


def set_up(wanted: Iterable[str], home: Path = HOME, *, again: bool = False) -> dict[str, str]:
    """Build what is missing, and ``again`` what could not be built before; return why some cannot be."""
    failed = {}
    for name in wanted:
        state, requirements = _state(home / name), _requirements(name)
        reason = state.get("failed", "")
        if state.get("requirements") != requirements or (reason and again):
            print(f"... set up {home / name}", file=sys.stderr, flush=True)
            reason = _build(home / name, requirements)
        if reason:
            failed[name] = str(reason)
    return failed


def python_of(name: str, home: Path = HOME) -> str:
    """Return the interpreter of an environment; raise NotReadyError where there is none."""
    if name == OWN:
        return sys.executable
    state = _state(home / name)
    if state.get("requirements") != _requirements(name):
        raise NotReadyError(f"not set up: python -m benchmarks setup {name}")
    if state["failed"]:
        raise NotReadyError(f"does not install: {state['failed']}")
    return str(_python(home / name))


def versions(name: str, home: Path = HOME) -> dict[str, str]:
    """Return what is installed in an environment, by distribution."""
    listed = subprocess.run(
        [python_of(name, home), "-m", "pip", "list", "--format=json", "--disable-pip-version-check"],
        capture_output=True,
        text=True,
        check=True,
    )
    return {each["name"]: each["version"] for each in json.loads(listed.stdout)}


def _requirements(name: str) -> list[str]:
    """Return what pip installs. Libraries whose files are read are those of this environment."""
    here = {"scikit-learn": "scikit-learn", "lightgbm": "lightgbm", "xgboost-cpu": "xgboost-cpu"}
    installed = {}
    for key in here:
        try:
            installed[key] = metadata.version(key)
        except metadata.PackageNotFoundError:
            # xgboost-cpu is XGBoost's own build without CUDA, under the same version.
            installed[key] = metadata.version("xgboost") if key == "xgboost-cpu" else ""
    wanted = (each for peer in PEERS.values() if peer.environment == name for each in peer.requirements)
    return [_filled(each, installed) for each in dict.fromkeys(wanted)]


def _filled(requirement: str, installed: dict[str, str]) -> str:
    for name, version in installed.items():
        requirement = requirement.replace("{" + name + "}", version)
    return requirement


def _state(folder: Path) -> dict[str, object]:
    """Return what was installed, or why not; nothing where it was not tried."""
    path = folder / "state.json"
    found: dict[str, object] = json.loads(path.read_text()) if path.is_file() else {}
    return found


def _build(folder: Path, requirements: list[str]) -> str:
    """Build an environment and write down how that went; return why it failed, or nothing."""
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
    install = [str(_python(folder)), "-m", "pip", "install", "--disable-pip-version-check", *requirements]
    reason = ""
    try:
        done = subprocess.run(install, capture_output=True, text=True, timeout=SECONDS, check=False)
        if done.returncode:
            errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
            reason = (errors or done.stderr.splitlines() or ["pip gives no reason"])[-1]
    except subprocess.TimeoutExpired:
        reason = f"pip is not done in {SECONDS} s"
    (folder / "state.json").write_text(json.dumps({"requirements": requirements, "failed": reason}, indent=1) + "\n")
    return reason


def _python(folder: Path) -> Path:
    return folder / ("Scripts" if sysconfig.get_platform().startswith("win") else "bin") / "python"
