"""A sound certificate's content, to be spoilt in tests."""

from __future__ import annotations

from typing import Any

from lethe.forgetting.certificate import Erasure, NothingHeld
from lethe.forgetting.certificate.content import drawn
from lethe.forgetting.certificate.nothing import PLACES
from lethe.forgetting.certificate.users import UserTree

SUBJECT = "7" * 64
OTHERS = tuple(f"{number:x}" * 64 for number in (1, 2, 3, 9, 12))
TABLES = ("ml/interactions", "ml/hash-3/shard/00", "ml/hash-3/shard/01")
SUB_MODELS = ("sharded/sub-model/00", "sharded/sub-model/01")
BUILT = ("sharded/package", "sharded/ensemble", *SUB_MODELS)


def hexes(letter: str, *names: str) -> dict[str, str]:
    return {name: (letter * 62 + f"{number:02d}") for number, name in enumerate(names)}


def content(**changes: Any) -> Erasure:
    """Everything of shard 00 was rebuilt, the untouched shard 01 was carried over."""
    after = hexes("a", *TABLES, *BUILT)
    untouched = ("ml/hash-3/shard/01", "sharded/sub-model/01")
    keyed = hexes("c", *after)
    compared = {name: digest for name, digest in after.items() if name != "sharded/sub-model/01"}
    values: dict[str, Any] = {
        "request": {
            "id": "req-0123456789abcdef",
            "kind": "user",
            "subject_digest": SUBJECT,
            "reason": "user request: émigré",
            "received": "2026-01-01T00:00:00+00:00",
            "due": "2026-01-31T00:00:00+00:00",
            "completed": "2026-01-02T00:00:00+00:00",
            "hidden": True,
        },
        "dataset": "ml",
        "rows": {"held": {"interactions": 10, "links": 0}, "removed": {"interactions": 10, "links": 0}, "left": 0},
        "users": {
            "before": UserTree(map(bytes.fromhex, [SUBJECT, *OTHERS])).member(SUBJECT).plain(),
            "after": UserTree(map(bytes.fromhex, OTHERS)).absent(SUBJECT).plain(),
        },
        "families": {
            "sharded": {
                "version": "lethe-sharded:0123456789abcdef",
                "recipe": {"model": "ease", "config": {"reg": 100.5}, "seed": 7},
                "chosen": "best validation recall@20, on data that held the forgotten rows",
                "frozen": False,
                "repeatable": True,
                "residues": [{"what": "hyper-parameters", "until": "the next epoch"}],
                "shards": {"touched": ["00"], "retrained": ["00"], "reused": ["01"]},
            }
        },
        "outside_reach": [{"what": "the file that was imported", "until": "its owner removes the rows"}],
        "before": hexes("b", *after) | {name: keyed[name] for name in untouched},
        "after_keyed": keyed,
        "after": after,
        "materials": {"code": "1" * 64, "environment": "2" * 64},
        "environment": {"torch": "2.13.0", "threads": 1},
        "purged": [{"store": "dvc", "removed": 7, "bytes": 12345}],
        "scan": {
            "stores": {"dvc": [], "reports": []},
            "found": 0,
            "needles": {"subjects": 1, "digests": 5},
            "typed_only": 0,
            "not_searched": [],
        },
        "verification": {
            "result": "equal",
            "served": compared,
            "rebuilt": compared,
            "carried": ["sharded/sub-model/01"],
            "left_out": [],
            "sample": None,
            "scores": {},
            "reason": "",
        },
        "seconds": {"training": 0.1, "total": 12.5},
        "ledger_head": "9" * 64,
    }
    return Erasure.parse(values | changes, "certificate")


def verification(result: str, **values: Any) -> dict[str, Any]:
    return {"verification": {"result": result, **values}}


def inexact(result: str, rebuilt: dict[str, str] | None = None, **scores: Any) -> dict[str, Any]:
    """Of a family that does not repeat: what differs, and how far the scores do."""
    family = content().families["sharded"].plain() | {"repeatable": False}
    far = {"users": 5, "items": 8, "absolute": 0.25, "relative": 0.0123456} | scores
    served = content().after
    said = verification(result, served=served, rebuilt=rebuilt or served, scores={"sharded": far})
    return {"families": {"sharded": family}, **said}


def sampled(count: int, *nonces: str) -> Erasure:
    """Both shards were touched, and of their sub-models a sample was rebuilt."""
    after = content().after
    compared = {name: after[name] for name in (*TABLES, *drawn(SUB_MODELS, count, nonces))}
    family = content().families["sharded"].plain()
    family["shards"] = {"touched": ["00", "01"], "retrained": ["00", "01"], "reused": []}
    sample = {"count": count, "nonces": list(nonces), "origin": "requesters"}
    return content(
        before=hexes("b", *after),
        families={"sharded": family},
        **verification("equal", served=compared, rebuilt=compared, sample=sample),
    )


def nothing(**changes: Any) -> NothingHeld:
    """Nothing of the subject is held anywhere."""
    request = {name: value for name, value in content().request.plain().items() if name != "hidden"}
    values: dict[str, Any] = {
        "request": request,
        "dataset": "ml",
        "held": dict.fromkeys(PLACES, 0),
        "source": 0,
        "elsewhere": {"books": 0},
        "remotes": {"dvc remote backup": 0},
        "named": 1,
        "suppressed": [SUBJECT],
        "interactions": "a" * 64,
        "suppression_list": "b" * 64,
        "ledger_head": "9" * 64,
    }
    return NothingHeld.parse(values | changes, "certificate")
