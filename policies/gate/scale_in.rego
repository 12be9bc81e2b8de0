# Who takes away much at once asks first.
package prescale.gate.scale_in

import rego.v1

pull_request contains message if {
	input.change.kind == "floor"
	input.change.direction == "fall"
	is_number(input.change.from)
	is_number(input.change.to)
	lost := input.change.from - input.change.to
	lost > data.prescale.settings.scaleIn.share * input.change.from
	message := sprintf("%d of %d replicas go at once", [lost, input.change.from])
}
