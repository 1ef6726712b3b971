-- stock.lua - posts the shop's place_order: three products out of SKUS, for wrk; prints "latency_ms p50 p99 max" in the end.
local skus = tonumber(os.getenv("SKUS"))

function request()
    local lines = {}
    for k = 1, 3 do lines[k] = string.format('{"sku":"SKU-%04d","qty":1}', math.random(1, skus)) end
    return wrk.format("POST", nil, { ["Content-Type"] = "application/json" },
        string.format('{"customer_id":%d,"lines":[%s]}', math.random(1, 10000), table.concat(lines, ",")))
end

function done(summary, latency)
    print(string.format("latency_ms %.2f %.2f %.2f", latency:percentile(50) / 1000, latency:percentile(99) / 1000, latency.max / 1000))
end
