"""Fuzzing by hand: `make fuzz FUZZ_SECONDS=3600`, or `FUZZ=forms` for one target.

Every target gets an equal share of the time. What it has kept is tried first; an input that shows
a difference is left in build/fuzz/NAME/found-…, and the run goes on and ends with 1.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from hashlib import sha256
from pathlib import Path

from tests.fuzz.targets import TARGETS, Target

FOLDER = Path("build/fuzz")


def fuzz(target: Target, seconds: float, seed: int, folder: Path) -> int:
    """Try inputs until the time is over.

    Returns:
        How many differences were found.
    """
    folder.mkdir(parents=True, exist_ok=True)
    generator = random.Random(seed)
    kept = [path.read_bytes() for path in sorted(folder.iterdir())]
    seen: set[str] = set()
    tried = found = 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        data = kept.pop() if kept else target.example(generator)
        tried += 1
        try:
            happened = target.check(data)
        except Exception as exc:
            found += 1
            path = _keep(folder, "found", data)
            print(f"{target.name}: {path}: {type(exc).__name__}: {exc}", file=sys.stderr)
            continue
        if happened not in seen:
            seen.add(happened)
            _keep(folder, "kept", data)
    print(f"{target.name}: {tried} tried from seed {seed}, {len(seen)} outcomes, {found} found")
    return found


def _keep(folder: Path, kind: str, data: bytes) -> Path:
    path = folder / f"{kind}-{sha256(data).hexdigest()[:16]}"
    path.write_bytes(data)
    return path


def main() -> int:
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", help=f"of {', '.join(TARGETS)}; all by default")
    parser.add_argument("--seconds", type=float, default=60, help="for all of them together")
    parser.add_argument("--seed", type=int, help="begin with this one, to repeat a run")
    given = parser.parse_args()
    unknown = set(given.targets) - set(TARGETS)
    if unknown:
        parser.error(f"there is no target {', '.join(sorted(unknown))}")
    names = given.targets or list(TARGETS)
    seed = given.seed if given.seed is not None else random.SystemRandom().randrange(2**32)
    share = given.seconds / len(names)
    found = sum(fuzz(TARGETS[name](), share, seed, FOLDER / name) for name in names)
    return min(found, 1)


if __name__ == "__main__":
    sys.exit(main())
