"""Find and choose checkpoints: facts about every one, read from `data/` when first asked for.

Imported whenever spaCy lists its factories, so the standard library is all it uses.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any

from .errors import Errors
from .labels import canonical_label, strip_bio

DATA_PATH = Path(__file__).parent / "data"
MINI_PATH = Path(__file__).parent / "mini"
MINI = "mini"
BEST = "best"
PRIVACY = "privacy"

# Parameters in millions, both ends included. No checkpoint lies between two sizes.
HUB_SIZES = {
    "compact": (0, 149),
    "medium": (150, 279),
    "large": (335, 395),
    "xlarge": (434, 434),
    "giant": (560, 600),
}
SIZES = (MINI, *HUB_SIZES, BEST)

# Architectures, by the catalogue's names, that transformers loads without remote code.
LOADABLE = (
    "bert",
    "clinical-longformer",
    "deberta-v2",
    "distilbert",
    "eurobert",
    "modernbert",
    "roberta",
    "xlm-roberta",
)
# Encoders that were trained on many languages; all others know English only.
MULTILINGUAL = (
    "BAAI/bge-m3",
    "EuroBERT/EuroBERT-210m",
    "FacebookAI/xlm-roberta-base",
    "FacebookAI/xlm-roberta-large",
    "Snowflake/snowflake-arctic-embed-l-v2.0",
    "distilbert/distilbert-base-multilingual-cased",
    "intfloat/multilingual-e5-large-instruct",
    "microsoft/mdeberta-v3-base",
)


class CatalogueError(ValueError):
    """A name or a combination that the catalogue does not have."""


@dataclass(frozen=True)
class Score:
    """A published result of a checkpoint on a dataset's test set."""

    dataset: str
    f1: float
    source: str
    precision: float | None = None
    recall: float | None = None


@dataclass(frozen=True)
class CheckpointInfo:
    """What is known of a checkpoint before it is loaded.

    `labels` are its entity types without BIO prefixes, empty where they are not
    published; `dataset` is None where it was not trained on exactly one of ours.
    """

    id: str
    kind: str
    params: int | None
    architecture: str | None
    labels: tuple[str, ...]
    domain: str | None
    dataset: str | None
    languages: tuple[str, ...]
    license: str
    released: str | None
    family: str | None
    encoder_line: str | None
    base_model: str | None
    recommended_confidence: float | None
    onnx_repo: str | None
    scores: tuple[Score, ...]

    @property
    def canonical_labels(self) -> tuple[str, ...]:
        """RETURNS (tuple[str, ...]): The labels in the vocabulary all checkpoints share."""
        return _unique(canonical_label(label) for label in self.labels)

    @property
    def size(self) -> str | None:
        """RETURNS (str | None): The size it counts as. None if its parameters are not known."""
        if self.id == MINI:
            return MINI
        millions = (self.params or -1) / 1e6
        return next((s for s, (low, high) in HUB_SIZES.items() if low <= millions <= high), None)

    @property
    def f1(self) -> float | None:
        """RETURNS (float | None): The highest published F1, for checkpoints of one dataset."""
        return max((s.f1 for s in self.scores if s.dataset == self.dataset), default=None)


@dataclass(frozen=True)
class Dataset:
    """A corpus that checkpoints were trained on, and the announcement's figures for it."""

    name: str
    domain: str
    title: str
    labels: tuple[str, ...]
    best: str
    best_f1: float
    earlier_f1: float | None  # the published state of the art before it
    note: str

    @property
    def canonical_labels(self) -> tuple[str, ...]:
        """RETURNS (tuple[str, ...]): The labels in the vocabulary all checkpoints share."""
        return _unique(canonical_label(label) for label in self.labels)


@dataclass(frozen=True)
class Domain:
    """A group of datasets.

    `recommended` is the announcement's checkpoint, `choice` ours. The dataset of
    ours is the domain's main dataset: the sizes of a domain are sizes of that.
    """

    name: str
    title: str
    datasets: tuple[str, ...]
    recommended: str | None
    choice: str | None
    note: str


