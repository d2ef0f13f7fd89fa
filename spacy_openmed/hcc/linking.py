"""Link mentions of diseases to ICD-10-CM: by their exact words, else by a ranking.

Names in the vocabulary and aliases are looked up in spaCy's `InMemoryLookupKB`. For other mentions,
all codes are compared by character n-grams, and a logistic regression over a few features ranks the
nearest ones (`scripts/icd10cm_ranker.py` fits it).
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import srsly
from spacy.kb import InMemoryLookupKB
from spacy.vocab import Vocab

from .covering import Covering
from .icd10cm import WORDS, Vocabulary, to_key
from .ranking import BATCH, GENERAL, Index, load_ranker, load_words, normalise
from .words import expand

# How a code was found.
ALIAS, TERM, WORDS_OF, PART, RANKED = "alias", "term", "words", "part", "ranked"
COVERED = "covered"
MAX_RANKED = 100_000  # rankings to remember
WORDS_SCORE = 0.9  # score of an alias's words in another order
LEAST_PART = 0.5  # share of a mention's words that an alias in it needs
COVERED_SCORE = 0.8  # score of a description that has all words of a mention
COURSE_SCORE = 0.7  # score of a name behind words of course and severity
N_RANKED = 60

SIDES = re.compile(
    r"\b(?:(?:of|in|on|to|over) (?:the )?)?(?:left|right|bilateral|both)"
    r"(?:[- ](?:non-?)?dominant)?(?:[- ]sided?)?\b"
    r"|\b(?:L|R|Lt|Rt|b/l)\b(?!\d)(?:[- ](?:non-?)?dominant)?(?:[- ]sided?)?"
)
COURSE = re.compile(
    r"^(?:(?:acute|subacute|chronic|recurrent|recurring|intermittent|episodic|occasional|frequent"
    r"|persistent|ongoing|progressive|longstanding|long-standing|mild|moderate|severe|significant)"
    r"[ /-]+(?:to[ -])?)+",
    re.IGNORECASE,
)
CAUSES = re.compile(r"^\w[\w/]*(?:-| )induced\s+", re.IGNORECASE)


class Candidate(NamedTuple):
    """A code that a mention may mean.

    code (str): The code.
    description (str): Its description.
    score (float): How likely it is: 1.0 for the exact name of one code, less for a name that
        several codes share; for other mentions, the ranking's score.
    how (str): "alias", "term" (exact words of the vocabulary), "words" (the words of an alias
        in another order, or synonyms of them), "part" (an alias is part of the mention; the score
        is its share of the words), "covered" (a description has the words of the mention) or
        "ranked".
    """

    code: str
    description: str
    score: float
    how: str


class Linker:
    """Finds the codes of mentions.

    vocabulary (Vocabulary): The codes.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        self.codes = vocabulary.ranked
        self.aliases = {to_key(alias): code for alias, code in vocabulary.aliases.items()}
        aliases = vocabulary.aliases.items()
        descriptions = [(code.description, code.code) for code in self.codes]
        terms = [(term, code.code) for code in self.codes for term in code.terms]
        names = [
            (name, code.code) for code in self.codes for name in (code.description, *code.terms)
        ]
        plain = list(_plain_names(names))
        self.words = _by_words(aliases, names, plain)
        self.kb = make_kb(vocabulary.codes, aliases, descriptions, terms, plain)
        self.covering = Covering(vocabulary)
        self._index: Index | None = None
        self._ranked: dict[str, list[Candidate]] = {}

    @property
    def index(self) -> Index:
        """RETURNS (Index): The index that codes are ranked with, made at first use."""
        if self._index is None:
            self._index = Index(self.vocabulary)
        return self._index

    def link(self, text: str, n: int = 5) -> list[Candidate]:
        """Find the codes that a mention may mean.

        text (str): The mention.
        n (int): How many codes to return at most.
        RETURNS (list[Candidate]): The billable codes, the best first. A heading is replaced by the
            unspecified code below it.
        """
        return self.link_all([text], n)[0]

    def link_all(self, texts: Sequence[str], n: int = 5) -> list[list[Candidate]]:
        """Link several mentions at once, which is much faster than one by one.

        texts (Sequence[str]): The mentions.
        n (int): How many codes to return at most for each.
        RETURNS (list[list[Candidate]]): The codes of each, see `link`. Only mentions that are not
            exact names are ranked.
        """
        names = [" ".join(text.split()) for text in texts]
        known = [self.find_known(name) for name in names]
        unknown = {name for name, found in zip(names, known, strict=True) if not found}
        expanded = {name: expand(name) for name in unknown}
        ranked = self._rank_all(sorted({*unknown, *expanded.values()}))
        linked = []
        for name, found in zip(names, known, strict=True):
            if not found:
                pool = (*ranked[expanded[name]], *ranked[name])
                others = (*self.find_covering(name, pool), *self.find_part(name))
                found = sorted((*others, *ranked[name]), key=_by_score)
            linked.append(self._to_billable(found)[:n])
        return linked

    def find_known(self, text: str) -> list[Candidate]:
        """Look a name up, and if it is unknown, in the words of the vocabulary ("cellulitis of L
        leg"), or without its side or cause: "right hip osteoarthritis", "methotrexate-induced
        pancytopenia".

        text (str): The mention.
        RETURNS (list[Candidate]): The codes of its exact name or of its words.
        """
        found = [*self.find_exact(text), *self.find_words(text)]
        rest = CAUSES.sub(" ", SIDES.sub(" ", text))
        for other in (expand(text), rest, expand(rest)):
            if not found and other != text:
                found = [*self.find_exact(other), *self.find_words(other)]
                found = [c._replace(score=min(c.score, WORDS_SCORE), how=WORDS_OF) for c in found]
        return found

    def _to_billable(self, candidates: Iterable[Candidate]) -> list[Candidate]:
        found: dict[str, Candidate] = {}
        for candidate in candidates:
            code = self.vocabulary.to_billable(candidate.code)
            if code is not None and code not in found:
                description = self.vocabulary.describe(code)
                found[code] = candidate._replace(code=code, description=description)
        return list(found.values())

    def _rank_all(self, names: Sequence[str]) -> dict[str, list[Candidate]]:
        """The ranking of each name. Rankings are cached."""
        remembered = self._ranked
        ranked = {name: remembered[name] for name in names if name in remembered}
        new = [name for name in names if name not in ranked]
        for start in range(0, len(new), BATCH):
            batch = new[start : start + BATCH]
            for name, (rows, features) in zip(batch, self.index.describe(batch), strict=True):
                ranked[name] = self._rank(rows, features, N_RANKED)
        if len(remembered) + len(new) > MAX_RANKED:
            self._ranked = {}  # another thread may still read the old one
        self._ranked.update(ranked)
        return ranked

    def find_exact(self, text: str) -> list[Candidate]:
        """Look a name up.

        text (str): The mention.
        RETURNS (list[Candidate]): The codes of which it is an alias, a description or an
            inclusion term.
        """
        key = to_key(text)
        how = ALIAS if key in self.aliases else TERM
        found = [
            Candidate(c.entity_, self.vocabulary.describe(c.entity_), c.prior_prob, how)
            for c in self.kb.get_alias_candidates(key)
        ]
        return sorted(found, key=_by_score)

    def find_words(self, text: str) -> list[Candidate]:
        """Look a name up regardless of word order: "kidney failure, acute".

        text (str): The mention.
        RETURNS (list[Candidate]): The code of the alias with the same normalised words, if any.
        """
        code = self.words.get(_sort_words(text))
        if code is None:
            return []
        return [Candidate(code, self.vocabulary.describe(code), WORDS_SCORE, WORDS_OF)]

    def find_part(self, text: str) -> list[Candidate]:
        """Look a name up without some words before or after: "worsening CHF", "recurrent cough".

        text (str): The mention.
        RETURNS (list[Candidate]): The code of the longest alias in the mention, or of a description
            of two words or more, if it makes up at least half of the mention, not counting words
            that carry little meaning. Behind words of course and severity, any name.
        """
        rest = COURSE.sub("", text)
        found = self.find_exact(rest) if rest != text else []
        if len(found) == 1 and found[0].code not in GENERAL:
            return [found[0]._replace(score=COURSE_SCORE, how=PART)]
        words = to_key(text).split()
        total = _count_words(words)
        for n in range(len(words) - 1, 0, -1):
            for start in range(len(words) - n, -1, -1):  # the head is usually the last word
                part = words[start : start + n]
                share = _count_words(part) / max(total, 1)
                code = self.aliases.get(" ".join(part), "") or self._find_title(part)
                if code and code not in GENERAL and share >= LEAST_PART:
                    return [Candidate(code, self.vocabulary.describe(code), round(share, 4), PART)]
        return []

    def _find_title(self, words: Sequence[str]) -> str:
        """The code whose description or term consists of these words, if there is only one."""
        found = self.find_exact(" ".join(words)) if len(words) > 1 else []
        return found[0].code if len(found) == 1 else ""

    def find_covering(self, text: str, ranked: Sequence[Candidate]) -> list[Candidate]:
        """Look for a description that says the same in other words.

        text (str): The mention.
        ranked (Sequence[Candidate]): The codes to choose from.
        RETURNS (list[Candidate]): The description's code, if there is one.
        """
        code = self.covering.choose(text, [candidate.code for candidate in ranked])
        if code is None:
            return []
        return [Candidate(code, self.vocabulary.describe(code), COVERED_SCORE, COVERED)]

    def is_name(self, text: str) -> bool:
        """RETURNS (bool): Whether it is an exact name of some code."""
        return self.kb.contains_alias(to_key(text))

    def rank(self, text: str, n: int = 20) -> list[Candidate]:
        """Rank codes by how likely the mention means them.

        text (str): The mention.
        n (int): How many codes to return.
        RETURNS (list[Candidate]): The codes, the best first, including headings.
        """
        return self._rank(*self.index.get_features(text), n)

    def _rank(self, rows: np.ndarray, features: np.ndarray, n: int) -> list[Candidate]:
        scores = load_ranker().score(features)
        order = np.argsort(-scores, kind="stable")[:n]
        return [
            Candidate(self.codes[i].code, self.codes[i].description, round(float(score), 4), RANKED)
            for i, score in zip(rows[order], scores[order], strict=True)
        ]


