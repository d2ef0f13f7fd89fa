"""Checkpoints: Hugging Face folders with a token-classification head."""
