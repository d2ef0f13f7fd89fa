"""The factory `openmed_ner` and its settings."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

from spacy import util
from spacy.language import Language
from thinc.api import Config, Model

from .. import catalogue, paths
from ..checkpoints.source import Source
from ..errors import Errors
from ..settings import check_choice
from ..suggestions import nearest
from .component import OpenMedNER
from .shim import CheckpointShim

DEFAULT_MODEL = Config().from_str(
    """
[model]
@architectures = "spacy-openmed.TokenClassifier.v1"
name = null
revision = null
local_files_only = false
engine = "auto"
device = "auto"
precision = "auto"
calibration = null
compile = false
window = null
stride = null
max_batch_tokens = null
frozen_layers = 0
get_spans = null
"""
)["model"]


@Language.factory(
    "openmed_ner",
    assigns=["doc.ents", "doc.spans", "token.ent_iob", "token.ent_type"],
    default_config={
        "model": DEFAULT_MODEL,
        "domain": None,
        "dataset": None,
        "size": "mini",
        "aggregation_strategy": "auto",
        "decoding": "viterbi",
        "alignment_mode": "token",
        "threshold": 0.0,
        "outside_bias": 0.0,
        "trim": True,
        "abbreviations": False,
        "consistency": False,
        "votes": False,
        "label_scheme": "canonical",
        "label_map": {},
        "labels_to_ignore": [],
        "annotate": "both",
        "annotate_spans_key": "openmed",
        "ents_policy": "keep",
        "scorer": {"@scorers": "spacy.ner_scorer.v1"},
    },
    default_score_weights={"ents_f": 1.0, "ents_p": 0.0, "ents_r": 0.0, "ents_per_type": None},
)
def make_openmed_ner(
    nlp: Language,
    name: str,
    model: Model | str,
    domain: str | list[str] | None,
    dataset: str | list[str] | None,
    size: str,
    aggregation_strategy: str,
    decoding: str,
    alignment_mode: str,
    threshold: float | str,
    outside_bias: float | dict[str, float],
    trim: bool,
    abbreviations: bool,
    consistency: bool,
    votes: bool,
    label_scheme: str,
    label_map: dict[str, str],
    labels_to_ignore: str | list[str],
    annotate: str,
    annotate_spans_key: str,
    ents_policy: str,
    scorer: Callable | None,
) -> OpenMedNER:
    """Make a component that finds biomedical entities with an OpenMed token classifier.

    nlp (Language): The pipeline.
    name (str): Name of the component.
    model (Model[list[Doc], PieceLogits]): The model. If it names no checkpoint, the catalogue
        chooses one by domain, dataset and size.
    domain (str | list[str] | None): What to find: "pharmacology", "disease",
        "genomics", "anatomy", "oncology", "clinical" or "privacy". None: everything that the
        checkpoint finds.
    dataset (str | list[str] | None): The same by dataset, e.g. "ncbi_disease".
    size (str): "mini" is bundled; all others are on the Hugging Face hub.
    aggregation_strategy (str): How a token's label comes from its pieces. "auto": as the
        checkpoint was trained, "first" if it does not say.
    decoding (str): "viterbi": the likeliest valid sequence of labels. "greedy": the likeliest
        label of each token, as transformers' pipeline does.
    alignment_mode (str): "token": entities are whole tokens from the start, none is lost.
        Otherwise words of the checkpoint's tokenizer are labelled, and their character spans
        become token spans as in `Doc.char_span`: "strict", "contract" or "expand".
    threshold (float | str): Lowest score of an entity, or "recommended".
    outside_bias (float | dict[str, float]): Added to the log-probability of "O" before decoding,
        for all heads or by dataset. Negative values find more, positive ones less. Scores stay
        the probabilities without it.
    trim (bool): Trim the ends of names and drop entities that cannot be names: brackets without a
        partner, punctuation, articles, prepositions; single characters and bare numbers. Cut
        entities of all kinds at blank lines.
    abbreviations (bool): Where a document explains an abbreviation, give its short form the label
        and the score of its long form throughout the document. If the long form is not an entity,
        drop the short form.
    consistency (bool): If most places of a string in a document have one label, give it to the
        others too, with their mean score.
    votes (bool): Drop chemicals and cell lines that other heads of the checkpoint take for
        something else, whether these are in use or not.
        These four need `alignment_mode` "token"; otherwise they do nothing.
    label_scheme (str): "canonical": the same label from every checkpoint. "native": its own.
    label_map (dict[str, str]): Other names for labels, native or canonical ones.
    labels_to_ignore (str | list[str]): Labels to leave out, by any of their names.
    annotate (str): Write to doc.ents, doc.spans or both.
    annotate_spans_key (str): Key in doc.spans. Components may share one.
    ents_policy (str): What becomes of entities that are in doc.ents already and overlap:
        "keep" them, "replace" them, or decide by length ("longest") or "score".
    scorer (Callable | None): The scoring method.
    RETURNS (OpenMedNER): The component.
    RAISES (ValueError): If a setting is not valid, or names something unknown.
    """
    if model == catalogue.MINI:
        raise ValueError(Errors.OM111)
    if isinstance(model, str):
        raise ValueError(Errors.OM212.format(name=name, value=json.dumps(model)))
    check_choice("size", size, catalogue.SIZES)
    shim = cast(CheckpointShim, model.shims[0])
    info: catalogue.CheckpointInfo | None
    datasets: Sequence[str]
    if not isinstance(shim, CheckpointShim):  # heads on vectors of this pipeline
        if domain is not None or size != catalogue.MINI:
            raise ValueError(Errors.OM210.format(name=name))
        datasets = [dataset] if isinstance(dataset, str) else dataset or []
    elif model.attrs["name"] is None:
        language = nlp.lang or "en"
        choice = catalogue.choose(domain=domain, dataset=dataset, size=size, language=language)
        info = choice.checkpoint
        if choice.note and size != catalogue.MINI:
            util.logger.warning("%s takes %s. %s", name, info.id, choice.note)
        checkpoint = str(paths.MINI_PATH) if info.id == catalogue.MINI else info.id
        datasets = choice.datasets if domain or dataset else ()
        shim.source = _source(model, checkpoint, info)
    else:
        shim.source = _source(model, model.attrs["name"], catalogue.lookup(model.attrs["name"]))
        names = [dataset] if isinstance(dataset, str) else dataset or []
        own = {head.dataset for head in shim.heads}
        # A folder's heads are not known if it is a bare encoder's, or gone: in a saved pipeline.
        is_open = not own and catalogue.lookup(shim.name) is None
        if names and (own.issuperset(names) or (is_open and _are_new_heads(shim.name, names))):
            datasets = tuple(names)  # heads that the catalogue need not know
        else:
            datasets = catalogue.expand(domain=domain, dataset=dataset)
    return OpenMedNER(
        nlp.vocab,
        model,
        name,
        datasets=datasets,
        aggregation_strategy=aggregation_strategy,
        decoding=decoding,
        alignment_mode=alignment_mode,
        threshold=threshold,
        outside_bias=outside_bias,
        trim=trim,
        abbreviations=abbreviations,
        consistency=consistency,
        votes=votes,
        label_scheme=label_scheme,
        label_map=label_map,
        labels_to_ignore=[labels_to_ignore]
        if isinstance(labels_to_ignore, str)
        else labels_to_ignore,
        annotate=annotate,
        annotate_spans_key=annotate_spans_key,
        ents_policy=ents_policy,
        scorer=scorer,
    )


def _are_new_heads(checkpoint: str, names: Sequence[str]) -> bool:
    """Whether names of heads are not the catalogue's. Of a folder any may be; elsewhere what is
    like a dataset's is taken for a slip of the pen."""
    known = catalogue.datasets()
    if Path(checkpoint).is_absolute() or Path(checkpoint).is_dir():
        return True
    return not any(name in known or nearest(name, known) for name in names)


def _source(model: Model, name: str, info: catalogue.CheckpointInfo | None) -> Source:
    return Source(
        name,
        model.attrs["revision"],
        model.attrs["local_files_only"],
        info.dataset if info else None,
        info.recommended_confidence if info else None,
    )
