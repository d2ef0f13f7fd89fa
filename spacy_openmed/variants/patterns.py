"""How texts write sequence variants: the notation of HGVS (https://hgvs-nomenclature.org), what
people write for it, and ids of databases."""

import re
from collections.abc import Iterator

ARROW = r"\s?(?:-{0,2}>|→|&gt;)\s?"
NUMBER = r"\d{2,6}"  # without a prefix, one digit is too little: "D2R", "H2A"

# Of DNA and RNA. A position may lie in an intron, "88+2", before or behind what is translated.
BASE = "[ACGTUN]"
POSITION = r"[-*]?\d+(?:\s?[+-]\d+)?"
RANGE = rf"(?:{POSITION}(?:_{POSITION})?|\({POSITION}_{POSITION}\))"
BASES = rf"(?:{BASE}+|\d+)?"
DNA_CHANGE = (
    rf"\s?(?:{BASE}*{ARROW}{BASE}+(?:/{BASE}+)*|{BASE}/{BASE}|{BASE}+\[\d+\]|=|inv"
    rf"|(?:del|dup|ins){BASES}(?:\s?ins{BASES})?)"
)
DNA = (
    rf"(?:[cgmno]\.\s?(?:{RANGE}{DNA_CHANGE}|\[{RANGE}{DNA_CHANGE}\]|{BASE}{POSITION}{BASE}+)"
    rf"|r\.\s?{RANGE}(?i:{DNA_CHANGE})"
    rf"|IVS\s?-?(?:\d+|[IVX]+)\s?[+-]\s?\d+(?:{DNA_CHANGE}|{BASE}))"
)
# "1799T>A", "-308G/A", "185delAG", "76_78del", "T-786C", "C(-344)T".
PLAIN_DNA = (
    rf"(?:[+-]?\d+(?:\s?[+-]\d+)?(?:_\d+)?\s?{BASE}{{1,9}}{ARROW}{BASE}{{1,9}}(?:/{BASE})*"
    rf"|[+-]?{NUMBER}{BASE}/{BASE}"
    rf"|[+-]?{NUMBER}(?:[+-]\d+)?(?:_{NUMBER})?\s?(?:del|dup|ins){BASE}{{1,20}}"
    rf"|\d+_\d+(?:del|dup|ins){BASE}*(?:ins{BASE}+)?"
    rf"|{BASE}(?:\s?[-−+]\s?{NUMBER}\s?|\([-−+]?{NUMBER}\)){BASE})"
)

# Of proteins.
NAMES = (
    "(?:Ala|Arg|Asn|Asp|Cys|Gln|Glu|Gly|His|Ile|Leu|Lys|Met|Phe|Pro|Sec|Ser|Thr|Trp|Tyr|Val|Xaa)"
)
ACID = "[ACDEFGHIKLMNPQRSTVWY]"
# A name is never read as letters: of "ALAALAALA", there would be too many ways to read it.
EITHER = f"(?:(?i:{NAMES})|(?!(?i:{NAMES})){ACID})"
STOP = "(?:(?i:Ter|Stop)|[X*])"
SHIFT = rf"fs(?:\s?{STOP}?\d+|\*|X)?"
RESIDUES = (
    rf"(?:{EITHER}|{STOP})\s?\d+(?:_{EITHER}\d+)?\s?(?:(?:{EITHER}|{STOP})?{SHIFT}"
    rf"|(?:del|dup)(?:ins{EITHER}+)?|ins(?:{EITHER}+|\d+)|ext[-\w*]+|{EITHER}|{STOP}|[=?])"
)
PROTEIN = rf"p\.\s?(?:{RESIDUES}|\({RESIDUES}\)|\[{RESIDUES}\])"
# "V600E", "R213X", "K27M" of histone 3, "N102DfsX4", "F508del", "ΔF508".
PLAIN_PROTEIN = (
    rf"(?:(?:H[1-4](?:\.\d)?)?{ACID}{NUMBER}(?:{ACID}|[X*])?(?:(?<=\d)del|{SHIFT}|(?<=\D))"
    rf"|(?:Δ|[Dd]elta[\s-]?|del\s?){ACID}{NUMBER}"
    rf"|(?i:{NAMES})\d+(?:(?:(?i:{NAMES})|{STOP})?{SHIFT}|(?i:{NAMES})|{STOP}|del|dup)"
    rf"|{NAMES}(?:\s?-?\s?\d+\s?(?:-+>|→|[-\s])\s?|\(\d+\)\s?)(?:{NAMES}|Stop|Ter))"
)
# Behind the name of the gene: "KrasG12D", "BRAFV600E"; "rtM204V" of a reverse transcriptase.
ATTACHED = (
    rf"(?:(?<=[a-z]{{2}})(?<!mi)|(?<![^\W_])(?:rt|s)){ACID}{NUMBER}{ACID}"
    rf"|(?<=[A-Z][A-Z\d]{{3}}){ACID}\d{{3,4}}{ACID}"
)

REFERENCE = (
    r"(?:(?:[A-Z]{2}_\d+|ENS[GTP]\d+|LRG_\d+)(?:\.\d+|[pt]\d+)?(?:\([\w-]+\))?:\s?)?"  # no gene
)
IDS = r"(?:rs\s?\d{2,}|R[Ss]\d{6,}|ss\d{6,}|COS[MV]\d{2,}|[VRS]CV\d{6,}(?:\.\d+)?|[en]ss?v\d{3,})"
VARIANT = re.compile(
    rf"(?<![\w.])(?:{REFERENCE}(?:{DNA}|{PROTEIN})|{IDS}|{PLAIN_PROTEIN}|(?<!\d[+-]){PLAIN_DNA})"
    rf"(?![^\W_])|(?:{ATTACHED})(?![^\W_])"
)
# What is written like a variant: doses every some hours, dextrose, cells, mice, proteins, and what
# changes nothing.
OTHER = re.compile(
    r"Q(?:10|12|15|18|24|30|36|45|48|72)[HM]|D(?:10|12|20|25|30|40|50|70)W|T47D|T98G|C57L|M13[FR]|S100[AP]"
    r"|P450[A-Z]|([A-Z])\d+\1"
)
RS_ID = re.compile(r"rs\s?(\d+)", re.IGNORECASE)


def find_variants(text: str) -> Iterator[tuple[int, int]]:
    """Find sequence variants.

    text (str): The text.
    YIELDS (tuple[int, int]): The first character of each, and the one after the last.
    """
    for match in VARIANT.finditer(text):
        if not OTHER.fullmatch(match[0]):
            yield match.span()
