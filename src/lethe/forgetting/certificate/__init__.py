"""The certificate: what was forgotten (by keyed digest), the evidence, and no more claimed than it carries."""

from lethe.config.promise import Lasting
from lethe.forgetting.certificate.content import (
    Absence,
    Erasure,
    Family,
    Purged,
    Rows,
    Sample,
    Scores,
    Shards,
    Subject,
    Verification,
)
from lethe.forgetting.certificate.files import Checked, check, of_erasure, read, sign, write
from lethe.forgetting.certificate.nothing import NothingHeld

__all__ = [
    "Absence",
    "Checked",
    "Erasure",
    "Family",
    "Lasting",
    "NothingHeld",
    "Purged",
    "Rows",
    "Sample",
    "Scores",
    "Shards",
    "Subject",
    "Verification",
    "check",
    "of_erasure",
    "read",
    "sign",
    "write",
]