@lru_cache(maxsize=2)
def make_linker(vocabulary: Vocabulary) -> Linker:
    """Make a linker, or reuse the one made for the same vocabulary object: its index takes seconds
    to build, and hundreds of megabytes.

    vocabulary (Vocabulary): The codes.
    RETURNS (Linker): The linker.
    """
    return Linker(vocabulary)


def make_kb(codes: Iterable[str], *levels: Iterable[tuple[str, str]]) -> InMemoryLookupKB:
    """Make a knowledge base of the exact names of codes. If several codes of a level share a name,
    they are equally likely.

    codes (Iterable[str]): The codes.
    *levels (Iterable[tuple[str, str]]): Names, each with its code. Earlier levels take precedence.
    RETURNS (InMemoryLookupKB): The knowledge base. It has its own vocab, to keep these names out
        of the pipeline's.
    """
    names: dict[str, dict[str, None]] = {}
    for rows in levels:
        level: dict[str, dict[str, None]] = {}
        for name, code in rows:
            level.setdefault(to_key(name), {})[code] = None
        names = {**level, **names}
    kb = InMemoryLookupKB(Vocab(), entity_vector_length=1)
    entities = list(codes)
    kb.set_entities(entities, [1] * len(entities), [[0.0]] * len(entities))
    for name, found in names.items():
        if name:
            kb.add_alias(name, list(found), [1 / len(found)] * len(found))
    return kb


