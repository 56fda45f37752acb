#!/usr/bin/env python3
"""Counts instructions per packet, file by file, and compares them with committed figures.

Usage: guard.py BENCH FIGURES [--update]
BENCH is a shrike_bench built for an instruction set that valgrind knows. Counts are the same from run to
run, whatever else the machine does; they depend on the compiler, which FIGURES therefore names. The
cryptography is not in them: it is a library's, and takes another path under valgrind."""
import concurrent.futures
import json
import pathlib
import re
import subprocess
import sys
import tempfile

CASES = ["out AES-128-GCM 64 1 1 1", "in AES-128-GCM 64 1 1 1",
         "out AES-128-CBC+SHA1 64 1 1 1", "in AES-128-CBC+SHA1 64 1 1 1",
         "out AES-128-GCM 64 1024 1024 1", "in AES-128-GCM 64 1024 1024 1"]
PACKETS = 4096
ALLOWED = 1.05  # growth of a file's count before it is an error
SLACK = 2       # and instructions that are too few to speak of

LINE = re.compile(r"^\s*([\d,]+) \([^)]*\)\s+(\S+?):(\S+)")


def compiler():
    return subprocess.run(["cc", "--version"], capture_output=True, text=True, check=True).stdout.split("\n")[0]


def profile(bench, case):
    """[(instructions, file, function)] of one pass over PACKETS packets"""
    with tempfile.TemporaryDirectory() as tmp:
        out = f"{tmp}/callgrind"
        subprocess.run(["valgrind", "-q", "--tool=callgrind", "--toggle-collect=measure_once*",
                        f"--callgrind-out-file={out}", bench, "--once", "--packets", str(PACKETS),
                        "--only", case], check=True)
        text = subprocess.run(["callgrind_annotate", "--threshold=100", "--auto=no", out],
                              capture_output=True, text=True, check=True).stdout
    found = []
    for line in text.splitlines():
        m = LINE.match(line)
        if m:
            found.append((int(m[1].replace(",", "")), m[2], m[3].split("'")[0]))
    return found


def count(bench, case):
    """{source file of the packet path: instructions per packet, inlined ones included}"""
    rows = profile(bench, case)
    home = {function: pathlib.Path(file).name for _, file, function in rows
            if "/dataplane/" in file and file.endswith(".c")}
    sums = {}
    for n, _, function in rows:
        if function in home:
            sums[home[function]] = sums.get(home[function], 0) + n
    if not sums:
        sys.exit(f"guard: nothing was counted for '{case}'")
    per_packet = {file: round(n / PACKETS, 1) for file, n in sorted(sums.items())}
    per_packet["total"] = round(sum(sums.values()) / PACKETS, 1)
    return per_packet


def compare(case, old, new):
    """Prints one line; the names of the files that grew too much"""
    grown = [f for f, n in new.items() if n > ALLOWED * old.get(f, 0) + SLACK]
    gone = "" if new["total"] >= old["total"] / ALLOWED else "  (less: --update keeps it that way)"
    print(f"{'GREW' if grown else 'ok  '} {case:32} {old['total']:7.1f} -> {new['total']:7.1f} instructions{gone}")
    for f in grown:
        print(f"       {f}: {old.get(f, 0):.1f} -> {new[f]:.1f}")
    return grown


def main():
    bench, figures = sys.argv[1:3]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        counts = dict(zip(CASES, pool.map(lambda case: count(bench, case), CASES)))
    if "--update" in sys.argv[3:]:
        pathlib.Path(figures).write_text(json.dumps({"compiler": compiler(), "counts": counts}, indent=1) + "\n")
        print(f"guard: {figures} written")
        return
    known = json.loads(pathlib.Path(figures).read_text())
    if known["compiler"] != compiler():
        print(f"guard: the figures are of {known['compiler']}, this is {compiler()}: not comparable")
        sys.exit(77)
    bad = False
    for case, new in counts.items():
        bad |= bool(compare(case, known["counts"].get(case, {"total": 0}), new))
    if bad:
        sys.exit("guard: the packet path takes more instructions than before; if that is meant, run "
                 "scripts/bench guard --update and say in the commit why")


main()
