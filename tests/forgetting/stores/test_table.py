"""docs/erasure.md has a row for every store, in the order in which they are emptied."""

from __future__ import annotations

import re

from lethe.forgetting.stores import STORES
from tests.conftest import ROOT


def test_the_table_in_the_docs_is_the_table_of_stores() -> None:
    rows = re.findall(
        r"^\| [^|]+ \| (\w+) \| [^|]+ \| [^|]+ \|$", (ROOT / "docs" / "erasure.md").read_text(), re.MULTILINE
    )
    assert rows[1:] == [stores.__module__.rpartition(".")[2] for stores in STORES]
    assert rows[0] == "file"
