#!/usr/bin/env python3
"""Compares two JSON documents of the benchmark: ratios of the times of each row that both have."""
import json
import math
import sys


def rows(path):
    doc = json.load(open(path))
    keys = ("direction", "algorithm", "inner_bytes", "sas")
    return {tuple(r[k] for k in keys) + (r.get("policies", r["sas"]), r.get("lcores", 1)): r for r in doc["rows"]}


def spread(row):
    return (row["gross_ns"]["q3"] - row["gross_ns"]["q1"]) / row["gross_ns"]["median"]


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: compare.py A.json B.json")
    a, b = rows(sys.argv[1]), rows(sys.argv[2])
    both = [k for k in a if k in b]
    if not both:
        sys.exit("compare: the two have no row in common")
    print("dir  algorithm          inner    SAs  policies lcores      A, ns    B, ns   B / A  crypto alone, B / A")
    logs = []
    for k in both:
        ratio = b[k]["ns_per_packet"] / a[k]["ns_per_packet"]
        crypto = b[k]["crypto_ns"]["median"] / a[k]["crypto_ns"]["median"]
        logs.append(math.log(ratio))
        inner = k[2] or "IMIX"
        unsure = "  spread" if max(spread(a[k]), spread(b[k])) > abs(ratio - 1) else ""
        print(f"{k[0]:3}  {k[1]:18} {inner:>5} {k[3]:6} {k[4]:9} {k[5]:6} {a[k]['ns_per_packet']:10.1f} "
              f"{b[k]['ns_per_packet']:8.1f} {ratio:7.2f} {crypto:7.2f}{unsure}")
    print(f"\ngeometric mean of B / A over {len(both)} rows: {math.exp(sum(logs) / len(logs)):.3f}"
          "   (spread: the difference is within the quartiles)")
    if len(a) + len(b) > 2 * len(both):
        print(f"{len(a) + len(b) - 2 * len(both)} rows are in only one of them")


main()