@dataclass(frozen=True)
class Choice:
    """A checkpoint, the datasets whose heads to use, the labels to expect, and why."""

    checkpoint: CheckpointInfo
    datasets: tuple[str, ...]
    labels: tuple[str, ...]
    note: str


@cache
def domains() -> Mapping[str, Domain]:
    """RETURNS (Mapping[str, Domain]): All domains by name."""
    rows = _read_table()["domains"]
    return {
        name: Domain(name, **{**row, "datasets": tuple(row["datasets"])})
        for name, row in rows.items()
    }


@cache
def datasets() -> Mapping[str, Dataset]:
    """RETURNS (Mapping[str, Dataset]): All datasets by name."""
    rows = _read_table()["datasets"]
    return {
        name: Dataset(name, **{**row, "labels": tuple(row["labels"])}) for name, row in rows.items()
    }


@cache
def checkpoints() -> tuple[CheckpointInfo, ...]:
    """RETURNS (tuple[CheckpointInfo, ...]): All checkpoints on the hub, sorted by id."""
    lines = (DATA_PATH / "models.jsonl").read_text(encoding="utf8").splitlines()
    return tuple(sorted((_checkpoint(json.loads(line)) for line in lines), key=lambda c: c.id))


def mini() -> CheckpointInfo:
    """Get the bundled checkpoint.

    RETURNS (CheckpointInfo): The checkpoint; its labels are those of all its heads.
    RAISES (CatalogueError): If its folder is not complete.
    """
    config = _read_mini(MINI_PATH)
    openmed = config["openmed"]
    tags = [tag for head in openmed["heads"] for tag in head["labels"]]
    return CheckpointInfo(
        id=MINI,
        kind="ner",
        params=22_600_000,
        architecture=config.get("model_type"),
        labels=_entity_types(tags),
        domain=None,
        dataset=None,
        languages=("en",),
        license="apache-2.0",
        released=None,
        family=None,
        encoder_line=None,
        base_model="sentence-transformers/all-MiniLM-L6-v2",
        recommended_confidence=openmed.get("recommended_confidence"),
        onnx_repo=None,
        scores=_scores(openmed.get("scores", ())),
    )


def bundled() -> dict[str, tuple[str, ...]]:
    """Get the heads of the bundled checkpoint.

    RETURNS (dict[str, tuple[str, ...]]): Native labels by dataset, in the order of the heads.
    RAISES (CatalogueError): If its folder is not complete.
    """
    heads = _read_mini(MINI_PATH)["openmed"]["heads"]
    return {head["dataset"]: _entity_types(head["labels"]) for head in heads}


def get(id: str) -> CheckpointInfo:
    """Get one checkpoint.

    id (str): Hub id, or "mini".
    RETURNS (CheckpointInfo): The checkpoint.
    RAISES (CatalogueError): If there is none of that id.
    """
    if id == MINI:
        return mini()
    by_id = {c.id: c for c in checkpoints()}
    if id not in by_id:
        raise CatalogueError(Errors.OM101.format(id=id, nearest=nearest(id, by_id)))
    return by_id[id]


def lookup(id: str) -> CheckpointInfo | None:
    """Get one checkpoint on the hub, if the catalogue has it.

    id (str): Hub id.
    RETURNS (CheckpointInfo | None): The checkpoint.
    """
    return next((c for c in checkpoints() if c.id == id), None)


def expand(
    *, domain: str | Sequence[str] | None = None, dataset: str | Sequence[str] | None = None
) -> tuple[str, ...]:
    """Get the datasets that names of domains and datasets mean, whichever checkpoint has them.

    domain (str | Sequence[str] | None): Names of domains.
    dataset (str | Sequence[str] | None): Names of datasets. With domains, they narrow
        these down.
    RETURNS (tuple[str, ...]): Names of datasets.
    RAISES (CatalogueError): If a name is unknown.
    """
    chosen_domains, chosen_datasets = _as_tuple(domain), _as_tuple(dataset)
    for name in chosen_domains:
        _check("domain", name, domains())
    for name in chosen_datasets:
        _check("dataset", name, datasets())
    _check_narrowing(chosen_domains, chosen_datasets)
    return chosen_datasets or _unique(
        d for name in chosen_domains for d in domains()[name].datasets
    )


