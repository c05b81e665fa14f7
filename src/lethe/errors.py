"""Every error Lethe raises on purpose.

LetheError                  anything a user can cause and mend; its text is one line: field, value, rule
├── ConfigError             a value in params.yaml or a flag
│   └── UsageError          a command that is written otherwise than it is taken
├── DataError               a table: a missing column, a type, a range, an empty file
│   ├── ValidationError     a gate (Great Expectations) that failed: column, rule, count
│   └── Unreachable         a source or remote that doesn't answer now
├── DeviceError             a GPU that has no room left, or fails
├── ArtifactError           a stored artifact that is missing, foreign or corrupt
├── EvidenceError           a certificate that its own evidence doesn't carry
├── RequestError            a forget request that can't be taken
├── DeploymentError         packaging, start, redeploy or smoke test of the service
│   └── NotReady            a service that takes too long
└── NotComparable           digests of two different numeric environments

A bug of ours is an ``AssertionError`` or whatever Python raises; it is never dressed up as one of these.
"""

from __future__ import annotations


class LetheError(Exception):
    """Base of all errors a user can cause and mend. ``str(error)`` is a single line."""

    may_pass = False
    """Whether the same may go well a moment later, without anybody mending it."""


class ConfigError(LetheError):
    """A value in params.yaml, a tuned-values file, or a flag breaks its rule."""


class UsageError(ConfigError):
    """A command is written otherwise than it is taken: an unknown option, a value that is missing, a word too many. Its
    exit code is 2."""


class DataError(LetheError):
    """A table breaks its rule: a column is missing, has a wrong type, or holds a value out of range."""


class ValidationError(DataError):
    """A validation gate failed. The text names column, rule and count, never a row of a person."""


class Unreachable(DataError):
    """What lies outside (a server, a database, a remote) doesn't answer now."""

    may_pass = True


class DeviceError(LetheError):
    """The GPU's memory doesn't suffice for what is to be computed on it, or it fails."""


class ArtifactError(LetheError):
    """A stored artifact is missing, was written by something else, or its bytes differ from its manifest."""


class EvidenceError(LetheError):
    """A certificate can't be signed, or says what its own evidence doesn't carry."""


class RequestError(LetheError):
    """A forget request is malformed or can't be accepted."""


class DeploymentError(LetheError):
    """The service could not be packaged, started, reloaded, or failed its smoke test."""


class NotReady(DeploymentError):
    """The service wasn't ready in time."""

    may_pass = True


class NotComparable(LetheError):
    """Two digests come from different numeric environments, so neither equality nor difference says anything."""
