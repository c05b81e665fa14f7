"""Raw ids to dense ones by table and by search, and the rows of a matrix the other way round."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lethe.tables.catalogue import Catalogue
from lethe.tables.ids import Ids
from lethe.tables.interactions import Interactions

INT64 = np.iinfo(np.int64)


@given(
    known=st.sets(st.integers(-5, 30) | st.integers(INT64.min, INT64.max), min_size=1, max_size=20),
    asked=st.lists(st.integers(-40, 60) | st.sampled_from([INT64.min, INT64.max])),
)
def test_an_id_is_encoded_as_its_place_and_others_as_unknown(known, asked):
    ids, asked = Ids.of(np.array(sorted(known))), [*asked, *known]
    places = {value: place for place, value in enumerate(sorted(known))}
    encoded = ids.encode(np.array(asked))
    assert encoded.dtype == np.int64
    assert encoded.tolist() == [places.get(value, -1) for value in asked]


@pytest.mark.parametrize("low", [INT64.min, -3, 0, 1, INT64.max - 9])
def test_neighbours_and_far_ends_of_dense_ids_are_unknown(low):
    # 9 of 10 consecutive integers: dense enough for the table.
    values = np.delete(low + np.arange(10), 4)
    asked = np.array([INT64.min, INT64.min + 1, -4, 0, 11, INT64.max - 10, INT64.max, *values])
    expected = [list(values).index(value) if value in values else -1 for value in asked]
    assert Ids(values).encode(asked).tolist() == expected


def test_text_and_integers_meet():
    assert Ids(np.array([7, 8])).encode(np.array(["8", "x", "07"], dtype=object)).tolist() == [1, -1, -1]
    assert Ids(np.array(["7", "8"], dtype=object)).encode(np.array([8, 9])).tolist() == [1, -1]
    assert Ids(np.array([], dtype=np.int64)).encode(np.array([1])).tolist() == [-1]


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 9), st.integers(1, 5)), min_size=1, max_size=60))
def test_transposed_rows_are_in_item_major_order(rows):
    users, items, stars = np.array(rows).T
    table = Interactions.of(users, items, stars, np.arange(len(rows)))
    matrix = Catalogue.of(table).encode(table)
    swapped = matrix.transposed
    order = np.lexsort((matrix.users, matrix.items))
    assert (swapped.num_users, swapped.num_items) == (matrix.num_items, matrix.num_users)
    assert swapped.users.dtype == swapped.items.dtype == np.int64
    assert swapped.users.tolist() == matrix.items[order].tolist()
    assert swapped.items.tolist() == matrix.users[order].tolist()
    assert swapped.ratings.tolist() == matrix.ratings[order].tolist()
    assert swapped.timestamps.tolist() == matrix.timestamps[order].tolist()


def test_a_pair_of_several_contexts_is_one_where_contexts_don_t_count() -> None:
    rows = Interactions.of(
        np.array([1, 1, 1, 2]), np.array([5, 5, 6, 5]), contexts={"time": np.array(["am", "pm", "am", "am"], object)}
    )
    data = Catalogue.of(rows).encode(rows)
    once = data.distinct()
    assert list(zip(once.users, once.items, strict=True)) == [(0, 0), (0, 1), (1, 0)]
    assert once.contexts is None
    assert len(data) == 4
