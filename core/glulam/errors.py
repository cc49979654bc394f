"""Every error that glulam raises on purpose. Each says who, what was expected, what came, and what to do."""

from __future__ import annotations

__all__ = [
    "ArtifactError",
    "ArtifactExistsError",
    "ConfigError",
    "FeatureError",
    "FeatureTypeError",
    "GlulamError",
    "KernelError",
    "PluginError",
    "ProofError",
    "UnsupportedModelError",
]


class GlulamError(Exception):
    """Base of all errors that glulam raises on purpose."""


class ConfigError(GlulamError, ValueError):
    """An argument of an ensemble, a schema or an export cannot work as given."""


class FeatureError(GlulamError, ValueError):
    """A table does not fit the feature schema, or a validator rejects its rows."""


class FeatureTypeError(FeatureError, TypeError):
    """A table, or a value in it, is of a type that cannot become a number."""


class PluginError(GlulamError, LookupError):
    """A plugin is unknown, unavailable, registered twice, or breaks its contract."""

    def __str__(self) -> str:
        """Return the message as written (`LookupError` subclasses may quote it)."""
        return str(self.args[0]) if self.args else ""


class KernelError(GlulamError, RuntimeError):
    """The tree kernel cannot be used: it is not available here, or not with these options."""


class UnsupportedModelError(GlulamError, ValueError):
    """A model, or an option of it, cannot be exported exactly and is refused by name."""


class ProofError(GlulamError):
    """The exported graph does not give the native library's answers; nothing was written.

    ``rounding`` tells that only the arithmetic was too narrow: every leaf was the right one.
    """

    def __init__(self, message: str, *, rounding: bool = False) -> None:
        super().__init__(message)
        self.rounding = rounding


class ArtifactError(GlulamError, ValueError):
    """A file is missing, damaged, of another program, or of a newer format."""


class ArtifactExistsError(ArtifactError, FileExistsError):
    """The target exists and overwriting was not asked for."""

    def __str__(self) -> str:
        """Return the message alone, without the errno prefix of `OSError`."""
        return str(self.args[0]) if self.args else ""
