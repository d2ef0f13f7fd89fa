"""Tiny real checkpoints, built offline in a moment: plain Hugging Face folders.

`make_checkpoint` gives one of any family with random weights: what it predicts means
nothing, but depends on every piece and its context. `make_keyword_checkpoint` and
`make_multi_head_checkpoint` give models whose every prediction is known beforehand.
"""

import json
import math
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import torch
from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import AutoConfig, AutoModelForTokenClassification
from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

# "O" stands where it does not in a schoolbook: last, or in the middle.
LABELS = ("B-Cell-line-name", "I-Cell-line-name", "O")
MANY_LABELS = (
    "B-GENE/PROTEIN",
    "B-Disease",
    "I-GENE/PROTEIN",
    "O",
    "I-Disease",
    "B-cell_type",
    "I-cell_type",
)

# What an assertion head says of entities, and of which.
ASSERTIONS = (
    *("PRESENT", "ABSENT", "POSSIBLE", "CONDITIONAL", "HISTORICAL", "FAMILY"),
    *("STOPPED", "ALLERGY", "NOT_TAKEN"),
)
ASSERTION_GROUPS = {
    "PROBLEM": list(ASSERTIONS[:6]),
    "DRUG": ["PRESENT", "STOPPED", "ALLERGY", "NOT_TAKEN"],
}

# What transformers writes as `model_max_length` when nobody set one.
UNLIMITED = int(1e30)

# What the tokenizers are trained on. Vocabularies are small, so most words are several pieces.
SENTENCES = (
    "The patient was started on aspirin and metformin for type 2 diabetes mellitus.",
    "She denies chest pain, fever, nausea or shortness of breath.",
    "Renal failure was treated with dialysis; potassium fell to 4.1 mmol/L.",
    "Mutations of BRCA1 and BRCA2 raise the risk of breast and ovarian cancer.",
    "Expression of p53 was lost in HeLa and MCF-7 cells after cisplatin.",
    "Activation of NF-kappaB by interleukin-6 was blocked in T lymphocytes.",
    "The tumour carries p53(R175H) and a deletion of PTEN.",
    "Chronic lymphocytic leukaemia cells were cultured with ibrutinib 10mg daily.",
    "A 64-year-old man presented with acute myocardial infarction and hypertension.",
    "Staphylococcus aureus phage vB_SauS_SA2 infects methicillin-resistant strains.",
    "Warfarin was held because of gastrointestinal bleeding (INR 4.8).",
    "Serum creatinine rose from 0.9 to 2.4 mg/dL within 48 hours.",
    "The asthma of the child worsened after exposure to house dust mites.",
    "Mouse embryonic fibroblasts express transforming growth factor beta.",
    "Alzheimer's disease and Parkinson's disease share protein aggregation.",
    "Discharge medications: lisinopril, atorvastatin, insulin glargine.",
    "Biopsy of the left upper lobe showed non-small cell lung carcinoma.",
    "Saccharomyces cerevisiae and Escherichia coli were grown at 37 °C.",
    "Ménière's disease, Sjögren's syndrome and Guillain–Barré syndrome were excluded.",
    "Der Patient erhielt Paracetamol; la paciente tomó ibuprofeno; le malade était fiévreux.",
    "α-synuclein, β-catenin and γ-secretase; 5 µg of IL-1β; CD4+ and CD8+ cells.",
    "患者は糖尿病と診断された。 患者服用阿司匹林后头痛消失。",
    "المريض يعاني من الربو. לחולה יש אסתמה.",
)

