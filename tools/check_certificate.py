#!/usr/bin/env python3
"""Check a certificate of erasure without the program that made it.

    python check_certificate.py CERTIFICATE.json --key SIGNER.pem
    python check_certificate.py CERTIFICATE.json --key SIGNER.pem --receipt RECEIPT.json --user -

Needs Python 3.11 and the package `cryptography`; it reads the files named and nothing else. It answers three questions:

1. Who signed this, and was a byte changed since?     (DSSE envelope, Ed25519)
2. Is it a certificate of erasure, or that nothing is held, in every field?    (SHAPE, NOTHING_HELD)
3. Does its evidence carry what it claims?            (the functions called ..._faults)

It can't show that the evidence is true: a dishonest operator can sign false evidence. `lethe reproduce` on a machine
that may read the data shows that. Take the signer's key from whom you trust, not from beside the certificate.
"""

import argparse
import base64
import hashlib
import hmac
import json
import re
import sys
from datetime import datetime
from math import isfinite
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


class Refused(Exception):
    """Why a certificate must not be believed, in a line."""


# --- 1. Signature ---------------------------------------------------------------------------------------------------


def read_key(path):
    try:
        key = serialization.load_pem_public_key(Path(path).read_bytes())
    except (OSError, ValueError) as error:
        raise Refused(f"{path}: can't be read as a public key ({error})") from None
    if not isinstance(key, Ed25519PublicKey):
        raise Refused(f"{path}: not an Ed25519 key")
    return key


def fingerprint(key):
    """SHA-256 of the key's DER form; openssl pkey -pubin -in KEY.pem -outform DER | sha256sum shows the same."""
    der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).hexdigest()


def parse(content):
    """JSON that can be read in one way only."""

    def once(pairs):
        if len(dict(pairs)) < len(pairs):
            raise ValueError("a name stands twice")
        return dict(pairs)

    def refuse(name):
        raise ValueError(f"{name} is no JSON")

    try:
        return json.loads(content, object_pairs_hook=once, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise Refused(f"not JSON: {error}") from None


def decode(text):
    if not isinstance(text, str):
        raise Refused("base64: not a text")
    try:
        content = base64.b64decode(text, validate=True)
    except ValueError:
        raise Refused("base64: not valid") from None
    if base64.b64encode(content).decode() != text:
        raise Refused("base64: not in its one form")
    return content


def signed_payload(envelope, key):
    """The bytes that ``key`` signed."""
    match(envelope, {"payload": TEXT, "payloadType": TEXT, "signatures": [{"keyid": TEXT, "sig": TEXT}]}, "envelope")
    payload, kind = decode(envelope["payload"]), envelope["payloadType"].encode()
    if kind != b"application/vnd.in-toto+json":
        raise Refused("envelope: not an in-toto statement")
    mine = [decode(one["sig"]) for one in envelope["signatures"] if one["keyid"] == fingerprint(key)]
    if len({one["keyid"] for one in envelope["signatures"]}) < len(envelope["signatures"]):
        raise Refused("envelope: two signatures of one key")
    if not mine:
        raise Refused(f"signature: not signed by the key {fingerprint(key)}")
    try:
        key.verify(mine[0], b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload))
    except InvalidSignature:
        raise Refused("signature: does not fit, the content was changed") from None
    return payload


# --- 2. Shape -------------------------------------------------------------------------------------------------------


class Named:
    """An object with any names, each value of one shape."""

    def __init__(self, shape):
        self.shape = shape


def is_plain(value):
    """Any JSON, with texts that can be written and numbers that are numbers."""
    if isinstance(value, dict):
        return all(TEXT(name) and is_plain(inner) for name, inner in value.items())
    if isinstance(value, list):
        return all(map(is_plain, value))
    return value is None or isinstance(value, bool) or TEXT(value) or is_number(value)


def is_text(value):
    return isinstance(value, str) and not any(0xD800 <= ord(letter) <= 0xDFFF for letter in value)


def is_number(value):
    return type(value) is int or (type(value) is float and isfinite(value))


