"""A process that enrols people until it is killed; see test_enrolment_killed.

Prints a line for each enrolment that was acknowledged: the name, the secret and a recovery code.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from tests.core.world import Person, make_world


async def main(directory: str) -> None:
    world = make_world(Path(directory))
    for number in range(10_000):
        person = Person(f"user{number}")
        await world.enrol(person)
        assert person.phone
        print(person.name, person.phone.uri, person.codes[0], flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
