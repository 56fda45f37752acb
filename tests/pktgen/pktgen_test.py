#!/usr/bin/env python3
"""The measurement scripts against simulated generators: does the search find the capacity that the simulated
gateways have? And do the gateways' configurations pass shrike --check?"""
import contextlib
import importlib.util
import io
import os
import subprocess
import sys
import tempfile
import types

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
SCRIPTS = os.path.join(TOP, "scripts", "pktgen")
LINE, CAPACITY = 10e6, 3.3e6  # packets per second; 33 % of the line


def check(ok, what):
    if not ok:
        sys.exit(f"FAILED: {what}")
    print(f"ok: {what}")


def found_rate(text):
    rows = [line.split() for line in text.splitlines() if line.startswith("no loss")]
    return float(rows[0][3]) if rows and len(rows[0]) > 4 else None


class Client:
    """TRex as far as measure_trex.py uses it"""

    def __init__(self, server):
        self.sent, self.got, self.streams = 0, 0, []

    def connect(self): pass
    def disconnect(self): pass
    def clear_stats(self): pass
    def wait_on_traffic(self, ports): pass

    def reset(self, ports):
        self.streams = []

    def add_streams(self, streams, ports):
        self.streams += streams

    def start(self, ports, mult, duration):
        assert mult.endswith("%") and self.streams
        self.sent = LINE * float(mult[:-1]) / 100 * duration
        self.got = min(self.sent, CAPACITY * duration)

    def get_stats(self):
        return {0: {"opackets": int(self.sent)}, 1: {"ipackets": int(self.got)}}

    def get_pgid_stats(self, ids):
        return {"latency": {ids[0]: {"latency": {"average": 9, "total_min": 5, "total_max": 40, "jitter": 2},
                                     "err_cntrs": {"dropped": 0, "out_of_order": 0}}}}


class Layer(bytes):
    def __new__(cls, *a, **kw):
        return super().__new__(cls, 14)

    def __truediv__(self, other):
        return Layer2(self + other)


class Layer2(bytes):
    def __truediv__(self, other):
        return Layer2(self + other)


def trex():
    def record(**kw): return kw
    api = types.SimpleNamespace(STLClient=Client, Ether=Layer, IP=Layer, UDP=Layer, STLStream=record, STLPktBuilder=record,
                                STLTXCont=record, STLFlowLatencyStats=record, STLScVmRaw=list)
    for name in ("STLVmFlowVar", "STLVmWrFlowVar", "STLVmFixIpv4"):
        setattr(api, name, lambda *a, **kw: (a, kw))
    spec = importlib.util.spec_from_file_location("measure_trex", os.path.join(SCRIPTS, "measure_trex.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        module.main(api, ["--gw-mac", "02:00:00:00:00:01", "--tunnels", "300", "--sizes", "64 IMIX", "--seconds", "2"])
    rate = found_rate(out.getvalue())
    check(rate and 32.4 <= rate <= 33.0, f"TRex: the search ends at {rate} % of the line, the capacity is 33 %")
    check("average 9" in out.getvalue(), "TRex: latency is shown")
    check(module.last_host(300) == "10.17.43.1", "TRex: the last of 300 tunnels is 10.17.43.0/24")


def lua():
    env = dict(os.environ, GW_MAC="02:00:00:00:00:01", CAPACITY=str(CAPACITY), SIZES="64", TUNNELS="300", SECONDS="2")
    done = subprocess.run(["lua5.4", os.path.join(TOP, "tests/pktgen/mock.lua"), os.path.join(SCRIPTS, "measure.lua")],
                          capture_output=True, text=True, env=env)
    check(done.returncode == 0, f"Pktgen: measure.lua runs {done.stderr}")
    rate = found_rate(done.stdout)
    check(rate and 32.4 <= rate <= 33.0, f"Pktgen: the search ends at {rate} % of the line, the capacity is 33 %")


def gateways(shrike):
    with tempfile.TemporaryDirectory() as tmp:
        for tunnels in ("1", "300"):
            subprocess.run([os.path.join(SCRIPTS, "gateways"), tmp, "--tunnels", tunnels, "--workers", str(os.cpu_count() - 1)], check=True,
                           stdout=subprocess.DEVNULL)
            for name in ("a", "b"):
                done = subprocess.run([shrike, "--check", f"{tmp}/{name}.yaml"], capture_output=True, text=True)
                check(done.returncode == 0, f"{name}.yaml with {tunnels} tunnels passes --check {done.stderr}")
        done = subprocess.run([os.path.join(SCRIPTS, "gateways"), tmp, "--tunnels", "0"], capture_output=True, text=True)
        check(done.returncode != 0 and "--tunnels" in done.stderr, "no tunnels: refused")


trex()
lua()
gateways(sys.argv[1])
