"""Facts about every checkpoint, and which to choose for what is to be found."""

from .choose import choose, expand, find, stands_in
from .records import (
    BEST,
    MINI,
    SIZES,
    BundledHead,
    CheckpointInfo,
    Choice,
    Dataset,
    Domain,
    Score,
    unique,
)
from .store import (
    PRIVACY,
    CatalogueError,
    bundled,
    checkpoints,
    datasets,
    domains,
    finds_entities,
    get,
    lookup,
    mini,
)

__all__ = [
    "BEST",
    "MINI",
    "PRIVACY",
    "SIZES",
    "BundledHead",
    "CatalogueError",
    "CheckpointInfo",
    "Choice",
    "Dataset",
    "Domain",
    "Score",
    "bundled",
    "checkpoints",
    "choose",
    "datasets",
    "domains",
    "expand",
    "find",
    "finds_entities",
    "get",
    "lookup",
    "mini",
    "stands_in",
    "unique",
]
