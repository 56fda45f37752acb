#!/usr/bin/env python3
"""Measurements with TRex in stateless mode: throughput by size and IMIX, many tunnels, the highest rate
without loss (RFC 2544 section 26.1), latency. Port 0 sends to gateway a, port 1 receives from gateway b; see
scripts/pktgen/gateways.

Start TRex with ./t-rex-64 -i; run this where its Python library is found:
  PYTHONPATH=TREX/automation/trex_control_plane/interactive measure_trex.py --gw-mac 02:00:00:00:00:01"""
import argparse

IMIX = ((64, 7), (570, 4), (1420, 1))  # bytes of IP, share in twelve
ETHERNET = 14
LATENCY_PPS = 1000
LATENCY_ID = 7
OUT, IN = 0, 1


def last_host(tunnels):
    """Host .1 in the network of the last tunnel"""
    return f"10.{16 + (tunnels - 1) // 256}.{(tunnels - 1) % 256}.1"


def parts(size):
    return IMIX if size == "IMIX" else ((int(size), 12),)


def average(size):
    return sum(inner * share for inner, share in parts(size)) / 12


def stream(api, args, inner, mode, stats=None):
    """The destination walks through the networks of the tunnels, one packet each."""
    base = api.Ether(dst=args.gw_mac) / api.IP(src="10.1.0.1", dst="10.16.0.1") / api.UDP(sport=4000, dport=4001)
    vm = None
    if args.tunnels > 1:
        vm = api.STLScVmRaw([
            api.STLVmFlowVar("dst", min_value="10.16.0.1", max_value=last_host(args.tunnels), size=4, step=256,
                             op="inc"),
            api.STLVmWrFlowVar("dst", pkt_offset="IP.dst"),
            api.STLVmFixIpv4(offset="IP"),
        ])
    # the latency record of TRex lies in the last 16 bytes
    pad = b"\0" * max(16 if stats else 0, ETHERNET + inner - len(base))
    return api.STLStream(packet=api.STLPktBuilder(pkt=base / pad, vm=vm), mode=mode, flow_stats=stats)


class Bench:
    def __init__(self, api, client, args):
        self.api, self.client, self.args = api, client, args

    def load(self, size, latency=False):
        self.client.reset(ports=[OUT, IN])
        made = [stream(self.api, self.args, inner, self.api.STLTXCont(pps=share)) for inner, share in parts(size)]
        if latency:
            made.append(stream(self.api, self.args, parts(size)[0][0], self.api.STLTXCont(pps=LATENCY_PPS),
                               self.api.STLFlowLatencyStats(pg_id=LATENCY_ID)))
        self.client.add_streams(made, ports=[OUT])
        if self.args.layer3:
            self.client.set_l3_mode(port=IN, src_ipv4="10.2.0.1", dst_ipv4="10.2.0.254")

    def trial(self, percent, seconds):
        """Sends at a share of the line rate; packets sent and received"""
        self.client.clear_stats()
        self.client.start(ports=[OUT], mult=f"{percent:g}%", duration=seconds)
        self.client.wait_on_traffic(ports=[OUT])
        stats = self.client.get_stats()
        return stats[OUT]["opackets"], stats[IN]["ipackets"]

    def passes(self, sent, received):
        return sent > 0 and (sent - received) * 100 <= self.args.loss * sent

    def row(self, name, size, percent, sent, received, seconds):
        pps = received / seconds
        print(f"{name:10} {size:>6} {percent:8.2f} {sent:14} {received:14} {100 * (sent - received) / max(sent, 1):9.5f}"
              f" {pps / 1e6:10.3f} {pps * average(size) * 8 / 1e9:9.2f}", flush=True)

    def throughput(self, size):
        self.load(size)
        self.row("flat out", size, 100, *self.trial(100, self.args.seconds), self.args.seconds)

    def search(self, size):
        """Halves the interval to half a percent of the line, then confirms with six times the time."""
        self.load(size)
        low, high, rate = 0.0, 100.0, 100.0
        while high - low > 0.5:
            if self.passes(*self.trial(rate, self.args.seconds)):
                low = rate
            else:
                high = rate
            if low == 100:
                break
            rate = (low + high) / 2
        while low > 0:
            sent, received = self.trial(low, 6 * self.args.seconds)
            if self.passes(sent, received):
                self.row("no loss", size, low, sent, received, 6 * self.args.seconds)
                return
            low = max(0.0, low - 0.5)
        print(f"{'no loss':10} {size:>6}  every rate lost packets")

    def latency(self, size):
        self.load(size, latency=True)
        sent, received = self.trial(10, self.args.seconds)
        self.row("latency", size, 10, sent, received, self.args.seconds)
        seen = self.client.get_pgid_stats([LATENCY_ID])["latency"][LATENCY_ID]
        micros = seen["latency"]
        print(f"           microseconds: average {micros['average']}, least {micros['total_min']}, most "
              f"{micros['total_max']}, jitter {micros['jitter']}; dropped {seen['err_cntrs']['dropped']}, "
              f"out of order {seen['err_cntrs']['out_of_order']}")


def main(api=None, argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", default="127.0.0.1")
    parser.add_argument("--gw-mac", required=True, help="of gateway a's lan port: shrikectl stats --json | jq .ports")
    parser.add_argument("--sizes", default="64 128 256 512 1024 1420 IMIX", help="bytes of IP, or IMIX")
    parser.add_argument("--tunnels", type=int, default=1)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--loss", type=float, default=0, help="allowed share of lost packets, percent")
    parser.add_argument("--what", default="throughput search latency")
    parser.add_argument("--layer3", action="store_true", help="have port 1 answer ARP for 10.2.0.1")
    args = parser.parse_args(argv)
    if api is None:
        import trex.stl.api as api  # not installed with shrike
    client = api.STLClient(server=args.server)
    client.connect()
    try:
        bench = Bench(api, client, args)
        print(f"{'what':10} {'inner':>6} {'% line':>8} {'sent':>14} {'received':>14} {'% lost':>9} {'Mpps':>10} {'Gbit/s':>9}")
        for size in args.sizes.split():
            for name in ("throughput", "search", "latency"):
                if name in args.what:
                    getattr(bench, name)(size)
    finally:
        client.disconnect()


if __name__ == "__main__":
    main()
