"""The page to try checkpoints and de-identification on."""

from typing import TYPE_CHECKING, Any

from .._lazy import load

if TYPE_CHECKING:
    from .page import make_app as make_app

EXPORTS = {
    "make_app": "page",
}
__all__ = [*EXPORTS]


def __getattr__(name: str) -> Any:
    return load(__name__, name, EXPORTS)
