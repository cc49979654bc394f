"""Run by itself: opens an exported file as a service would, and prints what that costs, as JSON."""

from __future__ import annotations

import json
import sys
import time

import numpy as np

from glulam._memory import resident_bytes
from glulam.runtime import load

SINGLE, BATCHES = 2_000, 5


def main() -> None:
    """Measure rows one by one, each another one, and all at once; seconds and bytes."""
    order = json.loads(sys.argv[1])
    rows = np.load(order["rows"], allow_pickle=False)
    model = load(order["model"])
    numeric = all(feature.kind == "numeric" for feature in model.schema.features)
    table = rows if numeric else model.schema.decode(rows)
    each = [row[None] if numeric else model.schema.decode(row[None]) for row in rows]
    ask = model.predict if model.info()["task"] == "regression" else model.predict_proba
    model.warmup()
    single = []
    for number in range(SINGLE):
        row = each[number % len(each)]
        begun = time.perf_counter()
        ask(row)
        single.append(time.perf_counter() - begun)
    batch = []
    for _ in range(BATCHES):
        begun = time.perf_counter()
        ask(table)
        batch.append(time.perf_counter() - begun)
    found = {
        "p50": float(np.percentile(single, 50)),
        "p99": float(np.percentile(single, 99)),
        "batch": float(np.median(batch)),
        "batch_rows": len(rows),
        "memory_bytes": resident_bytes(),
    }
    print(json.dumps(found))


main()
