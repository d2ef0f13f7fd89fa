"""Read annotated corpora: IOB, PubTator, BioC, brat and JSON lines (our own, doccano's, Prodigy's).

A reader gives what the source says: texts, mentions at character offsets, relations. Whether the
offsets hold is for `to_doc` to check. No error holds a text: it may be a patient's.

Why no library: `bioc` 2.1 reads three of these formats, but takes a PubTator mention without a
concept id for a relation, shifts offsets where a title ends in a space, refuses BioC that leaves
out what the DTD and PubTator 3 leave out (ids, roles, empty lists), and prints lines it can't read.
spaCy's converters keep no ids, and document boundaries only where they read `-DOCSTART- -X- O O`.
"""
