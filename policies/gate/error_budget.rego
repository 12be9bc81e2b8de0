# Where the error budget is burnt, nothing is taken away.
package prescale.gate.error_budget

import rego.v1

hold contains "its error budget is used up: it is not scaled in" if {
	input.change.direction == "fall"
	input.slo.budget <= 0
}
