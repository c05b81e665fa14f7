"""The newcomer's first command, from the built wheel: what is read, and what is refused with a line that leads on.

The other five are done by ``python -m benchmarks newcomer``; their flows are tested in tests/flows.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import cold
from benchmarks.newcomer import afternoon, build_wheel, named_options
from tests.data.made_sources import table


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(tmp_path_factory.mktemp("wheel"))


def test_the_wheel_holds_one_package_and_runs_the_flows_it_ships(site: Path) -> None:
    assert sorted(path.name.partition("-")[0] for path in site.iterdir()) == ["lethe", "lethe_recsys"]
    metadata = next(site.glob("lethe_recsys-*.dist-info/METADATA")).read_text()
    assert "Classifier: Programming Language :: Python :: 3.11" in metadata
    script = "import lethe; from lethe.core.shipped import shipped, shipped_root; print(shipped_root()); shipped()"
    done = subprocess.run(
        [sys.executable, "-c", script], env={"PYTHONPATH": str(site)}, cwd="/", capture_output=True, text=True
    )
    assert done.stdout.strip() == str(site / "lethe" / "project"), done.stderr


def test_a_file_becomes_a_project_by_one_command(site: Path, tmp_path: Path) -> None:
    done = afternoon(table(tmp_path / "u.data", header=None, separator="\t"), tmp_path / "a", site, whole=False)
    assert (done.wrong, done.refusals, done.tracebacks) == ("", [], 0)
    assert (tmp_path / "a" / "shop" / "flows" / "training.py").is_file()


def test_a_refusal_is_followed_to_a_project(site: Path, tmp_path: Path) -> None:
    file = table(tmp_path / "thousands.csv", user=lambda u: f'"{1000 + u:,}"')
    done = afternoon(file, tmp_path / "a", site, whole=False)
    assert done.wrong == ""
    assert len(done.refusals) == 1
    assert "--thousands" in done.refusals[0]


@pytest.mark.parametrize(
    ("line", "options"),
    [
        ("error: x; give --thousands ',' to take them as integers, or --ids text", ["--thousands", ","]),
        ("error: x; give --trim to leave those out, or --ids text", ["--trim"]),
        ("error: x; give --ignore-lines 'Total,' to leave it out", ["--ignore-lines", "Total,"]),
        ("error: path: x does not exist", []),
    ],
)
def test_what_a_line_tells_to_give(line: str, options: list[str]) -> None:
    assert named_options(line) == options


def test_the_first_line_is_that_of_the_demo_and_not_of_what_installs_it(tmp_path: Path) -> None:
    def made(command: str) -> subprocess.Popen[str]:
        return subprocess.Popen(["sh", "-c", command], cwd=tmp_path, stdout=subprocess.PIPE, text=True)

    installs = "echo installing; sleep .5; touch ready; echo; echo '1 build'; echo '2 deploy'"
    with made(installs) as process:
        assert cold._first_line(process, tmp_path / "ready") == "1 build"
    (tmp_path / "ready").unlink()
    with made("echo no network") as process, pytest.raises(AssertionError, match="before its first line: no network"):
        cold._first_line(process, tmp_path / "ready")
