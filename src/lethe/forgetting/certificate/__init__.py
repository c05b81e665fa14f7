"""The certificate: what was forgotten (by keyed digest), the evidence, and no more claimed than it carries."""

from lethe.forgetting.certificate.content import Erasure, Sample, Verification
from lethe.forgetting.certificate.files import Checked, check, sign, write

__all__ = ["Checked", "Erasure", "Sample", "Verification", "check", "sign", "write"]
