"""What a run is known by: the git revision, and what serving its file costs."""

import os
import subprocess

import numpy as np
import pytest

from glulam.errors import GlulamError
from glulam.training.facts import git_revision, run_key, serving_cost


def git(directory, *arguments):
    """Run git as somebody, whatever this machine's settings are, and return what it says."""
    who = ("-c", "user.name=nobody", "-c", "user.email=nobody@example.org", "-c", "commit.gpgsign=false")
    command = ["git", "-C", str(directory), *who, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_the_revision_is_gits(tmp_path):
    """A directory that is in no repository has none; changes of tracked files are told, others are not."""
    assert git_revision(tmp_path) is None
    git(tmp_path, "init", "--quiet")
    assert git_revision(tmp_path) is None  # nothing is committed yet
    (tmp_path / "glulam.toml").write_text("seed = 1\n")
    git(tmp_path, "add", "glulam.toml")
    git(tmp_path, "commit", "--quiet", "-m", "a config")
    found = {"revision": git(tmp_path, "rev-parse", "HEAD"), "dirty": False}
    (tmp_path / "candles.csv").write_text("close\n1\n")
    assert git_revision(tmp_path) == found
    (tmp_path / "glulam.toml").write_text("seed = 2\n")
    assert git_revision(tmp_path) == found | {"dirty": True}


def test_asking_git_writes_nothing(tmp_path):
    """A dry run changes no file, and git's index is one: it stays as it is even where git would refresh it."""
    git(tmp_path, "init", "--quiet")
    config = tmp_path / "glulam.toml"
    config.write_text("seed = 1\n")
    git(tmp_path, "add", "glulam.toml")
    git(tmp_path, "commit", "--quiet", "-m", "a config")
    index = tmp_path / ".git" / "index"
    os.utime(config, (1e9, 1e9))  # the same content of another time, which git would note in its index
    before = index.read_bytes()
    git_revision(tmp_path)
    assert index.read_bytes() == before


@pytest.mark.parametrize("changed", [0, 1, 2])
def test_all_that_decides_about_a_run_is_in_its_key(changed):
    """Another config, other data and other versions give another key."""
    known = ["a", "b", {"numpy": "2.0"}]
    other = [*known]
    other[changed] = {"numpy": "2.1"} if changed == 2 else "c"
    assert run_key(*known) == run_key(*known)
    assert run_key(*known) != run_key(*other)


def test_a_file_that_cannot_be_served_is_told(tmp_path):
    """The process that serves the file ends with an error, which says what was wrong with which file."""
    broken = tmp_path / "ensemble.onnx"
    broken.write_bytes(b"no model")
    with pytest.raises(
        GlulamError, match=r"ensemble\.onnx: the process that serves it ended with code 1: .*ArtifactError"
    ) as raised:
        serving_cost(broken, np.zeros((3, 2), dtype=np.float32))
    assert "\n" not in str(raised.value)
