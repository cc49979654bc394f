"""A lock that keeps other processes from a file or directory. The system lets go of it however the process ends."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from glulam.errors import ArtifactError

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

__all__ = ["locked"]


@contextlib.contextmanager
def locked(lock: Path, what: Path, *, doing: str, advice: str) -> Iterator[None]:
    """Hold a lock file, which stays where it is: two processes must not lock two files of one name.

    what, doing
        what is locked, and what a process that has it is at: both for errors
    advice
        what else can be done than to wait

    Raises ArtifactError where another process has it, or it cannot be made.
    """
    try:
        handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise ArtifactError(f"{what}: cannot be locked: {error.strerror}; change permissions, or {advice}") from error
    try:
        try:
            _take(handle)
        except (BlockingIOError, PermissionError) as error:
            owner = os.read(handle, 32).decode("ascii", "replace").strip()
            raise ArtifactError(
                f"{what}: locked by another process{f' (pid {owner})' if owner else ''}, which is {doing}; wait for "
                f"it, or {advice}"
            ) from error
        except OSError as error:
            raise ArtifactError(f"{what}: cannot be locked: {error.strerror}; {advice}, on a local disk") from error
        with contextlib.suppress(OSError):  # on a full disk: the name of the owner is a courtesy
            os.ftruncate(handle, 0)
            os.lseek(handle, 0, os.SEEK_SET)
            os.write(handle, str(os.getpid()).encode())
        yield
    finally:
        os.close(handle)


def _take(handle: int) -> None:
    """Lock an open file, or raise."""
    if sys.platform == "win32":
        os.lseek(handle, 1 << 20, os.SEEK_SET)  # beyond the owner's name, which others must be able to read
        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        finally:
            os.lseek(handle, 0, os.SEEK_SET)
    else:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
