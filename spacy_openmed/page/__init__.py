"""The page to try checkpoints and de-identification on."""

from typing import TYPE_CHECKING

from .._lazy import lazy

if TYPE_CHECKING:
    from .page import make_app as make_app

__all__, __getattr__ = lazy(__name__, page=["make_app"])
