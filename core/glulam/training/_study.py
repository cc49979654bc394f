"""The file that studies are kept in: used by one process at a time, and only for what it was made for."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from glulam.errors import ArtifactError, PluginError
from glulam.training._locks import locked

__all__ = ["ERROR", "counted", "open_storage", "open_study", "required_optuna", "storage_errors"]

_MAGIC = b"SQLite format 3\0"
_FACTS = "glulam"
ERROR = "error"
"""Attribute of trials that failed by themselves; one that was interrupted is tried again."""
_ADVICE = {
    "malformed": "it is damaged; delete it to start anew, or choose another tune.storage",
    "full": "free space and run again; trials done so far are kept",
    "disk i/o error": "free space or check the disk, and run again; trials done so far are kept",
    "readonly": "change its permissions, or choose another tune.storage",
    "unable to open": "check that it and its directory may be written, or choose another tune.storage",
    "locked": "another program writes to it; wait for that, or choose another tune.storage",
}


def required_optuna() -> Any:
    """Return the module. Raises PluginError saying what to install where it is missing."""
    try:
        import optuna
    except ImportError as error:
        raise PluginError(f"tuning needs optuna: {error}; install it with: pip install 'glulam[tune]'") from error
    return optuna


@contextlib.contextmanager
def open_storage(path: Path) -> Iterator[Any]:
    """Give optuna's storage in a SQLite file that no other process has open; whatever goes wrong is an ArtifactError.

    optuna says nothing meanwhile: what it would say is told by results and errors.
    """
    optuna = required_optuna()
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    try:
        _check_place(path)
        real = path.resolve()  # two links to one file share its lock
        lock = real.with_name(f"{real.name}.lock")
        with locked(lock, path, doing="tuning", advice="choose another tune.storage"), _as_artifact_errors(path):
            _check_content(path)
            opened: list[sqlite3.Connection] = []
            storage = _storage(path, opened)
            try:
                yield storage
            except BaseException:
                _fail_all_unfinished(path, opened)
                raise
            finally:
                storage.remove_session()
                storage.engine.dispose()
    finally:
        optuna.logging.set_verbosity(before)


def _storage(path: Path, opened: list[sqlite3.Connection]) -> Any:
    """Return the storage in a file; its connections are added to ``opened``."""
    optuna = required_optuna()
    from sqlalchemy import URL
    from sqlalchemy.pool import QueuePool

    def connect() -> sqlite3.Connection:
        opened.append(sqlite3.connect(path, timeout=30, check_same_thread=False))
        return opened[-1]

    # A creator, since paths may hold what means something in a URL.
    kwargs = {"creator": connect, "poolclass": QueuePool}
    url = URL.create("sqlite").render_as_string()
    try:
        return optuna.storages.RDBStorage(url, engine_kwargs=kwargs)
    except RuntimeError as error:  # its schema is of another version
        raise ArtifactError(
            f"{path}: made by another version of optuna ({_first_line(error)}); "
            f"this is {optuna.__version__}: install that version, or choose another tune.storage"
        ) from error


def _check_place(path: Path) -> None:
    """Refuse places that cannot be a file of studies, before a lock is left there."""
    if not path.parent.is_dir():
        raise ArtifactError(f"{path}: the directory {path.parent} does not exist; create it, or change tune.storage")
    if path.is_dir():
        raise ArtifactError(f"{path} is a directory; give the name of a file as tune.storage")
    try:
        with path.open("rb") as file:
            begins = file.read(len(_MAGIC))
    except FileNotFoundError:
        return
    except OSError as error:
        raise ArtifactError(
            f"{path}: cannot be read: {error.strerror}; change its permissions, or choose another tune.storage"
        ) from error
    if begins and begins != _MAGIC:
        raise ArtifactError(f"{path}: expected a file of studies (SQLite), got another; choose another tune.storage")


def _check_content(path: Path) -> None:
    """Refuse a database that is somebody else's, to which optuna would add its tables, and a damaged one."""
    if not path.exists() or not path.stat().st_size:
        return
    with contextlib.closing(sqlite3.connect(path, timeout=30)) as connection:
        found = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if found and not {"studies", "version_info"} & found:
            raise ArtifactError(
                f"{path}: a database with other tables ({', '.join(sorted(found)[:3])}); choose another tune.storage"
            )
        state = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if state != "ok":
            raise sqlite3.DatabaseError(f"malformed: {state}")


