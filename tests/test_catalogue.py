"""The catalogue finds and chooses what the announcement promises, and says why not."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from spacy_openmed import catalogue, paths
from spacy_openmed.catalogue.choose import LOADABLE
from spacy_openmed.catalogue.store import CatalogueError

PREFIX = "OpenMed/OpenMed-NER-"
HUB_SIZES = ("compact", "medium", "large", "xlarge", "giant")
# domain, checkpoints in the catalogue, best checkpoint, its labels
DOMAINS = [
    ("pharmacology", 89, "PharmaDetect-SuperClinical-434M", {"CHEMICAL"}),
    ("disease", 59, "PathologyDetect-PubMed-v2-109M", {"DISEASE"}),
    ("genomics", 148, "GenomeDetect-SuperClinical-434M", {"GENE_OR_GENE_PRODUCT"}),
    ("anatomy", 30, "AnatomyDetect-ElectraMed-560M", {"ANATOMY"}),
    ("clinical", 29, "BloodCancerDetect-ElectraMed-560M", {"CELL_LINE"}),
]
# dataset, domain, best checkpoint, its F1, the state of the art before it
DATASETS = [
    ("bc5cdr_chem", "pharmacology", "PharmaDetect-SuperClinical-434M", 0.961, 0.9488),
    ("bc4chemd", "pharmacology", "ChemicalDetect-PubMed-335M", 0.954, 0.9439),
    ("fsu", "pharmacology", "ProteinDetect-SnowMed-568M", 0.961, None),
    ("bc5cdr_disease", "disease", "DiseaseDetect-SuperClinical-434M", 0.912, 0.885),
    ("ncbi_disease", "disease", "PathologyDetect-PubMed-v2-109M", 0.911, 0.8971),
    ("jnlpba", "genomics", "DNADetect-SuperClinical-434M", 0.819, 0.82),
    ("bc2gm", "genomics", "GenomeDetect-SuperClinical-434M", 0.901, 0.8875),
    ("species800", "genomics", "OrganismDetect-BioMed-335M", 0.864, 0.8259),
    ("linnaeus", "genomics", "SpeciesDetect-PubMed-335M", 0.965, 0.927),
    ("gellus", "genomics", "GenomicDetect-SnowMed-568M", 0.998, 0.634),
    ("anatomy", "anatomy", "AnatomyDetect-ElectraMed-560M", 0.906, 0.9165),
    ("bionlp2013_cg", "oncology", "OncologyDetect-SuperMedical-355M", 0.899, 0.8783),
    ("cll", "clinical", "BloodCancerDetect-ElectraMed-560M", 0.957, 0.8598),
]
HEADS = [
    {"dataset": "gellus", "start": 0, "labels": ["O", "B-Cell-line-name", "I-Cell-line-name"]},
    {
        "dataset": "ncbi_disease",
        "start": 3,
        "labels": ["B-Disease", "I-Disease", "O"],
        "f1": 0.85,
        "recommended_confidence": 0.4,
    },
]


@pytest.fixture
def set_mini(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[list[dict]], None]:
    """Puts a checkpoint with other heads in place of the bundled one."""

    def set_mini(heads: list[dict]) -> None:
        config = json.dumps({"openmed": {"heads": heads}})
        (tmp_path / "config.json").write_text(config, encoding="utf8")
        monkeypatch.setattr(paths, "MINI_PATH", tmp_path)

    return set_mini


@pytest.fixture
def other_mini(set_mini: Callable[[list[dict]], None]) -> None:
    """In place of the bundled checkpoint, one with the `HEADS`."""
    set_mini(HEADS)


@pytest.fixture
def clinical_mini(set_mini: Callable[[list[dict]], None]) -> None:
    """In place of the bundled checkpoint, one that reads notes and says what they assert."""
    kinds = {
        "bc5cdr_chem": "Chemical",
        "cll": "CL",
        "notes": "PROBLEM",
        "fsu": "Gene",
        "biored": "Variant",
    }
    heads = [
        {"dataset": name, "start": 3 * i, "labels": ["O", f"B-{kind}", f"I-{kind}"]}
        for i, (name, kind) in enumerate(kinds.items())
    ]
    asserted = ["PRESENT", "ABSENT"]
    groups = {"PROBLEM": asserted}
    row = {"dataset": "assertion", "kind": "assertion", "start": 15, "labels": asserted}
    set_mini([*heads, {**row, "groups": groups}])


def test_holds_every_checkpoint_once():
    rows = catalogue.checkpoints()
    assert len({c.id for c in rows}) == len(rows) == 754
    assert Counter(c.kind for c in rows) == {"ner": 384, "pii": 370}


def test_needs_the_standard_library_only(run_python: Callable[..., str]):
    code = "import sys; import spacy_openmed.catalogue as c; c.choose(domain='disease'); "
    code += "print({'numpy', 'spacy', 'thinc', 'torch', 'transformers'} & set(sys.modules))"
    assert run_python(code).strip() == "set()"


@pytest.mark.parametrize(("dataset", "domain", "best", "f1", "earlier"), DATASETS)
def test_datasets_are_the_announcements(
    dataset: str, domain: str, best: str, f1: float, earlier: float | None
):
    row = catalogue.datasets()[dataset]
    assert (row.best, row.best_f1, row.earlier_f1) == (PREFIX + best, f1, earlier)
    assert row.domain == domain
    assert dataset in catalogue.domains()[domain].datasets
    # A model card gives one more digit.
    assert catalogue.get(row.best).f1 == pytest.approx(f1, abs=5e-4)


def test_domains_hold_all_datasets():
    names = [name for domain in catalogue.domains().values() for name in domain.datasets]
    assert sorted(names) == sorted(row[0] for row in DATASETS + [("notes",)])
    assert {*catalogue.datasets()} - {*names} == {"biored"}


@pytest.mark.parametrize(
    ("millions", "size"),
    [
        (33, "compact"),
        (149, "compact"),
        (184, "medium"),
        (212, "medium"),
        (278, "medium"),
        (335, "large"),
        (355, "large"),
        (395, "large"),
        (434, "xlarge"),
        (560, "giant"),
        (568, "giant"),
    ],
)
def test_sizes(millions: int, size: str):
    rows = [c for c in catalogue.checkpoints() if c.params == millions * 1_000_000]
    assert {c.size for c in rows} == {size}


def test_checkpoints_without_parameters_have_no_size():
    rows = [c for c in catalogue.checkpoints() if c.size is None]
    assert rows
    assert all(c.params is None for c in rows)


def test_gets_a_checkpoint():
    row = catalogue.get(f"{PREFIX}GenomicDetect-SnowMed-568M")
    assert row == catalogue.lookup(row.id)
    assert (row.kind, row.domain, row.dataset, row.size) == ("ner", "genomics", "gellus", "giant")
    assert (row.params, row.architecture, row.languages) == (568_000_000, "xlm-roberta", ("en",))
    assert (row.labels, row.canonical_labels) == (("Cell-line-name",), ("CELL_LINE",))
    assert (row.license, row.recommended_confidence) == ("apache-2.0", 0.65)
    assert row.onnx_repo == f"{row.id}-v1-onnx-android"
    assert (row.f1, row.scores[0].source) == (0.998, "OpenMed announcement, July 2025")


def test_an_unknown_checkpoint_is_an_error_with_the_nearest():
    assert catalogue.lookup("OpenMed/other") is None
    with pytest.raises(CatalogueError, match=r"OM051.*Did you mean .*PharmaDetect-TinyMed-65M'"):
        catalogue.get("openmed/openmed-ner-pharmadetect-tinymed-65")


def test_checkpoints_filed_under_the_wrong_language():
    chinese = catalogue.find(language="zh")
    assert {c.id for c in catalogue.checkpoints() if "-PII-Chinese-" in c.id} <= {
        c.id for c in chinese
    }
    assert all(c.languages == ("zh",) for c in chinese)


# Find


@pytest.mark.parametrize(("domain", "n"), [row[:2] for row in DOMAINS] + [("privacy", 370)])
def test_finds_a_domains_checkpoints(domain: str, n: int):
    found = catalogue.find(domain=domain)
    assert {c.domain for c in found} == {domain}
    assert len(found) == n


def test_finds_all_without_conditions():
    assert catalogue.find() == list(catalogue.checkpoints())


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ({"kind": "pii"}, lambda c: c.kind == "pii"),
        ({"dataset": "cll"}, lambda c: c.dataset == "cll"),
        ({"size": "large"}, lambda c: 335e6 <= (c.params or 0) <= 395e6),
        ({"architecture": "eurobert"}, lambda c: c.architecture == "eurobert"),
        ({"language": "fr"}, lambda c: "fr" in c.languages),
        ({"max_params": 66_000_000}, lambda c: c.params is not None and c.params <= 66e6),
        (
            {"domain": "genomics", "dataset": "bc2gm", "size": "giant", "architecture": "bert"},
            lambda c: False,
        ),
        (
            {"dataset": "jnlpba", "architecture": "deberta-v2", "size": "medium"},
            lambda c: (c.dataset, c.architecture, c.size) == ("jnlpba", "deberta-v2", "medium"),
        ),
    ],
)
def test_finds_exactly_what_fulfils_the_conditions(condition: dict, holds: Callable):
    expected = [c for c in catalogue.checkpoints() if holds(c)]
    assert catalogue.find(**condition) == expected


def test_finds_the_best():
    assert {c.id for c in catalogue.find(size="best")} == {PREFIX + row[2] for row in DATASETS}


def test_mini_is_not_on_the_hub():
    assert catalogue.find(size="mini") == []


@pytest.mark.parametrize(
    ("condition", "near", "known"),
    [
        ({"kind": "xyz"}, "", "ner, pii"),
        ({"domain": "genomic"}, "'genomics'", "pharmacology, disease, genomics, anatomy"),
        ({"dataset": "BC5CDR-disease"}, "'bc5cdr_disease'", "bc5cdr_chem, bc4chemd, fsu"),
        ({"size": "largest"}, "'large'", "mini, compact, medium, large, xlarge, giant, best"),
        ({"architecture": "deberta"}, "'deberta-v2'", "bert, clinical-longformer"),
        ({"language": "qq"}, "", "am, ar, as"),
    ],
)
def test_an_unknown_name_is_an_error_with_what_there_is(condition: dict, near: str, known: str):
    with pytest.raises(CatalogueError) as error:
        catalogue.find(**condition)
    message = str(error.value)
    ((what, name),) = condition.items()
    assert message.startswith(f"[OM050] Unknown {what} '{name}'.")
    assert f"There are: {known}" in message
    assert (f"Did you mean {near}" in message) if near else ("Did you mean" not in message)


# Choose: mini


def test_mini_has_the_heads_of_three_domains():
    heads = catalogue.bundled()
    assert {"bc5cdr_chem", "bc5cdr_disease", "ncbi_disease", "jnlpba", "bc2gm"} <= set(heads)
    assert heads["jnlpba"].labels == ("DNA", "RNA", "cell_line", "cell_type", "protein")


def test_by_default_every_head_of_mini():
    choice = catalogue.choose()
    assert choice.checkpoint == catalogue.get("mini") == catalogue.mini()
    assert choice.datasets == tuple(d for d in catalogue.bundled() if d != "privacy")
    assert {*choice.labels} <= {*choice.checkpoint.canonical_labels}
    assert "PERSON" not in choice.labels
    assert choice.note == ""


def test_mini_finds_personal_data_if_asked_to():
    assert catalogue.choose(domain="privacy").datasets == ("privacy",)
    expected = r"OM061.*English only.*'de'.*best.*OpenMed-PII-German"
    with pytest.raises(catalogue.CatalogueError, match=expected):
        catalogue.choose(domain="privacy", language="de")


def test_mini_has_heads_for_every_domain():
    for domain in catalogue.domains():
        assert catalogue.choose(domain=domain).checkpoint.id == "mini"


@pytest.mark.parametrize(
    ("names", "datasets", "labels"),
    [
        ({"domain": "pharmacology"}, {"bc5cdr_chem"}, {"CHEMICAL"}),
        ({"domain": "disease"}, {"bc5cdr_disease", "ncbi_disease"}, {"DISEASE"}),
        (
            {"domain": ["pharmacology", "disease"]},
            {"bc5cdr_chem", "bc5cdr_disease", "ncbi_disease"},
            {"CHEMICAL", "DISEASE"},
        ),
        ({"dataset": "bc2gm"}, {"bc2gm"}, {"GENE_OR_GENE_PRODUCT"}),
        (
            {"dataset": ["jnlpba", "bc5cdr_chem", "jnlpba"]},
            {"jnlpba", "bc5cdr_chem"},
            {"DNA", "RNA", "CELL_LINE", "CELL_TYPE", "PROTEIN", "CHEMICAL"},
        ),
        ({"domain": "disease", "dataset": "ncbi_disease"}, {"ncbi_disease"}, {"DISEASE"}),
    ],
)
def test_domains_and_datasets_choose_heads_of_mini(names: dict, datasets: set, labels: set):
    choice = catalogue.choose(**names)
    assert choice.checkpoint.id == "mini"
    assert set(choice.datasets) >= datasets
    assert all(catalogue.datasets()[name].domain in _domains(names) for name in choice.datasets)
    assert set(choice.labels) >= labels
    assert len(choice.datasets) == len(set(choice.datasets))


def _domains(names: dict) -> set[str]:
    if "domain" in names:
        return {names["domain"]} if isinstance(names["domain"], str) else set(names["domain"])
    datasets = [names["dataset"]] if isinstance(names["dataset"], str) else names["dataset"]
    return {catalogue.datasets()[name].domain for name in datasets}


@pytest.mark.usefixtures("other_mini")
def test_mini_says_which_heads_of_a_domain_it_lacks():
    choice = catalogue.choose(domain=["genomics", "disease"])
    assert choice.datasets == ("gellus", "ncbi_disease")
    assert choice.labels == ("CELL_LINE", "DISEASE")
    assert choice.note == (
        "Not bundled, of genomics: jnlpba, bc2gm, species800, linnaeus. "
        "Not bundled, of disease: bc5cdr_disease."
    )


@pytest.mark.usefixtures("clinical_mini")
@pytest.mark.parametrize(
    ("names", "datasets", "labels"),
    [
        ({"domain": "clinical"}, ("notes", "cll"), {"DISEASE", "CELL_LINE"}),
        ({"domain": "pharmacology"}, ("bc5cdr_chem",), {"CHEMICAL"}),
        ({"dataset": "fsu"}, ("fsu",), {"GENE_OR_GENE_PRODUCT"}),
        ({"dataset": "biored"}, ("biored",), {"VARIANT"}),
        (
            {},
            ("bc5cdr_chem", "cll", "notes", "fsu", "biored"),
            {"CHEMICAL", "CELL_LINE", "DISEASE", "GENE_OR_GENE_PRODUCT", "VARIANT"},
        ),
    ],
)
def test_domains_leave_out_what_has_to_be_named(names: dict, datasets: tuple, labels: set):
    choice = catalogue.choose(**names)
    assert choice.datasets == datasets
    assert {*choice.labels} == labels


@pytest.mark.usefixtures("clinical_mini")
def test_assertions_are_no_labels_of_mini():
    assert "assertion" not in catalogue.bundled()
    assert not {"PRESENT", "ABSENT"} & {*catalogue.mini().labels}


def test_clinical_of_a_mini_that_reads_no_notes(set_mini: Callable[[list[dict]], None]):
    set_mini([{"dataset": "cll", "start": 0, "labels": ["O", "B-CL", "I-CL"]}])
    choice = catalogue.choose(domain="clinical")
    assert (choice.datasets, choice.labels) == (("cll",), ("CELL_LINE",))
    assert choice.note == "Not bundled, of clinical: notes."


@pytest.mark.usefixtures("other_mini")
@pytest.mark.parametrize("dataset", ["notes", "biored"])
def test_datasets_that_are_not_on_the_hub(dataset: str):
    with pytest.raises(CatalogueError, match=f"OM054.*'{dataset}'.*domains disease, genomics"):
        catalogue.choose(dataset=dataset)
    with pytest.raises(CatalogueError, match=f"OM058.*'{dataset}'.*mini"):
        catalogue.choose(dataset=dataset, size="best")


@pytest.mark.parametrize(
    ("chosen", "stands_in"),
    [
        (("bc5cdr_chem", "bc4chemd"), True),
        (("bc5cdr_chem",), False),
        (("ncbi_disease", "bc5cdr_disease"), False),
    ],
)
def test_one_dataset_for_a_domain_that_does_not_mean_it(chosen: tuple, stands_in: bool):
    assert catalogue.stands_in("fsu", chosen) is stands_in
    assert not catalogue.stands_in("bc4chemd", chosen)
    assert not catalogue.stands_in("biored", chosen)


@pytest.mark.usefixtures("other_mini")
def test_heads_of_mini_have_their_own_score_and_threshold():
    gellus, disease = catalogue.bundled().values()
    assert (gellus.f1, gellus.threshold) == (None, None)
    assert (disease.f1, disease.threshold) == (0.85, 0.4)
    info = catalogue.mini()
    assert (info.f1, info.f1_on("ncbi_disease"), info.f1_on("gellus")) == (None, 0.85, None)
    assert info.labels == ("Cell-line-name", "Disease")
    assert catalogue.choose(dataset="ncbi_disease").f1 == 0.85
    assert catalogue.choose().f1 is None


@pytest.mark.usefixtures("other_mini")
@pytest.mark.parametrize(
    ("names", "best"),
    [
        ({"domain": "anatomy"}, f"{PREFIX}AnatomyDetect-ElectraMed-560M"),
        ({"domain": ["disease", "oncology"]}, f"{PREFIX}OncologyDetect-SuperMedical-355M"),
        ({"dataset": "jnlpba"}, f"{PREFIX}DNADetect-SuperClinical-434M"),
    ],
)
def test_what_is_not_bundled_says_what_is_and_what_to_do(names: dict, best: str):
    with pytest.raises(CatalogueError) as error:
        catalogue.choose(**names)
    message = str(error.value)
    assert message.startswith("[OM053]")
    assert "domains disease, genomics (datasets gellus, ncbi_disease)" in message
    assert f'size = "best" to load {best} from' in message


@pytest.mark.parametrize(
    ("what", "name", "meant"),
    [("size", "small", "compact"), ("domain", "PII", "privacy"), ("domain", "diseases", "disease")],
)
def test_other_names_say_what_they_are_called_here(what: str, name: str, meant: str):
    with pytest.raises(CatalogueError, match=f"OM050.*'{name}'. Did you mean '{meant}'"):
        catalogue.choose(**{what: name})


def test_no_bundled_model_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(paths, "MINI_PATH", tmp_path)
    with pytest.raises(CatalogueError, match="OM059.*config.json"):
        catalogue.choose()
    assert catalogue.choose(domain="disease", size="best").checkpoint.size == "compact"


def test_says_when_the_language_differs():
    assert catalogue.choose(language="de").note.endswith("Trained on texts in 'en', not in 'de'.")


# Choose: the hub


@pytest.mark.parametrize(("domain", "n", "best", "labels"), DOMAINS)
def test_best_of_a_domain(domain: str, n: int, best: str, labels: set[str]):
    choice = catalogue.choose(domain=domain, size="best")
    assert choice.checkpoint.id == PREFIX + best
    assert choice.datasets == (choice.checkpoint.dataset,)
    assert set(choice.labels) == labels


def test_best_of_oncology_finds_its_sixteen_types():
    choice = catalogue.choose(domain="oncology", size="best")
    assert choice.checkpoint.id == f"{PREFIX}OncologyDetect-SuperMedical-355M"
    assert len(choice.labels) == 16


def test_only_genomics_differs_from_the_announcement():
    differ = [d.name for d in catalogue.domains().values() if d.choice != d.recommended]
    assert differ == ["genomics"]
    recommended = catalogue.get(str(catalogue.domains()["genomics"].recommended))
    assert recommended.id == f"{PREFIX}GenomicDetect-SnowMed-568M"
    assert recommended.canonical_labels == ("CELL_LINE",)


@pytest.mark.parametrize("size", [*HUB_SIZES, "best"])
def test_genomics_says_why_not_the_recommended_checkpoint(size: str):
    choice = catalogue.choose(domain="genomics", size=size)
    assert choice.labels == ("GENE_OR_GENE_PRODUCT",)
    assert "recommends GenomicDetect-SnowMed-568M, which finds cell lines only" in choice.note


def test_clinical_says_that_it_finds_cell_lines_only():
    choice = catalogue.choose(domain="clinical", size="best")
    assert choice.labels == ("CELL_LINE",)
    assert choice.note.startswith("Finds cell lines only.")


@pytest.mark.parametrize("dataset", [row[0] for row in DATASETS])
def test_every_dataset_has_a_checkpoint_of_every_size(dataset: str):
    chosen = [catalogue.choose(dataset=dataset, size=size).checkpoint for size in HUB_SIZES]
    assert [c.size for c in chosen] == list(HUB_SIZES)
    assert {c.dataset for c in chosen} == {dataset}
    assert {c.architecture for c in chosen} <= set(LOADABLE)


@pytest.mark.parametrize(("dataset", "domain", "best", "f1", "earlier"), DATASETS)
def test_best_of_a_dataset(dataset: str, domain: str, best: str, f1: float, earlier: float):
    choice = catalogue.choose(domain=domain, dataset=dataset, size="best")
    assert choice.checkpoint.id == PREFIX + best
    assert choice.f1 == pytest.approx(f1, abs=5e-4)
    same_size = catalogue.choose(dataset=dataset, size=choice.checkpoint.size or "")
    assert same_size.f1 == choice.f1


@pytest.mark.parametrize("size", HUB_SIZES)
@pytest.mark.parametrize("domain", [row[0] for row in DOMAINS])
def test_a_domains_sizes_are_those_of_its_main_dataset(domain: str, size: str):
    main = catalogue.choose(domain=domain, size="best").datasets[0]
    expected = catalogue.choose(dataset=main, size=size).checkpoint
    assert catalogue.choose(domain=domain, size=size).checkpoint == expected


@pytest.mark.parametrize(
    ("language", "size", "name"),
    [
        ("en", "best", "SuperClinical-Large-434M-v1"),
        ("en", "compact", "BioClinicalModern-Base-149M-v1"),
        ("de", "best", "German-ClinicalBGE-Large-568M-v1"),
        ("de", "medium", "German-mSuperClinical-Large-279M-v1"),
        ("zh", "medium", "Chinese-BigMed-Large-278M-v1"),
        ("ja", "giant", "Japanese-BigMed-Large-560M-v1"),
    ],
)
def test_privacy_goes_by_language(language: str, size: str, name: str):
    choice = catalogue.choose(domain="privacy", size=size, language=language)
    assert choice.checkpoint.id == f"OpenMed/OpenMed-PII-{name}"
    assert choice.datasets == choice.labels == ()
    assert choice.note == (
        "Chosen by language; the labels are known when the checkpoint is loaded."
    )


def test_privacy_says_when_the_encoder_knows_english_only():
    choice = catalogue.choose(domain="privacy", size="xlarge", language="de")
    assert choice.checkpoint.id == "OpenMed/OpenMed-PII-German-SuperClinical-Large-434M-v1"
    assert choice.note.endswith("Its encoder was first trained on English texts only.")


def test_privacy_without_the_size_says_which_sizes_there_are():
    with pytest.raises(CatalogueError, match=r"OM057.*'compact'.*'ja'.*: large, giant, best\.$"):
        catalogue.choose(domain="privacy", size="compact", language="ja")


@pytest.mark.parametrize("size", ["mini", "best"])
def test_privacy_without_the_language_says_which_languages_there_are(size: str):
    with pytest.raises(CatalogueError, match=r"OM060.*'cs'.*: ar, bn, de, en,"):
        catalogue.choose(domain="privacy", size=size, language="cs")


def test_a_hub_size_needs_a_name():
    with pytest.raises(CatalogueError, match="OM055.*'giant'.*Domains: pharmacology, disease"):
        catalogue.choose(size="giant")


@pytest.mark.parametrize("key", ["domain", "dataset"])
def test_a_hub_size_of_several_shows_the_components_to_write(key: str):
    names = ["disease", "anatomy"] if key == "domain" else ["bc2gm", "anatomy"]
    with pytest.raises(CatalogueError, match=f"OM056.*'best' is for one {key}, not for 2") as error:
        catalogue.choose(**{key: names}, size="best")
    calls = str(error.value).splitlines()[1:]
    added = [eval(call, {"nlp": _Recorder()}) for call in calls]
    assert added == [
        ("openmed_ner", {"name": f"openmed_{n}", "config": {key: n, "size": "best"}}) for n in names
    ]


class _Recorder:
    def add_pipe(self, factory: str, **settings) -> tuple[str, dict]:
        return factory, settings


@pytest.mark.parametrize(
    ("domain", "dataset"),
    [
        ("disease", "bc2gm"),
        ("disease", ["ncbi_disease", "bc2gm"]),
        (["disease", "genomics"], "bc2gm"),
        ("privacy", "bc2gm"),
    ],
)
@pytest.mark.parametrize("ask", [catalogue.choose, catalogue.expand])
def test_datasets_have_to_fit_the_domains(ask: Callable, domain: str, dataset: str):
    with pytest.raises(CatalogueError, match=r"OM052.*bc2gm"):
        ask(domain=domain, dataset=dataset)


def test_find_rejects_a_dataset_of_another_domain():
    with pytest.raises(CatalogueError, match=r"OM052.*: bc5cdr_disease, ncbi_disease\.$"):
        catalogue.find(domain="disease", dataset="bc2gm")


@pytest.mark.parametrize(
    ("names", "datasets"),
    [
        ({}, ()),
        ({"domain": "privacy"}, ("privacy",)),
        ({"domain": "disease"}, ("bc5cdr_disease", "ncbi_disease")),
        ({"domain": ["clinical", "anatomy"]}, ("notes", "cll", "anatomy")),
        ({"domain": "pharmacology"}, ("bc5cdr_chem", "bc4chemd")),
        ({"domain": "disease", "dataset": "ncbi_disease"}, ("ncbi_disease",)),
        ({"dataset": ["fsu", "cll"]}, ("fsu", "cll")),
    ],
)
def test_expands_names_to_datasets(names: dict, datasets: tuple[str, ...]):
    assert catalogue.expand(**names) == datasets


@pytest.mark.parametrize("key", ["domain", "dataset", "size"])
def test_choosing_by_an_unknown_name_is_an_error(key: str):
    with pytest.raises(CatalogueError, match=f"OM050. Unknown {key} 'genomix'"):
        catalogue.choose(**{key: "genomix"})