TEXT = is_text
LINE = lambda value: is_text(value) and value != ""  # noqa: E731
FLAG = lambda value: type(value) is bool  # noqa: E731
COUNT = lambda value: type(value) is int and value >= 0  # noqa: E731
WHOLE = lambda value: type(value) is int  # noqa: E731
SECONDS = lambda value: is_number(value) and value >= 0  # noqa: E731
HEX = lambda value: is_text(value) and re.fullmatch("[0-9a-f]{64}", value)  # noqa: E731
TIME = lambda value: is_text(value) and re.fullmatch(r"[0-9]{4}(-[0-9]{2}){2}T[0-9]{2}(:[0-9]{2}){2}\+00:00", value)  # noqa: E731
SAMPLE = {"count": lambda value: COUNT(value) and value > 0, "nonces": [LINE], "origin": ("requesters", "random")}
SCORES = {
    "users": lambda value: COUNT(value) and value > 0,
    "items": lambda value: COUNT(value) and value > 0,
    "absolute": SECONDS,
    "relative": SECONDS,
}
LASTING = [{"what": LINE, "until": LINE}]
FAMILY = {
    "version": LINE,
    "claim": TEXT,
    "recipe": Named(is_plain),
    "chosen": TEXT,
    "frozen": FLAG,
    "repeatable": FLAG,
    "residues": LASTING,
    "shards": {"touched": [TEXT], "retrained": [TEXT], "reused": [TEXT]},
}
MEMBER = {"root": HEX, "place": WHOLE, "path": [HEX]}
ABSENT = {"root": HEX, "place": WHOLE, "left": HEX, "right": HEX, "left_path": [HEX], "right_path": [HEX]}
USERS = {
    "before": lambda value: value is None or match(value, MEMBER, "users.before"),
    "after": lambda value: value is None or match(value, ABSENT, "users.after"),
}
SHAPE = {
    "request": {
        "id": LINE,
        "kind": ("user", "interaction"),
        "subject_digest": HEX,
        "reason": TEXT,
        "received": TIME,
        "due": TIME,
        "completed": TIME,
        "hidden": FLAG,
    },
    "dataset": LINE,
    "rows": {"held": Named(COUNT), "removed": Named(COUNT), "left": COUNT},
    "users": lambda value: value is None or match(value, USERS, "users"),
    "families": Named(FAMILY),
    "outside_reach": LASTING,
    "before": Named(HEX),
    "after_keyed": Named(HEX),
    "after": Named(HEX),
    "materials": Named(HEX),
    "environment": Named(is_plain),
    "purged": [{"store": TEXT, "removed": COUNT, "bytes": WHOLE}],
    "scan": {
        "stores": Named([TEXT]),
        "found": COUNT,
        "needles": Named(COUNT),
        "typed_only": COUNT,
        "not_searched": [TEXT],
    },
    "verification": {
        "result": ("equal", "different", "not comparable", "not run"),
        "served": Named(HEX),
        "rebuilt": Named(HEX),
        "carried": [TEXT],
        "left_out": [TEXT],
        "sample": lambda value: value is None or match(value, SAMPLE, "sample"),
        "scores": Named(SCORES),
        "reason": TEXT,
    },
    "seconds": Named(SECONDS),
    "ledger_head": HEX,
    "invariants": [{"name": TEXT, "expected": TEXT, "actual": TEXT, "holds": FLAG}],
}
STATEMENT = {
    "_type": ("https://in-toto.io/Statement/v1",),
    "subject": [{"name": TEXT, "digest": {"sha256": HEX}}],
    "predicateType": ("urn:lethe:erasure:v1",),
    "predicate": SHAPE,
}
NOTHING_HELD = {
    "request": {name: shape for name, shape in SHAPE["request"].items() if name != "hidden"},
    "dataset": LINE,
    "held": Named(COUNT),
    "source": lambda value: value is None or COUNT(value),
    "elsewhere": Named(COUNT),
    "remotes": Named(lambda value: value is None or COUNT(value)),
    "named": lambda value: COUNT(value) and value > 0,
    "suppressed": [HEX],
    "interactions": HEX,
    "suppression_list": HEX,
    "ledger_head": HEX,
    "claim": TEXT,
    "invariants": SHAPE["invariants"],
}
NOTHING_STATEMENT = STATEMENT | {"predicateType": ("urn:lethe:nothing-held:v1",), "predicate": NOTHING_HELD}


