"""A command, the document it caused, a refusal, and the change feed: eval "$(weir env examples/shop)"; python3 shop.py"""
import json
import os

import msgpack

import weir

write = weir.Client(os.environ["WEIR_WRITE_NNG_URL"])
read = weir.Client(os.environ["WEIR_READ_NNG_URL"])

placed = write.command("place_order", {"customer_id": 40, "lines": [{"sku": "SKU-0007", "qty": 1}]})
print("placed", placed["result"], "at", placed["position"])
document = read.query("order_view", placed["result"]["order_id"], min_position=placed["position"], wait_ms=5000)
print("document of", document["customer"], "total", document["total"])

try:
    write.command("place_order", {"customer_id": "nobody", "lines": []})
except weir.Refused as e:
    print("refused", e.problem["status"], e.problem["pointer"])

# Without a key of its own the same key is one command, however often it is sent.
first = write.command("place_order", {"customer_id": 41, "lines": [{"sku": "SKU-0008", "qty": 1}]}, idempotency_key="python-example")
again = write.command("place_order", {"customer_id": 41, "lines": [{"sku": "SKU-0008", "qty": 1}]}, idempotency_key="python-example")
print("once", first["command_id"] == again["command_id"])

if "WEIR_FEED_URL" in os.environ:
    line = weir.Line(os.environ["WEIR_FEED_URL"])
    line.send(msgpack.packb({"op": "fetch", "name": "", "after": None, "max_bytes": 1 << 20, "wait_ms": 0, "known": 0}))
    print("feed at", msgpack.unpackb(line.receive()[1])["head"])
print(json.dumps({"example": "done"}))
