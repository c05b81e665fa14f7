"""The client of S3 that fsspec has, and what it says of faults."""

from __future__ import annotations

import os
from functools import cache
from typing import Any

from lethe.errors import ConfigError


def code_of(error: Exception) -> str | None:
    """S3's word for a fault; None where it is none of S3's."""
    response = getattr(error.__cause__, "response", None) or {}
    code = response.get("Error", {}).get("Code")
    return None if code is None else str(code)


_EXPIRED = "its credentials have expired; renew them"
_UNKNOWN = "its credentials are not known there; correct AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
_CLOCK = "this machine's clock is not the server's; set it right"
_FULL = "is full; make room there"
_MEND = {
    **dict.fromkeys(("ExpiredToken", "TokenRefreshRequired", "InvalidToken"), _EXPIRED),
    **dict.fromkeys(("TokenRetrievalError", "UnauthorizedSSOTokenError", "SSOTokenLoadError"), _EXPIRED),
    **dict.fromkeys(("InvalidAccessKeyId", "SignatureDoesNotMatch"), _UNKNOWN),
    **dict.fromkeys(("RequestTimeTooSkewed", "RequestExpired"), _CLOCK),
    **dict.fromkeys(("QuotaExceeded", "XMinioStorageFull"), _FULL),
}
"""What stands behind a word of S3's, or of its client's, that somebody has to mend."""


def mend_of(code: str) -> str | None:
    """What is wrong and what to do, where a fault's word says it; it won't pass by itself."""
    return _MEND.get(code)


def client() -> Any:
    """The client of this process, under the environment as it is."""
    settings = {name: value for name, value in os.environ.items() if name.startswith(("AWS_", "FSSPEC_"))}
    return _client_under(os.getpid(), tuple(sorted(settings.items())))


@cache
def _client_under(process: int, settings: tuple[tuple[str, str], ...]) -> Any:
    import fsspec

    try:
        options = {"config_kwargs": {"retries": {"max_attempts": 2}}, "use_listings_cache": False}
        return fsspec.filesystem("s3", skip_instance_cache=True, **options)
    except ImportError:
        raise ConfigError("stores: an S3 URL needs a package that is not installed; install lethe-recsys[s3]") from None
