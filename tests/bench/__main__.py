"""`make bench`: ratios to the limits of this machine, all of a table from one run. Prints JSON lines."""

from __future__ import annotations

import json
import os
import sys

from tests.bench.score import measure


def main() -> None:
    """Measure the score stage; `python -m tests.bench.encoders` measures encoders."""
    rows = int(os.environ.get("ECI_BENCH_ROWS", "1000000"))
    sys.stdout.write(json.dumps({"bench": "score", **measure(rows)}) + "\n")


if __name__ == "__main__":
    main()
