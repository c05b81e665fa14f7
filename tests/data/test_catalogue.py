from __future__ import annotations

import numpy as np

from lethe.data.catalogue import Catalogue
from lethe.data.interactions import Interactions


def test_a_pair_of_several_contexts_is_one_where_contexts_don_t_count() -> None:
    rows = Interactions.of(
        np.array([1, 1, 1, 2]), np.array([5, 5, 6, 5]), contexts={"time": np.array(["am", "pm", "am", "am"], object)}
    )
    data = Catalogue.of(rows).encode(rows)
    once = data.distinct()
    assert list(zip(once.users, once.items, strict=True)) == [(0, 0), (0, 1), (1, 0)]
    assert once.contexts is None
    assert len(data) == 4
