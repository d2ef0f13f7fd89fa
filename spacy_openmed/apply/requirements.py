"""What has to be installed where a pipeline is to run."""

from collections.abc import Mapping

from spacy.language import Language
from spacy.util import get_minor_version_range

from .. import __version__
from ..engines.registry import ENGINES

# The extra that each factory needs to process texts. Those left out need none.
EXTRAS = {"openmed_context": "clinical", "openmed_hcc": "hcc", "openmed_phi": "deid"}


def find_requirements(nlp: Language) -> list[str]:
    """Say what a pipeline needs, for its meta: `nlp.meta["requirements"]`. `spacy package` writes
    that into the package; of itself, it finds out that spacy-openmed is needed, but not the extras.

    nlp (Language): The pipeline.
    RETURNS (list[str]): What its meta has already, and spacy-openmed with the extras of the
        components and of an engine that is named.
    """
    extras = set()
    for name in nlp.component_names:
        config = nlp.get_pipe_config(name)
        model = config.get("model")
        engine = model.get("engine") if isinstance(model, Mapping) else None
        extras.add(EXTRAS.get(nlp.get_pipe_meta(name).factory))
        extras.add(ENGINES[engine].extra if engine in ENGINES else None)
    named = ",".join(sorted(filter(None, extras)))
    own = f"spacy-openmed{f'[{named}]' if named else ''}{get_minor_version_range(__version__)}"
    others = nlp.meta.get("requirements", [])
    return [*(row for row in others if not row.startswith("spacy-openmed")), own]
