"""Find entities over HTTP."""

from typing import TYPE_CHECKING, Any

from .._lazy import load

if TYPE_CHECKING:
    from .application import create_app as create_app
    from .application import run as run
    from .guard import Limits as Limits

EXPORTS = {
    "Limits": "guard",
    "create_app": "application",
    "run": "application",
}
__all__ = [*EXPORTS]


def __getattr__(name: str) -> Any:
    return load(__name__, name, EXPORTS)