def find(
    *,
    kind: str | None = None,
    domain: str | None = None,
    dataset: str | None = None,
    size: str | None = None,
    architecture: str | None = None,
    language: str | None = None,
    max_params: int | None = None,
) -> list[CheckpointInfo]:
    """Find the checkpoints on the hub that fulfil all conditions.

    kind (str | None): "ner" or "pii".
    domain (str | None): Name of a domain.
    dataset (str | None): Name of a dataset.
    size (str | None): A size. "best" finds the best checkpoint of every dataset and
        the ones chosen for the domains; "mini" none, as it is not on the hub.
    architecture (str | None): Model type, e.g. "deberta-v2".
    language (str | None): Language code, e.g. "en".
    max_params (int | None): Most parameters. Leaves out those whose number is not known.
    RETURNS (list[CheckpointInfo]): The checkpoints, sorted by id.
    RAISES (CatalogueError): If a name is none of the catalogue's.
    """
    rows = checkpoints()
    _check("kind", kind, ("ner", "pii"))
    _check("domain", domain, domains())
    _check("dataset", dataset, datasets())
    _check("size", size, SIZES)
    _check("architecture", architecture, sorted({c.architecture for c in rows if c.architecture}))
    _check("language", language, sorted({code for c in rows for code in c.languages}))
    best = {d.best for d in datasets().values()} | {d.choice for d in domains().values()}
    return [
        c
        for c in rows
        if kind in (None, c.kind)
        and domain in (None, c.domain)
        and dataset in (None, c.dataset)
        and (size in (None, c.size) or (size == BEST and c.id in best))
        and architecture in (None, c.architecture)
        and (language is None or language in c.languages)
        and (max_params is None or (c.params is not None and c.params <= max_params))
    ]


def choose(
    *,
    domain: str | Sequence[str] | None = None,
    dataset: str | Sequence[str] | None = None,
    size: str = MINI,
    language: str = "en",
) -> Choice:
    """Choose a checkpoint. The same arguments always mean the same one.

    With the size "mini", domains and datasets choose heads of the bundled checkpoint,
    all of them by default. Any other size means one checkpoint on the hub: "best" is
    the announcement's best of the dataset, or of the domain the one we choose; a
    bucket's is the one with the highest published F1, or where none is published, the
    one whose encoder (if none, whose line of encoders) is best on most datasets of the
    announcement, then the bigger, then the first by id. A domain's sizes are those of
    its main dataset.
    `privacy` goes by language, and prefers an encoder trained on it (multilingual ones
    for other languages than English), then the bigger.

    domain (str | Sequence[str] | None): Names of domains.
    dataset (str | Sequence[str] | None): Names of datasets. With domains, they narrow
        these down.
    size (str): One of SIZES.
    language (str): Language code of the pipeline.
    RETURNS (Choice): The checkpoint, datasets, labels and a note.
    RAISES (CatalogueError): If a name is unknown or the combination does not exist.
    """
    chosen_domains, chosen_datasets = _resolve(domain, dataset)
    _check("size", size, SIZES)
    if size == MINI:
        return _choose_heads(chosen_domains, chosen_datasets, language)
    names = chosen_datasets or chosen_domains
    if len(names) != 1:
        key = "dataset" if chosen_datasets else "domain"
        raise CatalogueError(_one_each(key, names, size))
    if chosen_datasets:
        return _choose_for_dataset(names[0], size, language, datasets()[names[0]].note)
    if names[0] == PRIVACY:
        return _choose_for_privacy(size, language)
    return _choose_for_domain(names[0], size, language)


