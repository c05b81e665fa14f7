"""Where the laws are tried: on the CPU, or with ``LETHE_TEST_DEVICE=cuda`` on a GPU."""

from __future__ import annotations

import os

DEVICE = os.environ.get("LETHE_TEST_DEVICE", "cpu")
