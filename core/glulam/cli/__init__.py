"""The command line: `main` runs it, and turns whatever happens into a line and an exit code.

Nothing is imported here but the standard library, so that a missing extra can be said in one line.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, NoReturn, TextIO

__all__ = ["State", "main", "one_line", "writing_stdout"]

DONE, REFUSED, USAGE, INTERRUPTED, TERMINATED = 0, 1, 2, 130, 143
_EXTRA = ("typer", "click", "rich", "pyarrow", "pydantic")
"""Packages of the extra ``cli``, by the names that a failed import has."""
_WORDS = (
    ("overwrite=True (--force on the command line)", "--force"),
    (
        "validators=['columns', 'finite', ('minimum_samples', {'rows': ...})]",
        "--validator columns --validator finite --validator minimum_samples:rows=N",
    ),
    ("use voting='soft'", "use --voting soft"),
    ("export with precision='float64'", "export with --precision float64"),
)
"""What errors advise to write in Python, and what does the same on the command line."""


class StdoutError(Exception):
    """Standard output could not be written, though somebody still reads it."""


@contextlib.contextmanager
def writing_stdout() -> Iterator[None]:
    """Raise StdoutError where printing fails, except for a reader that is gone, which is no error."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise StdoutError(f"standard output could not be written: {error.strerror or error}") from error


@dataclass(slots=True)
class State:
    """What the global options and ``--json`` ask of a run; commands find it as ``ctx.obj``."""

    debug: bool = False
    json: bool = False
    stdout: TextIO = field(default_factory=lambda: sys.stdout)

    def reserve_stdout(self) -> None:
        """Keep stdout for one JSON document: whatever else prints, libraries included, goes to stderr."""
        self.json = True
        sys.stdout = sys.stderr


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    argv
        arguments without the program's name; by default those of the process

    0: done. 1: refused or a check failed. 2: wrong usage, or an input file that is not there.
    130: interrupted by Ctrl-C. 143: ended by SIGTERM. Then nothing half-written is left.
    """
    state = State()
    try:
        with _sigterm_as_exit(), _warnings_as_lines():
            return _run_app(argv, state)
    finally:
        sys.stdout = state.stdout


def _run_app(argv: Sequence[str] | None, state: State) -> int:
    """Run the app; report what it raises."""
    try:
        from glulam.cli._app import run

        code = run(argv, state)
        with writing_stdout():
            state.stdout.flush()
    except KeyboardInterrupt:
        code = INTERRUPTED
    except BrokenPipeError:
        return _reader_gone()
    except SystemExit as stop:  # SIGTERM, or a broken pipe that typer saw first
        code = stop.code if isinstance(stop.code, int) else REFUSED
        return code if code == TERMINATED else _reader_gone()
    except Exception as error:  # the last place where a traceback can become a line
        return _report(error, state)
    if code == INTERRUPTED:
        print("glulam: interrupted", file=sys.stderr)
    return code


def _reader_gone() -> int:
    """Leave quietly when nobody reads stdout any more (``| head``); Python would complain when it flushes at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return REFUSED


def _report(error: Exception, state: State) -> int:
    """Print an error as one line on stderr, and as the document if JSON was asked for; return the code."""
    message, code = _message(error)
    if state.debug:
        traceback.print_exception(error)
    print(f"glulam: error: {one_line(message)}", file=sys.stderr)
    if state.json and not isinstance(error, StdoutError):
        print(json.dumps({"error": {"type": type(error).__name__, "message": message}}), file=state.stdout, flush=True)
    return code


def _message(error: Exception) -> tuple[str, int]:
    """Return what to say of an error, and the exit code."""
    from glulam.errors import GlulamError

    if isinstance(error, GlulamError):
        return _in_options(str(error)), REFUSED
    if isinstance(error, StdoutError):
        return str(error), REFUSED
    format_message = getattr(error, "format_message", None)
    if callable(format_message):  # click's usage errors; newer typers carry a click of their own
        context: Any = getattr(error, "ctx", None)
        command = context.command_path if context is not None else "glulam"
        return f"{format_message().rstrip('.')}; see {command} --help", USAGE
    if isinstance(error, ModuleNotFoundError):
        missing = (error.name or "").partition(".")[0]
        if missing in _EXTRA:
            return (
                f"the command line needs {missing}, which is not installed; install it with: pip install 'glulam[cli]'"
            ), REFUSED
        if "pip install" in str(error):
            return str(error), REFUSED
    return f"{type(error).__name__}: {error}; 'glulam --debug COMMAND ...' shows where", REFUSED


def _in_options(message: str) -> str:
    """Return the library's message with advice for the command line in place of that for Python."""
    for python, option in _WORDS:
        message = message.replace(python, option)
    return message


def one_line(message: object) -> str:
    """Return a message on one line: ``- item`` lines are joined by commas, control characters are escaped."""
    text = ""
    listing = False
    for part in filter(None, map(str.strip, str(message).splitlines())):
        item = part.startswith("- ")
        text += ", " if item and listing else " "
        text += part[2:] if item else part
        listing = item
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text.strip(" "))


@contextlib.contextmanager
def _sigterm_as_exit() -> Iterator[None]:
    """Let SIGTERM unwind like Ctrl-C does, so that temporary files are removed."""

    def stop(number: int, frame: FrameType | None) -> NoReturn:
        raise SystemExit(TERMINATED)

    if threading.current_thread() is not threading.main_thread():  # only there may handlers be set
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def _warnings_as_lines() -> Iterator[None]:
    """Show warnings as lines, without file and source code."""

    def show(message: Warning | str, *where: Any, **more: Any) -> None:
        print(f"glulam: warning: {one_line(message)}", file=sys.stderr)

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield
