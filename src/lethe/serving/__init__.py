"""The service and what it needs."""
