"""`make bench`: ratios to the limits of this machine, all of a table from one run. JSON of the score stage, of the probe,
then encoders, then tables of what every run pays, and what later nights do, with bounds: it fails where one is broken."""

from __future__ import annotations

import json
import os
import sys

from tests.bench import costs, encoders, later_nights
from tests.bench.probe import measure_probe
from tests.bench.score import measure


def main() -> None:
    """Measure the score stage, the encoders, and the costs; each also runs by itself, `python -m tests.bench.costs`."""
    rows = int(os.environ.get("ECI_BENCH_ROWS", "1000000"))
    sys.stdout.write(json.dumps({"bench": "score", **measure(rows)}) + "\n")
    sys.stdout.flush()
    sys.stdout.write(json.dumps({"bench": "probe", **measure_probe()}) + "\n")
    sys.stdout.flush()
    encoders.main([])
    sys.exit(costs.main() | later_nights.main())


if __name__ == "__main__":
    main()
