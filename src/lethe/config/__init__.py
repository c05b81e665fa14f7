"""params.yaml, checked: each part a frozen section."""
