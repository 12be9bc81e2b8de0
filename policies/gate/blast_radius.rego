# What moves much at once is looked at by people.
package prescale.gate.blast_radius

import rego.v1

limits := data.prescale.settings.blastRadius

pull_request contains message if {
	workloads := input.plan.workloads
	workloads.total >= limits.least
	workloads.changed > limits.workloads * workloads.total
	values := [workloads.changed, workloads.total, percent(limits.workloads)]
	message := sprintf("this run changes %d of %d workloads, more than the %v %% of `gate.settings.blastRadius.workloads`", values)
}

pull_request contains message if {
	replicas := input.plan.replicas
	input.plan.workloads.total >= limits.least
	replicas.moved > limits.replicas * replicas.now
	values := [replicas.moved, replicas.now, percent(limits.replicas)]
	message := sprintf("this run moves floors by %d of %d replicas, more than the %v %% of `gate.settings.blastRadius.replicas`", values)
}

pull_request contains message if {
	limits.cost != null
	cost := input.plan.cost
	cost.delta > limits.cost
	values := [round(cost.delta), cost.currency, limits.cost]
	message := sprintf("this run costs %d %s a month more, above the %v of `gate.settings.blastRadius.cost`", values)
}

# With one decimal, where it has any.
percent(share) := round(share * 1000) / 10
