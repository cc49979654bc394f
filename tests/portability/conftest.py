"""Files exported once, for all the runtimes that they are tried in."""

from __future__ import annotations

import pytest
from portability.exported import Exported, export_all


@pytest.fixture(scope="session")
def exported(binary, tmp_path_factory) -> dict[str, Exported]:
    """Return the exported files by the name of their kind."""
    return dict(export_all(tmp_path_factory.mktemp("portability"), *binary))
