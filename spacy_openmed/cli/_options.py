"""What several commands share."""

from collections.abc import Sequence

from .. import catalogue
from ..errors import Errors

SIZES = ", ".join(catalogue.SIZES)
LOOPBACK = ("127.0.0.1", "::1", "localhost")  # hosts that only this machine reaches


def choose_model(
    model: str | None,
    domain: Sequence[str] | None,
    dataset: Sequence[str] | None,
    size: str | None,
    precision: str,
) -> str:
    """Name a pipeline in one string, see `batch.to_model`.

    model (str | None): Its path or package.
    domain, dataset (Sequence[str] | None), size (str | None): Or the settings of `openmed_ner`.
    precision (str): That of `openmed_ner`.
    RETURNS (str): The pipeline.
    RAISES (ImportError): If the extra `batch` is not installed.
    RAISES (ValueError): If it is neither named nor described, or both.
    """
    from ..batch import to_model

    if bool(domain or dataset or size) == (model is not None):
        raise ValueError(Errors.OM518)
    if model is not None:
        return to_model(model)
    return to_model(
        {
            "domain": list(domain or ()) or None,
            "dataset": list(dataset or ()) or None,
            "size": size or catalogue.MINI,
            "model": {"precision": precision},
        }
    )
