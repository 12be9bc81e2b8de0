# What moves much at once is looked at by people.
package prescale.gate.blast_radius

import rego.v1

limits := data.prescale.settings.blastRadius

pull_request contains message if {
	workloads := input.plan.workloads
	workloads.total >= limits.least
	workloads.changed > limits.workloads * workloads.total
	message := sprintf("this run changes %d of %d workloads", [workloads.changed, workloads.total])
}

pull_request contains message if {
	replicas := input.plan.replicas
	input.plan.workloads.total >= limits.least
	replicas.moved > limits.replicas * replicas.now
	message := sprintf("this run moves floors by %d replicas, of %d that there are", [replicas.moved, replicas.now])
}

pull_request contains message if {
	limits.cost != null
	input.plan.cost.delta > limits.cost
	message := sprintf("this run costs %d %s a month more", [round(input.plan.cost.delta), input.plan.cost.currency])
}
