"""The three suites. Each brings its tables into a frame, says the rules, and lets the engine count.

For splits and shards the frame holds counts made from the rows, not the rows: no id reaches the engine there.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from lethe.config.dataset import Dataset
from lethe.config.params import Validation
from lethe.config.sharding import Sharding
from lethe.data.gates.engine import Engine, Rule
from lethe.data.gates.report import Report
from lethe.data.partition import partition_of
from lethe.tables.interactions import TIMES, Interactions

if TYPE_CHECKING:
    import pandas as pd


def validate_interactions(
    interactions: Interactions,
    dataset: Dataset,
    bounds: Validation,
    last_epoch_count: int | None = None,
    *,
    suppressed: np.ndarray | None = None,
    engine: Engine | None = None,
) -> Report:
    """Types, no missing values, ratings in range, each (user, item) once, no suppressed row, and about as many rows
    as when the epoch began (``last_epoch_count``; None: it begins now). ``suppressed`` [n] bool marks suppressed rows.
    """
    from pandas.api.types import is_numeric_dtype

    frame = _frame(interactions)
    words = {"rating": "float32", **dict.fromkeys(TIMES, "int64")}
    kinds = {"rating": "float32"} | {
        name: "int64" if is_numeric_dtype(frame[name]) else "str" for name in interactions.key_columns
    }
    words |= dict.fromkeys(interactions.key_columns, "int64 or text")
    rules = [
        Rule("ExpectColumnValuesToNotBeNull", "have no missing values", name) for name, _ in interactions.columns()
    ]
    rules += [
        Rule("ExpectColumnValuesToBeOfType", f"be {words[name]}", name, {"type_": kinds.get(name, "int64")})
        for name, _ in interactions.columns()
    ]
    low, high = dataset.rating.min, dataset.rating.max
    if interactions.ratings is not None and (low, high) != (None, None):
        within = f"between {low} and {high}" if None not in (low, high) else _side(low, high)
        limits = {"min_value": low, "max_value": high}
        rules.append(Rule("ExpectColumnValuesToBeBetween", f"be {within}", "rating", limits))
    keys = interactions.key_columns
    words_for = f"hold each pair of columns {', '.join(map(repr, keys))} once"
    rules.append(Rule("ExpectCompoundColumnsToBeUnique", words_for, "", {"column_list": keys}))
    least, most = 1, None
    if last_epoch_count is not None:
        least = max(1, math.ceil(bounds.min_fraction * last_epoch_count))
        most = max(1, math.floor(bounds.max_fraction * last_epoch_count))
    count = f"have at least {least} rows"
    if most is not None:
        count = (
            f"have between {least} and {most} rows, because the epoch began with {last_epoch_count} (where the data are"
            " right, `lethe epoch begin` begins the next)"
        )
    limits = {"min_value": least, "max_value": most}
    rules.append(Rule("ExpectTableRowCountToBeBetween", count, "", limits))
    if suppressed is not None:
        frame["suppressed"] = suppressed.astype(np.int64)
        rules.append(_always("suppressed", 0, "be 0: no row that the suppression list names"))
    return (engine or Engine()).judge("interactions", frame, rules)


def validate_split(parts: dict[str, Interactions], whole: Interactions, *, engine: Engine | None = None) -> Report:
    """Disjoint (no pair of user and item in two parts), complete (exactly the rows of ``whole``), train not empty."""
    import pandas as pd

    engine = engine or Engine()
    rows = _copies(list(parts.values()), whole)
    complete = engine.judge(
        "split-complete",
        rows,
        [
            _always("missing", 0, "be 0: no row of the interactions is missing from the parts"),
            _always("foreign", 0, "be 0: no row of the parts is foreign to the interactions, or there too often"),
        ],
    )
    keys = whole.key_columns
    labelled = [_frame(part)[keys].assign(part=name) for name, part in parts.items()]
    pairs = pd.concat(labelled).groupby(keys, dropna=False, sort=False)["part"].nunique()
    disjoint = engine.judge(
        "split-disjoint",
        pairs.rename("parts").reset_index(drop=True).to_frame(),
        [_always("parts", 1, "be 1: each pair of user and item is in one part")],
    )
    train = engine.judge(
        "split-train",
        pd.DataFrame({"rows": [len(parts["train"])]}),
        [Rule("ExpectColumnValuesToBeBetween", "be at least 1: train is not empty", "rows", {"min_value": 1})],
    )
    return Report("split", complete.checks + disjoint.checks + train.checks)


def validate_shards(
    shards: list[Interactions],
    train: Interactions,
    sharding: Sharding,
    epoch_rows: int | None = None,
    *,
    name: str = "shards",
    engine: Engine | None = None,
) -> Report:
    """Exactly the training rows, each in one shard; as many shards as asked for, none too large.

    ``epoch_rows`` is the number of training rows when the epoch began (None: it begins now). Deletions empty some
    shards more than others, so later a shard may even be empty, and the cap stays that of the epoch's beginning.
    """
    import pandas as pd

    engine = engine or Engine()
    rows = engine.judge(
        f"{name}-rows",
        _copies(shards, train),
        [
            _always("missing", 0, "be 0: no training row is missing from the shards"),
            _always("foreign", 0, "be 0: no row of a shard is foreign to the training rows, or in two shards"),
        ],
    )
    least = 1 if epoch_rows is None else 0
    most = None
    words = f"be at least {least}: rows of each shard"
    if partition_of(sharding).balanced and sharding.cap == "strict":
        most = math.ceil(sharding.slack * max(len(train), epoch_rows or 0) / sharding.num_shards)
        words = f"be between {least} and {most}: rows of each shard, within slack {sharding.slack}"
    count = {"min_value": sharding.num_shards, "max_value": sharding.num_shards}
    sizes = engine.judge(
        f"{name}-sizes",
        pd.DataFrame({"rows": [len(shard) for shard in shards]}, dtype=np.int64),
        [
            Rule("ExpectTableRowCountToBeBetween", f"have {sharding.num_shards} shards", "", count),
            Rule("ExpectColumnValuesToBeBetween", words, "rows", {"min_value": least, "max_value": most}),
        ],
    )
    return Report(name, rows.checks + sizes.checks)


def _always(column: str, value: int, rule: str) -> Rule:
    return Rule("ExpectColumnValuesToBeBetween", rule, column, {"min_value": value, "max_value": value})


def _side(low: float | None, high: float | None) -> str:
    return f"at least {low}" if high is None else f"at most {high}"


def _frame(interactions: Interactions) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(dict(interactions.columns()))


def _copies(parts: list[Interactions], whole: Interactions) -> pd.DataFrame:
    """One line a distinct row: how often it is missing from the parts, and how often it is there in excess."""
    import pandas as pd

    columns = [name for name, _ in whole.columns()]
    laid = pd.concat([*(_frame(part).assign(there=1) for part in parts), _frame(whole).assign(there=-1)])
    excess = laid.groupby(columns, dropna=False, sort=False)["there"].sum()
    return pd.DataFrame({"missing": (-excess).clip(lower=0), "foreign": excess.clip(lower=0)}).reset_index(drop=True)
