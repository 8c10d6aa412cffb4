"""`backbeat web`: the dashboard."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ...canvas.cli import Options, banner, loglevel_option, set_up_logging
from ...canvas.url_text import without_password
from ..errors import ScheduleError

if TYPE_CHECKING:
    from ..web.admission import Admission


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to serve at.")
@click.option("--port", default=8787, type=click.IntRange(0, 65535), show_default=True)
@click.option("--read-only", is_flag=True, help="Everybody may look, and nobody may change anything.")
@click.option(
    "--token-file",
    type=click.Path(path_type=Path),
    envvar="BACKBEAT_WEB_TOKEN_FILE",
    help="Who shows a token of this file is let in; lines are operator:TOKEN or viewer:TOKEN. Or set BACKBEAT_WEB_TOKEN.",
)
@click.option(
    "--trust-header",
    metavar="NAME",
    default="",
    help="A proxy writes the user into this header, such as X-Forwarded-User; needs --trust-proxy.",
)
@click.option(
    "--trust-proxy", "proxies", metavar="ADDRESS", multiple=True, help="The proxy's address. Repeatable."
)
@click.option(
    "--operator",
    "operators",
    metavar="USER",
    multiple=True,
    help="A user of the proxy who may act; the others look. Repeatable.",
)
@click.option(
    "--allow-host",
    "hosts",
    metavar="NAME",
    multiple=True,
    help="A name under which the dashboard is reached. Repeatable.",
)
@click.option("--no-record", is_flag=True, help="Do not keep the history of runs: another process does.")
@loglevel_option("INFO")
@click.pass_obj
def web(
    options: Options,
    host: str,
    port: int,
    read_only: bool,
    token_file: Path | None,
    trust_header: str,
    proxies: tuple[str, ...],
    operators: tuple[str, ...],
    hosts: tuple[str, ...],
    no_record: bool,
    loglevel: str,
) -> None:
    """Serve the dashboard. On 127.0.0.1 it needs no login; anywhere else it does.

    It keeps the history of runs, too; of all that may, one does it. SIGTERM: finish, exit.
    """
    from ..web.admission import Admission
    from ..web.token import tokens_of

    named = _tokens(token_file)
    admission = Admission(
        host=host,
        tokens=() if named is None else tokens_of(*named),
        header=trust_header,
        proxies=frozenset(proxies),
        operators=frozenset(operators),
        hosts=frozenset(each.lower() for each in (host, *hosts)),
        is_read_only=read_only,
    ).checked()
    set_up_logging(loglevel)
    _serve(options, admission, port, records=not (no_record or read_only))


def _serve(options: Options, admission: Admission, port: int, *, records: bool) -> None:
    """Until a signal comes."""
    from ...canvas.notify import Notifier
    from ..history.wiring import recording
    from ..wiring import store_url

    try:
        from ..web.application import Dashboard
        from ..web.pages.listing import actions, pages
        from ..web.server import Server, listen, shown
        from ..web.site import Site
    except ModuleNotFoundError as missing:
        raise ScheduleError(
            f"the dashboard needs {missing.name}, which is not installed: pip install 'backbeat[web]'"
        ) from missing

    app, notifier = options.load_app(), Notifier.from_environment()
    url = store_url(app, options.store)
    site = Site(app, url)
    with listen(admission.host, port) as listening:
        server = Server(Dashboard(site, admission, pages(), actions()), listening)

        def stop(_number: int, _frame: object) -> None:
            notifier.stopping("stopping")
            server.stop()

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop)
        site.open()
        try:
            if not options.quiet:
                lines = {
                    "app": app.name,
                    "store": without_password(url),
                    "login": "none: only this machine reaches it" if admission.is_open else "needed",
                    "address": f"http://{shown(listening)}/",
                }
                click.echo(banner("backbeat web", lines))
            notifier.ready("serving")
            with recording(app, url, wanted=records):
                server.run()
        finally:
            site.close()


def _tokens(file: Path | None) -> tuple[str, str] | None:
    """Their text, and where it is from; None for none."""
    if file is not None:
        try:
            return file.read_text(), str(file)
        except (OSError, ValueError) as error:
            raise ScheduleError(f"--token-file {file}: it cannot be read: {error}") from error
    text = os.environ.get("BACKBEAT_WEB_TOKEN")
    return None if text is None else (text, "BACKBEAT_WEB_TOKEN")
