"""The places where forgotten data can hide: each is emptied, then searched."""
