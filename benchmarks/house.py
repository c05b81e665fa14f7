"""Whether the house keeps its plan (docs/architecture.md): what is counted in the code, and in one tiny request.

``python -m benchmarks house [--json] [--commit]``.
"""

from __future__ import annotations

import ast
import json
import re
import sys
import tempfile
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from benchmarks import ROOT
from benchmarks.page import grid, missed, page
from benchmarks.runs import apart
from lethe.core.workspace import Workspace

PACKAGES = {"lethe": "src/lethe", "flows": "flows"}
LINES = 300


@dataclass(frozen=True)
class Count:
    """One figure of the house, what it may be at most, and what makes it up."""

    what: str
    count: int
    limit: int | None
    """None: told, not limited."""
    names: tuple[str, ...] = ()

    @property
    def met(self) -> bool:
        return self.limit is None or self.count <= self.limit

    @property
    def most(self) -> str:
        """The limit, and whether it is missed, as it is told."""
        return "–" if self.limit is None else f"{self.limit}{missed(self.met)}"

    def to_json(self) -> dict[str, Any]:
        return {"what": self.what, "count": self.count, "limit": self.limit, "met": self.met, "names": self.names}


@dataclass(frozen=True)
class Import:
    """That one module names another: when it is loaded, only for its types, or when a function runs."""

    importer: str
    imported: str
    when: str


def measure(root: Path = ROOT) -> list[Count]:
    """Every figure; takes seconds, because a request is fulfilled in a folder of its own."""
    request = requested()
    return [
        *counted(root),
        listed("options without a description", undocumented(), 0),
        by_caller("tables read for one tiny request", request["reads"], 25),
        by_caller("digests of tables taken for it", request["digests"], 20),
    ]


def counted(root: Path) -> list[Count]:
    """What the source says by itself."""
    sources = read_sources(root)
    imports = [found for name, (path, text) in sources.items() for found in imports_of(name, path, text, sources)]
    loaded = [found for found in imports if found.when == "loaded"]
    typed = [found for found in imports if found.when != "called"]
    circles = circles_of(loaded)
    rooms = sorted(
        path.name
        for path in (root / PACKAGES["lethe"]).iterdir()
        if (path.suffix == ".py" and not path.stem.startswith("__")) or (path / "__init__.py").is_file()
    )
    long = [
        f"{path.relative_to(root)}: {lines}"
        for path, text in sources.values()
        if (lines := len(text.splitlines())) > LINES
    ]
    loose = [
        f"{path.relative_to(root)}: {found}"
        for path, text in sources.values()
        if (found := len(re.findall(r"\bdict\[str, Any\]", text)))
    ]
    return [
        listed("rooms at the top of src/lethe", rooms, 14),
        listed("circles of imports", circles, 0),
        listed("circles by imports for types alone", [c for c in circles_of(typed) if c not in circles], None),
        listed("arrows upwards", upwards(imports, layers(root)), 0),
        listed(f"files over {LINES} lines", long, 0),
        Count("dict[str, Any]", sum(int(name.rpartition(" ")[2]) for name in loose), 40, tuple(loose)),
    ]


def listed(what: str, names: Iterable[str], limit: int | None) -> Count:
    names = tuple(names)
    return Count(what, len(names), limit, names)


def by_caller(what: str, counts: Mapping[str, int], limit: int) -> Count:
    names = tuple(f"{caller}: {count}" for caller, count in sorted(counts.items(), key=lambda pair: -pair[1]))
    return Count(what, sum(counts.values()), limit, names)


def read_sources(root: Path) -> dict[str, tuple[Path, str]]:
    """{module: (file, text)} of src/lethe and flows."""
    sources = {}
    for package, folder in PACKAGES.items():
        for path in sorted((root / folder).rglob("*.py")):
            parts = path.relative_to(root / folder).with_suffix("").parts
            name = ".".join([package, *parts]).removesuffix(".__init__")
            sources[name] = path, path.read_text(encoding="utf-8")
    return sources


