"""`index-gateway login`: a token for this command line, by a word in the browser.

Runs on people's own machines and needs no configuration of a gateway.
"""

from __future__ import annotations

import click

from gateway.cli import output


@click.command()
@click.argument("url")
@click.option("--upload", is_flag=True, help="For uploads, too; without it for reading alone.")
@click.option(
    "--hours",
    type=click.FloatRange(0, 12, min_open=True),
    default=12,
    show_default=True,
    help="How long it lives.",
)
@click.option("--print", "printed", is_flag=True, help="Print the token, keep nothing.")
@click.option("--no-browser", is_flag=True, help="Only tell the address, open nothing.")
@click.option("--forget", is_flag=True, help="Remove what is kept for this index.")
def login(
    url: str, upload: bool, hours: float, printed: bool, no_browser: bool, forget: bool
) -> int:
    """Log this command line in at the index at URL, by a word in the browser.

    The token is kept in the keyring of this machine, where pip and uv find it with
    `--keyring-provider subprocess`; or it is printed.
    """
    from gateway.client import kept
    from gateway.client import login as logins
    from gateway.client.login import LoginFailed

    try:
        host = logins.host_of(url)
        if forget:
            gone = kept.forget(host)
            output.note("Removed." if gone else "Nothing is kept for this index.")
            return output.OK
        if not printed:
            kept.system()  # said before somebody goes to the browser
        actions = ("upload", "read") if upload else ("read",)
        started = logins.start(url, actions, hours)
        output.note(f"Open {started.approve} and type {started.number} there.")
        if not no_browser:
            logins.open_page(started.approve)
        done = logins.wait(started)
        if not printed:
            known = kept.Login(url, actions, hours, done.user, done.expires)
            kept.keep(host, known, done.token)
    except LoginFailed as failed:
        raise output.CommandFailed(str(failed)) from None
    output.note(f"Logged in as {done.user}, until {output.moment(done.expires)}.")
    if printed:
        click.echo(done.token)
    return output.OK
