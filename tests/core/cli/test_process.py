"""The command line as a process: exit codes, signals, what it imports, what it leaves behind."""

import ast
import os
import pty
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.main import get_command

import glulam as library
from glulam.cli import one_line
from glulam.cli._app import app
from glulam.cli._data import Source

COMMANDS = ["demo", "init", "train", "export", "predict", "inspect", "verify", "plugins", "bench", "evaluate", "tune"]
TRAINING = {"sklearn", "lightgbm", "xgboost", "joblib", "skops", "scipy", "pandas", "polars", "onnx", "pluggy", "talib"}


@pytest.fixture
def big(trained, tmp_path) -> Path:
    """Return a CSV of 150,000 rows, alone in its directory but for ``out``."""
    head, *lines = trained.data.read_text().splitlines()
    (tmp_path / "out").mkdir()
    with (tmp_path / "big.csv").open("w") as out:
        out.write(head + "\n")
        block = "\n".join(lines) + "\n"
        for _ in range(500):
            out.write(block)
    return tmp_path / "big.csv"


@pytest.mark.parametrize("name", ["p.csv", "p.parquet"])
@pytest.mark.parametrize(
    ("number", "code", "said"), [(signal.SIGINT, 130, "glulam: interrupted\n"), (signal.SIGTERM, 143, "")]
)
def test_a_stopped_prediction_leaves_nothing(trained, big, name, number, code, said):
    """Ctrl-C and SIGTERM while rows are written end with their code, and no file is left."""
    place = big.parent / "out"
    arguments = ["predict", trained.model, big, "--out", place / name, "--chunk-rows", "50"]
    running = subprocess.Popen(
        [sys.executable, "-m", "glulam.cli", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 30
    while not any(part.stat().st_size for part in place.glob(".*.part")):
        assert running.poll() is None, running.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.005)
    running.send_signal(number)
    out, err = running.communicate(timeout=30)
    assert running.returncode == code
    assert (out, err) == ("", said)
    assert not list(place.iterdir())


@pytest.mark.parametrize("name", ["p.csv", "p.parquet"])
def test_a_full_disk_leaves_nothing(process, trained, big, name):
    """A file that cannot grow further is an error that names it; what was there before stays."""
    place = big.parent / "out"
    (place / name).write_text("old")

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, 5_000))

    done = process("predict", trained.model, big, "--out", place / name, "--force", preexec_fn=limit)
    assert done.code == 1
    assert done.err == f"glulam: error: {place / name}: could not be written: File too large; nothing was left\n"
    assert [(path.name, path.read_text()) for path in place.iterdir()] == [(name, "old")]


def test_a_bar_is_shown_on_a_terminal(trained, tmp_path):
    """With a terminal for stderr predict shows how far it is, and not with --quiet."""
    seen = []
    for more in ([], ["--quiet", "--force"]):
        master, terminal = pty.openpty()
        arguments = ["predict", trained.model, trained.data, "--out", tmp_path / "p.csv", *more]
        command = [sys.executable, "-m", "glulam.cli", *map(str, arguments)]
        environment = os.environ | {"TERM": "xterm", "COLUMNS": "80"}
        subprocess.run(command, stderr=terminal, stdout=subprocess.PIPE, env=environment, check=True, timeout=60)
        os.write(terminal, b"end")
        seen.append(os.read(master, 100_000))
        os.close(terminal)
        os.close(master)
    assert b"predicting rows.csv" in seen[0]
    assert b"100%" in seen[0]
    assert seen[1] == b"end"


@pytest.mark.parametrize("command", ["predict", "inspect", "bench"])
def test_serving_imports_no_training_library(process, trained, tmp_path, command):
    """Commands on an exported file load none of the libraries that made it, nor pandas."""
    arguments = {
        "predict": [trained.data, "--out", tmp_path / "p.csv", "--votes"],
        "inspect": [],
        "bench": ["--rows", 10, "--repeat", 1],
    }[command]
    listing = "print(sorted({name.partition('.')[0] for name in sys.modules}), file=sys.stderr)"
    done = process(command, trained.model, *arguments, "--json", after=listing)
    assert done.code == 0
    loaded = set(ast.literal_eval(done.err))
    assert "onnxruntime" in loaded
    assert not loaded & TRAINING


def test_serving_works_where_nothing_else_is_installed(process, trained, tmp_path):
    """Predictions need numpy, onnxruntime and the extra cli, and nothing more."""
    done = process("predict", trained.model, trained.data, "--out", tmp_path / "p.csv", blocked=sorted(TRAINING))
    assert done.code == 0, done.err


