"""Find and choose checkpoints: facts about every one, read from `data/` when first asked for.

Imported whenever spaCy lists its factories, so the standard library is all it uses.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from ..errors import Errors
from ..suggestions import nearest
from .records import BEST, MINI, SIZES, CheckpointInfo, Choice, Dataset, canonical, unique
from .store import (
    PRIVACY,
    CatalogueError,
    as_tuple,
    bundled,
    checkpoints,
    datasets,
    domains,
    get,
    mini,
)

# Architectures, by the catalogue's names, that every supported transformers loads
# without remote code. Only these are chosen; others can be named (`model.name`).
LOADABLE = (
    "bert",
    "clinical-longformer",
    "deberta-v2",
    "distilbert",
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


def expand(
    *, domain: str | Sequence[str] | None = None, dataset: str | Sequence[str] | None = None
) -> tuple[str, ...]:
    """Get the datasets that names of domains and datasets mean, whichever checkpoint has them.

    domain (str | Sequence[str] | None): Names of domains.
    dataset (str | Sequence[str] | None): Names of datasets. With domains, they narrow
        these down.
    RETURNS (tuple[str, ...]): Names of datasets. Empty if nothing is named. A domain does not
        mean those that have to be named themselves.
    RAISES (CatalogueError): If a name is unknown or they do not go together.
    """
    chosen_domains, chosen_datasets = _resolve(domain, dataset)
    # Personal data have no datasets, but a head may be for them.
    return chosen_datasets or unique(
        d
        for name in chosen_domains
        for d in ((PRIVACY,) if name == PRIVACY else _selected_by(name))
    )


def stands_in(dataset: str, chosen: Iterable[str]) -> bool:
    """Tell whether a checkpoint of one dataset does for a domain that does not mean it.

    dataset (str): The checkpoint's dataset.
    chosen (Iterable[str]): Datasets, from `expand`.
    RETURNS (bool): Whether the dataset is of a domain, has to be named itself, and the others of
        the domain are all chosen.
    """
    row = datasets().get(dataset)
    if row is None or not row.by_name or row.domain is None:
        return False
    return {*chosen} >= {*_selected_by(row.domain)}


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
    RAISES (CatalogueError): If a name is none of the catalogue's, or the dataset none of
        the domain's.
    """
    rows = checkpoints()
    _resolve(domain, dataset)
    _check("kind", kind, ("ner", "pii"))
    _check("size", size, SIZES)
    _check("architecture", architecture, sorted({c.architecture for c in rows if c.architecture}))
    _check("language", language, _languages(rows))
    best = {d.best for d in _on_hub()} | {d.choice for d in domains().values()}
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
    the announcement's best of the dataset, or of the domain the one we choose; of the
    others, it is the one with the highest published F1, or where none is published, the
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
        raise CatalogueError(_one_each("dataset" if chosen_datasets else "domain", names, size))
    name = names[0]
    if name == PRIVACY:
        return _choose_for_privacy(size, language)
    row = datasets()[name] if chosen_datasets else domains()[name]
    best = row.best if isinstance(row, Dataset) else row.choice
    if best is None:
        raise CatalogueError(Errors.OM058.format(dataset=name))
    checkpoint, note = get(best), row.note
    if size != BEST:
        checkpoint = _preferred(find(dataset=checkpoint.dataset, size=size), "en")
    return _choice(
        checkpoint, (str(checkpoint.dataset),), checkpoint.canonical_labels, [note], language
    )


def _choose_heads(
    chosen_domains: tuple[str, ...], chosen_datasets: tuple[str, ...], language: str
) -> Choice:
    heads = bundled()
    notes = []
    for name in chosen_datasets:
        if name not in heads:
            raise CatalogueError(_not_bundled("dataset", name, language))
    for name in () if chosen_datasets else chosen_domains:
        theirs = _heads_of(name, language)
        missing = [d for d in theirs if d not in heads]
        if len(missing) == len(theirs):
            raise CatalogueError(_not_bundled("domain", name, language))
        if missing:
            notes.append(f"Not bundled, of {name}: {_join(missing)}.")
    wanted = chosen_datasets or [d for name in chosen_domains for d in _heads_of(name, language)]
    biomedical = tuple(name for name in heads if name != PRIVACY)
    names = tuple(d for d in wanted if d in heads) or biomedical
    labels = canonical(label for name in names for label in heads[name].labels)
    return _choice(mini(), names, labels, notes, language)


