"""Heads: the label sets of a checkpoint, and what they are read from."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .. import catalogue
from ..errors import Errors
from ..labels import canonical_label, make_tags, split_tags
from .source import Source

ASSERTION = "assertion"  # the kind of a head that says what is asserted of entities


@dataclass(frozen=True)
class Head:
    """One label set of a checkpoint: a slice of its logits.

    dataset (str): The dataset that it was trained on; the checkpoint's name if unknown.
    start (int): Index of its first logit.
    labels (tuple[str, ...]): Its labels, in the order of its logits.
    threshold (float | None): The confidence recommended for it, if there is one.
    temperature (float): What its logits are divided by, so that its scores are probabilities
        (Guo et al. 2017, "On calibration of modern neural networks").
    groups (tuple[tuple[str, tuple[str, ...]], ...]): None of a head that finds entities. Of one
        that says what is asserted of them: canonical labels of entities, and which of the head's
        labels each may have.
    """

    dataset: str
    start: int
    labels: tuple[str, ...]
    threshold: float | None = None
    temperature: float = 1.0
    groups: tuple[tuple[str, tuple[str, ...]], ...] = ()

    @property
    def columns(self) -> slice:
        return slice(self.start, self.start + len(self.labels))


def describe(config: dict[str, Any], source: Source) -> dict[str, Any]:
    """Say what a checkpoint's logits mean: the "openmed" part of its config.json or, if it
    has none, one head of all its labels.

    config (dict[str, Any]): The config.json.
    source (Source): Where the checkpoint is from.
    RETURNS (dict[str, Any]): "heads", and what is known of "aggregation_strategy" and "window"
        (the window that suits it best, where that is less than it takes).
    RAISES (ValueError): If it has neither heads nor proper labels.
    """
    facts = config.get("openmed") or {}
    if "heads" in facts:
        return facts
    head = {
        "dataset": source.dataset or Path(source.name).name,
        "start": 0,
        "labels": read_labels(config, source.name),
        "recommended_confidence": source.threshold,
    }
    return {**facts, "heads": [head]}


def read_labels(config: dict[str, Any], name: str) -> list[str]:
    """Read the labels of a checkpoint that has one head.

    config (dict[str, Any]): The config.json. transformers leaves labels out that nobody named.
    name (str): The checkpoint's name, for errors.
    RETURNS (list[str]): The labels, by the row of the classifier.
    RAISES (ValueError): If there are none, or two for one row, or the other way round.
    """
    given = config.get("id2label") or {}
    labels = list(given.values()) if isinstance(given, dict) else []
    if all(re.fullmatch(r"LABEL_\d+", str(label)) for label in labels):
        raise ValueError(Errors.OM113.format(name=name))
    numbers = sorted(int(i) if str(i).isdecimal() else -1 for i in given)
    repeated = sorted({str(label) for label in labels if labels.count(label) > 1})
    problem = ""
    if numbers != list(range(len(labels))):
        problem = f"its keys are {', '.join(given)}"
    elif not all(isinstance(label, str) and label for label in labels):
        problem = "a label is not a string or is empty"
    elif repeated:
        problem = f"it has the label {', '.join(repeated)} more than once"
    if problem:
        raise ValueError(Errors.OM114.format(name=name, last=len(labels) - 1, problem=problem))
    return [given[i] for i in sorted(given, key=int)]


def check_rows(facts: dict[str, Any], n_rows: int, name: str) -> None:
    """RAISES (ValueError): If the heads do not match the number of rows of the classifier."""
    n_labels = max((head["start"] + len(head["labels"]) for head in facts["heads"]), default=0)
    if n_labels != n_rows:
        raise ValueError(Errors.OM115.format(name=name, n_labels=n_labels, n_rows=n_rows))


def read_heads(facts: dict[str, Any]) -> list[Head]:
    """Read the heads that find entities out of the "openmed" part of a config.json.

    facts (dict[str, Any]): That part.
    RETURNS (list[Head]): The heads, in its order.
    """
    return [_read_head(row) for row in facts["heads"] if catalogue.finds_entities(row)]


def read_assertion(facts: dict[str, Any], name: str) -> Head | None:
    """Read the head that says what is asserted of entities. Its row has "kind": "assertion", and
    in "groups" which labels the entities of each label may have:
    {"PROBLEM": ["PRESENT", "ABSENT"], "DRUG": ["PRESENT", "STOPPED"]}.

    facts (dict[str, Any]): The "openmed" part of a config.json.
    name (str): The checkpoint's name, for the error.
    RETURNS (Head | None): The head, if there is one.
    RAISES (ValueError): If it has no groups, or they name labels that it does not have.
    """
    row = next((row for row in facts["heads"] if row.get("kind") == ASSERTION), None)
    if row is None:
        return None
    groups = row.get("groups")
    is_valid = isinstance(groups, dict) and groups
    if not is_valid or not all(own and {*own} <= {*row["labels"]} for own in groups.values()):
        raise ValueError(Errors.OM117.format(name=name, labels=", ".join(row["labels"])))
    kinds = tuple((canonical_label(kind), tuple(own)) for kind, own in groups.items())
    return replace(_read_head(row), groups=kinds)


def _read_head(row: dict[str, Any]) -> Head:
    return Head(
        row["dataset"],
        row["start"],
        tuple(row["labels"]),
        row.get("recommended_confidence"),
        row.get("temperature", 1.0),
    )


def add_types(
    heads: Sequence[dict[str, Any]], dataset: str, types: Sequence[str]
) -> tuple[list[dict[str, Any]], list[tuple[int, int]]]:
    """Add a head, or types to one that is there.

    heads (Sequence[dict]): The rows of "heads" in the "openmed" part of a config.json.
    dataset (str): The head's name.
    types (Sequence[str]): Entity types that it is to know.
    RETURNS (tuple[list[dict], list[tuple[int, int]]]): The new rows, and the columns of the logits
        that there were: where they were and where they are now.
    RAISES (ValueError): If the head is of a kind that finds no entities.
    """
    heads = sorted(heads, key=lambda head: head["start"])
    rows = [{**head, "labels": list(head["labels"])} for head in heads]
    before = {
        (head["dataset"], label): head["start"] + i
        for head in heads
        for i, label in enumerate(head["labels"])
    }
    row = next((row for row in rows if row["dataset"] == dataset), None)
    if row is None:
        row = {"dataset": dataset, "labels": ["O"]}
        rows.append(row)
    if not catalogue.finds_entities(row):
        raise ValueError(Errors.OM118.format(head=dataset, kind=row["kind"]))
    known = {kind for _, kind in split_tags(row["labels"])}
    row["labels"] += make_tags([kind for kind in types if kind not in known], row["labels"])
    start = 0
    for each in rows:
        each["start"] = start
        start += len(each["labels"])
    after = [(row["dataset"], label) for row in rows for label in row["labels"]]
    return rows, [(column, after.index(label)) for label, column in before.items()]
