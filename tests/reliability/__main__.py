"""Faults on purpose, at length: `make reliability`, `make soak`; see docs/reliability.md."""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

from tests.reliability import failover
from tests.reliability.crowd import crowd
from tests.reliability.killed import killed
from tests.reliability.soak import soak


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.reliability", description=__doc__)
    parser.add_argument("what", choices=["killed", "sentinel", "cluster", "crowd", "soak"])
    parser.add_argument("--store", choices=["sqlite", "redis"], default="sqlite")
    parser.add_argument("--times", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=1800)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="reliability-") as folder:
        if options.what == "soak":
            found = soak(Path(folder), options.store, options.seconds, options.seed)
        elif options.what == "sentinel":
            found = failover.sentinel(Path(folder))
        elif options.what == "crowd":
            found = crowd(Path(folder))
        elif options.what == "cluster":
            found = failover.cluster(Path(folder))
        else:
            found = killed(Path(folder), options.store, options.times, options.seed)
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
