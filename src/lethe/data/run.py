"""``python -m lethe.data.run STAGE DATASET [SHARDING]``: one stage, as dvc.yaml calls it.

Within a run the warm process does it (see ``lethe.core.warm``), in place of an import of a second here; the files are
the same either way.
"""

from __future__ import annotations

import os
import signal
import sys

from lethe.core.warm import ask

STAGE = "lethe.data.one_stage"


def main(arguments: list[str]) -> int:
    job = ask(STAGE, arguments, os.environ, os.getcwd())
    if job is not None:
        # Whoever interrupts the run interrupts the stage: it is waited for, so that what it writes is whole.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        code = job.wait()
        if code is not None:
            return code if code >= 0 else 128 - code
        print("the warm process has ended; the stage runs once more", file=sys.stderr)
        signal.signal(signal.SIGINT, signal.default_int_handler)
    from lethe.data.one_stage import main as run

    return run(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