def match(value, shape, where):
    """True if ``value`` has that shape; Refused otherwise."""
    if isinstance(shape, dict):
        if not isinstance(value, dict) or value.keys() != shape.keys():
            raise Refused(f"{where}: must have exactly {', '.join(shape)}")
        return all(match(value[name], inner, f"{where}.{name}") for name, inner in shape.items())
    if isinstance(shape, Named):
        if not isinstance(value, dict) or not all(map(is_text, value)):
            raise Refused(f"{where}: must be an object")
        return all(match(inner, shape.shape, f"{where}.{name}") for name, inner in value.items())
    if isinstance(shape, list):
        if not isinstance(value, list):
            raise Refused(f"{where}: must be a list")
        return all(match(inner, shape[0], f"{where}[]") for inner in value)
    if not (value in shape if isinstance(shape, tuple) else shape(value)):
        raise Refused(f"{where}: has a value that it can't have")
    return True


# --- 3. Evidence ----------------------------------------------------------------------------------------------------

EQUAL = "equal, byte for byte, to what this recipe builds from the remaining data"
TOUCHED = EQUAL + "; sub-models of untouched shards were not rebuilt, as nothing that they are made of changed"
SAMPLED = "the sub-models that the nonces drew are " + EQUAL + "; the others were not rebuilt"
REMOVED = "the rows were removed and what they touched was built again; equality with a rebuild is not claimed"
FROZEN = ", with the assignment to shards that is kept for this epoch"


def claim_faults(it):
    """No family may claim more (or other) than what its rebuild showed."""
    rebuild = it["verification"]
    for name, family in it["families"].items():
        if rebuild["result"] != "equal" or not family["repeatable"]:
            allowed = REMOVED
        elif rebuild["sample"] is not None:
            allowed = SAMPLED
        elif any(carried.startswith(name + "/") for carried in rebuild["carried"]):
            allowed = TOUCHED
        else:
            allowed = EQUAL
        if far := rebuild["scores"].get(name):
            allowed += f"; the scores of {far['users']} users and {far['items']} items differ from a rebuild's"
            allowed += f" by at most {far['absolute']:.3g}, relatively {far['relative']:.3g}"
        if family["claim"] != allowed + (FROZEN if family["frozen"] else ""):
            yield f"claim: that of {name} is not what the evidence carries"
        if name + "/package" not in it["after"]:
            yield f"after: the package of {name} is missing"


def invariant_faults(it):
    """Each line of evidence must be there, be what the other fields say, and hold."""
    rows, scan, rebuild, table = it["rows"], it["scan"], it["verification"], it["dataset"] + "/interactions"
    held, removed = sum(rows["held"].values()), sum(rows["removed"].values())
    enough = held > 0 and all(rows["removed"].get(kind, 0) >= count for kind, count in rows["held"].items())
    before, after = it["before"].get(table, "unknown"), it["after_keyed"].get(table, "unknown")
    changed = before != after and "unknown" not in (before, after)
    hidden = it["request"]["hidden"]
    # Somebody may be held by our copy of the source, or by what was made earlier, and by no table any more.
    in_tables = any(count for kind, count in rows["held"].items() if kind not in ("source copy", "earlier"))
    due = [
        ("rows removed", f"at least {held} and more than 0", removed, enough),
        ("rows left", "0", rows["left"], rows["left"] == 0),
        *([("data changed", f"other than {before}", after, changed)] if in_tables else []),
        ("hidden from acceptance on", "yes", "yes" if hidden else "no", hidden),
    ]
    due += [(f"needles: {kind}", "more than 0", count, count > 0) for kind, count in sorted(scan["needles"].items())]
    due += [
        ("kinds of needles", "more than 0", len(scan["needles"]), len(scan["needles"]) > 0),
        ("stores searched", "more than 0", len(scan["stores"]), len(scan["stores"]) > 0),
        ("places found", "0", scan["found"], scan["found"] == 0),
    ]
    if it["request"]["kind"] == "user":
        absent = is_absent(it)
        due.append(("absent from the remaining users", "shown", "shown" if absent else "not shown", absent))
    if rebuild["result"] in ("equal", "different"):
        exact = [name for name in differing(rebuild) if is_exact(it, name)]
        due.append(("served differs from rebuilt", "0", len(exact), not exact))
    yield from line_faults(it, due)
    if scan["found"] != sum(map(len, scan["stores"].values())):
        yield "scan: the number found is not the number of places listed"


