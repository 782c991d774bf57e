"""Fuzzing by hand: `make fuzz FUZZ_SECONDS=3600`, or `FUZZ=forms` for one target.

Every target gets an equal share of the time. What is in the corpus (tests/fuzz/corpus) is tried
first, then what earlier runs have kept in build/fuzz. An input that shows a difference goes to the
corpus; the run goes on and ends with 1. So it does where too few inputs got through.
"""

from __future__ import annotations

import argparse
import logging
import random
import sys
import time
from hashlib import sha256
from pathlib import Path

from tests.fuzz.targets import CORPUS, TARGETS, Target, corpus

FOLDER = Path("build/fuzz")


def fuzz(target: Target, seconds: float, seed: int, folder: Path, found_in: Path) -> int:
    """Try inputs until the time is over.

    Args:
        folder: for what is kept; found_in: for what shows a difference.

    Returns:
        How many differences were found, and 1 more where too few inputs got through.
    """
    folder.mkdir(parents=True, exist_ok=True)
    generator = random.Random(seed)
    kept = corpus(target.name) + [path.read_bytes() for path in sorted(folder.iterdir())]
    kept.reverse()
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
            path = _keep(found_in, "found", data)
            print(f"{target.name}: {path}: {type(exc).__name__}: {exc}", file=sys.stderr)
            continue
        if happened not in seen:
            seen.add(happened)
            _keep(folder, "kept", data)
    print(
        f"{target.name}: {tried} tried from seed {seed}, {target.share}, "
        f"{len(seen)} outcomes, {found} found",
        flush=True,
    )
    if not target.share.suffices():
        print(f"{target.name}: {target.share.least:.0%} have to get through", file=sys.stderr)
        return found + 1
    return found


def _keep(folder: Path, kind: str, data: bytes) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{kind}-{sha256(data).hexdigest()[:16]}"
    path.write_bytes(data)
    return path


def run(name: str, seconds: float, seed: int) -> int:
    target = TARGETS[name]()
    try:
        return fuzz(target, seconds, seed, FOLDER / name, CORPUS / name)
    finally:
        target.close()


def main() -> int:
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", help=f"of {', '.join(TARGETS)}; all by default")
    parser.add_argument("--seconds", type=float, default=60, help="for all of them together")
    parser.add_argument("--seed", type=int, help="begin with this one, to repeat a run")
    given = parser.parse_args()
    unknown = set(given.targets) - set(TARGETS)
    if unknown:
        parser.error(f"there is no target {', '.join(sorted(unknown))}")
    logging.getLogger("gateway").setLevel(logging.CRITICAL)  # it logs what it refuses
    names = given.targets or list(TARGETS)
    seed = given.seed if given.seed is not None else random.SystemRandom().randrange(2**32)
    found = sum(run(name, given.seconds / len(names), seed) for name in names)
    return min(found, 1)


if __name__ == "__main__":
    sys.exit(main())
