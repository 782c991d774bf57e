"""What the demo tells: where it is, how to log in, and five commands to try."""

from __future__ import annotations

import io
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Final

from gateway.cli.demo.indexes import script
from gateway.cli.demo.stage import USER, Stage

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


def welcome(stage: Stage, code: str) -> str:
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


def _delete(stage: Stage, secret: str) -> str:
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
