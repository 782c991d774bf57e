"""The `demo` command: start everything, tell where it is and what to try, stop everything.

Whatever ends it (Ctrl-C, SIGTERM, a closed terminal, a failure half-way), no process and no file
is left. Knows the words; what is started stands in `stage`.
"""

from __future__ import annotations

import io
import shlex
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import FrameType
from typing import Final

import click

from gateway.cli import interpreter, output
from gateway.cli.demo import indexes
from gateway.cli.demo.indexes import script
from gateway.cli.demo.processes import ENDING, Children, listens, signals_held
from gateway.cli.demo.proof import prove
from gateway.cli.demo.stage import USER, Demo, build


class _Stopped(Exception):
    """Somebody asked for the end."""


@click.command()
@click.option(
    "--upstream",
    type=click.Choice(["pypiserver", "devpi"]),
    default="pypiserver",
    show_default=True,
    help="The index that runs behind the gateway.",
)
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    default=8080,
    show_default=True,
    help="Where to listen, on this machine only.",
)
def demo(upstream: str, port: int) -> int:
    """Try it on this machine, with nothing to configure.

    Starts a real index with two packages in it, the gateway before it and a user who has a second
    factor already. Ctrl-C stops everything and leaves nothing behind.
    """
    interpreter.require()
    indexes.require(upstream)
    if listens(port):
        other = port + 10 if port <= 65525 else 8090
        raise output.CommandFailed(
            f"Port {port} of 127.0.0.1 is in use.",
            f"Stop what listens there, or take another: --port {other}, make demo PORT={other}.",
        )
    before = {number: signal.signal(number, _stop) for number in ENDING}
    try:
        with ExitStack() as left:
            with signals_held():
                place = Path(tempfile.mkdtemp(prefix="index-gateway-demo-"))
                left.callback(_remove, place)
            _run(left.enter_context(Children()), place, upstream, port)
    except _Stopped:
        output.note("\nStopped; nothing is left.")
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return output.OK


def _stop(number: int, frame: FrameType | None) -> None:
    # Only the first one interrupts: the rest must not disturb the cleaning up.
    for each in ENDING:
        signal.signal(each, signal.SIG_IGN)
    raise _Stopped


def _remove(place: Path) -> None:
    with signals_held():
        shutil.rmtree(place, ignore_errors=True)


def _run(children: Children, place: Path, upstream: str, port: int) -> None:
    output.note(f"Starting {upstream} and the gateway …")
    stage = build(children, place, upstream, port)
    prove(stage)
    shown = codes(stage.otpauth)
    click.echo(welcome(stage, shown(time.time())[0]))
    live = output.is_terminal()
    while True:
        ended = children.ended()
        if ended:
            raise output.CommandFailed(f"{ended.name} ended by itself:\n{ended.tail()}")
        if live:
            click.echo("\r" + status(*shown(time.time())), nl=False)
            sys.stdout.flush()
        time.sleep(0.5)


_WELCOME: Final = """\
{kind} with two packages in it, behind the gateway. Ctrl-C stops it and removes everything.

  address    {url}
  user       {user}
  password   {password}
  code       {code}   a new one every 30 seconds, each works once

Scan this with an authenticator app to have the codes on your phone:

{qr}
Five things to try, from another terminal in this directory:

1. Download a package: nothing is asked.
   {download}

2. Upload one: the password is enough, as always.
   {upload}

3. Delete a release with the password alone: refused.
   {delete}

4. The same with a code: accepted. Put the code that shows now in place of CODE.
   {delete_with_code}

5. Log in with a browser and see your factors:
   {login}
"""


def welcome(stage: Demo, code: str) -> str:
    """The whole text, with the code that is good now."""
    pip, twine = _shown("pip"), _shown("twine")
    fresh = shlex.quote(str(stage.fresh))
    target = shlex.quote(str(stage.fresh.parent))
    return _WELCOME.format(
        kind=stage.kind,
        url=stage.url,
        user=USER,
        password=stage.password,
        code=code,
        qr=_qr(stage.otpauth),
        download=f"{pip} download --no-deps --index-url {stage.index} -d {target} hello",
        upload=f"{twine} upload --repository-url {stage.uploads} -u {USER} "
        f"-p {stage.password} {fresh}",
        delete=_delete(stage, stage.password),
        delete_with_code=_delete(stage, f"{stage.password},CODE"),
        login=f"{stage.url}/+auth/login",
    )


def codes(otpauth: str) -> Callable[[float], tuple[str, int]]:
    """From the otpauth address, what an authenticator app shows: the code and its seconds left."""
    import pyotp

    secret = pyotp.parse_uri(otpauth)
    if not isinstance(secret, pyotp.TOTP):
        raise TypeError("the demo enrols TOTP")

    def shown(now: float) -> tuple[str, int]:
        return secret.at(int(now)), 30 - int(now) % 30

    return shown


def status(code: str, left: int) -> str:
    """The line that stays at the end of a terminal."""
    return f"code now: {code}   ({left:2d} s left)   Ctrl-C stops "


def _delete(stage: Demo, secret: str) -> str:
    curl = f"curl -sw '%{{http_code}}\\n' -u {USER}:{secret}"
    if stage.kind == "devpi":
        return f"{curl} -X DELETE {stage.uploads}hello/1.0"
    return f"{curl} -F :action=remove_pkg -F name=hello -F version=1.0 {stage.uploads}"


def _qr(text: str) -> str:
    import segno

    drawn = io.StringIO()
    segno.make(text, error="l").terminal(drawn, compact=True, border=2)
    return drawn.getvalue()


def _shown(name: str) -> str:
    """How to call a command of this installation from the directory one is in."""
    path = Path(script(name))
    try:
        return shlex.quote(str(path.relative_to(Path.cwd())))
    except ValueError:
        return shlex.quote(str(path))
