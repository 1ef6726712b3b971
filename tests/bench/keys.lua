-- keys.lua - GETs of random keys, for wrk: PREFIX (environment) followed by 1 … KEYS, and SUFFIX.
local prefix, suffix = os.getenv("PREFIX"), os.getenv("SUFFIX") or ""
local keys = tonumber(os.getenv("KEYS"))
local requests, at = {}, 0

function init(args)
    math.randomseed(os.time())
    for i = 1, 20000 do
        requests[i] = wrk.format("GET", prefix .. math.random(1, keys) .. suffix)
    end
end

function request()
    at = at % #requests + 1
    return requests[at]
end
