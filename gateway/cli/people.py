"""How people, invitations and new factors are printed, for readers and for scripts."""

from __future__ import annotations

import io
import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.core.administration import NewFactor, NewInvitation, Person, Reset

_COLUMNS = ("USER", "FACTORS", "RECOVERY CODES", "LAST USED", "WRONG CODES")


def listed(found: list[Person]) -> str:
    """A table, one line a person."""
    if not found:
        return "Nobody has logged in here yet."
    rows = [_COLUMNS, *(_row(person) for person in found)]
    widths = [max(len(row[at]) for row in rows) for at in range(len(_COLUMNS))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def _row(person: Person) -> tuple[str, ...]:
    factors = ", ".join(f"{one.kind} {one.name}" for one in person.factors)
    invited = f"invited until {_moment(person.invited_until)}" if person.invited_until else "none"
    left = str(person.recovery_left) if person.protected else "-"
    used = _moment(person.last_used)
    return person.id, factors or invited, left, used, str(person.wrong_codes)


def shown(person: Person) -> str:
    lines = [f"User:            {person.user}" + _as_id(person)]
    lines += [
        f"Factor:          {one.kind} {one.name}, added {_moment(one.added)}, "
        f"last used {_moment(one.used)}"
        for one in person.factors
    ] or ["Factors:         none"]
    if person.invited_until:
        lines.append(f"Invited until:   {_moment(person.invited_until)}")
    lines += [
        f"Recovery codes:  {person.recovery_left}",
        f"Sessions:        {person.sessions}",
        f"Devices:         {person.devices} remembered",
        f"Wrong codes:     {person.wrong_codes} in 30 days",
    ]
    return "\n".join(lines)


def _as_id(person: Person) -> str:
    return "" if person.user == person.id else f" (as {person.id})"


def enrolled(name: str, made: NewFactor) -> str:
    """A QR code for the terminal, the same as text, and the recovery codes."""
    import segno

    drawn = io.StringIO()
    segno.make(made.uri, error="m", micro=False).terminal(drawn, compact=True)
    codes = "\n".join(f"  {code}" for code in made.codes)
    return (
        f"Scan this with {name}'s authenticator app:\n\n{drawn.getvalue()}\n{made.uri}\n\n"
        f"Recovery codes, each good for one login. They are not shown again:\n\n{codes}"
    )


def invited(made: NewInvitation) -> str:
    return f"{made.link}\nWorks once, until {_moment(made.expires)}."


def reset(name: str, gone: int) -> str:
    return f"{name} has no second factor any more ({gone} removed); sessions are ended."


def removed(name: str, gone: int) -> str:
    return (
        f"{name} is forgotten here ({gone} second factors); sessions are ended. The index server "
        "still knows the name: remove it there, too."
    )


def unlocked(name: str, counts: int) -> str:
    if not counts:
        return f"{name} was not held back."
    return f"{name}'s wrong codes are forgotten."


def listed_json(found: list[Person]) -> str:
    return _json([asdict(person) for person in found])


def shown_json(person: Person) -> str:
    return _json(asdict(person))


def enrolled_json(name: str, made: NewFactor) -> str:
    return _json(
        {
            "user": name,
            "uri": made.uri,
            "secret": made.secret,
            "recovery_codes": list(made.codes),
        }
    )


def invited_json(name: str, made: NewInvitation) -> str:
    return _json({"user": name, "link": made.link, "expires": made.expires})


def reset_json(name: str, done: Reset) -> str:
    made = done.invitation
    return _json({"user": name, "removed": done.gone, "link": made.link, "expires": made.expires})


def removed_json(name: str, gone: int) -> str:
    return _json({"user": name, "removed": gone})


def unlocked_json(name: str, counts: int) -> str:
    return _json({"user": name, "forgotten": counts})


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2)


def _moment(when: float) -> str:
    return datetime.fromtimestamp(when, UTC).strftime("%Y-%m-%d %H:%M UTC") if when else "never"
