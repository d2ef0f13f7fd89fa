"""Run the manual's quickstart, and a packaged pipeline, in an environment that has only the wheels.

python scripts/check_wheel.py README.md PACKAGE
"""

import re
import sys
from pathlib import Path

import spacy

import spacy_openmed

TEXT = "Aspirin can cause gastric ulcers."


def main(readme: Path, package: str) -> None:
    """Run both, and fail if the sources are imported instead of the wheel."""
    folder = Path(spacy_openmed.__file__).parent
    if not folder.is_relative_to(sys.prefix):
        raise SystemExit(f"{folder} is not the installed package")
    quickstart = readme.read_text(encoding="utf8").partition("\n## Quickstart\n")[2]
    quickstart = quickstart.partition("\n## ")[0]
    blocks = re.findall(r"^```python\n(.*?)^```$", quickstart, re.MULTILINE | re.DOTALL)
    namespace: dict = {}
    for block in blocks:
        exec(compile(block, str(readme), "exec"), namespace)
    if not blocks or not namespace["doc"].ents:
        raise SystemExit("The quickstart found no entities")
    ents = spacy.load(package)(TEXT).ents
    if not ents:
        raise SystemExit(f"{package} found no entities")
    print(f"{package}:", *((ent.text, ent.label_) for ent in ents))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
