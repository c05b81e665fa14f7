"""Rows in raw ids and their dense forms."""
