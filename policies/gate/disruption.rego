# Never fewer replicas than its PodDisruptionBudget wants available, and one more to move.
package prescale.gate.disruption

import rego.v1

hold contains message if {
	is_taken_away
	least := input.cluster.pdb.minAvailable
	is_number(least)
	least > 0
	input.change.to <= least
	message := sprintf("its PodDisruptionBudget wants %d available: none could be moved", [least])
}

# Of a share Kubernetes rounds up: of one pod, a half is one.
hold contains message if {
	is_taken_away
	share := input.cluster.pdb.minAvailableShare
	is_number(share)
	input.change.to > 0
	ceil((share * input.change.to) - 0.000001) >= input.change.to
	values := [round(share * 1000) / 10, input.change.to]
	message := sprintf("its PodDisruptionBudget wants %v %% available: of %d none could be moved", values)
}

is_taken_away if {
	input.change.kind == "floor"
	input.change.direction == "fall"
	not input.change.inverse
	is_number(input.change.to)
}
