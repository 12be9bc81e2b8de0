# Never fewer replicas than its PodDisruptionBudget wants available, and one more to move.
package prescale.gate.disruption

import rego.v1

hold contains message if {
	input.change.kind == "floor"
	input.change.direction == "fall"
	least := input.cluster.pdb.minAvailable
	is_number(least)
	is_number(input.change.to)
	input.change.to <= least
	message := sprintf("its PodDisruptionBudget wants %d available: none could be moved", [least])
}
