# What is new is watched before anything is written for it, but for what is taken back.
package prescale.gate.new_workload

import rego.v1

hold contains message if {
	not input.change.inverse
	days := input.workload.days
	is_number(days)
	days < data.prescale.settings.newWorkload.days
	message := sprintf("only %d of %d days of it were seen", [days, data.prescale.settings.newWorkload.days])
}

hold contains "nothing of it was seen" if {
	not input.change.inverse
	not is_number(input.workload.days)
}
