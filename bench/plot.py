#!/usr/bin/env python3
"""Prints what plot.gp draws, from a JSON document of the benchmark: for each algorithm, outbound, the
gateway's Gbit/s by packet size, then those of the cryptography alone."""
import json
import sys


def main():
    rows = [r for r in json.load(open(sys.argv[1]))["rows"]
            if r["direction"] == "out" and r["sas"] == 1 and r.get("lcores", 1) == 1
            and r.get("policies", 1) == 1 and r["inner_bytes"]]
    for name in dict.fromkeys(r["algorithm"] for r in rows):
        mine = sorted((r["inner_bytes"], r["ns_per_packet"], r["crypto_ns"]["median"]) for r in rows
                      if r["algorithm"] == name)
        for title, column in ((f"{name}", 1), (f"{name}, the cryptography alone", 2)):
            print(f'"{title}"')
            for point in mine:
                print(point[0], point[0] * 8 / point[column])
            print("\n")


main()
