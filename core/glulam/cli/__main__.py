"""``python -m glulam.cli`` is ``glulam``."""

from __future__ import annotations

import sys

from glulam.cli import main

if __name__ == "__main__":
    sys.exit(main())
