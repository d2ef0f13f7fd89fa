from collections.abc import Iterable, Mapping

from spacy.cli._util import Arg, Opt
from wasabi import table

from .. import catalogue
from ..catalogue.records import CheckpointInfo, Dataset, Domain, canonical
from ..catalogue.store import CatalogueError
from ..engines.registry import find_faster
from ..errors import Errors
from ..formatting import TABLE, format_score, wrap_text
from ..suggestions import nearest


def info_cli(
    # fmt: off
    name: str = Arg(..., help="A domain, a dataset, the id of a checkpoint, or 'mini'"),
    language: str = Opt("en", "--language", "-l", help="Language, for the domain 'privacy'"),
    # fmt: on
) -> None:
    """
    Show what a domain, a dataset or a checkpoint finds, and how well.

    EXAMPLE: python -m spacy openmed info genomics
    """
    if name in catalogue.domains():
        _print_domain(catalogue.domains()[name], language)
    elif name in catalogue.datasets():
        _print_dataset(catalogue.datasets()[name])
    else:
        _print_checkpoint(_get(name))


def _get(name: str) -> CheckpointInfo:
    try:
        return catalogue.get(name)
    except CatalogueError:
        domains, datasets = catalogue.domains(), catalogue.datasets()
        names = [*domains, *datasets, catalogue.MINI, *(c.id for c in catalogue.checkpoints())]
        error = Errors.OM706.format(
            name=name,
            nearest=nearest(name, names),
            domains=", ".join(domains),
            datasets=", ".join(datasets),
        )
        raise CatalogueError(error) from None


def _print_domain(domain: Domain, language: str) -> None:
    heads = catalogue.bundled()
    _print_facts(
        {
            "domain": domain.name,
            "about": domain.title,
            "on the hub": domain.note,
            "bundled": [name for name in domain.datasets if name in heads] or "nothing",
            "license": _license(domain.choice),
        }
    )
    datasets = [catalogue.datasets()[name] for name in domain.datasets]
    if datasets:
        rows = []
        for d in datasets:
            mini_f1 = heads[d.name].f1 if d.name in heads else None
            rows.append((d.name, *map(format_score, (mini_f1, d.best_f1, d.earlier_f1))))
        print(table(rows, header=("dataset", "mini F1", "best F1", "earlier F1"), divider=True))
        _print_facts({d.name: _say_what_it_finds(d) for d in datasets})
    _print_sizes("domain", domain.name, language)


def _say_what_it_finds(dataset: Dataset) -> str:
    named = " (only by name; not part of the domain's default)" if dataset.by_name else ""
    return f"finds {', '.join(dataset.canonical_labels)}{named}"


def _print_dataset(dataset: Dataset) -> None:
    head = catalogue.bundled().get(dataset.name)
    own = canonical(head.labels) if head else ()
    best_f1 = f"{format_score(dataset.best_f1)} (OpenMed announcement, July 2025)"
    earlier_f1 = f"{format_score(dataset.earlier_f1)} (published state of the art before it)"
    differs = f", finds {', '.join(own)}" if {*own} != {*dataset.canonical_labels} else ""
    _print_facts(
        {
            "dataset": dataset.name,
            "about": dataset.title,
            "domain": dataset.domain,
            "finds": dataset.canonical_labels,
            "native labels": dataset.labels,
            "note": dataset.note,
            "bundled": f"yes{differs}" if head else "no",
            "best": dataset.best or "no checkpoint on the hub was trained on it",
            "best F1": best_f1 if dataset.best else None,
            "earlier F1": earlier_f1 if dataset.best else None,
            "license": _license(dataset.best),
        }
    )
    if head or dataset.best:
        _print_sizes("dataset", dataset.name, "en")


def _print_checkpoint(checkpoint: CheckpointInfo) -> None:
    domain = catalogue.domains().get(checkpoint.domain or "")
    dataset = catalogue.datasets().get(checkpoint.dataset or "")
    params = "not known" if checkpoint.params is None else f"{checkpoint.params / 1e6:g}M"
    confidence = checkpoint.recommended_confidence
    faster = find_faster(checkpoint.architecture)
    _print_facts(
        {
            "checkpoint": checkpoint.id,
            "domain": f"{domain.name}: {domain.title}" if domain else None,
            "dataset": f"{dataset.name}: {dataset.title}" if dataset else None,
            "finds": checkpoint.canonical_labels or "known when it is loaded",
            "native labels": checkpoint.labels,
            "note": dataset.note if dataset else None,
            "size": f"{checkpoint.size or 'none'}, {params} parameters",
            "architecture": checkpoint.architecture or "not known",
            "base model": checkpoint.base_model,
            "languages": checkpoint.languages,
            "license": checkpoint.license,
            "released": checkpoint.released,
            "threshold": f"{confidence:g} (recommended)" if confidence is not None else None,
            "ONNX": checkpoint.onnx_repo,
            "faster with": _install(faster.extra) if faster else None,
        }
    )
    if checkpoint.id == catalogue.MINI:
        heads = [
            (h.dataset, ", ".join(h.labels), format_score(h.f1), format_score(h.threshold))
            for h in catalogue.bundled().values()
        ]
        header = ("head", "native labels", "F1", "threshold")
        print(table(heads, header=header, divider=True, **TABLE))
        return
    for score in checkpoint.scores:
        _print_facts({f"F1 {score.dataset}": f"{format_score(score.f1)} ({score.source})"})


def _install(extra: str | None) -> str:
    return f'pip install "spacy-openmed[{extra}]" (on a CPU)'


def _print_sizes(key: str, name: str, language: str) -> None:
    rows: list[tuple[str, str, str]] = []
    for size in catalogue.SIZES:
        try:
            choice = catalogue.choose(**{key: name}, size=size, language=language)
        except CatalogueError:
            if size == catalogue.BEST and not rows:  # the language is unknown
                raise
            continue
        rows.append((size, choice.checkpoint.id, format_score(choice.f1)))
    print(table(rows, header=("size", "checkpoint", "F1"), divider=True, **TABLE))


def _license(id: str | None) -> str | None:
    return None if id is None else f"{catalogue.get(id).license} (of all sizes)"


def _print_facts(facts: Mapping[str, str | Iterable[str] | None]) -> None:
    """Print names and values in two columns; those without a value are left out."""
    for name, value in facts.items():
        if value:
            text = value if isinstance(value, str) else ", ".join(value)
            print(wrap_text(f"{name:<16}{text}", " " * 16))
