"""The certificate: what was forgotten (by keyed digest), the evidence, and no more claimed than it carries."""

from lethe.config.promise import Lasting
from lethe.forgetting.certificate.content import (
    Absence,
    Erasure,
    Family,
    Purged,
    Rows,
    Sample,
    Shards,
    Subject,
    Verification,
)
from lethe.forgetting.certificate.files import Checked, check, read, sign, write

__all__ = [
    "Absence",
    "Checked",
    "Erasure",
    "Family",
    "Lasting",
    "Purged",
    "Rows",
    "Sample",
    "Shards",
    "Subject",
    "Verification",
    "check",
    "read",
    "sign",
    "write",
]
