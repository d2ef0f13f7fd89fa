"""The catalogue: facts about every checkpoint, read from `data/` when first asked for."""

import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from .. import paths
from ..errors import Errors
from ..labels import split_tags
from ..paths import DATA_PATH
from ..suggestions import nearest
from .records import MINI, BundledHead, CheckpointInfo, Dataset, Domain, Score, unique

PRIVACY = "privacy"
ENTITIES = "entities"  # what a head finds whose row in config.json names no other kind


class CatalogueError(ValueError):
    """A name or a combination that the catalogue does not have."""


@cache
def domains() -> Mapping[str, Domain]:
    """RETURNS (Mapping[str, Domain]): All domains by name."""
    rows = _read_json(DATA_PATH / "domains.json")["domains"]
    return {
        name: Domain(name, **{**row, "datasets": tuple(row["datasets"])})
        for name, row in rows.items()
    }


@cache
def datasets() -> Mapping[str, Dataset]:
    """RETURNS (Mapping[str, Dataset]): All datasets by name."""
    rows = _read_json(DATA_PATH / "domains.json")["datasets"]
    return {
        name: Dataset(name, **{**row, "labels": tuple(row["labels"])}) for name, row in rows.items()
    }


@cache
def checkpoints() -> tuple[CheckpointInfo, ...]:
    """RETURNS (tuple[CheckpointInfo, ...]): All checkpoints on the hub, sorted by id."""
    lines = (DATA_PATH / "models.jsonl").read_text(encoding="utf8").splitlines()
    return tuple(sorted((_checkpoint(json.loads(line)) for line in lines), key=lambda c: c.id))


def bundled() -> dict[str, BundledHead]:
    """Get the heads of the bundled checkpoint that find entities.

    RETURNS (dict[str, BundledHead]): The heads by dataset, in their order.
    RAISES (CatalogueError): If its folder is not complete.
    """
    path = paths.MINI_PATH / "config.json"
    if not path.is_file():
        raise CatalogueError(Errors.OM059.format(path=path))
    return {
        row["dataset"]: BundledHead(
            row["dataset"],
            _entity_types(row["labels"]),
            row.get("f1"),
            row.get("recommended_confidence"),
        )
        for row in _read_json(path)["openmed"]["heads"]
        if finds_entities(row)
    }


def finds_entities(head: Mapping[str, Any]) -> bool:
    """Tell whether a head finds entities. Others say something of those that are found.

    head (Mapping[str, Any]): Its row in the "openmed" part of a config.json.
    RETURNS (bool): Whether it does.
    """
    return head.get("kind", ENTITIES) == ENTITIES


def mini() -> CheckpointInfo:
    """Get the bundled checkpoint.

    RETURNS (CheckpointInfo): The checkpoint; its labels are those of all its heads.
    RAISES (CatalogueError): If its folder is not complete.
    """
    heads = bundled().values()
    return CheckpointInfo(
        id=MINI,
        kind="ner",
        params=22_600_000,
        architecture="bert",
        labels=unique(label for head in heads for label in head.labels),
        domain=None,
        dataset=None,
        languages=("en",),
        license="apache-2.0",
        released=None,
        family=None,
        encoder_line=None,
        base_model="sentence-transformers/all-MiniLM-L6-v2",
        recommended_confidence=None,  # every head has its own
        onnx_repo=None,
        scores=tuple(
            Score(head.dataset, head.f1, "test set, measured by this project")
            for head in heads
            if head.f1 is not None
        ),
    )


def get(id: str) -> CheckpointInfo:
    """Get one checkpoint.

    id (str): Hub id, or "mini".
    RETURNS (CheckpointInfo): The checkpoint.
    RAISES (CatalogueError): If there is none of that id.
    """
    info = mini() if id == MINI else lookup(id)
    if info is None:
        near = nearest(id, (c.id for c in checkpoints()))
        raise CatalogueError(Errors.OM051.format(id=id, nearest=near))
    return info


def lookup(id: str) -> CheckpointInfo | None:
    """Get one checkpoint on the hub, if the catalogue has it.

    id (str): Hub id.
    RETURNS (CheckpointInfo | None): The checkpoint.
    """
    return next((c for c in checkpoints() if c.id == id), None)


@cache
def _read_json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf8"))


def _checkpoint(row: dict[str, Any]) -> CheckpointInfo:
    dataset = row.get("dataset")
    # Where a checkpoint's own labels are not published, those of its dataset stand in.
    tags = row.get("labels") or (datasets()[dataset].labels if dataset else ())
    return CheckpointInfo(
        id=row["id"],
        kind=row["kind"],
        params=row["params"],
        architecture=row["architecture"],
        labels=_entity_types(tags),
        domain=row.get("domain", PRIVACY),
        dataset=dataset,
        # Six Chinese checkpoints are filed under English upstream.
        languages=("zh",) if "-PII-Chinese-" in row["id"] else tuple(row["languages"]),
        license=row["license"],
        released=row["released"],
        family=row.get("family"),
        encoder_line=row.get("encoder_line"),
        base_model=row["base_model"],
        recommended_confidence=row["recommended_confidence"],
        onnx_repo=row["onnx_repo"],
        scores=tuple(Score(**score) for score in row.get("scores", ())),
    )


def _entity_types(tags: Sequence[str]) -> tuple[str, ...]:
    return unique(kind for prefix, kind in split_tags(tags) if prefix != "O")


def as_tuple(names: str | Sequence[str] | None) -> tuple[str, ...]:
    """RETURNS (tuple[str, ...]): Names that were given as one, several or none."""
    if names is None:
        return ()
    return (names,) if isinstance(names, str) else unique(names)
