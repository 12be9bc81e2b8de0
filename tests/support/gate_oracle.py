"""An independent Rego engine: reads {policies, settings, inputs} and prints what `data.prescale.gate` is for each input, one JSON line each."""
import json
import sys

from regopy import Interpreter

task = json.load(sys.stdin)
for document in task["inputs"]:
    engine = Interpreter()
    for path, text in task["policies"]:
        engine.add_module(path, text)
    engine.add_data({"prescale": {"settings": task["settings"]}})
    engine.set_input(document)
    output = json.loads(str(engine.query("found = data.prescale.gate")))
    print(json.dumps(output["bindings"]["found"]))
