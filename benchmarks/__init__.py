"""Published tables run again, and peers side by side: ``python -m benchmarks``. Every figure has its command."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parent.parent
"""The project's folder."""
Say = Callable[[str], None]
"""Where a line of progress goes."""
