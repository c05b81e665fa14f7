"""Other programs, each in an environment of its own, and how they are run on a split of ours."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.collaborative import Split
from lethe.errors import LetheError

DRIVERS = Path(__file__).parent / "drivers"


@dataclass(frozen=True)
class Peer:
    name: str
    packages: tuple[str, ...]
    driver: str
    rounds: int
    """How often it saves its factors: sweeps or epochs."""
    with_needs: bool = True
    """Whether pip installs what its packages ask for, or these alone."""


PEERS = {
    "implicit": Peer("implicit", ("implicit==0.7.3",), "implicit_als.py", 14),
    "lenskit": Peer("LensKit", ("lenskit==2025.8.1",), "lenskit_als.py", 14),
    "recbole": Peer(
        "RecBole",
        # Its own needs are older than what they now install as; ray, which it also asks for, is for its tuning alone.
        (
            *("recbole==1.2.1", "numpy<2", "scipy<1.13", "pandas<3", "scikit-learn<1.6", "setuptools<81"),
            *("colorlog==4.7.2", "colorama==0.4.4", "thop", "tabulate", "texttable", "plotly", "narwhals"),
            *("tensorboard", "tensorboard-data-server", "absl-py", "grpcio", "markdown", "protobuf", "werkzeug"),
        ),
        "recbole_enmf.py",
        60,
        with_needs=False,
    ),
}


class Snapshot(NamedTuple):
    """Factors after so many seconds of training."""

    seconds: float
    users: np.ndarray
    items: np.ndarray


def install(peer: Peer, work: Path) -> Path:
    """The Python of the peer's environment, made at first use below ``work``. Raises LetheError if pip fails.

    What we have (torch above all) is seen from there, so that it isn't downloaded again.
    """
    folder = work / "peers" / peer.name.lower()
    python = folder / "bin" / "python"
    if (folder / "ready").is_file():
        return python
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    inside = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        check=True,
        capture_output=True,
        text=True,
    )
    (Path(inside.stdout.strip()) / "zz_shared.pth").write_text(sysconfig.get_path("purelib") + "\n")
    needs = [] if peer.with_needs else ["--no-deps"]
    done = subprocess.run(
        [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *needs, *peer.packages],
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise LetheError(f"peer {peer.name}: pip could not install it: {_last_line(done.stderr)}")
    (folder / "ready").touch()
    return python


def run_peer(
    peer: Peer, work: Path, split: Split, rounds: int, settings: Mapping[str, float] | None = None
) -> tuple[list[Snapshot], Path]:
    """Train the peer, by other settings than its driver's if they are given; its snapshots and the folder of whatever
    else it wrote. Raises LetheError if it fails."""
    python = install(peer, work)
    out = work / "peers" / f"{peer.name.lower()}-out"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    rows, tests = split.catalogue.encode(split.train), split.catalogue.encode(split.test)
    np.savez(
        out / "data.npz",
        indptr=rows.indptr,
        items=rows.items,
        test_indptr=tests.indptr,
        test_items=tests.items,
        shape=[rows.num_users, rows.num_items],
        known_items=np.arange(rows.num_items),
    )
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS", "NUMBA_NUM_THREADS")
    environment = os.environ | dict.fromkeys(names, "1") | {"TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "1"}
    done = subprocess.run(
        [python, DRIVERS / peer.driver, out / "data.npz", out, str(rounds), json.dumps(settings or {})],
        cwd=out,
        env=environment,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise LetheError(f"peer {peer.name}: its run failed: {_last_line(done.stderr)}")
    snapshots = []
    for path in sorted(out.glob("[0-9]*.npz")):
        with np.load(path) as stored:
            snapshots.append(Snapshot(float(stored["seconds"]), stored["users"], stored["items"]))
    return snapshots, out


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["no message"])[-1]
