"""One file, one model, one name. ``MODELS`` is the whole list; a model's file is loaded when the model is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from importlib import import_module
from typing import TYPE_CHECKING

from lethe.core.spelling import meant
from lethe.errors import ConfigError

if TYPE_CHECKING:
    from lethe.core.canonical import Json
    from lethe.models.parts.base import Config, Model


class Models(MutableMapping[str, "type[Model]"]):
    """Models by name. Who looks at names alone loads none: most bring torch, and a service that answers from factors
    needs neither."""

    def __init__(self, entries: Mapping[str, str]) -> None:
        self._entries: dict[str, str | type[Model]] = dict(entries)

    def __getitem__(self, name: str) -> type[Model]:
        entry = self._entries[name]
        if isinstance(entry, str):
            module, _, kind = entry.partition(".")
            entry = self._entries[name] = getattr(import_module(f"{__name__}.{module}"), kind)
        return entry

    def __setitem__(self, name: str, model: type[Model]) -> None:
        self._entries[name] = model

    def __delitem__(self, name: str) -> None:
        del self._entries[name]

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def classes(self) -> dict[str, str]:
        """{name: name of the class}, none of which is loaded."""
        return {
            name: entry.partition(".")[2] if isinstance(entry, str) else entry.__name__
            for name, entry in self._entries.items()
        }

    def name_of(self, model: type[Model]) -> str:
        """The name of a model of the table."""
        return next(name for name, kind in self.classes().items() if kind == model.__name__ and self[name] is model)


MODELS = Models(
    {
        "mostpop": "mostpop.MostPop",
        "bpr": "bpr.BPR",
        "wmf": "wmf.WMF",
        "enmf-u": "enmf.ENMFU",
        "lightgcn": "lightgcn.LightGCN",
        "enmf-i": "enmf_i.ENMFI",
        "enmf-a": "enmf_a.ENMFA",
        "item-knn": "item_knn.ItemKNN",
        "ease": "ease.EASE",
        "cooccurrence": "cooccurrence.Cooccurrence",
        "slim": "slim.SLIM",
        "expomf": "expomf.ExpoMF",
        "gmf": "gmf.GMF",
        "neumf": "neumf.NeuMF",
        "convncf": "convncf.ConvNCF",
        "ultragcn": "ultragcn.UltraGCN",
        "simplex": "simplex.SimpleX",
        "lfm": "lfm.LFM",
        "bias-lfm": "bias_lfm.BiasLFM",
        "minibatch-lfm": "minibatch_lfm.MiniBatchLFM",
        "momentum-mf": "momentum_mf.MomentumMF",
        "embedding-dot": "embedding_dot.EmbeddingDot",
        "als": "als.ALS",
        "ensfm": "ensfm.ENSFM",
        "collective-social": "collective_social.CollectiveSocial",
        "collective-behaviours": "collective_behaviours.CollectiveBehaviours",
        "eatnn": "eatnn.EATNN",
        "ehcf": "ehcf.EHCF",
        "ghcf": "ghcf.GHCF",
        "collective-graph": "collective_graph.CollectiveGraph",
        "jnskr": "jnskr.JNSKR",
        "gru4rec": "gru4rec.GRU4Rec",
        "implicit-lfm": "implicit_lfm.ImplicitLFM",
        "ra-lst": "ra_lst.RALST",
        "ra-lst-exact": "ra_lst_exact.RALSTExact",
        "context-history": "context_history.ContextHistory",
        "user-knn": "user_knn.UserKNN",
        "rp3beta": "rp3beta.RP3beta",
        "gf-cf": "gf_cf.GFCF",
        "turbo-cf": "turbo_cf.TurboCF",
        "sparse-ease": "sparse_ease.SparseEASE",
        "mult-vae": "mult_vae.MultVAE",
        "directau": "directau.DirectAU",
        "sasrec": "sasrec.SASRec",
        "fm": "fm.FM",
        "nfm": "nfm.NFM",
        "deepfm": "deepfm.DeepFM",
        "cfm": "cfm.CFM",
        "sbpr": "sbpr.SBPR",
        "transiv": "transiv.TranSIV",
        "samn": "samn.SAMN",
        "cmf": "cmf.CMF",
        "mc-bpr": "mc_bpr.MCBPR",
        "nmtr": "nmtr.NMTR",
        "cke": "cke.CKE",
        "cfkg": "cfkg.CFKG",
        "ripplenet": "ripplenet.RippleNet",
        "kgat": "kgat.KGAT",
        "rating-mlp": "rating_mlp.RatingMLP",
        "xsimgcl": "xsimgcl.XSimGCL",
        "hstu": "hstu.HSTU",
        "enmf-quadratic": "enmf_quadratic.ENMFQuadratic",
        "weighted-cooccurrence": "weighted_cooccurrence.WeightedCooccurrence",
    }
)


def rates(name: str) -> bool:
    """Whether a model of that name learns ratings, so that errors judge it, rather than preferences."""
    from lethe.models.parts.rating import RatingModel

    return issubclass(MODELS[name], RatingModel)


def configure(name: str, values: Json, where: str = "models") -> Config:
    """The checked Config of a model by name; raises ConfigError for an unknown model or key."""
    if name not in MODELS:
        raise ConfigError(f"{where}: unknown model {name!r}{meant(name, MODELS)}; known models: {', '.join(MODELS)}")
    return MODELS[name].Config.parse(values, f"{where}.{name}")
