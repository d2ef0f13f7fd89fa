"""Load pipelines, and process texts with them."""
