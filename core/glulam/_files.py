"""Writing files so that a reader sees the old one or the new one, and never half of one."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from glulam.errors import ArtifactError, ArtifactExistsError

__all__ = ["atomic_directory", "atomic_file", "check_target"]


def check_target(path: Path, *, overwrite: bool) -> None:
    """Raise before any work is done if ``path`` cannot be written.

    ArtifactExistsError if it is there and ``overwrite`` is not; ArtifactError if it is a device or a pipe, which
    would be replaced and not written to, or if its directory is missing or may not be written.
    """
    parent = path.parent
    try:
        exists, has_parent = path.exists(), parent.is_dir()
        special = exists and not path.is_file() and not path.is_dir()
    except OSError as error:
        raise ArtifactError(
            f"{path}: cannot be reached: {error.strerror}; choose another or change permissions"
        ) from error
    if special:
        raise ArtifactError(f"{path} is a device or a pipe, not a file; choose another name")
    if exists and not overwrite:
        raise ArtifactExistsError(
            f"{path} exists; choose another name, or overwrite it with overwrite=True (--force on the command line)"
        )
    if not has_parent:
        raise ArtifactError(f"{path}: the directory {parent} does not exist; create it first")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise ArtifactError(f"{path}: the directory {parent} is not writable; choose another or change its permissions")


@contextlib.contextmanager
def atomic_file(path: Path, *, overwrite: bool) -> Iterator[BinaryIO]:
    """Open a temporary file beside ``path``; put it in place when the block ends without an error."""
    check_target(path, overwrite=overwrite)
    if path.is_dir():
        raise ArtifactError(f"{path} is a directory; give the name of a file")
    temporary = None
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", suffix=".part", delete=False) as out:
            temporary = Path(out.name)
            yield cast(BinaryIO, out)
            out.flush()
            os.fsync(out.fileno())
        # Temporary files are private; the result gets what any new file here gets.
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o666 & ~mask)
        _put_in_place(temporary, path, overwrite=overwrite)
    except BaseException as error:  # Ctrl-C as well: whatever happens, no half of a file stays
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and not isinstance(error, ArtifactExistsError):
            raise ArtifactError(f"{path}: could not be written: {error.strerror or error}; nothing was left") from error
        raise


def _put_in_place(temporary: Path, path: Path, *, overwrite: bool) -> None:
    """Rename a finished file; without ``overwrite`` never over one that has appeared meanwhile."""
    if not overwrite:
        try:
            path.hardlink_to(temporary)
        except FileExistsError as error:
            raise ArtifactExistsError(f"{path} has appeared meanwhile; it was left as it is") from error
        except OSError:  # no hard links on this file system
            check_target(path, overwrite=False)
        else:
            temporary.unlink()
            return
    temporary.replace(path)


@contextlib.contextmanager
def atomic_directory(path: Path, *, overwrite: bool) -> Iterator[Path]:
    """Give a temporary directory beside ``path``; put it in place when the block ends without an error.

    What is replaced is kept until the new one is in place, and put back if that fails.
    """
    path = Path(os.path.abspath(path))  # noqa: PTH100  # resolve() would follow links
    check_target(path, overwrite=overwrite)
    temporary = old = None
    try:
        temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part"))
        yield temporary
        temporary.chmod(0o755)
        if path.exists():
            old = temporary.with_suffix(".old")
            path.rename(old)
        temporary.rename(path)
    except BaseException as error:  # Ctrl-C as well: whatever happens, no half of a directory stays
        if old is not None and old.exists() and not path.exists():
            old.rename(path)
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)
        if isinstance(error, OSError) and not isinstance(error, ArtifactExistsError):
            raise ArtifactError(f"{path}: could not be written: {error.strerror or error}; nothing was left") from error
        raise
    finally:
        if old is not None and path.exists():
            shutil.rmtree(old, ignore_errors=True)
