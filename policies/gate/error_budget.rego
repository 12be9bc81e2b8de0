# Where the error budget is burnt, or cannot be read, nothing is taken away, but for what is taken back: that may be what burns it.
package prescale.gate.error_budget

import rego.v1

hold contains "its error budget is used up: it is not scaled in" if {
	is_scaled_in
	is_number(input.slo.budget)
	input.slo.budget <= 0
}

hold contains "its error budget cannot be read: it is not scaled in" if {
	is_scaled_in
	is_null(input.slo.budget)
}

is_scaled_in if {
	input.change.direction == "fall"
	not input.change.inverse
}