@contextlib.contextmanager
def _as_artifact_errors(path: Path) -> Iterator[None]:
    """Raise what SQLite, SQLAlchemy or optuna say of a file as one line, with what to do."""
    try:
        yield
    except storage_errors() as error:
        reason = _first_line(_origin(error))
        advice = next((said for key, said in _ADVICE.items() if key in reason.lower()), "choose another tune.storage")
        raise ArtifactError(f"{path}: {reason}; {advice}") from error


def storage_errors() -> tuple[type[Exception], ...]:
    """Return the types of what is raised where the file cannot be read or written."""
    from sqlalchemy.exc import SQLAlchemyError

    return sqlite3.Error, SQLAlchemyError, required_optuna().exceptions.StorageInternalError


def _origin(error: BaseException) -> BaseException:
    """Return what SQLite itself said."""
    seen = error
    while not isinstance(seen, sqlite3.Error):
        deeper = getattr(seen, "orig", None) or seen.__cause__ or seen.__context__
        if deeper is None:
            return seen
        seen = deeper
    return seen


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(". ")


def open_study(storage: Any, name: str, *, path: Path, direction: str, facts: Mapping[str, Any], resume: bool) -> Any:
    """Return the study of a name, made if there is none; trials that a dead process left running become failed.

    facts
        what the study's values depend on, by what errors call it. A study with other ones is an ArtifactError.
    resume
        False: forget the trials of an earlier run
    """
    optuna = required_optuna()
    if not resume and name in optuna.get_all_study_names(storage):
        optuna.delete_study(study_name=name, storage=storage)
    study = optuna.create_study(
        storage=storage, study_name=name, direction=direction, load_if_exists=True,
        pruner=optuna.pruners.MedianPruner(n_startup_trials=5),
    )  # fmt: skip
    known = study.user_attrs.get(_FACTS)
    now = json.loads(json.dumps(facts, default=str))
    if known is None:
        if study.get_trials(deepcopy=False):
            raise ArtifactError(f"{path}: study {name!r} was not made by glulam; choose another tune.study")
        study.set_user_attr(_FACTS, now)
    elif known != now:
        other = next((key for key in [*now, *known] if known.get(key) != now.get(key)), "settings")
        raise ArtifactError(
            f"{path}: study {name!r} was made with different {other}; choose another tune.study, "
            "or start it anew with --restart (resume=False)"
        )
    _fail_unfinished(study)
    return study


def _fail_all_unfinished(path: Path, opened: list[sqlite3.Connection]) -> None:
    """Mark the trials that Ctrl-C, or an error, has ended; what cannot be marked now is so when the study is opened."""
    optuna = required_optuna()
    with contextlib.suppress(Exception):  # the storage may be what failed
        for connection in opened:  # Ctrl-C may have come in the middle of a transaction, whose locks go with it
            connection.close()
        storage = _storage(path, [])
        for name in optuna.get_all_study_names(storage):
            _fail_unfinished(optuna.load_study(study_name=name, storage=storage))
        storage.remove_session()
        storage.engine.dispose()


def _fail_unfinished(study: Any) -> None:
    """Mark trials that nobody works on any more as failed, so that they are tried again."""
    optuna = required_optuna()
    for trial in study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,)):
        study.tell(trial.number, state=optuna.trial.TrialState.FAIL)


def counted(study: Any) -> dict[str, int]:
    """Return how many trials are done, pruned and failed; those that were interrupted do not count."""
    states = [
        "done" if trial.state.name == "COMPLETE" else "pruned" if trial.state.name == "PRUNED" else "failed"
        for trial in study.get_trials(deepcopy=False)
        if trial.state.name in ("COMPLETE", "PRUNED") or ERROR in trial.user_attrs
    ]
    return {state: states.count(state) for state in ("done", "pruned", "failed")}
