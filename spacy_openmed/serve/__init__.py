"""Find entities over HTTP."""

from typing import TYPE_CHECKING

from .._lazy import lazy

if TYPE_CHECKING:
    from .application import create_app as create_app
    from .application import run as run
    from .guard import Limits as Limits

__all__, __getattr__ = lazy(
    __name__,
    application=["create_app", "run"],
    guard=["Limits"],
)