def datasets_of(
    *, domain: str | Sequence[str] | None = None, dataset: str | Sequence[str] | None = None
) -> tuple[str, ...]:
    """Get the datasets that domains and datasets name, whatever the checkpoint.

    domain (str | Sequence[str] | None): Names of domains.
    dataset (str | Sequence[str] | None): Names of datasets. With domains, they narrow
        these down.
    RETURNS (tuple[str, ...]): Names of datasets. Empty if nothing is named.
    RAISES (CatalogueError): If a name is unknown or they do not go together.
    """
    chosen_domains, chosen_datasets = _resolve(domain, dataset)
    return chosen_datasets or _unique(
        d for name in chosen_domains for d in domains()[name].datasets
    )


def nearest(name: str, known: Iterable[str]) -> str:
    """Say which known names an unknown one may have meant.

    name (str): The unknown name.
    known (Iterable[str]): The names there are.
    RETURNS (str): A sentence with a leading space, or "" if none is near.
    """
    by_lower = {k.lower(): k for k in known}
    matches = get_close_matches(name.lower(), by_lower, n=3, cutoff=0.5)
    if not matches:
        return ""
    return f" Did you mean {' or '.join(repr(by_lower[m]) for m in matches)}?"


def _choose_heads(
    chosen_domains: tuple[str, ...], chosen_datasets: tuple[str, ...], language: str
) -> Choice:
    heads = bundled()
    notes = []
    if chosen_datasets:
        for name in chosen_datasets:
            if name not in heads:
                raise CatalogueError(_not_bundled("dataset", name, language))
        wanted: Iterable[str] = chosen_datasets
    elif chosen_domains:
        wanted = []
        for name in chosen_domains:
            found = [d for d in domains()[name].datasets if d in heads]
            if not found:
                raise CatalogueError(_not_bundled("domain", name, language))
            wanted += found
            if missing := [d for d in domains()[name].datasets if d not in heads]:
                notes.append(f"Not bundled, of {name}: {_join(missing)}.")
    else:
        wanted = heads
    names = _unique(wanted)
    labels = _unique(canonical_label(label) for name in names for label in heads[name])
    return _choice(mini(), names, labels, notes, language)


def _choose_for_dataset(name: str, size: str, language: str, note: str) -> Choice:
    if size == BEST:
        checkpoint = get(datasets()[name].best)
    else:
        checkpoint = _preferred(find(dataset=name, size=size), "en")
    return _choice(checkpoint, (name,), checkpoint.canonical_labels, [note], language)


def _choose_for_domain(name: str, size: str, language: str) -> Choice:
    domain = domains()[name]
    checkpoint = get(str(domain.choice))
    if size != BEST:
        return _choose_for_dataset(str(checkpoint.dataset), size, language, domain.note)
    labels = checkpoint.canonical_labels
    return _choice(checkpoint, (str(checkpoint.dataset),), labels, [domain.note], language)


def _choose_for_privacy(size: str, language: str) -> Choice:
    rows = [c for c in find(domain=PRIVACY) if c.architecture in LOADABLE]
    _check("language", language, sorted({code for c in rows for code in c.languages}))
    rows = [c for c in rows if language in c.languages]
    candidates = [c for c in rows if size in (BEST, c.size)]
    if not candidates:
        sizes = _join(s for s in (*HUB_SIZES, BEST) if s == BEST or s in {c.size for c in rows})
        raise CatalogueError(Errors.OM106.format(language=language, size=size, sizes=sizes))
    checkpoint = _preferred(candidates, language)
    notes = [domains()[PRIVACY].note]
    if language != "en" and checkpoint.base_model not in MULTILINGUAL:
        best = _preferred(rows, language).id
        notes.append(f"Its encoder comes from English texts; {best} has a multilingual one.")
    return _choice(checkpoint, (), (), notes, language)


