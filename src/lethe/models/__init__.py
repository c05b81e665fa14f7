"""One file, one model, one name. ``MODELS`` is the whole list."""

from __future__ import annotations

from typing import Any

from lethe.core.spelling import meant
from lethe.errors import ConfigError
from lethe.models.als import ALS
from lethe.models.bias_lfm import BiasLFM
from lethe.models.bpr import BPR
from lethe.models.cfkg import CFKG
from lethe.models.cfm import CFM
from lethe.models.cke import CKE
from lethe.models.cmf import CMF
from lethe.models.collective_behaviours import CollectiveBehaviours
from lethe.models.collective_graph import CollectiveGraph
from lethe.models.collective_social import CollectiveSocial
from lethe.models.context_history import ContextHistory
from lethe.models.convncf import ConvNCF
from lethe.models.cooccurrence import Cooccurrence
from lethe.models.deepfm import DeepFM
from lethe.models.directau import DirectAU
from lethe.models.ease import EASE
from lethe.models.eatnn import EATNN
from lethe.models.ehcf import EHCF
from lethe.models.embedding_dot import EmbeddingDot
from lethe.models.enmf import ENMFU
from lethe.models.enmf_a import ENMFA
from lethe.models.enmf_i import ENMFI
from lethe.models.ensfm import ENSFM
from lethe.models.expomf import ExpoMF
from lethe.models.fm import FM
from lethe.models.gf_cf import GFCF
from lethe.models.ghcf import GHCF
from lethe.models.gmf import GMF
from lethe.models.gru4rec import GRU4Rec
from lethe.models.implicit_lfm import ImplicitLFM
from lethe.models.item_knn import ItemKNN
from lethe.models.jnskr import JNSKR
from lethe.models.kgat import KGAT
from lethe.models.lfm import LFM
from lethe.models.lightgcn import LightGCN
from lethe.models.mc_bpr import MCBPR
from lethe.models.minibatch_lfm import MiniBatchLFM
from lethe.models.momentum_mf import MomentumMF
from lethe.models.mostpop import MostPop
from lethe.models.mult_vae import MultVAE
from lethe.models.neumf import NeuMF
from lethe.models.nfm import NFM
from lethe.models.nmtr import NMTR
from lethe.models.parts.base import Config, Model
from lethe.models.parts.rating import RatingModel
from lethe.models.ra_lst import RALST
from lethe.models.ra_lst_exact import RALSTExact
from lethe.models.rating_mlp import RatingMLP
from lethe.models.ripplenet import RippleNet
from lethe.models.rp3beta import RP3beta
from lethe.models.samn import SAMN
from lethe.models.sasrec import SASRec
from lethe.models.sbpr import SBPR
from lethe.models.simplex import SimpleX
from lethe.models.slim import SLIM
from lethe.models.sparse_ease import SparseEASE
from lethe.models.transiv import TranSIV
from lethe.models.turbo_cf import TurboCF
from lethe.models.ultragcn import UltraGCN
from lethe.models.user_knn import UserKNN
from lethe.models.weighted_cooccurrence import WeightedCooccurrence
from lethe.models.wmf import WMF

MODELS: dict[str, type[Model]] = {
    "mostpop": MostPop,
    "bpr": BPR,
    "wmf": WMF,
    "enmf-u": ENMFU,
    "lightgcn": LightGCN,
    "enmf-i": ENMFI,
    "enmf-a": ENMFA,
    "item-knn": ItemKNN,
    "ease": EASE,
    "cooccurrence": Cooccurrence,
    "slim": SLIM,
    "expomf": ExpoMF,
    "gmf": GMF,
    "neumf": NeuMF,
    "convncf": ConvNCF,
    "ultragcn": UltraGCN,
    "simplex": SimpleX,
    "lfm": LFM,
    "bias-lfm": BiasLFM,
    "minibatch-lfm": MiniBatchLFM,
    "momentum-mf": MomentumMF,
    "embedding-dot": EmbeddingDot,
    "als": ALS,
    "ensfm": ENSFM,
    "collective-social": CollectiveSocial,
    "collective-behaviours": CollectiveBehaviours,
    "eatnn": EATNN,
    "ehcf": EHCF,
    "ghcf": GHCF,
    "collective-graph": CollectiveGraph,
    "jnskr": JNSKR,
    "gru4rec": GRU4Rec,
    "implicit-lfm": ImplicitLFM,
    "ra-lst": RALST,
    "ra-lst-exact": RALSTExact,
    "context-history": ContextHistory,
    "user-knn": UserKNN,
    "rp3beta": RP3beta,
    "gf-cf": GFCF,
    "turbo-cf": TurboCF,
    "sparse-ease": SparseEASE,
    "mult-vae": MultVAE,
    "directau": DirectAU,
    "sasrec": SASRec,
    "fm": FM,
    "nfm": NFM,
    "deepfm": DeepFM,
    "cfm": CFM,
    "sbpr": SBPR,
    "transiv": TranSIV,
    "samn": SAMN,
    "cmf": CMF,
    "mc-bpr": MCBPR,
    "nmtr": NMTR,
    "cke": CKE,
    "cfkg": CFKG,
    "ripplenet": RippleNet,
    "kgat": KGAT,
    "rating-mlp": RatingMLP,
    "weighted-cooccurrence": WeightedCooccurrence,
}


def rates(name: str) -> bool:
    """Whether a model of that name learns ratings, so that errors judge it, rather than preferences."""
    return issubclass(MODELS[name], RatingModel)


def configure(name: str, values: dict[str, Any], where: str = "models") -> Config:
    """The checked Config of a model by name; raises ConfigError for an unknown model or key."""
    if name not in MODELS:
        raise ConfigError(f"{where}: unknown model {name!r}{meant(name, MODELS)}; known models: {', '.join(MODELS)}")
    return MODELS[name].Config.parse(values, f"{where}.{name}")
