# Who takes away more than little asks first. One replica is little, whatever its share, and what is taken back is asked anyway.
package prescale.gate.scale_in

import rego.v1

share := data.prescale.settings.scaleIn.share

pull_request contains message if {
	input.change.kind == "floor"
	input.change.direction == "fall"
	not input.change.inverse
	is_number(input.change.from)
	is_number(input.change.to)
	lost := input.change.from - input.change.to
	lost > 1
	lost > share * input.change.from
	values := [lost, input.change.from, round(share * 1000) / 10]
	message := sprintf("%d of %d replicas go at once, more than the %v %% of `gate.settings.scaleIn.share`", values)
}
