"""Published tables run again, and peers side by side: ``python -m benchmarks``. Every figure has its command."""
