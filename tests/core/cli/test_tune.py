"""`glulam tune`: what it prints and writes, and that a search that was killed, stopped or is in use is none lost."""

import contextlib
import json
import os
import pty
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import time

import pytest

from glulam.training.loading import load_config

CONFIG = """
[data]
path = "candles.csv.gz"
time = "timestamp"
timezone = "UTC"
days = 120

[features]
generators = ["technical"]

[label]
name = "next_direction"

[members.tree]
plugin = "decision_tree"

[tune]
enabled = true
trials = 3

[evaluation]
bootstrap = 100
"""
SECOND = """
[members.lightgbm]
params = { n_estimators = 5 }
"""
BUSY = ["--trials", "100000"]


@pytest.fixture
def place(tmp_path, candles):
    """Return a directory with a config and candles."""
    shutil.copy(candles, tmp_path / "candles.csv.gz")
    (tmp_path / "glulam.toml").write_text(CONFIG)
    return tmp_path


def values(place, study="glulam-tree"):
    """Return state and value of each trial of a study, as SQLite has them."""
    query = (
        "SELECT trials.state, trial_values.value FROM studies JOIN trials USING (study_id) "
        "LEFT JOIN trial_values USING (trial_id) WHERE study_name = ? ORDER BY trials.number"
    )
    with contextlib.closing(sqlite3.connect(place / "tuning.sqlite3", timeout=30)) as connection:
        return connection.execute(query, (study,)).fetchall()


def command(place, *arguments):
    """Return the command line that tunes there."""
    return [sys.executable, "-m", "glulam.cli", "tune", "--config", str(place / "glulam.toml"), *arguments]


def _begun(place):
    """Tell whether some trials are done."""
    with contextlib.suppress(sqlite3.OperationalError):  # no file or table yet
        return len(values(place)) > 5
    return False


