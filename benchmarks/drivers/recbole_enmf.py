"""Runs inside the peer's own environment: RecBole's ENMF; a snapshot an epoch, then its own evaluator, timed.

python recbole_enmf.py DATA.npz OUT_DIR EPOCHS
"""

import logging
import sys
import time
from pathlib import Path

import numpy as np
import torch
from recbole.config import Config
from recbole.data import create_dataset, data_preparation
from recbole.model.general_recommender import ENMF
from recbole.trainer import Trainer

data, out, epochs = np.load(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
torch.set_num_threads(1)
logging.disable(logging.WARNING)
folder = out / "ml"
folder.mkdir(exist_ok=True)
for part, prefix, rows in (("train", "", None), ("test", "test_", None), ("valid", "test_", 100)):
    counts = np.diff(data[f"{prefix}indptr"])
    pairs = zip(np.repeat(np.arange(len(counts)), counts)[:rows], data[f"{prefix}items"][:rows], strict=True)
    lines = "\n".join(f"{user}\t{item}" for user, item in pairs)
    (folder / f"ml.{part}.inter").write_text(f"user_id:token\titem_id:token\n{lines}\n")
config = Config(
    model="ENMF",
    dataset="ml",
    config_dict={
        "data_path": str(out),
        "checkpoint_dir": str(out),
        "benchmark_filename": ["train", "valid", "test"],
        "load_col": {"inter": ["user_id", "item_id"]},
        "train_neg_sample_args": None,
        "embedding_size": 64,
        # The best of five settings on the ratings in neither train nor test; the defaults (batches of 2,048, .001, .5,
        # .7) are far from done after 40 epochs.
        "train_batch_size": 256,
        "learning_rate": 0.01,
        "negative_weight": 0.2,
        "dropout_prob": 0.3,
        "metrics": ["Recall", "NDCG"],
        "topk": [20],
        "valid_metric": "Recall@20",
        "show_progress": False,
        "use_gpu": False,
        "reproducibility": True,
        "seed": 1,
    },
)
torch.set_num_threads(1)
dataset = create_dataset(config)
train_data, _, test_data = data_preparation(config, dataset)
model = ENMF(config, train_data.dataset)
trainer = Trainer(config, model)
# Tokens are strings of our dense ids, and 0 is the padding.
user_rows = torch.tensor([dataset.token2id("user_id", str(user)) for user in range(data["shape"][0])])
item_rows = torch.tensor([dataset.token2id("item_id", str(item)) for item in data["known_items"]])
spent = 0.0
for epoch in range(epochs):
    start = time.process_time()
    trainer._train_epoch(train_data, epoch, show_progress=False)
    spent += time.process_time() - start
    with torch.no_grad():
        left = (model.user_embedding.weight * model.H_i.weight[0])[user_rows]
        right = model.item_embedding.weight[item_rows]
    np.savez(out / f"{epoch:03d}.npz", users=left.numpy(), items=right.numpy(), seconds=spent)
model.eval()
start = time.process_time()
own = trainer.evaluate(test_data, load_best_model=False)
(out / "evaluation.txt").write_text(f"{time.process_time() - start} {own['recall@20']}\n")