@pytest.mark.parametrize("missing", ["typer", "rich", "pyarrow"])
def test_a_missing_extra_is_one_line(process, trained, tmp_path, missing):
    """Without a package of the extra the error says what to install."""
    done = process("predict", trained.model, trained.data, "--out", tmp_path / "p.csv", blocked=[missing])
    assert done.code == 1
    assert done.err == (
        f"glulam: error: the command line needs {missing}, which is not installed; "
        "install it with: pip install 'glulam[cli]'\n"
    )


@pytest.mark.parametrize("arguments", [["inspect", "{model}"], ["train", "--help"], ["--version"]])
def test_a_reader_that_leaves_early_is_no_error(trained, arguments):
    """``glulam inspect | head -1`` prints a line and no traceback."""
    with subprocess.Popen(
        [sys.executable, "-m", "glulam.cli", *(part.format(model=trained.model) for part in arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as running:
        running.stdout.close()
        assert running.stderr.read() == b""
        assert running.wait(30) == 1


@pytest.mark.parametrize("arguments", [["plugins"], ["plugins", "--json"], ["--version"], []])
def test_a_full_stdout_is_one_line(arguments):
    """Where standard output takes no more, that is said once, and in no JSON document either."""
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "glulam.cli", *arguments]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr == "glulam: error: standard output could not be written: No space left on device\n"


def test_version_and_help(glulam):
    """--version gives the version; --help lists the commands and the exit codes; no command at all is code 2."""
    assert glulam("--version").out == f"glulam {library.__version__}\n"
    done = glulam("--help")
    assert done.code == 0
    for command in COMMANDS:
        assert command in done.out
    assert "130 interrupted" in done.out
    alone = glulam()
    assert alone.code == 2
    assert "predict" in alone.out
    unknown = glulam("predcit")
    assert unknown.code == 2
    assert unknown.err.startswith("glulam: error: No such command 'predcit'")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_explained(glulam, name):
    """Each command has its help, and each argument and option one sentence."""
    assert glulam(name, "--help").code == 0
    command = get_command(app).commands[name]
    assert command.help
    for parameter in command.params:
        assert parameter.help, parameter.name
        assert parameter.help.endswith("."), parameter.name


def test_debug_shows_the_traceback(glulam, trained):
    """Without --debug an error is one line, with it the traceback comes before."""
    assert "Traceback" not in glulam("inspect", trained.data).err
    done = glulam("--debug", "inspect", trained.data)
    assert done.code == 1
    assert done.err.startswith("Traceback (most recent call last)")
    assert done.err.splitlines()[-1].startswith("glulam: error: ")


def test_unexpected_errors_are_lines_too(glulam, monkeypatch, data, tmp_path):
    """What a library raises by itself is one line with its type and the way to see more."""

    def read(source: Source) -> None:
        raise RuntimeError("odd")

    monkeypatch.setattr(Source, "read", read)
    done = glulam("train", data, "--target", "y", "--out", tmp_path / "m.onnx")
    assert done.code == 1
    assert "RuntimeError: odd; " in done.err
    assert "'glulam --debug COMMAND ...' shows where" in done.err
    assert done.err.count("\n") == 1


def test_demo_passes_its_options_on(glulam, monkeypatch, tmp_path):
    """The demo gets directory and data, and its result is the JSON document; what it prints goes to stderr."""
    import glulam.cli.demo as demo

    def run(console, *, out, data):
        console.print("[stage] one")
        return {"out": out, "data": data}

    monkeypatch.setattr(demo, "run", run)
    (tmp_path / "candles.csv").write_text("open\n1\n")
    done = glulam("demo", "--out", tmp_path, "--data", tmp_path / "candles.csv", "--json")
    assert done.code == 0, done.err
    assert done.out == f'{{\n "out": "{tmp_path}",\n "data": "{tmp_path / "candles.csv"}"\n}}\n'
    assert done.err == "[stage] one\n"
    assert glulam("demo").out == "[stage] one\n"


def test_one_line():
    """Lines are joined, lists become commas, control characters are escaped, brackets stay."""
    text = "The names should match.\nUnseen:\n- a\n- b\nexpected: ['x']\n\nDo this.\n"
    assert one_line(text) == "The names should match. Unseen: a, b expected: ['x'] Do this."
    assert one_line("a\x1b[31m[red]\tb\x00") == "a\\x1b[31m[red]\\tb\\x00"
    assert one_line("") == ""