_COMBINING = "e\u0301, a\u0323\u0308"
ODD_TEXTS: list[tuple[str, str]] = [
    ("plain", "The patient took aspirin for asthma."),
    ("leading_spaces", "   aspirin relieves pain"),
    ("trailing_spaces", "aspirin relieves pain   "),
    ("double_spaces", "renal  failure   and  asthma"),
    ("newlines", "Asthma\n\nMedications:\r\n- aspirin\r- insulin\n"),
    ("tabs", "potassium\t4.1\t\tmmol/L"),
    ("no_break_spaces", "aspirin\u00a010\u00a0mg\u202fdaily\u3000now"),
    ("emoji", "fever 🤒 and pain😀😀 after aspirin"),
    ("emoji_zwj", "the family 👨‍👩‍👧‍👦 has asthma🏳️‍🌈"),
    ("emoji_skin_tone", "nurse 👩🏽‍⚕️ gave aspirin 👍🏿."),
    ("combining_marks", f"Me\u0301nie\u0300re's disease, Sjo\u0308gren: {_COMBINING} \u0301 alone"),
    ("many_marks", "Z\u0351\u036b\u0343\u036a\u0302\u036b\u033d\u034f\u0334algo asthma"),
    ("compatibility", "ﬁbrosis, ½ tablet, ﾊﾝｶｸ, ＡＢＣ, ①, 5 ㎎, ℡, ligature ﬃ"),
    ("cjk", "患者服用阿司匹林aspirin后头痛消失。"),
    ("hangul_jamo", "천식 \u110e\u1165\u11ab\u1109\u1175\u11a8 asthma"),
    ("zero_width", "asp\u200birin\u200d and\ufeff asth\u200cma \u200b\u200b end"),
    ("soft_hyphen", "hyper\u00adtension and 2\u00adpropanol"),
    ("right_to_left", "المريض يعاني من الربو aspirin \u202bאסתמה\u202c."),
    ("p53", "p53(R175H"),
    ("nf_kappab", "activation of NF-kappaB."),
    ("brca", "BRCA1/2"),
    ("phage", "vB_SauS_SA2"),
    ("dose", "10mg"),
    ("long_token", "A" * 3000),
    ("long_token_in_text", "before " + "acgt" * 750 + " aspirin after"),
    ("special_tokens", "[CLS] aspirin [SEP] <s> asthma </s> [UNK] <unk> [PAD]<mask>"),
    ("metaspace", "renal▁failure ▁ aspirin Ġ ##ing"),
    ("control", "aspirin\x00\x01 and\x1b asthma\x7f\x85end\ufffd"),
    ("only_control", "\x01\x02"),
    ("only_zero_width", "\u200b\ufeff"),
    ("only_spaces", "     "),
    ("only_newline", "\n"),
    ("empty", ""),
    ("mix", "  p53(R175H)\u00a0\t👩🏽‍⚕️  IL\u20116\u0301/患者 10mg\n\nNF-kappaB.\u200b "),
]


def _bert_tokenizer(vocab: Mapping[str, int] | None = None, *, lowercase: bool) -> Tokenizer:
    """WordPiece as in BERT and DistilBERT: trained on our sentences, or with the vocabulary."""
    special = list(_BERT_SPECIAL.values())
    normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    splitter = pre_tokenizers.BertPreTokenizer()
    if vocab is None:
        bpe = _train_bpe(splitter, normalizer, vocab_size=350)
        pieces = [*special, *(start + piece for start in ("", "##") for piece in _by_id(bpe))]
        vocab = {piece: i for i, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.WordPiece(dict(vocab), unk_token="[UNK]"))
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = splitter
    tokenizer.decoder = decoders.WordPiece(prefix="##")
    tokenizer.add_special_tokens(special)
    tokenizer.post_processor = _template(tokenizer, "[CLS]", "[SEP]")
    return tokenizer


def _roberta_tokenizer() -> Tokenizer:
    tokenizer = _byte_level_tokenizer(
        pre_tokenizers.ByteLevel(add_prefix_space=False), special=["<s>", "<pad>", "</s>", "<unk>"]
    )
    tokenizer.add_special_tokens([AddedToken("<mask>", lstrip=True)])
    tokenizer.post_processor = processors.RobertaProcessing(
        ("</s>", tokenizer.token_to_id("</s>")),
        ("<s>", tokenizer.token_to_id("<s>")),
        trim_offsets=True,
        add_prefix_space=False,
    )
    return tokenizer