def line_faults(it, due):
    """The lines that a certificate shows are those that are due, (name, expected, actual, holds), and all hold."""
    lines = [(line["name"], line["expected"], line["actual"], line["holds"]) for line in it["invariants"]]
    if lines != [(name, expected, str(actual), bool(holds)) for name, expected, actual, holds in due]:
        yield "invariants: they are not those of the evidence"
    for name, expected, actual, holds in due:
        if not holds:
            yield f"{name}: must be {expected}, is {actual}"


PLACES = ("ingested tables", "copy of the source", "versions", "artifacts", "DVC objects")


def nothing_faults(statement):
    """A certificate that nothing is held: each place was searched and is empty, and the subject is suppressed."""
    it = statement["predicate"]
    held, listed = it["held"], len(set(it["suppressed"]))
    remotes = sorted(it["remotes"].items())
    due = [(f"held in {place}", "0", held.get(place, "not searched"), held.get(place) == 0) for place in PLACES]
    due += [(f"held in {name}", "0", count, count == 0) for name, count in remotes if count is not None]
    due.append(("on the suppression list", str(it["named"]), listed, listed == it["named"]))
    yield from line_faults(it, due)
    claim = "nothing of the subject is held, and nothing of it will enter until it is lifted"
    if it["source"] is None:
        claim += "; the source could not be read"
    elif it["source"] > 0:
        claim += "; the source still has rows of it, which its owner has to remove"
    claim += "".join(f"; the {name} could not be read" for name, count in remotes if count is None)
    if sum(it["elsewhere"].values()) > 0:
        claim += "; other datasets hold the same id, which this request does not name"
    if it["claim"] != claim:
        yield "claim: it is not what the evidence carries"
    if not held.keys() <= set(PLACES) or it["dataset"] in it["elsewhere"]:
        yield "held: names a place that it can't"
    if it["request"]["kind"] == "user" and it["suppressed"] != [it["request"]["subject_digest"]]:
        yield "suppressed: what stands on the list is not the subject"
    data = {"name": it["dataset"] + "/interactions", "digest": {"sha256": it["interactions"]}}
    if statement["subject"] != [data]:
        yield "subject: not the data that were searched"


def is_absent(it):
    """Whether the subject's digest lies between two neighbours of the tree of the remaining users."""
    one, leaf = it["users"] and it["users"]["after"], it["request"]["subject_digest"]
    return bool(
        one
        and one["left"] < leaf < one["right"]
        and root_of(one["left"], one["place"], one["left_path"]) == one["root"]
        and root_of(one["right"], one["place"] + 1, one["right_path"]) == one["root"]
    )


def root_of(leaf, place, path):
    """Root of a Merkle tree: leaves are hashed after a zero byte, pairs after a one; ``place`` says left or right."""
    if not 0 <= place < 2 ** len(path):
        return None
    node = hashlib.sha256(b"\0" + bytes.fromhex(leaf)).digest()
    for height, sibling in enumerate(map(bytes.fromhex, path)):
        pair = sibling + node if (place >> height) % 2 else node + sibling
        node = hashlib.sha256(b"\1" + pair).digest()
    return node.hex()


def user_faults(it):
    one = it["users"] and it["users"]["before"]
    if one and root_of(it["request"]["subject_digest"], one["place"], one["path"]) != one["root"]:
        yield "users: that the subject was among them is not shown"


def differing(rebuild):
    names = sorted({*rebuild["served"], *rebuild["rebuilt"]})
    return [name for name in names if rebuild["served"].get(name) != rebuild["rebuilt"].get(name)]


def is_exact(it, name):
    family = None if is_table(name) else it["families"].get(name.split("/")[0])
    return family is None or family["repeatable"]


def is_table(name):
    """A family may be called like a dataset."""
    return name.endswith("/interactions") or "/split/" in name or "/shard/" in name


def date_faults(it):
    request = it["request"]
    try:
        received, due, completed = (datetime.fromisoformat(request[name]) for name in ("received", "due", "completed"))
    except ValueError:
        yield "request: a date is not in the calendar"
        return
    if completed < received or due < received:
        yield "request: dates are out of order"


