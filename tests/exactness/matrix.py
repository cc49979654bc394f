"""All cases, and the table of them that the documents show."""

from __future__ import annotations

import importlib
import pkgutil

import exactness.cases
from exactness.case import Case

CASES: list[Case] = [
    case
    for module in sorted(found.name for found in pkgutil.iter_modules(exactness.cases.__path__))
    for case in importlib.import_module(f"exactness.cases.{module}").CASES
]