def _modernbert_tokenizer() -> Tokenizer:
    # Its offsets keep the space before a word, as no processor trims them, and runs of spaces
    # are pieces of their own.
    tokenizer = _byte_level_tokenizer(
        pre_tokenizers.ByteLevel(add_prefix_space=False), normalizers.NFC()
    )
    tokenizer.add_tokens([AddedToken(" " * n, normalized=True) for n in range(24, 1, -1)])
    tokenizer.add_special_tokens(["[UNK]", "[CLS]", "[SEP]", "[PAD]"])
    tokenizer.add_special_tokens([AddedToken("[MASK]", lstrip=True)])
    tokenizer.post_processor = _template(tokenizer, "[CLS]", "[SEP]")
    return tokenizer


def _eurobert_tokenizer() -> Tokenizer:
    llama3 = (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
        r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    )
    splitter = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(llama3), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer = _byte_level_tokenizer(splitter)
    special = ["<|begin_of_text|>", "<|end_of_text|>"]
    tokenizer.add_special_tokens([*special, AddedToken("<|mask|>", lstrip=True)])
    tokenizer.post_processor = processors.Sequence(
        [processors.ByteLevel(trim_offsets=False), _template(tokenizer, *special)]
    )
    return tokenizer


def _byte_level_tokenizer(
    splitter: pre_tokenizers.PreTokenizer,
    normalizer: normalizers.Normalizer | None = None,
    *,
    special: Sequence[str] = (),
) -> Tokenizer:
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer = _train_bpe(splitter, normalizer, vocab_size=550, special=special, alphabet=alphabet)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def _xlm_roberta_tokenizer() -> Tokenizer:
    tokenizer = _unigram_tokenizer(
        normalizers.Precompiled(_charsmap(_nmt_nfkc())),
        pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()]),
        special=["<s>", "<pad>", "</s>", "<unk>"],
        unk="<unk>",
    )
    tokenizer.add_special_tokens([AddedToken("<mask>", lstrip=True)])
    tokenizer.post_processor = _template(tokenizer, "<s>", "</s>", type_ids=False)
    return tokenizer


def _deberta_tokenizer() -> Tokenizer:
    tokenizer = _unigram_tokenizer(
        normalizers.Sequence(
            [
                normalizers.Strip(),
                normalizers.Precompiled(_charsmap(_nmt_nfkc())),
                normalizers.Replace(Regex(" {2,}"), " "),
            ]
        ),
        pre_tokenizers.Sequence([pre_tokenizers.Metaspace()]),
        special=["[PAD]", "[CLS]", "[SEP]", "[UNK]"],
        unk="[UNK]",
    )
    tokenizer.add_special_tokens(["[MASK]"])
    tokenizer.post_processor = _template(tokenizer, "[CLS]", "[SEP]")
    return tokenizer


def _unigram_tokenizer(
    normalizer: normalizers.Normalizer,
    splitter: pre_tokenizers.PreTokenizer,
    *,
    special: Sequence[str],
    unk: str,
) -> Tokenizer:
    """A SentencePiece unigram model, in the form to which transformers converts it."""
    bpe = _train_bpe(splitter, normalizer, vocab_size=400)
    uses = Counter(piece for text in SENTENCES for piece in bpe.encode(text).tokens)
    scores = {piece: math.log((uses[piece] + 1) / uses.total()) for piece in _by_id(bpe)}
    vocab = [(piece, 0.0) for piece in special] + list(scores.items())
    tokenizer = Tokenizer(models.Unigram(vocab, unk_id=special.index(unk)))
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = splitter
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.add_special_tokens(list(special))
    return tokenizer


def _train_bpe(
    splitter: pre_tokenizers.PreTokenizer,
    normalizer: normalizers.Normalizer | None = None,
    *,
    vocab_size: int,
    special: Sequence[str] = (),
    alphabet: Sequence[str] = (),
) -> Tokenizer:
    """Learn pieces from our sentences.

    For the other kinds of model too: their own trainers give other pieces in every run.
    """
    tokenizer = Tokenizer(models.BPE())
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = splitter
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=list(special),
        initial_alphabet=list(alphabet),
        show_progress=False,
    )
    tokenizer.train_from_iterator(SENTENCES, trainer)
    return tokenizer


