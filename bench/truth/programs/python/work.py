import json, time

end = time.monotonic() + 0.3
while time.monotonic() < end:
    json.loads(json.dumps(list(range(1000))))
raise RuntimeError("the third table is missing")