def _heads_of(domain: str, language: str) -> tuple[str, ...]:
    """The heads that a bundled checkpoint should have for a domain. That of privacy, which is
    no corpus of the announcement, reads English only."""
    if domain == PRIVACY:
        return (PRIVACY,) if language == "en" else ()
    return _selected_by(domain)


def _selected_by(domain: str) -> tuple[str, ...]:
    """The datasets of a domain, without those that have to be named themselves."""
    return tuple(name for name in domains()[domain].datasets if not datasets()[name].by_name)


def _on_hub() -> list[Dataset]:
    """The datasets that checkpoints on the hub were trained on."""
    return [dataset for dataset in datasets().values() if dataset.best is not None]


def _choose_for_privacy(size: str, language: str) -> Choice:
    rows = [c for c in find(domain=PRIVACY) if c.architecture in LOADABLE]
    if language not in _languages(rows):
        raise CatalogueError(Errors.OM060.format(language=language, known=_join(_languages(rows))))
    rows = [c for c in rows if language in c.languages]
    candidates = [c for c in rows if size in (BEST, c.size)]
    if not candidates:
        sizes = [s for s in SIZES if s == BEST or s in {c.size for c in rows}]
        raise CatalogueError(Errors.OM057.format(language=language, size=size, sizes=_join(sizes)))
    checkpoint = _preferred(candidates, language)
    notes = [domains()[PRIVACY].note]
    if language != "en" and checkpoint.base_model not in MULTILINGUAL:
        notes.append("Its encoder was first trained on English texts only.")
    return _choice(checkpoint, (), (), notes, language)


def _preferred(candidates: Iterable[CheckpointInfo], language: str) -> CheckpointInfo:
    """The one checkpoint that a size means; the rule is in the docstring of `choose`."""
    winners = [get(str(d.best)) for d in _on_hub()]
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


def _resolve(
    domain: str | Sequence[str] | None, dataset: str | Sequence[str] | None
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Make tuples of names that are known and, where both are given, go together."""
    chosen_domains, chosen_datasets = as_tuple(domain), as_tuple(dataset)
    for name in chosen_domains:
        _check("domain", name, domains())
    for name in chosen_datasets:
        _check("dataset", name, datasets())
    owners = {datasets()[name].domain for name in chosen_datasets}
    if chosen_domains and chosen_datasets and owners != set(chosen_domains):
        theirs = _join(_datasets_of(chosen_domains)) or "none"
        raise CatalogueError(
            Errors.OM052.format(
                datasets=_join(chosen_datasets), domains=_join(chosen_domains), theirs=theirs
            )
        )
    return chosen_domains, chosen_datasets


def _check(what: str, name: str | None, known: Iterable[str]) -> None:
    if name is not None and name not in known:
        near = nearest(name, known)
        raise CatalogueError(
            Errors.OM050.format(what=what, name=name, nearest=near, known=_join(known))
        )


def _not_bundled(key: str, name: str, language: str) -> str:
    heads = bundled()
    if name == PRIVACY and language != "en":
        theirs = choose(domain=PRIVACY, size=BEST, language=language).checkpoint
        return Errors.OM061.format(language=language, best=theirs.id)
    own = [d for d in domains() if any(head in heads for head in _heads_of(d, language))]
    if key == "dataset" and datasets()[name].best is None:
        return Errors.OM054.format(dataset=name, domains=_join(own), datasets=_join(heads))
    best = choose(**{key: name}, size=BEST, language=language)
    return Errors.OM053.format(
        what=key, name=name, domains=_join(own), datasets=_join(heads), best=best.checkpoint.id
    )


def _one_each(key: str, names: tuple[str, ...], size: str) -> str:
    if not names:
        return Errors.OM055.format(size=size, domains=_join(domains()))
    lines = (
        f'nlp.add_pipe("openmed_ner", name="openmed_{name}", '
        f'config={{"{key}": "{name}", "size": "{size}"}})'
        for name in names
    )
    return Errors.OM056.format(what=key, n=len(names), size=size, lines="\n".join(lines))


def _datasets_of(chosen_domains: Iterable[str]) -> tuple[str, ...]:
    return unique(dataset for name in chosen_domains for dataset in domains()[name].datasets)


def _languages(rows: Iterable[CheckpointInfo]) -> list[str]:
    return sorted({code for c in rows for code in c.languages})


def _join(names: Iterable[str]) -> str:
    return ", ".join(names)
