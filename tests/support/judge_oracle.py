"""Scores decisions with the reference simulator, which shares no code with the product.

Usage: judge_oracle.py FOLDER_OF_SIM < cases.json > scores.json
"""
import json, sys
import numpy as np

sys.path.insert(0, sys.argv[1])
import sim


def plain(values):
    return [None if np.isnan(v) else float(v) for v in values]


def judged(case):
    start, d = sim.load(case["path"])
    begin, end, warm, unit = case["from"], min(case["to"], len(d)), case["warm"], case["unit"]
    floor = sim.replay(len(d), start, [tuple(x) for x in case["decisions"]])
    under = []
    for target, stabilize, floored in case["hpas"]:
        ready = sim.hpa(d[warm:end], unit, target, stabilize, floor[warm:end] if floored else None)
        under.append({"ready": plain(ready), "score": sim.score(d[begin:end], ready[begin - warm:], unit)})
    return {"start": start, "demand": plain(d), "floor": plain(floor), "alone": sim.score(d[begin:end], floor[begin:end], unit), "under": under}


json.dump([judged(case) for case in json.load(sys.stdin)], sys.stdout)
