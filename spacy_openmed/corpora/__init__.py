"""Read annotated corpora, and make spaCy documents of them."""
