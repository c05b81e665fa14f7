"""``lethe reproduce``: build what a certificate names from the present data, by its recipe, and compare.

For an auditor, on any machine that may read the data and has the same code and numeric environment: since the same
inputs give the same bytes, doing it again is a proof that needs no trust in whoever signed.
"""

from __future__ import annotations

from lethe.build.builder import Builder
from lethe.build.recipe import Recipe
from lethe.config.params import Device, Params
from lethe.core.canonical import digest_file, digest_json
from lethe.core.environment import numeric_environment, whole_code_digest
from lethe.core.workspace import Workspace
from lethe.data.partition.guarantee import frozen
from lethe.data.stages import build_data, kept_assignment
from lethe.errors import NotComparable
from lethe.forgetting.certificate import Erasure
from lethe.learning.device import fault
from lethe.proof.compare import Comparison, compare
from lethe.proof.rebuild import Progress, build_whole, clean_workspace, place_to_build, table_digests
from lethe.tables.reader import Reader


def reproduce(workspace: Workspace, content: Erasure, progress: Progress = lambda _: None) -> Comparison:
    """Compare every digest that a certificate says is served with a build from the present data.

    Raises NotComparable where code, numeric environment, data or a kept assignment are not those of the certificate,
    where a family's environment doesn't repeat, or where something differs and so does params.yaml.
    """
    params = Params.read(workspace.params)
    device = _device(content, params.training.device)
    same = {"code": content.materials.get("code") == whole_code_digest(), "environment": device is not None}
    if device is None or not all(same.values()):
        other = ", ".join(name for name, equal in same.items() if not equal)
        raise NotComparable(f"{content.request.id}: {other} differ from the certificate's, nothing was built")
    if content.dataset not in params.datasets:
        raise NotComparable(f"{content.request.id}: params.yaml has no dataset {content.dataset!r} to build from")
    if not content.families:
        raise NotComparable(f"{content.request.id}: nothing was served from {content.dataset}, so nothing can be built")
    made: dict[str, str] = {}
    with place_to_build(workspace, params, "reproduce") as folder:
        for family, one in content.families.items():
            recipe = Recipe.parse(one.recipe, f"families.{family}.recipe")
            if recipe.dataset != content.dataset:
                raise NotComparable(f"{content.request.id}: the recipe of {family} is of another dataset")
            if not one.repeatable:
                raise NotComparable(f"{content.request.id}: {family} was built where the same inputs give other bytes")
            then = _as_then(params, recipe, device)
            made |= _build(clean_workspace(workspace, then, folder / family), then, family, recipe, content, progress)
    comparison = compare(content.after, {name: digest for name, digest in made.items() if name in content.after})
    if not comparison.equal and content.materials.get("params.yaml") != digest_file(workspace.params):
        # What a package keeps beside its recipe, the split among it, comes from there.
        raise NotComparable(
            f"{content.request.id}: {comparison.differing[0]} differs, and so does params.yaml from the certificate's; "
            "put that one back to compare"
        )
    return comparison


def _device(content: Erasure, wanted: Device) -> Device | None:
    """Where this machine builds as in the certificate's environment; None where it can't."""
    places: dict[str, Device] = {digest_json(numeric_environment("cpu")): "cpu"}
    if wanted != "cpu" and fault() is None:
        places[digest_json(numeric_environment("cuda"))] = wanted
    return places.get(content.materials.get("environment", ""))


def _as_then(params: Params, recipe: Recipe, device: Device) -> Params:
    """The parameters by which the recipe's tables are laid out, whatever params.yaml says by now."""
    dataset = params.datasets[recipe.dataset].model_copy(update={"epoch": recipe.epoch})
    return params.model_copy(
        update={
            "seed": recipe.seed,
            "training": params.training.model_copy(update={"device": device}),
            "datasets": {recipe.dataset: dataset},
            "shardings": {recipe.sharding: recipe.layout},
            "pipeline": params.pipeline.model_copy(update={"datasets": (recipe.dataset,)}),
        }
    )


def _build(
    clean: Workspace, params: Params, family: str, recipe: Recipe, content: Erasure, progress: Progress
) -> dict[str, str]:
    progress(f"{family}: data of {recipe.dataset}")
    laid = (recipe.dataset, recipe.sharding, recipe.rows)
    if frozen(recipe.layout) and kept_assignment(clean, params, *laid) is None:
        raise NotComparable(
            f"{content.request.id}: the assignment to shards that epoch {recipe.epoch} of {recipe.dataset} began with "
            f"is not here, so {family} can't be built"
        )
    build_data(clean, params, recipe.dataset, [recipe.sharding])
    made, table = table_digests(clean, {recipe.dataset: (recipe.laid_in,)}, Reader()), f"{recipe.dataset}/interactions"
    if made[table] != content.after.get(table):
        raise NotComparable(
            f"{content.request.id}: the data of {recipe.dataset} are not the certificate's, they have changed since"
        )
    return made | build_whole(Builder(clean, recipe), family, params, progress).digests(family)
