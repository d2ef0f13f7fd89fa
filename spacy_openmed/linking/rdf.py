"""OWL and SKOS in any syntax of RDF, by rdflib."""

from collections.abc import Iterator
from typing import IO, Any

from ..errors import Errors, missing_extra
from .curies import to_curie
from .records import Record

FORMATS = {
    ".owl": "xml",
    ".rdf": "xml",
    ".xml": "xml",
    ".skos": "xml",
    ".ttl": "turtle",
    ".nt": "nt",
    ".jsonld": "json-ld",
}
OBO_IN_OWL = "http://www.geneontology.org/formats/oboInOwl#"
DEFINITION = "http://purl.obolibrary.org/obo/IAO_0000115"
LANGUAGE = "en"


def read_rdf(
    file: IO[bytes], format: str, name: str, prefix: str | None = None
) -> Iterator[Record]:
    """Read the classes of an ontology, or the concepts of a thesaurus. Deprecated ones, and labels
    in languages other than English, are left out.

    file (IO): The file.
    format (str): Its syntax, as rdflib calls it.
    name (str): Its name, for errors.
    prefix (str | None): The prefix of ids that no known vocabulary has.
    YIELDS (Record): The concepts. Their types are the namespace of each, if it has one.
    RAISES (ValueError): If it is not valid.
    RAISES (ImportError): If the extra `linking` is not installed.
    """
    try:
        from rdflib import OWL, RDF, RDFS, SKOS, Graph, URIRef
    except ImportError as error:
        raise missing_extra("linking", error) from error

    graph = Graph()
    try:
        graph.parse(file, format=format)
    except Exception as error:  # each syntax has its own, without a common base
        raise ValueError(Errors.OM613.format(path=name, error=type(error).__name__)) from error

    def texts(subject: Any, *predicates: Any) -> list[str]:
        values = [value for predicate in predicates for value in graph.objects(subject, predicate)]
        # "en-GB" is English too.
        return [
            str(value)
            for value in values
            if (getattr(value, "language", None) or "en").split("-")[0] == LANGUAGE
        ]

    synonyms = [
        URIRef(f"{OBO_IN_OWL}has{scope}Synonym") for scope in ("Exact", "Narrow", "Related")
    ]
    subjects = {
        subject
        for kind in (OWL.Class, SKOS.Concept)
        for subject in graph.subjects(RDF.type, kind)
        if isinstance(subject, URIRef)
    }
    for subject in sorted(subjects):
        names = texts(subject, SKOS.prefLabel, RDFS.label)
        if not names or "true" in texts(subject, OWL.deprecated):
            continue
        aliases = texts(subject, SKOS.altLabel, SKOS.hiddenLabel, *synonyms)
        definitions = texts(subject, SKOS.definition, URIRef(DEFINITION))
        types = texts(subject, URIRef(f"{OBO_IN_OWL}hasOBONamespace"))
        yield Record(
            to_curie(str(subject), prefix),
            names[0],
            tuple(sorted({*names[1:], *aliases})),
            tuple(types),
            definitions[0] if definitions else None,
        )
