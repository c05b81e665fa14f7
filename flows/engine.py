"""Who runs the steps of a flow: Prefect where one of its servers is named or it called us, else this process alone.

Without a server Prefect would start one for a single run and stop it again, which takes longer than most of what it
would look after; nobody could look at it in between, and what is to be known of a run stands in the ledger. So the
order, the threads and the errors of a run are the same either way, and it is the same functions that are called. What
only a server has use for (names, tables, links, further attempts) is left out then.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING


def prefect_is_asked_for() -> bool:
    """Whether a server's address is set (PREFECT_API_URL, or Prefect's own files), or Prefect has imported us."""
    home = os.environ.get("PREFECT_HOME")
    files = [Path("prefect.toml"), *([Path(home) / "profiles.toml"] if home else [])]
    return "prefect" in sys.modules or bool(os.environ.get("PREFECT_API_URL")) or any(path.is_file() for path in files)


# Each of the two says in its ``__all__`` what it has, the same names.
if TYPE_CHECKING or prefect_is_asked_for():
    from flows.watched import *  # noqa: F403
else:
    from flows.plain import *  # noqa: F403