@contextlib.contextmanager
def searching(place, *arguments):
    """Give a process that has finished some trials and goes on; it is ended in the end."""
    with subprocess.Popen(
        command(place, *BUSY, *arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            while not _begun(place):
                assert process.poll() is None, process.stderr.read()
                time.sleep(0.05)
            yield process
        finally:
            process.kill()


def test_tuning_by_the_command_line(glulam, place):
    """The best parameters, the comparison and where the new config is are printed; that config can be read."""
    (place / "glulam.toml").write_text(CONFIG + SECOND)
    done = glulam("tune", "--config", place / "glulam.toml")
    assert (done.code, done.err) == (0, "")
    assert "log_loss on the search's own folds" in done.out
    assert "compared on  " in done.out
    assert "walk-forward in 3 folds, horizon 1" in done.out
    assert "95 % interval from" in done.out
    assert "tuned.toml in" in done.out
    written = load_config(place / "tuned.toml", environ={})
    assert not written.tune.enabled
    assert written.members["lightgbm"].params["n_estimators"] == 5
    assert (place / "tuned.toml").read_text().startswith("# glulam tune, by log_loss on the last ")


def test_as_json(glulam, place):
    """The document has parameters, scores and trials by member, and the comparison; its config has what it says."""
    done = glulam("tune", "--config", place / "glulam.toml", "--json", "--trials", 2, "--set", "tune.study=other")
    document = json.loads(done.out)
    assert (done.code, done.err) == (0, "")
    assert set(document["members"]) == {"tree"}
    tree = document["members"]["tree"]
    assert tree["tuned"] <= tree["untuned"]
    assert sum(tree["trials"].values()) == 2
    assert document["study"] == "other"
    assert document["complete"]
    assert document["comparison"]["low"] <= document["comparison"]["value"] <= document["comparison"]["high"]
    assert document["adopted"] == (document["comparison"]["value"] > 0)
    params = load_config(place / "tuned.toml", environ={}).members["tree"].params
    assert params == (tree["params"] if document["adopted"] else {})


def test_what_is_there_stays(glulam, place):
    """An earlier result is replaced only on request, and that is said before anything is tried."""
    (place / "tuned.toml").write_text("mine")
    done = glulam("tune", "--config", place / "glulam.toml")
    assert done.code == 1
    assert done.err.endswith("tuned.toml exists; choose another name, or overwrite it with --force\n")
    assert not (place / "tuning.sqlite3").exists()
    assert glulam("tune", "--config", place / "glulam.toml", "--force", "--quiet").out == ""
    assert (place / "tuned.toml").read_text() != "mine"


def test_the_result_stays_beside_the_config(glulam, place, tmp_path_factory):
    """A config elsewhere would look for its data elsewhere: that is wrong usage."""
    done = glulam("tune", "--config", place / "glulam.toml", "--out", tmp_path_factory.mktemp("else") / "tuned.toml")
    assert done.code == 2
    assert "paths in a config are relative to its directory" in done.err


def test_starting_anew(glulam, place):
    """A study of other settings is refused in one line, and forgotten on request."""
    assert glulam("tune", "--config", place / "glulam.toml", "--quiet").code == 0
    changed = ("tune", "--config", place / "glulam.toml", "--set", "seed=7", "--force", "--quiet")
    done = glulam(*changed)
    assert done.code == 1
    assert "study 'glulam-tree' was made with different seed; choose another tune.study, or start it anew" in done.err
    assert done.err.count("\n") == 1
    assert glulam(*changed, "--restart") == type(done)(0, "", "")


def test_without_optuna(process, place):
    """Without the extra one line says what to install."""
    done = process("tune", "--config", place / "glulam.toml", blocked=["optuna"])
    assert done.code == 1
    assert done.err.endswith("install it with: pip install 'glulam[tune]'\n")
    assert done.err.startswith("glulam: error: tuning needs optuna: ")


def test_nothing_leaks_to_the_screen(process, place):
    """In a process of its own, neither optuna nor a library says anything on standard error."""
    done = process("tune", "--config", place / "glulam.toml", "--workers", "2")
    assert (done.code, done.err) == (0, "")


def test_a_terminal_sees_a_bar(place):
    """On a terminal standard error has a bar that counts trials; what is printed is the result alone."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(command(place), stdout=subprocess.PIPE, stderr=theirs, text=True) as process:
        os.close(theirs)
        seen = b""
        with contextlib.suppress(OSError):  # how the end of a terminal is told
            while part := os.read(ours, 4096):
                seen += part
        out = process.stdout.read()
    os.close(ours)
    assert process.returncode == 0
    assert b"tuning tree" in seen
    assert b"3/3" in seen
    assert "tuning tree" not in out


def test_a_killed_search_goes_on(glulam, place, tmp_path_factory):
    """After SIGKILL in the middle, what was done counts, and the trials are those of a search that never stopped."""
    with searching(place) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
    before = [trial for trial in values(place) if trial[0] != "RUNNING"]
    budget = len(before) + 3
    arguments = ("--trials", budget, "--force", "--json")
    done = json.loads(glulam("tune", "--config", place / "glulam.toml", *arguments).out)
    after = [trial for trial in values(place) if trial[0] in ("COMPLETE", "PRUNED")]
    assert after[: len(before)] == before
    assert len(after) == budget == sum(done["members"]["tree"]["trials"].values())
    assert not [trial for trial in values(place) if trial[0] == "RUNNING"]
    fresh = tmp_path_factory.mktemp("fresh")
    for name in ("glulam.toml", "candles.csv.gz"):
        shutil.copy(place / name, fresh)
    never_stopped = json.loads(glulam("tune", "--config", fresh / "glulam.toml", *arguments).out)
    assert [trial for trial in values(fresh) if trial[0] != "RUNNING"] == after
    assert never_stopped["members"] == done["members"]
    assert never_stopped["comparison"] == done["comparison"]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_ctrl_c(place, workers):
    """Ctrl-C ends the search with code 130, says how to go on, leaves no trial running and no half of a config."""
    with searching(place, "--workers", workers) as process:
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert err.startswith("glulam: finished trials are kept in ")
    assert "; run the same command again to go on\n" in err
    assert err.endswith("glulam: interrupted\n")
    assert err.count("\n") == 2
    assert not [trial for trial in values(place) if trial[0] == "RUNNING"]
    assert sorted(path.name for path in place.iterdir()) == [
        "candles.csv.gz", "glulam.toml", "tuning.sqlite3", "tuning.sqlite3.lock"
    ]  # fmt: skip


def test_two_at_once(glulam, place):
    """A second process is told in one line who has the file and what to do; the first one goes on undisturbed."""
    with searching(place) as process:
        done = glulam("tune", "--config", place / "glulam.toml")
        assert process.poll() is None
    assert (done.code, done.out) == (1, "")
    assert done.err == (
        f"glulam: error: {place / 'tuning.sqlite3'}: locked by another process (pid {process.pid}), which is tuning; "
        "wait for it, or choose another tune.storage\n"
    )


def test_a_full_disk(glulam, place):
    """Where the file cannot grow, one line says so and what to do; what was done before is kept."""
    assert glulam("tune", "--config", place / "glulam.toml", "--trials", 1, "--quiet").code == 0
    limit = os.path.getsize(place / "tuning.sqlite3")  # noqa: PTH202  # the size of the file now is the end of the disk
    done = subprocess.run(
        command(place, *BUSY, "--force"), capture_output=True, text=True, check=False, timeout=60,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "free space" in done.stderr
    assert "trials done so far are kept" in done.stderr
    assert values(place)[0][0] == "COMPLETE"
