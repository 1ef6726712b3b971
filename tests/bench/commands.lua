-- commands.lua - posts bench_order for random customers, for wrk. Requests are made once: the client is not what is measured.
local line = '{"sku":"SKU-%d","qty":%d,"price":%d.5}'
local requests, at = {}, 0

function init(args)
    local headers = { ["Content-Type"] = "application/json" }
    local key = os.getenv("BENCH_KEY")
    if key then headers["Authorization"] = "Bearer " .. key end
    math.randomseed(os.time())
    for i = 1, 2000 do
        local lines = {}
        for k = 1, 3 do lines[k] = string.format(line, math.random(1000, 1999), k, k) end
        requests[i] = wrk.format("POST", nil, headers,
            string.format('{"customer_id":%d,"lines":[%s]}', math.random(1, 10000), table.concat(lines, ",")))
    end
end

function request()
    at = at % #requests + 1
    return requests[at]
end

function done(summary, latency)
    print(string.format("latency_ms %.2f %.2f %.2f", latency:percentile(50) / 1000, latency:percentile(99) / 1000, latency.max / 1000))
end
