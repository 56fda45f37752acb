-- Pktgen-DPDK as far as measure.lua uses it: a line of 10 Mpps at 100 %, in front of gateways that lose whatever
-- is beyond CAPACITY packets per second.
local CAPACITY = tonumber(os.getenv("CAPACITY"))
local LINE = 10e6
local rate, elapsed, sent, running = 100, 0, 0, false
local known = {}

local function knows(name)
	known[name] = function() end
end
for _, name in ipairs({ "set_mac", "set_proto", "set_type", "set_ipaddr", "process", "dst_mac", "src_ip", "dst_ip",
                        "src_port", "range", "pkt_size", "latency" }) do
	knows(name)
end
function known.set(_, name, value) if name == "rate" then rate = value end end
function known.clr() elapsed, sent = 0, 0 end
function known.start() running = true end
function known.stop() running = false end
function known.delay(ms)
	if running then
		elapsed = elapsed + ms / 1000
		sent = sent + LINE * rate / 100 * ms / 1000
	end
end
function known.portStats(port)
	local got = math.min(sent, CAPACITY * elapsed)
	return { [tonumber(port)] = { opackets = math.floor(sent), ipackets = math.floor(got) } }
end
function known.pktStats(port) return { [tonumber(port)] = { latency = { num_pkts = 5 } } } end

pktgen = setmetatable({}, { __index = function(_, name)
	return known[name] or error("measure.lua calls pktgen." .. name .. ", which the mock does not know")
end })
dofile(arg[1])
