# What restarts pods in production goes by pull request.
package prescale.gate.production_requests

import rego.v1

pull_request contains "it restarts pods in production" if {
	input.change.kind == "template"
	some folder in split(input.change.overlay, "/")
	folder in data.prescale.settings.production
}
