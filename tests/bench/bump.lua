-- bump.lua - posts bench_bump for random rows out of ROWS, for wrk; prints "latency_ms p50 p99 max" in the end.
local rows = tonumber(os.getenv("ROWS"))

function request()
    return wrk.format("POST", nil, { ["Content-Type"] = "application/json" },
        string.format('{"a":%d,"b":%d}', math.random(1, rows), math.random(1, rows)))
end

function done(summary, latency)
    print(string.format("latency_ms %.2f %.2f %.2f", latency:percentile(50) / 1000, latency:percentile(99) / 1000, latency.max / 1000))
end