def rebuild_faults(it):
    """What is said to be served must be what was compared with the rebuild."""
    rebuild, after = it["verification"], it["after"]
    served, result = rebuild["served"], rebuild["result"]
    if after.keys() != it["after_keyed"].keys():
        yield "after: keyed and plain digests are not of the same things"
    if result in ("not run", "not comparable"):
        if any(rebuild[name] for name in ("served", "rebuilt", "carried", "left_out", "sample", "scores")):
            yield f"verification: says {result}, and lists what it compared"
        if not rebuild["reason"]:
            yield f"verification: says {result}, and not why"
        return
    if rebuild["reason"]:
        yield "verification: a reason for not comparing, and a comparison"
    if (result == "equal") != (bool(served) and served == rebuild["rebuilt"]):
        yield f"verification: says {result}, its digests say otherwise"
    if any(name in served and served[name] != digest for name, digest in after.items()):
        yield "verification: something was compared with another digest than that served"
    for name in rebuild["carried"]:
        family, _, shard = name.partition("/sub-model/")
        touched = family not in it["families"] or shard in it["families"][family]["shards"]["touched"]
        same = name in after and it["before"].get(name) == it["after_keyed"].get(name)
        if touched or not same or name in served or rebuild["sample"] is not None:
            yield f"verification: {name} was not rebuilt, and had to be"
    needed = set(after) - set(rebuild["carried"])
    if rebuild["sample"] is not None:
        sampled = sample_of(it)
        needed = set(filter(is_table, after)) | sampled
        if not {name for name in served if "/sub-model/" in name} <= needed:
            yield "verification: the sample is not the one that the nonces draw"
    inexact = {name for name, family in it["families"].items() if not family["repeatable"]}
    if rebuild["scores"].keys() != (inexact if rebuild["sample"] is None else set()):
        yield "verification: scores must be compared of exactly the families that don't repeat"
    for name in rebuild["left_out"]:
        if not is_table(name) or name in served:
            yield f"verification: {name} is no table that was left out"
    needed -= set(rebuild["left_out"])
    if not needed <= served.keys():
        yield f"verification: {min(needed - served.keys())} was not compared"


def sample_of(it):
    """The sub-models, of those that were built again, whose SHA-256 of (every nonce, name), a line each, is least."""
    sample, names = it["verification"]["sample"], set()
    for family, one in it["families"].items():
        shards = {*one["shards"]["touched"], *one["shards"]["retrained"]}
        names |= {f"{family}/sub-model/{shard}" for shard in shards} & set(it["after"])
    seed = "".join(nonce + "\n" for nonce in sample["nonces"])
    return set(sorted(names, key=lambda name: hashlib.sha256((seed + name).encode()).digest())[: sample["count"]])


def subject_faults(statement):
    it = statement["predicate"]
    named = [it["dataset"] + "/interactions", *(family + "/package" for family in it["families"])]
    subjects = {name: it["after"][name] for name in named if name in it["after"]}
    if statement["subject"] != [{"name": name, "digest": {"sha256": d}} for name, d in sorted(subjects.items())]:
        yield "subject: the statement's subjects are not what its content tells is served"


def check(content, key):
    """The predicate of a certificate (bytes) that may be believed as far as its signer is; raises Refused."""
    envelope = parse(content)
    if isinstance(envelope, dict) and envelope.get("version") == 1:
        raise Refused("of the old kind (version 1), which carries no evidence: ask for a new one")
    statement = parse(signed_payload(envelope, key))
    if isinstance(statement, dict) and statement.get("predicateType") == "urn:lethe:nothing-held:v1":
        if isinstance(statement.get("predicate"), dict):
            statement["predicate"].setdefault("remotes", {})  # A certificate of before says nothing of them.
        match(statement, NOTHING_STATEMENT, "statement")
        it = statement["predicate"]
        if faults := [*nothing_faults(statement), *date_faults(it)]:
            raise Refused(faults[0])
        return it
    match(statement, STATEMENT, "statement")
    it = statement["predicate"]
    if it["verification"]["sample"] is not None and not it["verification"]["sample"]["nonces"]:
        raise Refused("verification.sample.nonces: empty")
    faults = [*subject_faults(statement), *invariant_faults(it), *claim_faults(it), *date_faults(it)]
    faults += [*rebuild_faults(it), *user_faults(it)]
    if faults:
        raise Refused(faults[0])
    return it


RECEIPT = {
    "request": LINE,
    "dataset": LINE,
    "subject_digest": HEX,
    "salted_digest": HEX,
    "received": TIME,
    "due": TIME,
}
RECEIPT_STATEMENT = STATEMENT | {"predicateType": ("urn:lethe:receipt:v1",), "predicate": RECEIPT}


