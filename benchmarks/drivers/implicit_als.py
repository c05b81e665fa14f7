"""Runs inside the peer's own environment: implicit's alternating least squares, tuned; one snapshot a sweep.

python implicit_als.py DATA.npz OUT_DIR SWEEPS [SETTINGS]: JSON, in place of what was tuned
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from implicit.cpu.als import AlternatingLeastSquares
from threadpoolctl import threadpool_limits

data, out, sweeps = np.load(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
settings = {"regularization": 40.0, "alpha": 5.0} | json.loads(sys.argv[4] if len(sys.argv) > 4 else "{}")
rows = sp.csr_matrix(
    (np.ones(len(data["items"]), np.float32), data["items"], data["indptr"]), shape=tuple(data["shape"])
)
with threadpool_limits(limits=1):
    model = AlternatingLeastSquares(factors=64, iterations=sweeps, num_threads=1, random_state=1, **settings)
    spent, start = 0.0, time.process_time()

    def snapshot(sweep: int, *_: object) -> None:
        global spent, start
        spent += time.process_time() - start
        np.savez(out / f"{sweep:03d}.npz", users=model.user_factors, items=model.item_factors, seconds=spent)
        start = time.process_time()

    model.fit(rows, show_progress=False, callback=snapshot)
