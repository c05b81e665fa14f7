"""The files of a new project that are its own: params.yaml with a line on each choice, and a README."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import yaml

from lethe.config.dataset import NewestSplit
from lethe.config.params import Params
from lethe.core.canonical import Json
from lethe.data.add import WHOLE, NewDataset
from lethe.data.new_section import NewSection
from lethe.data.profile import Profile
from lethe.data.proposal import propose_family

_WRITTEN = ("source", "side", "split", "duplicates", "unweighted", "positive")
"""Of a dataset's section."""
_MODEL_FILES = Path(__file__).parents[1] / "models"
_SPLITS = {
    "newest": "Each user's newest rows are for validation and test, so that models are judged on what came later.",
    "leave-one-out": "One row of each user is for the test and one for validation; who has too few is for training.",
    "random": "Rows are drawn by their own keys, so that a deletion moves no other row.",
    "ready": "The folder's own files.",
}


def files_of(new: NewDataset) -> dict[str, str]:
    """{path: text} of a project that begins with this dataset."""
    return {"params.yaml": params_of(new), "README.md": readme_of(new)}


def example() -> NewDataset:
    """A project without data: generated ones, until there are others."""
    place: Json = {"kind": "synthetic", "users": 200, "items": 100, "interactions_per_user": 20}
    section = NewSection(place, split=NewestSplit(by="newest"))
    profile = Profile(4_000, 200, 100, 0, None, None, None, 4_000, {})
    return NewDataset("made", section, profile, propose_family(profile), ())


def params_of(new: NewDataset) -> str:
    """params.yaml: what this project needs, and no more; every other option has its default."""
    written = new.section.to_json()
    section = {name: written[name] for name in _WRITTEN if name in written}
    comments = {
        "split": _SPLITS["ready" if new.section.split is None else new.section.split.by],
        "duplicates": "A pair of user and item that occurs again: "
        + ("the sum of the weights counts." if written.get("duplicates") == "sum" else "the newest row counts."),
        "unweighted": "Models that know no weights learn every interaction alike.",
        "positive": "Ratings that are likes. Models of preferences learn and are judged by such rows alone.",
    }
    dataset = "".join(_entry(key, value, 4, comments.get(key)) for key, value in section.items())
    families = "".join(
        f"      - {{model: {model}, sharding: {WHOLE}}}  # {_first_line(model)}\n" for model in new.family.models
    )
    models = "".join(_entry(key, value, 2) for key, value in new.family.settings.items())
    if models:
        tuning = f"# Settings that the size of the data asks for; lethe tune MODEL {new.name} searches better ones."
        models = f"{tuning}\nmodels:\n{models}"
    text = f"""# Every number of this project. What is left out has its default; an unknown key is an error.
seed: 2026

# What the data stages (dvc.yaml) make: every dataset, laid out in every sharding.
pipeline:
  datasets: [{new.name}]
  shardings: [{WHOLE}]

datasets:
  {new.name}:
{dataset}
# How rows are laid into shards. One shard is right while training takes seconds; for a model of minutes several make a
# forget request cheap: {{partition: user-hash, num_shards: 5, aggregator: stacked}}.
shardings:
  {WHOLE}: {{partition: whole, num_shards: 1, aggregator: identity}}

# A family is what is served under one name: the best of its candidates on validation. lethe models lists all models.
families:
  {new.name}:
    dataset: {new.name}
    candidates:
{families}
{models}
training:
  metric: ndcg@10  # of validation: decides between candidates

serving:
  host: 127.0.0.1  # this machine alone
  port: 3000
  workers: 2

forgetting:
  due_days: 30  # from the receipt of a request
"""
    text = re.sub(r"\n{3,}", "\n\n", text)
    Params.parse(yaml.safe_load(text), "params.yaml")
    return text


def _entry(name: str, value: Any, indent: int, comment: str | None = None) -> str:
    # A value alone would be laid into one line with its name, as a mapping in braces.
    style = None if isinstance(value, dict) else False
    text = yaml.safe_dump({name: value}, default_flow_style=style, sort_keys=False, width=110, allow_unicode=True)
    lines = [f"# {comment}"] if comment else []
    return "".join(f"{' ' * indent}{line}\n" for line in [*lines, *text.splitlines()])


def _first_line(model: str) -> str:
    """What a model is, by the first line of its file; read, not imported, because torch comes with it."""
    file = _MODEL_FILES / f"{model.replace('-', '_')}.py"
    return (ast.get_docstring(ast.parse(file.read_bytes())) or "").splitlines()[0].rstrip(".")


def readme_of(new: NewDataset) -> str:
    return f"""# {new.name}

Recommendations from the dataset `{new.name}`, by Lethe. params.yaml holds every choice, dvc.yaml says what the data are
made of, flows/ when things are done. lethe.json records what Lethe wrote here; `lethe upgrade` renews it.

```console
lethe train                                # data, gates, candidates; the best is registered
lethe serve                                # answers on http://127.0.0.1:3000 until Ctrl-C
curl -s localhost:3000/recommend -H 'content-type: application/json' -d '{{"user_id": ID, "k": 10}}'
lethe forget add --user ID                 # from now on answered from popularity
lethe forget run                           # remove, retrain, redeploy, purge, certify
lethe certificate check certificates/*.json
lethe status
```

What is written at run time is not for version control (.gitignore). The keys that sign certificates are in
`~/.config/lethe` (`LETHE_KEY_DIR`); keep a copy: `lethe keys backup FILE`.
"""
