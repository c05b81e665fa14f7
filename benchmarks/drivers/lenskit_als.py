"""Runs inside the peer's own environment: LensKit's implicit matrix factorisation, tuned; one snapshot a sweep.

python lenskit_als.py DATA.npz OUT_DIR SWEEPS
"""

import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
from lenskit.als import ImplicitMFScorer
from lenskit.data import from_interactions_df
from lenskit.parallel import initialize
from lenskit.training import TrainingOptions

data, out, sweeps = np.load(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
initialize(threads=1, backend_threads=1, child_threads=1)
users = np.repeat(np.arange(data["shape"][0]), np.diff(data["indptr"]))
rows = from_interactions_df(pd.DataFrame({"user_id": users, "item_id": data["items"]}))
model = ImplicitMFScorer(embedding_size=64, epochs=sweeps, regularization=40.0, weight=4.0)
spent, start = 0.0, time.process_time()
for sweep, _ in enumerate(model.training_loop(rows, TrainingOptions(rng=1))):
    spent += time.process_time() - start
    # In the order of the ids it was given, whatever its own.
    left = model.user_embeddings[model.users.numbers(np.arange(data["shape"][0]))]
    right = model.item_embeddings[model.items.numbers(data["known_items"])]
    np.savez(out / f"{sweep:03d}.npz", users=left, items=right, seconds=spent)
    start = time.process_time()
