import typer
from spacy.cli._util import Opt
from wasabi import msg

from .. import catalogue
from ..errors import Errors
from ._options import LOOPBACK, SIZES, check_pipeline

GRACE = 3  # seconds for requests in flight at the end; the page in a browser keeps one open


def app_cli(
    # fmt: off
    model: str | None = typer.Argument(
        None, help="A pipeline's path or package, instead of --domain and --size"
    ),
    domain: list[str] | None = Opt(
        None, "--domain", "-d", help="Name of a domain to begin with, repeatable"
    ),
    size: str | None = Opt(None, "--size", "-s", help=f"Size to begin with: {SIZES}"),
    host: str = Opt("127.0.0.1", "--host", "-H", help="Address to listen at"),
    port: int = Opt(7860, "--port", "-p", min=1, max=65535, help="Port to listen at"),
    # fmt: on
) -> None:
    """
    Open a page to look at texts: their entities, a table of them, the context, codes and relations
    that the pipeline finds, and, with the extra [deid], the text without identifiers. It works
    without a network, and keeps no text.

    EXAMPLE: python -m spacy openmed app --domain disease --domain pharmacology
    """
    if model is not None and (domain or size):
        raise ValueError(Errors.OM701)
    if model is not None:
        check_pipeline(model)
    from ..page.page import make_app

    app = make_app(model, domains=domain or (), size=size or catalogue.MINI)
    import uvicorn

    if host not in LOOPBACK:
        msg.warn("Others can use the page without a password, and what they send is not encrypted.")
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=GRACE,
    )
    listener = config.bind_socket()  # or says why not, and exits
    name = f"[{host}]" if ":" in host else host
    msg.good(f"The page is at http://{name}:{port} (Ctrl-C ends it)")
    uvicorn.Server(config).run(sockets=[listener])
