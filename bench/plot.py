#!/usr/bin/env python3
"""Prints what plot.gp draws, from JSON documents of the benchmark: for each algorithm, outbound, the
gateway's Gbit/s by packet size, then those of the cryptography alone, then those of IPsec-MB as it ships.

Usage: plot.py DOCUMENT [SHIPPED]
SHIPPED is a run with --no-vaes --no-own-gcm; without it there are two curves."""
import json
import sys


def points(path, name, ns):
    """[(bytes, Gbit/s)] of one algorithm; ns(row) is the time of a packet"""
    return sorted((r["inner_bytes"], r["inner_bytes"] * 8 / ns(r)) for r in json.load(open(path))["rows"]
                  if r["direction"] == "out" and r["sas"] == 1 and r.get("lcores", 1) == 1
                  and r.get("policies", 1) == 1 and r["inner_bytes"] and r["algorithm"] == name)


def main():
    document, shipped = sys.argv[1], sys.argv[2:]
    for name in dict.fromkeys(r["algorithm"] for r in json.load(open(document))["rows"]):
        curves = [(name, points(document, name, lambda r: r["ns_per_packet"])),
                  (f"{name}, the cryptography alone", points(document, name, lambda r: r["crypto_ns"]["median"]))]
        for path in shipped:
            curves.append((f"{name}, IPsec-MB as it ships", points(path, name, lambda r: r["crypto_ns"]["median"])))
        for title, curve in curves:
            print(f'"{title}"')
            for size, gbit in curve:
                print(size, gbit)
            print("\n")


main()
