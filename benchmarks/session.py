"""The session cookie that an authorisation service signs, and the Cookie field that carries it."""

from __future__ import annotations

from itsdangerous import BadSignature, URLSafeTimedSerializer

NAME = "session"
_HOURS = 12
_SIGNER = URLSafeTimedSerializer("not a secret: for the measurement only", salt="session")


def cookie_field() -> bytes:
    """What a browser with a session sends: that cookie beside a few usual ones."""
    token = _SIGNER.dumps({"user": "alice", "factor": "totp"})
    assert isinstance(token, str)
    return f"Cookie: _ga=GA1.1.1234567890.1700000000; theme=dark; {NAME}={token}\r\n".encode()


def allowed(token: str) -> bool:
    """Whether it is a session of ours that has not run out."""
    try:
        _SIGNER.loads(token, max_age=_HOURS * 3600)
    except BadSignature:
        return False
    return True