def _sort_words(text: str) -> str:
    return " ".join(sorted({*normalise(text).split()}))


def _by_words(*levels: Iterable[tuple[str, str]]) -> dict[str, str]:
    """RETURNS (dict[str, str]): The code of each set of words. Sets shared by several codes are
    left out. Earlier levels take precedence."""
    words: dict[str, str] = {}
    for number, names in enumerate(levels):
        found: dict[str, set[str]] = {}
        for name, code in names:
            found.setdefault(_sort_words(name), set()).add(code)
        level = {
            key: codes.pop()
            for key, codes in found.items()
            # A single word left of a description is seldom its name: "blood" of "blood type".
            if len(codes) == 1 and (number == 0 or " " in key)
        }
        words = {**level, **words}
    return words


def _plain_names(names: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """YIELDS (tuple[str, str]): Names without words that nobody writes, such as "unspecified", each
    with its code."""
    patterns = [re.compile(pattern) for pattern in srsly.read_json(WORDS)["unsaid"]]
    for name, code in names:
        plain = name
        for pattern in patterns:
            plain = pattern.sub("", plain)
        if plain != name and plain.strip():
            yield plain.strip(), code


def _count_words(words: Sequence[str]) -> int:
    return sum(word not in load_words()[1] for word in words)


def _by_score(candidate: Candidate) -> float:
    return -candidate.score