def check_receipt(content, key, user=None, items=()):
    """The requester's receipt (bytes); with ``user`` it must be about that person, or about these items of theirs."""
    file = parse(content)
    match(file, {"salt": HEX, "receipt": is_plain}, "receipt")
    statement = parse(signed_payload(file["receipt"], key))
    match(statement, RECEIPT_STATEMENT, "receipt")
    receipt = statement["predicate"]
    if statement["subject"] != [{"name": receipt["request"], "digest": {"sha256": receipt["salted_digest"]}}]:
        raise Refused("receipt: its subject is not the request that it names")
    if user is not None:
        text = "".join(part + "\n" for part in (receipt["dataset"], user, *sorted(items)))
        if hmac.new(bytes.fromhex(file["salt"]), text.encode(), hashlib.sha256).hexdigest() != receipt["salted_digest"]:
            raise Refused("receipt: it is about another subject")
    return receipt


def receipt_faults(it, receipt):
    """A certificate answers the request that a receipt was given for."""
    request = it["request"]
    said = {name: request[name] for name in ("subject_digest", "received", "due")}
    said |= {"request": request["id"], "dataset": it["dataset"]}
    yield from (f"receipt: another {name} than the certificate's" for name in said if receipt[name] != said[name])


def summary(it):
    yield f"request {it['request']['id']} of {it['request']['received']}, completed {it['request']['completed']}"
    if "held" in it:
        yield f"{it['dataset']}: {it['claim']}"
        looked = ", ".join([*it["held"], *(name for name, count in it["remotes"].items() if count is not None)])
        yield f"looked for in {looked}; datasets beside it: {', '.join(it['elsewhere']) or 'none'}"
        return
    yield f"rows held at acceptance {sum(it['rows']['held'].values())}, removed {sum(it['rows']['removed'].values())}"
    for name, family in it["families"].items():
        yield f"{name}: {family['claim']}"
        yield f"  recipe {json.dumps(family['recipe'], sort_keys=True)}; chosen by {family['chosen']}"
        yield from (f"  stays: {one['what']}, until {one['until']}" for one in family["residues"])
    yield from (f"not in reach: {one['what']}, until {one['until']}" for one in it["outside_reach"])
    for name in it["verification"]["left_out"]:
        yield f"not made again from its source, which has changed since: {name}"
    yield from (f"not searched: {place}" for place in it["scan"]["not_searched"])
    if it["scan"]["typed_only"]:
        yield f"{it['scan']['typed_only']} ids are short: searched where an id stands, not in free text"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("certificate")
    parser.add_argument("--key", required=True, help="PEM file of the signer's public key, from whom you trust")
    parser.add_argument("--known-keys", help="file of trusted fingerprints, one a line")
    parser.add_argument("--receipt", help="file that the requester got at acceptance: the certificate must answer it")
    parser.add_argument("--user", help="the requester's own id, to see that the receipt is about them; - asks for it")
    parser.add_argument("--item", action="append", default=[], help="with --user: an item asked about; repeatable")
    arguments = parser.parse_args()
    try:
        if arguments.receipt is None and (arguments.user is not None or arguments.item):
            raise Refused("--user, --item: are looked for in a receipt, which --receipt names; nothing was checked")
        if arguments.user is None and arguments.item:
            raise Refused("--item: goes with --user, whose items they are; nothing was checked")
        key = read_key(arguments.key)
        if arguments.known_keys:
            lines = Path(arguments.known_keys).read_text().splitlines()
            if fingerprint(key) not in {line.split()[0] for line in lines if line.strip()}:
                raise Refused(f"signer {fingerprint(key)} is not among the known keys")
        it = check(Path(arguments.certificate).read_bytes(), key)
        if arguments.receipt:
            user = input("id: ") if arguments.user == "-" else arguments.user
            receipt = check_receipt(Path(arguments.receipt).read_bytes(), key, user, arguments.item)
            if fault := next(receipt_faults(it, receipt), None):
                raise Refused(fault)
    except Refused as fault:
        sys.exit(f"REFUSED: {fault}")
    except OSError as error:
        sys.exit(f"REFUSED: {error.filename}: {error.strerror}")
    except (UnicodeDecodeError, RecursionError, EOFError) as error:
        sys.exit(f"REFUSED: a file or what was typed can't be read ({type(error).__name__})")
    print(f"valid, signed by {fingerprint(key)}", *summary(it), sep="\n")


if __name__ == "__main__":
    main()
