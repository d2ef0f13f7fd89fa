"""Where the package keeps its data."""

from pathlib import Path

DATA_PATH = Path(__file__).parent / "data"
MINI_PATH = Path(__file__).parent / "mini"
