-- Measurements with Pktgen-DPDK: throughput by size, many tunnels, the highest rate without loss (RFC 2544
-- section 26.1), latency. Port 0 sends to gateway a, port 1 receives from gateway b; see scripts/pktgen/gateways.
--
--   pktgen -l 0-4 -n 4 -- -P -m "[1:2].0,[3:4].1" -f scripts/pktgen/measure.lua
--
-- Environment: GW_MAC (of gateway a's lan port, needed), SIZES ("64 512 1420": bytes of IP), TUNNELS (1),
-- SECONDS (10), LOSS (0: allowed share of lost packets in percent), WHAT ("throughput search latency").
package.path = package.path .. ";?.lua"
local PORT_OUT, PORT_IN = "0", "1"
local ETHERNET = 18 -- header and check sequence: Pktgen's sizes count both

local function setting(name, default)
	local value = os.getenv(name)
	return (value and value ~= "") and value or default
end

local gw_mac = setting("GW_MAC", nil)
local tunnels = tonumber(setting("TUNNELS", "1"))
local seconds = tonumber(setting("SECONDS", "10"))
local allowed = tonumber(setting("LOSS", "0")) / 100
local what = setting("WHAT", "throughput search latency")

local sizes = {}
for size in string.gmatch(setting("SIZES", "64 128 256 512 1024 1420"), "%d+") do
	sizes[#sizes + 1] = tonumber(size)
end

local function say(...)
	io.write(string.format(...), "\n")
	io.flush()
end

-- One packet after the other goes to another tunnel's network: host .1 of 10.16.0.0/24 and up.
local function addresses()
	pktgen.set_mac(PORT_OUT, "dst", gw_mac)
	pktgen.set_proto(PORT_OUT, "udp")
	pktgen.set_type(PORT_OUT, "ipv4")
	pktgen.set_ipaddr(PORT_OUT, "src", "10.1.0.1/24")
	pktgen.set_ipaddr(PORT_OUT, "dst", "10.16.0.1")
	pktgen.set_ipaddr(PORT_IN, "src", "10.2.0.1/24")
	pktgen.set(PORT_OUT, "count", 0)
	pktgen.process("all", "on") -- it answers ARP for the addresses of its ports
	if tunnels > 1 then
		local last = tunnels - 1
		pktgen.dst_mac(PORT_OUT, "start", gw_mac)
		for what_, value in pairs({ start = "10.1.0.1", inc = "0.0.0.0", min = "10.1.0.1", max = "10.1.0.1" }) do
			pktgen.src_ip(PORT_OUT, what_, value)
		end
		local max = string.format("10.%d.%d.1", 16 + last // 256, last % 256)
		for what_, value in pairs({ start = "10.16.0.1", inc = "0.0.1.0", min = "10.16.0.1", max = max }) do
			pktgen.dst_ip(PORT_OUT, what_, value)
		end
		for what_, value in pairs({ start = 4000, inc = 1, min = 4000, max = 4063 }) do
			pktgen.src_port(PORT_OUT, what_, value)
		end
		pktgen.range(PORT_OUT, "on")
	end
end

local function size_set(size)
	if tunnels > 1 then
		for what_, value in pairs({ start = size + ETHERNET, inc = 0, min = size + ETHERNET, max = size + ETHERNET }) do
			pktgen.pkt_size(PORT_OUT, what_, value)
		end
	else
		pktgen.set(PORT_OUT, "size", size + ETHERNET)
	end
end

local function count(port, name)
	return pktgen.portStats(port, "port")[tonumber(port)][name]
end

-- Sends at a share of the line rate (percent) and returns what was sent and received.
local function trial(size, rate, time)
	size_set(size)
	pktgen.set(PORT_OUT, "rate", rate)
	pktgen.clr()
	pktgen.start(PORT_OUT)
	pktgen.delay(time * 1000)
	pktgen.stop(PORT_OUT)
	pktgen.delay(1000) -- what is under way arrives
	return count(PORT_OUT, "opackets"), count(PORT_IN, "ipackets")
end

local function row(name, size, rate, sent, received, time)
	say("%-10s %6d %8.2f %14d %14d %9.5f %10.3f %9.2f", name, size, rate, sent, received,
	    100 * (sent - received) / math.max(sent, 1), received / time / 1e6, received * size * 8 / time / 1e9)
end

local function throughput(size)
	local sent, received = trial(size, 100, seconds)
	row("flat out", size, 100, sent, received, seconds)
end

-- Halves the interval until it is narrower than half a percent of the line, then confirms with six times the time.
local function search(size)
	local low, high = 0, 100
	local rate = 100
	while high - low > 0.5 do
		local sent, received = trial(size, rate, seconds)
		if sent > 0 and (sent - received) / sent <= allowed then
			low = rate
		else
			high = rate
		end
		if low == 100 then break end
		rate = (low + high) / 2
	end
	while low > 0 do
		local sent, received = trial(size, low, 6 * seconds)
		if sent > 0 and (sent - received) / sent <= allowed then
			row("no loss", size, low, sent, received, 6 * seconds)
			return
		end
		low = low > 0.5 and low - 0.5 or 0
	end
	say("%-10s %6d  every rate lost packets", "no loss", size)
end

local function latency(size)
	pktgen.latency(PORT_OUT, "enable")
	local sent, received = trial(size, 10, seconds)
	local l = pktgen.pktStats(PORT_IN)[tonumber(PORT_IN)].latency
	pktgen.latency(PORT_OUT, "disable")
	row("latency", size, 10, sent, received, seconds)
	for key, value in pairs(l or {}) do
		say("           %s: %s", key, tostring(value))
	end
end

if not gw_mac then
	say("set GW_MAC to the address of gateway a's lan port: shrikectl stats --json | jq .ports")
	return
end
addresses()
say("%-10s %6s %8s %14s %14s %9s %10s %9s", "what", "inner", "% line", "sent", "received", "% lost", "Mpps", "Gbit/s")
local all = { { "throughput", throughput }, { "search", search }, { "latency", latency } }
for _, size in ipairs(sizes) do
	for _, entry in ipairs(all) do
		if string.find(what, entry[1], 1, true) then entry[2](size) end
	end
end