def _preferred(candidates: Iterable[CheckpointInfo], language: str) -> CheckpointInfo:
    """The one checkpoint that a size means; the rule is in the docstring of `choose`."""
    winners = [get(d.best) for d in datasets().values()]
    encoders = Counter((c.encoder_line, c.params) for c in winners)
    lines = Counter(c.encoder_line for c in winners)

    def rank(c: CheckpointInfo) -> tuple[Any, ...]:
        return (
            -(c.f1 or 0),
            (c.base_model in MULTILINGUAL) != (language != "en"),
            -encoders[c.encoder_line, c.params],
            -lines[c.encoder_line],
            -(c.params or 0),
            c.id,
        )

    return min((c for c in candidates if c.architecture in LOADABLE), key=rank)


def _choice(
    checkpoint: CheckpointInfo,
    names: tuple[str, ...],
    labels: tuple[str, ...],
    notes: list[str],
    language: str,
) -> Choice:
    if language not in checkpoint.languages:
        spoken = _join(checkpoint.languages)
        notes = [*notes, f"Trained on texts in '{spoken}', not in '{language}'."]
    return Choice(checkpoint, names, labels, " ".join(note for note in notes if note))


def _check(what: str, name: str | None, known: Iterable[str]) -> None:
    if name is not None and name not in known:
        raise CatalogueError(
            Errors.OM100.format(
                what=what, name=name, nearest=nearest(name, known), known=_join(known)
            )
        )


def _resolve(
    domain: str | Sequence[str] | None, dataset: str | Sequence[str] | None
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Make tuples of names that are known and, where both are given, go together."""
    chosen_domains, chosen_datasets = _as_tuple(domain), _as_tuple(dataset)
    for name in chosen_domains:
        _check("domain", name, domains())
    for name in chosen_datasets:
        _check("dataset", name, datasets())
    owners = {datasets()[name].domain for name in chosen_datasets}
    if chosen_domains and chosen_datasets and owners != set(chosen_domains):
        theirs = _unique(d for name in chosen_domains for d in domains()[name].datasets)
        raise CatalogueError(
            Errors.OM102.format(
                datasets=_join(chosen_datasets),
                domains=_join(chosen_domains),
                theirs=_join(theirs) or "none",
            )
        )
    return chosen_domains, chosen_datasets


def _not_bundled(key: str, name: str, language: str) -> str:
    heads = bundled()
    own = [d.name for d in domains().values() if any(x in heads for x in d.datasets)]
    if key == "dataset":
        choice = choose(dataset=name, size=BEST)
    else:
        choice = choose(domain=name, size=BEST, language=language)
    return Errors.OM103.format(
        what=key, name=name, domains=_join(own), datasets=_join(heads), best=choice.checkpoint.id
    )


def _one_each(key: str, names: tuple[str, ...], size: str) -> str:
    if not names:
        return Errors.OM104.format(size=size, domains=_join(domains()))
    lines = (
        f'nlp.add_pipe("openmed_ner", name="openmed_{name}", '
        f'config={{"{key}": "{name}", "size": "{size}"}})'
        for name in names
    )
    return Errors.OM105.format(what=key, n=len(names), size=size, lines="\n".join(lines))


@cache
def _read_table() -> dict[str, Any]:
    return json.loads((DATA_PATH / "domains.json").read_text(encoding="utf8"))


@cache
def _read_mini(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    if not path.is_file():
        raise CatalogueError(Errors.OM107.format(path=path))
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
        scores=_scores(row.get("scores", ())),
    )


def _scores(rows: Iterable[dict[str, Any]]) -> tuple[Score, ...]:
    return tuple(
        Score(row["dataset"], row["f1"], row["source"], row.get("precision"), row.get("recall"))
        for row in rows
    )


def _entity_types(tags: Iterable[str]) -> tuple[str, ...]:
    return _unique(strip_bio(tag) for tag in tags if tag != "O")


def _as_tuple(names: str | Sequence[str] | None) -> tuple[str, ...]:
    if names is None:
        return ()
    return (names,) if isinstance(names, str) else _unique(names)


def _unique(items: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(items))


def _join(names: Iterable[str]) -> str:
    return ", ".join(names)