def imports_of(name: str, path: Path, text: str, known: Mapping[str, object]) -> Iterator[Import]:
    """Every import of one of the modules ``known``."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node, when in _import_nodes(ast.parse(text), "loaded"):
        for imported in _named(node, package):
            inner = imported if imported in known else imported.rpartition(".")[0]
            if inner in known and inner != name:
                yield Import(name, inner, when)


def _import_nodes(tree: ast.AST, when: str) -> Iterator[tuple[ast.Import | ast.ImportFrom, str]]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node, when
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            for child in node.body:
                yield from _import_nodes(ast.Module([child], []), "typed")
            for child in node.orelse:
                yield from _import_nodes(ast.Module([child], []), when)
        else:
            function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            yield from _import_nodes(node, "called" if function else when)


def _named(node: ast.Import | ast.ImportFrom, package: str) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
        return
    above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
    base = ".".join([*above, *([node.module] if node.module else [])])
    yield from (f"{base}.{alias.name}" for alias in node.names)


def circles_of(imports: Iterable[Import]) -> list[str]:
    """Groups of modules that each reach all others of the group, as text."""
    below: dict[str, set[str]] = {}
    for found in imports:
        below.setdefault(found.importer, set()).add(found.imported)
    reached = {name: _reached(name, below) for name in below}
    groups = {frozenset(other for other in reached[name] if name in reached.get(other, ())) for name in below}
    return sorted(" ↔ ".join(sorted(group)) for group in groups if group)


def _reached(start: str, below: Mapping[str, set[str]]) -> set[str]:
    found: set[str] = set()
    waiting = list(below.get(start, ()))
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += below.get(name, ())
    return found


def layers(root: Path) -> list[list[str]]:
    """The rooms of each floor, from top to bottom, as import-linter is told them."""
    settings = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    told = next(contract["layers"] for contract in settings["contracts"] if contract["type"] == "layers")
    return [[room.strip() for room in floor.split("|")] for floor in told]


def upwards(imports: Iterable[Import], floors: list[list[str]]) -> list[str]:
    """Imports, of whatever kind, of a room that stands above or beside the importer's."""
    floor_of = {room: place for place, floor in enumerate(floors) for room in floor}

    def room_of(module: str) -> str | None:
        return next((room for room in floor_of if module == room or module.startswith(f"{room}.")), None)

    found = []
    for one in imports:
        importer, imported = room_of(one.importer), room_of(one.imported)
        if importer and imported and importer != imported and floor_of[importer] >= floor_of[imported]:
            found.append(f"{one.importer} → {one.imported}")
    return sorted(set(found))


def undocumented() -> list[str]:
    from tools.reference import undocumented as without

    return without()


def requested() -> dict[str, dict[str, int]]:
    """{"reads" and "digests" of tables: {who asked for them: how many}}, from the beginning of a forget run to its
    certificate. Its data stages are left out: they run in processes of DVC."""
    with tempfile.TemporaryDirectory(prefix="lethe-house-") as folder:
        environment = Workspace(Path(folder)).environment() | {
            "LETHE_KEY_DIR": f"{folder}/keys",
            "PYTHONPATH": ":".join([str(ROOT), *filter(None, sys.path)]),
        }
        counts: dict[str, dict[str, int]] = apart("house", folder, environment=environment)
    return counts


def fulfil(folder: Path) -> dict[str, dict[str, int]]:
    """One request on a workspace of 24 users and two families."""
    from benchmarks.own_product import make_workspace, person
    from lethe.data import stages
    from tests import house as steps

    workspace = make_workspace(folder / "workspace", users=24, items=20, each=8)
    steps.train(workspace)
    steps.ask(workspace, person(3))
    counts = {"reads": Counter[str](), "digests": Counter[str]()}
    with counting(counts, stages):
        steps.fulfil(workspace)
    return {kind: dict(of_kind) for kind, of_kind in counts.items()}


@contextmanager
def counting(counts: Mapping[str, Counter[str]], stages: Any) -> Iterator[None]:
    """Count tables that are decoded and digested, but for what the data stages do."""
    from lethe.tables.interactions import Interactions

    inside: list[bool] = []

    def counted_as(name: str, run: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **options: Any) -> Any:
            if not inside:
                counts[name][_caller()] += 1
            return run(*args, **options)

        return wrapped

    def apart(run: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **options: Any) -> Any:
            inside.append(True)
            try:
                return run(*args, **options)
            finally:
                inside.pop()

        return wrapped

    read = counted_as("reads", Interactions.read)
    with (
        patch.object(Interactions, "read", staticmethod(read)),
        patch.object(Interactions, "digest", counted_as("digests", Interactions.digest)),
        patch("tests.house.build_data", apart(stages.build_data)),
    ):
        yield


def _caller() -> str:
    """The function above this file and the room of tables."""
    frame = sys._getframe(2)
    while frame.f_globals["__name__"].startswith("lethe.tables") and frame.f_back is not None:
        frame = frame.f_back
    return f"{frame.f_globals['__name__']}.{frame.f_code.co_name}"


def report(counts: Iterable[Count], command: str) -> tuple[dict[str, Any], str]:
    """For reports/tables/house.json, and as a small table."""
    counts = list(counts)
    rows = [(count.what, count.count, count.most) for count in counts]
    figures = {"table": "house", "command": command, "rows": [count.to_json() for count in counts]}
    return figures, page("house", f"`{command}`", grid(("what", "count", "at most"), rows))


if __name__ == "__main__":
    print(json.dumps(fulfil(Path(sys.argv[1]))))
