#!/usr/bin/env python3
"""Merges JSON documents of scripts/bench, of the same machine and the same code: of each row the one whose
repetitions the calibration found quietest, whatever it says."""
import json
import pathlib
import sys

KEY = ("direction", "algorithm", "inner_bytes", "sas", "policies", "lcores")


def main():
    documents = [json.loads(pathlib.Path(name).read_text()) for name in sys.argv[1:]]
    best = {}
    for name, document in zip(sys.argv[1:], documents):
        if any("calibration_us" not in row for row in document["rows"]):
            sys.exit(f"quietest: {name} does not say how quiet its rows were: an older scripts/bench wrote it")
        for row in document["rows"]:
            key = tuple(row[k] for k in KEY)
            if key not in best or row["calibration_us"] < best[key]["calibration_us"]:
                best[key] = row
    merged = dict(documents[0], rows=list(best.values()))
    merged["machine"]["runs"] = [d["machine"]["time"] for d in documents]
    print(json.dumps(merged, indent=1))


main()
