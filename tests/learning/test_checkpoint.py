"""A training that was killed, and resumed in another process, ends in the bytes of one that never stopped."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open

from lethe.build.builder import Builder
from lethe.build.recipes import candidate_recipe
from lethe.config.params import Candidate, Params
from lethe.core.random import Stream
from lethe.data.stages import build_data
from lethe.errors import ArtifactError
from lethe.learning import checkpoint, training
from lethe.learning.training import History, Row, train
from lethe.models import MODELS, configure
from lethe.models.enmf import ENMFU
from lethe.tables.catalogue import Catalogue
from tests.conftest import make_workspace, taste_blocks
from tests.contract import checkerboard, weights

SETTINGS: dict[str, tuple[str, dict[str, Any]]] = {
    "adagrad": ("enmf-u", {"optimizer": "adagrad"}),
    "adam": ("enmf-a", {"optimizer": "adam", "learning_rate": 0.01}),
    "adam, decayed": ("lightgcn", {"optimizer": "adam", "decay": "linear", "batch_size": 7}),
    "sgd, decayed": ("gmf", {"optimizer": "sgd", "decay": "linear"}),
}


def run(
    setting: str, saved: Path | None, progress: Any = None, valid: Any = None, **more: Any
) -> tuple[bytes, History]:
    """Eight epochs of a setting on the checkerboard -> bytes of the weights, learning curve."""
    name, values = SETTINGS[setting]
    config = configure(name, {"epochs": 8, "embedding_dim": 4, **values, **more})
    data = checkerboard()
    catalogue = Catalogue.of(data)
    model = MODELS[name](config, catalogue.shape)
    history = train(model, catalogue.encode(data), Stream(1), saved=saved, progress=progress, valid=valid)
    return weights(model), history


KILLED = """
import os, signal, sys
from pathlib import Path
from lethe.learning import training
from tests.learning.test_checkpoint import SETTINGS, run

training.CHECKPOINT_SECONDS = 0.0
kill = lambda row: row["epoch"] == 4 and os.kill(os.getpid(), signal.SIGKILL)
for setting in SETTINGS:
    if os.fork() == 0:
        run(setting, Path(sys.argv[1], setting), kill)
        os._exit(0)
    assert os.WTERMSIG(os.wait()[1]) == signal.SIGKILL, setting
"""


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What trainings left that were killed, one of each setting: processes that were forked before anything was
    computed, because each would import for seconds."""
    folder = tmp_path_factory.mktemp("killed")
    subprocess.run([sys.executable, "-c", KILLED, folder], cwd=Path(__file__).parents[2], check=True)
    return folder


@pytest.mark.parametrize("setting", SETTINGS)
def test_killed_and_resumed_has_the_bytes_of_uninterrupted(setting: str, killed: Path, tmp_path: Path) -> None:
    saved = Path(shutil.copy(killed / setting, tmp_path))
    seen: list[Row] = []
    assert run(setting, saved, seen.append) == run(setting, None)
    # The fifth epoch had ended, but not its checkpoint.
    assert [row["epoch"] for row in seen] == [4, 5, 6, 7]


@pytest.mark.parametrize("stop", range(6))
def test_validation_goes_on_with_its_best_weights_and_its_patience(
    stop: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", 0.0)
    values = [0.1, 0.5, 0.2, 0.3, 0.4, 0.9]

    def watch(row: Row) -> None:
        if row["epoch"] == stop:
            raise KeyboardInterrupt

    def part(first: int, saved: Path | None, progress: Any = None) -> tuple[bytes, History]:
        coming = iter(values[first:])
        return run("adam", saved, progress, lambda model: next(coming), patience=3)

    whole = part(0, None)
    assert len(whole[1]) == 5
    saved = tmp_path / "training.safetensors"
    if stop < 5:
        with pytest.raises(KeyboardInterrupt):
            part(0, saved, watch)
    else:
        part(0, saved)
    assert part(stop, saved) == whole


def test_what_is_done_is_not_done_again(tmp_path: Path) -> None:
    saved, seen = tmp_path / "training.safetensors", []
    first = run("adagrad", saved)
    assert run("adagrad", saved, seen.append) == first
    assert seen == []


def test_between_epochs_it_is_written_no_more_often_than_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[int] = []
    monkeypatch.setattr(checkpoint, "save", lambda path, model, optimizer, history, best: written.append(len(history)))
    run("adagrad", tmp_path / "training.safetensors")
    assert written == [8]


def test_the_file_says_what_it_holds_and_is_the_only_one(tmp_path: Path) -> None:
    saved = tmp_path / "new" / "training.safetensors"
    _, history = run("adagrad", saved)
    assert [path.name for path in saved.parent.iterdir()] == [saved.name]
    with safe_open(saved, framework="pt") as file:
        names = set(file.keys())
    assert names >= {"model/users", "model/items", "model/h", "optimizer/0/sum", "optimizer/0/step"}
    name, values = SETTINGS["adagrad"]
    model = MODELS[name](configure(name, {"embedding_dim": 4, **values}), Catalogue.of(checkerboard()).shape)
    assert checkpoint.load(saved, model, torch.optim.Adagrad(model.parameters())) == (history, None)


def test_another_models_checkpoint_or_a_damaged_one_is_one_line(tmp_path: Path) -> None:
    saved = tmp_path / "training.safetensors"
    run("adagrad", saved)
    with pytest.raises(
        ArtifactError, match=r"^checkpoint training\.safetensors: not one of ENMFU \(RuntimeError\); del"
    ):
        run("adagrad", saved, embedding_dim=5)
    with pytest.raises(ArtifactError, match=r"^checkpoint training\.safetensors: not one of GMF"):
        run("sgd, decayed", saved)
    saved.write_bytes(saved.read_bytes()[:-9])
    with pytest.raises(
        ArtifactError, match=r"not one of ENMFU \(SafetensorError\); delete it to train from the start$"
    ):
        run("adagrad", saved)


def test_a_sub_model_goes_on_from_its_own_checkpoint_and_leaves_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", 0.0)
    losses = 0
    loss = ENMFU.loss

    def counted(self: ENMFU, batch: Any) -> torch.Tensor:
        nonlocal losses
        losses += 1
        if losses == 6:
            raise KeyboardInterrupt
        return loss(self, batch)

    def builder(folder: str) -> Builder:
        workspace = make_workspace(tmp_path / folder, taste_blocks(), ("enmf-u",))
        params = Params.read(workspace.params)
        build_data(workspace, params, "tiny", ["whole"])
        return Builder(
            workspace, candidate_recipe(workspace, params, "tiny", Candidate(model="enmf-u", sharding="whole"))
        )

    whole = builder("whole")
    (shard,) = whole.shard_names()
    expected = whole.sub_model(shard).digest
    stopped = builder("stopped")
    monkeypatch.setattr(ENMFU, "loss", counted)
    with pytest.raises(KeyboardInterrupt):
        stopped.sub_model(shard)
    checkpoints = stopped.workspace.artifacts / "checkpoint"
    assert len(list(checkpoints.iterdir())) == 1
    assert stopped.sub_model(shard).digest == expected
    # Eight epochs of one batch: five before the stop, which the sixth did not survive, and three after it.
    assert losses == 6 + 3
    assert list(checkpoints.iterdir()) == []