def _by_id(tokenizer: Tokenizer) -> list[str]:
    vocab = tokenizer.get_vocab()
    return sorted(vocab, key=lambda piece: vocab[piece])


def _template(
    tokenizer: Tokenizer, first: str, last: str, *, type_ids: bool = True
) -> processors.PostProcessor:
    second = 1 if type_ids else 0
    return processors.TemplateProcessing(
        single=f"{first} $A {last}",
        pair=f"{first} $A {last} $B:{second} {last}:{second}",
        special_tokens=[(name, tokenizer.token_to_id(name)) for name in (first, last)],
    )


def _nmt_nfkc() -> dict[str, str]:
    """The part of SentencePiece's `nmt_nfkc` rules that our texts meet."""
    table = {chr(code): "" for code in [*range(0x1, 0x9), 0xB, *range(0xE, 0x20), 0x7F, 0x8F, 0x9F]}
    table.update((char, " ") for char in "\t\n\f\r\u1680\u2028\u2029\u2581\ufeff\ufffd")
    table.update((chr(code), " ") for code in range(0x200B, 0x2010))
    compatible = [*range(0xA0, 0x100), *range(0x2000, 0x2150), *range(0x2460, 0x2474)]
    compatible += [0x3000, *range(0x3380, 0x33E0), *range(0xFB00, 0xFB07), *range(0xFF01, 0xFF9E)]
    keys = [chr(code) for code in compatible]
    keys += [
        base + mark for base in "aceinouyACEINOUY" for mark in "\u0300\u0301\u0303\u0308\u0327"
    ]
    for key in keys:
        value = unicodedata.normalize("NFKC", key)
        if value != key:
            table.setdefault(key, value)
    return table


def _charsmap(table: Mapping[str, str]) -> bytes:
    """Pack replacements as a SentencePiece `precompiled_charsmap`.

    That is: the trie's size, a Darts double-array trie over the keys' UTF-8 bytes, and the
    replacements, each ended by NUL, to whose offsets its leaves point. transformers 5 keeps
    no other kind of normalizer for XLM-RoBERTa.
    """
    texts = b""
    root: dict[int, Any] = {}
    for key, value in table.items():
        node = root
        for byte in key.encode("utf8"):
            node = node.setdefault(byte, {})
        node[0] = len(texts)  # the leaf: no key holds NUL
        texts += value.encode("utf8") + b"\0"
    units: dict[int, int] = {0: 0}
    bases: set[int] = {0}
    todo = [(0, root)]
    while todo:
        position, node = todo.pop()
        # A base of its own for each node: a unit's label then tells whose child it is.
        base = next(b for b in count(1) if b not in bases and not any(b ^ c in units for c in node))
        bases.add(base)
        units[position] |= (position ^ base) << 10 | (0 in node) << 8
        for byte, child in node.items():
            units[base ^ byte] = byte or 1 << 31 | child
            if byte:
                todo.append((base ^ byte, child))
    size = (max(units) | 0xFF) + 1
    trie = b"".join(units.get(i, 0).to_bytes(4, "little") for i in range(size))
    return len(trie).to_bytes(4, "little") + trie + texts


@dataclass(frozen=True)
class Family:
    """How checkpoints of one family are made."""

    model_type: str
    tokenizer: Callable[[], Tokenizer]
    tokenizer_class: str
    special: dict[str, str]  # e.g. {"pad_token": "[PAD]"}
    files: tuple[str, ...] = ()  # written beside tokenizer.json
    tokenizer_config: dict[str, Any] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    # Positions that the model keeps for itself: RoBERTa begins to count after its padding's id.
    position_offset: int = 0


