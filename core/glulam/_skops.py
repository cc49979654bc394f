"""skops files that depend on nothing but the model: no dates, no addresses in memory."""

from __future__ import annotations

import io
import re
import zipfile
from typing import Any

import skops.io

__all__ = ["dumps"]

_SCHEMA = "schema.json"
_FIRST_DATE = (1980, 1, 1, 0, 0, 0)  # of the ZIP format
_ADDRESS = re.compile(r'("__id__": |"file": ")(\d+)')


def dumps(model: Any) -> bytes:
    """Return the skops form of a model, the same bytes for the same model.

    skops names its parts by addresses in memory and dates them; here they are numbered in their order and undated.
    """
    packed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(skops.io.dumps(model))) as made, zipfile.ZipFile(packed, "w") as out:
        numbers: dict[str, str] = {}
        schema = _ADDRESS.sub(
            lambda found: found[1] + numbers.setdefault(found[2], str(len(numbers) + 1)), made.read(_SCHEMA).decode()
        )
        for part in made.infolist():
            stem, dot, suffix = part.filename.partition(".")
            name = numbers.get(stem, stem) + dot + suffix
            data = schema.encode() if part.filename == _SCHEMA else made.read(part)
            out.writestr(zipfile.ZipInfo(name, _FIRST_DATE), data, part.compress_type)
    return packed.getvalue()
