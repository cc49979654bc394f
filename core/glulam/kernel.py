"""The tree kernel: a library that onnxruntime loads, and that walks trees faster than its own kernel does.

It serves the tree operators of anyone's ONNX files, and the one node of glulam's own, with the same answers.
`glulam.load` uses it by itself. ``GLULAM_KERNEL=0`` in the environment switches it off.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import onnxruntime

from glulam.errors import ConfigError, KernelError

__all__ = ["available", "fast_session", "open_session", "path", "reason", "register"]

# An entry of a SessionOptions, which cannot say by themselves what is registered on them.
_ENTRY = "session.glulam.kernel"
_ALWAYS, _OFFERED = "always", "offered"
_REGISTERING = threading.Lock()

_OFF = "GLULAM_KERNEL=0 switches it off"

# What the library shows to sessions that are made on the calling thread: see `_showing`.
_HIDE, _USUAL, _OFFER, _OFFER_TEXTS = -1, 0, 1, 2

# What onnxruntime or the kernel says of a classifier whose labels are texts, where numbers were expected: the type of
# an operator's output cannot hang on its attributes, so it is asked for.
_LABELS_ARE_TEXTS = ("tensor(string)", "classlabels_strings")


def path() -> Path | None:
    """Return where the library is, for whoever registers it from another language; None if this glulam has none."""
    name = {"darwin": "libglulam.dylib", "win32": "glulam.dll"}.get(sys.platform, "libglulam.so")
    found = Path(__file__).with_name(name)
    return found if found.is_file() else None


def available() -> bool:
    """Tell whether the kernel can be used here; if not, `reason` says why."""
    return reason() is None


def reason() -> str | None:
    """Return why the kernel cannot be used here, and what would help; None if it can."""
    return _OFF if _switched_off() else _load()[1]


def register(options: onnxruntime.SessionOptions) -> None:
    """Register the kernel on onnxruntime's options: every session that is made with them uses it.

    Once more on the same options does nothing. A session of a file that the kernel refuses cannot be made with them:
    `fast_session` can make it.

    Raises KernelError where the kernel is not available, and for options that `fast_session` was given before.
    """
    if not isinstance(options, onnxruntime.SessionOptions):
        raise ConfigError(f"options: expected an onnxruntime.SessionOptions, got {type(options).__name__}")
    why = reason()
    if why is not None:
        raise KernelError(
            f"the tree kernel cannot be registered: {why}; or ask glulam.kernel.available() first: onnxruntime's own "
            "kernel gives the same answers"
        )
    if _register(options, _ALWAYS) == _OFFERED:
        raise KernelError(
            "the tree kernel cannot be registered on options that glulam.fast_session was given before: they hold "
            "it for fast_session alone; register it on new options"
        )


def fast_session(
    path_or_bytes: str | os.PathLike[str] | bytes,
    sess_options: onnxruntime.SessionOptions | None = None,
    providers: Sequence[Any] | None = None,
    provider_options: Sequence[dict[Any, Any]] | None = None,
    **others: Any,
) -> onnxruntime.InferenceSession:
    """Return an ``onnxruntime.InferenceSession`` of any ONNX file whose trees the kernel walks.

    The arguments are InferenceSession's own, by place and by name, and so are the errors. Where the kernel is not
    available, or refuses the file, the session is a plain one. The logger ``glulam.kernel`` is told why: a refusal is
    a warning, all else is information.

    ``sess_options`` stay good for other sessions: those that are made without fast_session do not use the kernel,
    unless it was registered on them with `register`.
    """
    options = onnxruntime.SessionOptions() if sess_options is None else sess_options
    others.update(providers=providers, provider_options=provider_options)
    session, why = _open(path_or_bytes, options, "", others)
    if why is not None and "logging" in sys.modules:  # else nobody listens, and importing it takes milliseconds
        sys.modules["logging"].getLogger("glulam.kernel").info("a session without glulam's tree kernel: %s", why)
    return session


def open_session(
    model: str | os.PathLike[str] | bytes, options: onnxruntime.SessionOptions, *, label: str = "", **others: Any
) -> tuple[onnxruntime.InferenceSession, str | None]:
    """Return a session, and why it does not use the kernel; None if it does.

    ``label`` names the model in the log. Raises what ``onnxruntime.InferenceSession`` raises for the same arguments.
    """
    return _open(model, options, label, others)


def _open(
    model: str | os.PathLike[str] | bytes, options: onnxruntime.SessionOptions, label: str, others: dict[str, Any]
) -> tuple[onnxruntime.InferenceSession, str | None]:
    """Do what `open_session` says; ``others`` may hold any name that InferenceSession has an argument of."""
    if _switched_off() and _entry(options) is None:
        return onnxruntime.InferenceSession(model, options, **others), _OFF
    library, why = _load()
    if library is None:
        return onnxruntime.InferenceSession(model, options, **others), why
    why = _OFF
    for offer in () if _switched_off() else (_OFFER, _OFFER_TEXTS):
        try:
            return _open_with(library, offer, model, options, others)
        except Exception as error:  # onnxruntime's exceptions have no common base of their own
            why = f"the kernel refused the file: {_message(error)}"
            if not any(sign in str(error) for sign in _LABELS_ARE_TEXTS):
                break
    # If it was not the kernel that failed before, this fails as well, with onnxruntime's own error.
    with _showing(library, _HIDE):
        try:
            session = onnxruntime.InferenceSession(model, options, **others)
        except Exception as error:
            if "already set in registry" not in str(error):
                raise
            raise KernelError(
                "the tree kernel cannot be used with these options: a library with operators of the same domain, "
                "ai.onnx.ml or ai.glulam, was registered on them before, and onnxruntime takes one; make new options, "
                "and put the kernel on them with glulam.kernel.register"
            ) from error
    if why != _OFF:
        name = label or ("<bytes>" if isinstance(model, bytes) else os.fspath(model))
        import logging  # here, as it takes milliseconds and hardly any process comes to it

        logging.getLogger("glulam.kernel").warning(
            "%s: opened with onnxruntime's own tree kernel, which is slower: %s", name, why
        )
    return session, why


def _open_with(
    library: ctypes.CDLL,
    offer: int,
    model: str | os.PathLike[str] | bytes,
    options: onnxruntime.SessionOptions,
    others: dict[str, Any],
) -> tuple[onnxruntime.InferenceSession, str | None]:
    """Return a session, and why it does not use the kernel. Raises what onnxruntime raises if the kernel refuses."""
    with _showing(library, offer):
        _register(options, _OFFERED)
        before = library.glulam_kernels()
        session = onnxruntime.InferenceSession(model, options, **others)
        if library.glulam_kernels() > before:
            return session, None
    return session, f"the file has no operator that the kernel serves with onnxruntime {onnxruntime.__version__}"


@contextmanager
def _showing(library: ctypes.CDLL, what: int) -> Iterator[None]:
    """Let the sessions that this thread makes meanwhile see the kernel wherever it is registered, or nowhere.

    What is registered on options stays there: onnxruntime has no way to take it back, nor to copy the options. So the
    library itself shows or hides its operators when a session asks for their names.
    """
    library.glulam_show(what)
    try:
        yield
    finally:
        library.glulam_show(_USUAL)


def _register(options: onnxruntime.SessionOptions, how: str) -> str:
    """Register the library on options unless they hold it: twice, and no session could be made with them.

    Returns how it is registered, which may be otherwise, from before.
    """
    with _REGISTERING:
        registered = _entry(options)
        if registered is None:
            options.register_custom_ops_library(str(path()))
            options.add_session_config_entry(_ENTRY, how)
    return registered or how


def _entry(options: onnxruntime.SessionOptions) -> str | None:
    """Return how the kernel is registered on options; None if it is not."""
    try:
        return str(options.get_session_config_entry(_ENTRY))
    except (RuntimeError, AttributeError):  # there is no such entry; or these are no options, as a session will say
        return None


def _switched_off() -> bool:
    return os.environ.get("GLULAM_KERNEL") == "0"


@cache
def _load() -> tuple[ctypes.CDLL | None, str | None]:
    """Return the library, or why it cannot be used."""
    found = path()
    if found is None:
        return None, (
            f"this glulam was installed without its library for {sys.platform} {platform.machine()}; install a wheel "
            "for this platform, or install again with a C++ compiler at hand"
        )
    try:
        _check_whole(found)
        library = ctypes.CDLL(str(found))
        library.glulam_kernels.restype = ctypes.c_int64
        library.glulam_show.argtypes = [ctypes.c_int]
        library.glulam_show.restype = None
    except (OSError, AttributeError) as error:
        return None, f"{found} is damaged, or not of this platform or this glulam: {error}; install glulam again"
    try:
        onnxruntime.SessionOptions().register_custom_ops_library(str(found))
    except Exception as error:  # onnxruntime's exceptions have no common base of their own
        return None, f"onnxruntime {onnxruntime.__version__} does not take it: {_message(error)}; upgrade onnxruntime"
    return library, None


def _check_whole(library: Path) -> None:
    """Raise OSError for an ELF file that ends too early: the system's loader would end the process."""
    with library.open("rb") as file:
        head = file.read(64)
    if head.startswith(b"\x7fELF\x02\x01") and len(head) == 64:  # 64 bits, little-endian
        (sections,) = struct.unpack_from("<Q", head, 40)  # the table at the file's end
        size, count = struct.unpack_from("<HH", head, 58)
        if library.stat().st_size < sections + size * count:
            raise OSError("the file ends too early")


def _message(error: Exception) -> str:
    """Return the first line of what onnxruntime says, from the kernel's own words on if there are any."""
    line = (str(error).splitlines() or [type(error).__name__])[0]
    return line[max(0, line.find("glulam: ")) :].removeprefix("glulam: ")