_SIZES = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
}
_BERT_SPECIAL = {
    "unk_token": "[UNK]",
    "sep_token": "[SEP]",
    "pad_token": "[PAD]",
    "cls_token": "[CLS]",
    "mask_token": "[MASK]",
}
_ROBERTA_SPECIAL = {
    "bos_token": "<s>",
    "eos_token": "</s>",
    "unk_token": "<unk>",
    "sep_token": "</s>",
    "pad_token": "<pad>",
    "cls_token": "<s>",
    "mask_token": "<mask>",
}
FAMILIES: dict[str, Family] = {
    "bert": Family(
        model_type="bert",
        tokenizer=lambda: _bert_tokenizer(lowercase=True),
        tokenizer_class="BertTokenizer",
        special=_BERT_SPECIAL,
        files=("vocab.txt",),
        tokenizer_config={"do_lower_case": True},
        config=_SIZES,
    ),
    "bert-cased": Family(
        model_type="bert",
        tokenizer=lambda: _bert_tokenizer(lowercase=False),
        tokenizer_class="BertTokenizer",
        special=_BERT_SPECIAL,
        files=("vocab.txt",),
        tokenizer_config={"do_lower_case": False},
        config=_SIZES,
    ),
    "distilbert": Family(
        model_type="distilbert",
        tokenizer=lambda: _bert_tokenizer(lowercase=True),
        tokenizer_class="DistilBertTokenizer",
        special=_BERT_SPECIAL,
        files=("vocab.txt",),
        tokenizer_config={"do_lower_case": True},
        config={"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 48},
    ),
    "roberta": Family(
        model_type="roberta",
        tokenizer=_roberta_tokenizer,
        tokenizer_class="RobertaTokenizer",
        special=_ROBERTA_SPECIAL,
        files=("vocab.json", "merges.txt"),
        tokenizer_config={"add_prefix_space": False, "trim_offsets": True},
        config={**_SIZES, "type_vocab_size": 1},
        position_offset=2,
    ),
    "xlm-roberta": Family(
        model_type="xlm-roberta",
        tokenizer=_xlm_roberta_tokenizer,
        tokenizer_class="XLMRobertaTokenizer",
        special=_ROBERTA_SPECIAL,
        config={**_SIZES, "type_vocab_size": 1},
        position_offset=2,
    ),
    "deberta-v2": Family(
        model_type="deberta-v2",
        tokenizer=_deberta_tokenizer,
        tokenizer_class="DebertaV2Tokenizer",
        special={**_BERT_SPECIAL, "bos_token": "[CLS]", "eos_token": "[SEP]"},
        tokenizer_config={"do_lower_case": False, "split_by_punct": False},
        config={
            **_SIZES,
            "type_vocab_size": 0,
            "relative_attention": True,
            "position_biased_input": False,
            "pos_att_type": ["p2c", "c2p"],
            "position_buckets": 16,
            "norm_rel_ebd": "layer_norm",
            "share_att_key": True,
        },
    ),
    "modernbert": Family(
        model_type="modernbert",
        tokenizer=_modernbert_tokenizer,
        tokenizer_class="PreTrainedTokenizerFast",
        special=_BERT_SPECIAL,
        tokenizer_config={"model_input_names": ["input_ids", "attention_mask"]},
        config={**_SIZES, "local_attention": 16},
    ),
    "eurobert": Family(
        model_type="eurobert",
        tokenizer=_eurobert_tokenizer,
        tokenizer_class="PreTrainedTokenizerFast",
        special={
            "bos_token": "<|begin_of_text|>",
            "eos_token": "<|end_of_text|>",
            "pad_token": "<|end_of_text|>",
            "mask_token": "<|mask|>",
        },
        tokenizer_config={"model_input_names": ["input_ids", "attention_mask"]},
        config=_SIZES,
    ),
}


def _numbered_from_padding(model_type: str, **config: Any) -> Family:
    return Family(
        model_type=model_type,
        tokenizer=_roberta_tokenizer,
        tokenizer_class="PreTrainedTokenizerFast",
        special=_ROBERTA_SPECIAL,
        config={**_SIZES, **config},
        position_offset=2,
    )


# Architectures that number positions as RoBERTa does, and are not named after it.
FAMILIES_LIKE_ROBERTA: dict[str, Family] = {
    "data2vec-text": _numbered_from_padding("data2vec-text", type_vocab_size=1),
    "esm": _numbered_from_padding("esm"),
    "mpnet": _numbered_from_padding("mpnet"),
    "xmod": _numbered_from_padding("xmod", type_vocab_size=1, default_language="en_XX"),
}
_ALL_FAMILIES = {**FAMILIES, **FAMILIES_LIKE_ROBERTA}


def is_native(family: str) -> bool:
    """Whether the installed transformers has the family, without remote code."""
    return _ALL_FAMILIES[family].model_type in CONFIG_MAPPING_NAMES


def make_checkpoint(
    folder: Path,
    family: str = "bert",
    *,
    labels: Sequence[str] = LABELS,
    max_length: int = 128,
    model_max_length: int = UNLIMITED,
    truncation: int | None = None,
    seed: int = 0,
) -> Path:
    """Write a checkpoint of a family, with random weights from a fixed seed.

    folder (Path): Where to write it.
    family (str): A key of `FAMILIES` or `FAMILIES_LIKE_ROBERTA`.
    labels (Sequence[str]): The labels, by id.
    max_length (int): How many pieces the model takes, special ones included. RoBERTa-like
        models get the two positions more that they need for it.
    model_max_length (int): What the tokenizer says of that.
    truncation (Optional[int]): Bake truncation and padding to this many pieces into
        tokenizer.json, as all-MiniLM-L6-v2 has it.
    seed (int): Seed of the weights.
    RETURNS (Path): The folder.
    """
    spec = _ALL_FAMILIES[family]
    tokenizer = spec.tokenizer()
    _write_tokenizer(folder, tokenizer, spec, model_max_length, truncation)
    ids = {f"{name}_id": tokenizer.token_to_id(token) for name, token in spec.special.items()}
    ids = {name: ids.get(name) for name in ("pad_token_id", "bos_token_id", "eos_token_id")}
    config = AutoConfig.for_model(
        spec.model_type,
        vocab_size=tokenizer.get_vocab_size(),
        max_position_embeddings=max_length + spec.position_offset,
        **ids,
        **_label_maps(labels),
        **spec.config,
    )
    model = AutoModelForTokenClassification.from_config(config)
    generator = torch.Generator().manual_seed(seed)
    embeddings = model.get_input_embeddings().weight
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.dim() > 1:
                # Pieces weigh more than positions, or one label would win everywhere.
                spread = 1.0 if weight is embeddings else 0.5 if "classifier" in name else 0.15
                weight.normal_(0, spread, generator=generator)
    model.save_pretrained(folder)
    return folder


def make_keyword_checkpoint(
    folder: Path,
    words: Mapping[str, str],
    *,
    cased: bool = False,
    margin: float = 10.0,
    margins: Mapping[str, float] | None = None,
    max_length: int = 128,
) -> Path:
    """Write a BERT checkpoint that tags the given words, and nothing else.

    A piece has one label wherever it stands, whatever is around it: "B-" if it begins a
    keyword, else "I-"; all others are "O". "renal failure" is two words, "ibu##profen" one
    word of two pieces. Words that are neither keywords nor in `SENTENCES` fall into single
    characters, and characters outside of ASCII into [UNK]. Tokenization is greedy, so
    "aspirins" is "aspirin", "##s".

    folder (Path): Where to write it.
    words (Mapping[str, str]): Entity type by keyword.
    cased (bool): Whether case counts.
    margin (float): By how much the logit of a piece's label exceeds all the others.
    margins (Optional[Mapping[str, float]]): The same for single keywords.
    max_length (int): How many pieces the model takes, special ones included.
    RETURNS (Path): The folder.
    """
    # "O" comes last.
    labels = [f"{bio}-{kind}" for kind in dict.fromkeys(words.values()) for bio in "BI"] + ["O"]
    return _write_keywords(
        folder,
        [(labels, words)],
        labels,
        cased=cased,
        margin=margin,
        margins=margins,
        max_length=max_length,
    )


def make_multi_head_checkpoint(
    folder: Path,
    heads: Mapping[str, Mapping[str, str]],
    *,
    cased: bool = False,
    margin: float = 10.0,
    margins: Mapping[str, float] | None = None,
    max_length: int = 128,
    aggregation_strategy: str = "first",
    assertions: Mapping[str, str] | None = None,
) -> Path:
    """Write a keyword checkpoint with a head a dataset, laid out like the bundled one.

    Its logits are the heads' one after another, its labels "<dataset>/<label>", and the key
    "openmed" of config.json says which slice belongs to which dataset.

    heads (Mapping[str, Mapping[str, str]]): Entity type by keyword, by dataset.
    aggregation_strategy (str): What the checkpoint says it was trained for.
    assertions (Optional[Mapping[str, str]]): What an assertion head says of keywords, one of
        `ASSERTIONS`. Of all other pieces it says the first. None: no such head.
    RETURNS (Path): The folder.
    DOCS: `make_keyword_checkpoint` has the other arguments.
    """
    parts: list[tuple[Sequence[str], Mapping[str, str]]] = []
    slices: list[dict[str, Any]] = []
    labels: list[str] = []
    for dataset, words in heads.items():
        kinds = dict.fromkeys(words.values())
        own = ["O"] + [f"{bio}-{kind}" for kind in kinds for bio in "BI"]
        slices.append({"dataset": dataset, "start": len(labels), "labels": own})
        parts.append((own, words))
        labels += [f"{dataset}/{label}" for label in own]
    if assertions is not None:
        row = {"dataset": "assertion", "kind": "assertion", "start": len(labels)}
        slices.append({**row, "labels": list(ASSERTIONS), "groups": ASSERTION_GROUPS})
        parts.append((ASSERTIONS, assertions))
        labels += [f"assertion/{label}" for label in ASSERTIONS]
    _write_keywords(
        folder,
        parts,
        labels,
        cased=cased,
        margin=margin,
        margins=margins,
        max_length=max_length,
    )
    settings = {"heads": slices, "aggregation_strategy": aggregation_strategy}
    return edit_config(folder, openmed=settings)


def make_impossible_checkpoint(
    folder: Path, words: Mapping[str, str], *, impossible: str = "impossible"
) -> Path:
    """Write a keyword checkpoint whose tokenizer knows one word that the model does not.

    A text that holds it raises an IndexError in the forward pass on a CPU.

    words (Mapping[str, str]): Entity type by keyword.
    impossible (str): The word.
    RETURNS (Path): The folder.
    """
    make_keyword_checkpoint(folder, words)
    spec = FAMILIES["bert"]
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    vocab = {**tokenizer.get_vocab(), impossible: tokenizer.get_vocab_size()}
    _write_tokenizer(folder, _bert_tokenizer(vocab, lowercase=True), spec, UNLIMITED, None)
    return folder


def edit_config(folder: Path, **values: Any) -> Path:
    """Set keys of a checkpoint's config.json.

    RETURNS (Path): The folder.
    """
    path = folder / "config.json"
    config = json.loads(path.read_text(encoding="utf8"))
    _write_json(path, {**config, **values})
    return folder


def _write_tokenizer(
    folder: Path,
    tokenizer: Tokenizer,
    spec: Family,
    model_max_length: int,
    truncation: int | None,
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if truncation is not None:
        pad = spec.special["pad_token"]
        tokenizer.enable_truncation(truncation)
        tokenizer.enable_padding(
            pad_id=tokenizer.token_to_id(pad), pad_token=pad, length=truncation
        )
    tokenizer.save(str(folder / "tokenizer.json"))
    if spec.files:
        tokenizer.model.save(str(folder))
    settings = {
        "tokenizer_class": spec.tokenizer_class,
        "model_max_length": model_max_length,
        **spec.special,
        **spec.tokenizer_config,
    }
    _write_json(folder / "tokenizer_config.json", settings)
    _write_json(folder / "special_tokens_map.json", spec.special)


def _write_keywords(
    folder: Path,
    heads: Sequence[tuple[Sequence[str], Mapping[str, str]]],
    labels: Sequence[str],
    *,
    cased: bool,
    margin: float,
    margins: Mapping[str, float] | None,
    max_length: int,
) -> Path:
    """Write a checkpoint whose logits depend on the piece alone."""
    spec = FAMILIES["bert-cased" if cased else "bert"]
    keywords = {word: _split_keyword(word, cased) for _, words in heads for word in words}
    pieces = list(dict.fromkeys(piece for split in keywords.values() for piece in split))
    tokenizer = _bert_tokenizer(_keyword_vocab(pieces, cased), lowercase=not cased)
    for word, split in keywords.items():
        found = tokenizer.encode(word.replace("##", ""), add_special_tokens=False).tokens
        if found != split:
            raise ValueError(f"Keyword '{word}' should be {split}, but becomes {found}.")
    _write_tokenizer(folder, tokenizer, spec, UNLIMITED, None)
    # Every piece of a keyword has a dimension of its own; all the others share dimension 0.
    dims = {piece: i for i, piece in enumerate(pieces, start=1)}
    hidden = len(pieces) + 1 + (len(pieces) + 1) % 2
    logits = torch.zeros(len(labels), hidden)
    start = 0
    for own, words in heads:
        rows = logits[start : start + len(own)]
        rows[own.index("O") if "O" in own else 0] = margin
        known: dict[str, str] = {}
        for word, kind in words.items():
            for i, piece in enumerate(keywords[word]):
                label = f"{'I' if i else 'B'}-{kind}" if "O" in own else kind
                if known.setdefault(piece, label) != label:
                    raise ValueError(f"Piece '{piece}' can't be both {known[piece]} and {label}.")
                rows[:, dims[piece]] = 0
                rows[own.index(label), dims[piece]] = (margins or {}).get(word, margin)
        start += len(own)
    config = AutoConfig.for_model(
        "bert",
        vocab_size=tokenizer.get_vocab_size(),
        max_position_embeddings=max_length,
        hidden_size=hidden,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=2,
        **_label_maps(labels),
    )
    model = AutoModelForTokenClassification.from_config(config)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.fill_(1.0 if name.endswith("LayerNorm.weight") else 0.0)
        # One-hot embeddings, to which the layers then add nothing.
        embeddings = model.bert.embeddings.word_embeddings.weight
        for piece, i in tokenizer.get_vocab().items():
            embeddings[i, dims.get(piece, 0)] = 1.0
        # Layer normalization takes a one-hot vector to `high` at its place and `low` elsewhere.
        high, low = math.sqrt(hidden - 1), -1 / math.sqrt(hidden - 1)
        weight = logits / (high - low)
        model.classifier.weight.copy_(weight)
        model.classifier.bias.copy_(-low * weight.sum(dim=1))
    model.save_pretrained(folder)
    return folder


def _split_keyword(keyword: str, cased: bool) -> list[str]:
    """The pieces of a keyword: words are split at punctuation, and where "##" stands."""
    splitter = pre_tokenizers.BertPreTokenizer()
    pieces: list[str] = []
    for word in (keyword if cased else keyword.lower()).split():
        first, *rest = word.split("##")
        pieces += [part for part, _ in splitter.pre_tokenize_str(first)]
        pieces += [f"##{part}" for part in rest]
    return pieces


def _keyword_vocab(pieces: Sequence[str], cased: bool) -> dict[str, int]:
    normalizer = normalizers.BertNormalizer(lowercase=not cased)
    splitter = pre_tokenizers.BertPreTokenizer()
    vocab = list(_BERT_SPECIAL.values())
    for char in map(chr, range(33, 127)):
        vocab += [char, f"##{char}"]
    for sentence in SENTENCES:
        words = splitter.pre_tokenize_str(normalizer.normalize_str(sentence))
        vocab += [word for word, _ in words if word.isascii()]
    return {piece: i for i, piece in enumerate(dict.fromkeys([*vocab, *pieces]))}


def _label_maps(labels: Sequence[str]) -> dict[str, dict]:
    return {
        "id2label": dict(enumerate(labels)),
        "label2id": {label: i for i, label in enumerate(labels)},
    }


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2), encoding="utf8")
