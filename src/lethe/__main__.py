"""Where the command begins: next to nothing is loaded yet, so that Ctrl-C from here on ends in one line."""

from __future__ import annotations

from lethe.core.interrupted import while_loading, without_more


def main() -> None:
    """Entry point of ``lethe``."""
    with while_loading():
        from lethe.cli import main as run
    with without_more():
        run()


if __name__ == "__main__":
    main()
