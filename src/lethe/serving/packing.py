"""Writing what is served: a function of a trained ensemble, of what was seen, and of what is said about both."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from lethe.core.canonical import canonical_json
from lethe.learning.ensemble import Ensemble
from lethe.serving.package_info import PackageInfo
from lethe.serving.sequences import Sequences
from lethe.serving.situations import write_situations
from lethe.tables.interactions import Interactions
from lethe.tables.likes import likes


def write_package(folder: Path, ensemble: Ensemble, seen: Interactions, info: PackageInfo) -> None:
    """Write a package (``lethe.serving.package``), its bytes a function of the arguments; ``seen`` rows outside the
    catalogue are left out.

    What a user dislikes is seen too, but makes nothing popular.
    """
    matrix = ensemble.catalogue.encode(seen)
    liked = ensemble.catalogue.encode(likes(seen, info.positive))
    pairs = matrix.csr()
    pairs.sum_duplicates()
    folder.mkdir(parents=True, exist_ok=True)
    ensemble.save(folder / "ensemble")
    arrays = {
        "indptr": pairs.indptr.astype(np.int64),
        "items": pairs.indices.astype(np.int64),
        "counts": liked.item_counts,
    }
    if ensemble.ordered:
        arrays |= Sequences.made(ensemble.catalogue, likes(seen, info.positive)).arrays()
    save_file(arrays, folder / "seen.safetensors")
    write_situations(folder, ensemble.catalogue, likes(seen, info.positive))
    (folder / "info.json").write_bytes(canonical_json(info.plain()))
