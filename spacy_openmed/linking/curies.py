"""Ids as CURIEs: a prefix, a colon and the id in the vocabulary."""

import re

# The IRI of each prefix in RDF. The prefixes are those of the Biolink model.
PREFIXES = {
    "MESH": "http://id.nlm.nih.gov/mesh/",
    "MONDO": "http://purl.obolibrary.org/obo/MONDO_",
    "CHEBI": "http://purl.obolibrary.org/obo/CHEBI_",
    "DOID": "http://purl.obolibrary.org/obo/DOID_",
    "GO": "http://purl.obolibrary.org/obo/GO_",
    "HP": "http://purl.obolibrary.org/obo/HP_",
    "UBERON": "http://purl.obolibrary.org/obo/UBERON_",
    "CL": "http://purl.obolibrary.org/obo/CL_",
    "NCBITaxon": "http://purl.obolibrary.org/obo/NCBITaxon_",
    "NCBIGene": "http://identifiers.org/ncbigene/",
    "HGNC": "http://identifiers.org/hgnc/",
    "OMIM": "http://purl.obolibrary.org/obo/OMIM_",
    "UMLS": "http://linkedlifedata.com/resource/umls/id/",
    "SNOMEDCT": "http://snomed.info/id/",
    "ICD10CM": "http://purl.bioontology.org/ontology/ICD10CM/",
    "RXCUI": "http://purl.bioontology.org/ontology/RXNORM/",
    "LOINC": "http://loinc.org/rdf/",
    "NCIT": "http://purl.obolibrary.org/obo/NCIT_",
    "EFO": "http://www.ebi.ac.uk/efo/EFO_",
    "ORPHA": "http://www.orpha.net/ORDO/Orphanet_",
    "DBSNP": "http://identifiers.org/dbsnp/",
    "PMID": "http://www.ncbi.nlm.nih.gov/pubmed/",
}
OBO = "http://purl.obolibrary.org/obo/"
_LOCAL = re.compile(r"[#/]([A-Za-z][\w.-]*?)[_:]([^#/_:]+)$|[#/]([^#/]+)$")


def to_curie(id: str, prefix: str | None = None) -> str:
    """Make a CURIE of an id.

    id (str): A CURIE, a bare id, or its IRI.
    prefix (str | None): The prefix for bare ids, and for IRIs of unknown vocabularies.
    RETURNS (str): The CURIE; the id itself if there is no prefix for it.
    """
    if "://" not in id:
        return id if ":" in id or prefix is None else f"{prefix}:{id}"
    for known, iri in PREFIXES.items():
        if id.startswith(iri):
            return f"{known}:{id[len(iri) :]}"
    local = _LOCAL.search(id)
    if local is None:
        return id
    if local[1] and (prefix is None or id.startswith(OBO)):
        return f"{local[1]}:{local[2]}"
    name = local[3] or f"{local[1]}_{local[2]}"
    return id if prefix is None else f"{prefix}:{name}"
