# `prescale gate test policies/gate`, or `opa test policies/gate`.
package prescale.gate_test

import rego.v1

settings := {
	"blastRadius": {"least": 5, "workloads": 0.5, "replicas": 0.5, "cost": 100},
	"freezes": [{
		"from": "2026-12-20T00:00", "to": "2027-01-02T06:00", "timeZone": "Europe/Berlin", "why": "peak season",
		"overlays": ["overlays/prod"], "allow": ["rise"],
	}],
	"scaleIn": {"share": 0.15},
	"newWorkload": {"days": 7},
	"production": ["prod"],
}

fall := {
	"change": {"kind": "floor", "direction": "fall", "from": 10, "to": 9, "inverse": false, "overlay": "overlays/prod/shop"},
	"workload": {"days": 28},
	"plan": {"workloads": {"total": 10, "changed": 5}, "replicas": {"now": 40, "moved": 20}, "cost": null},
	"time": {"in": {"UTC": {"local": "2026-11-16T07:00"}, "Europe/Berlin": {"local": "2026-11-16T08:00"}}},
	"slo": null,
	"cluster": null,
}

with_change(more) := object.union(fall, {"change": object.union(fall.change, more)})

test_a_usual_fall_goes_as_it_was_asked if {
	gate := data.prescale.gate with input as fall with data.prescale.settings as settings
	said := {message | message := gate[_][_][_]; is_string(message)}
	count(said) == 0
}

test_many_workloads_at_once if {
	many := object.union(fall, {"plan": object.union(fall.plan, {"workloads": {"total": 10, "changed": 6}})})
	found := data.prescale.gate.blast_radius.pull_request with input as many with data.prescale.settings as settings
	found == {"this run changes 6 of 10 workloads, more than the 50 % of `gate.settings.blastRadius.workloads`"}
	narrow := object.union(settings, {"blastRadius": {"least": 5, "workloads": 0.125, "replicas": 1, "cost": null}})
	less := data.prescale.gate.blast_radius.pull_request with input as many with data.prescale.settings as narrow
	less == {"this run changes 6 of 10 workloads, more than the 12.5 % of `gate.settings.blastRadius.workloads`"}
}

test_a_small_fleet_may_change_as_a_whole if {
	few := object.union(fall, {"plan": {"workloads": {"total": 4, "changed": 4}, "replicas": {"now": 4, "moved": 4}, "cost": null}})
	found := data.prescale.gate.blast_radius.pull_request with input as few with data.prescale.settings as settings
	count(found) == 0
}

test_many_replicas_at_once if {
	many := object.union(fall, {"plan": object.union(fall.plan, {"replicas": {"now": 40, "moved": 21}})})
	found := data.prescale.gate.blast_radius.pull_request with input as many with data.prescale.settings as settings
	found == {"this run moves floors by 21 of 40 replicas, more than the 50 % of `gate.settings.blastRadius.replicas`"}
}

test_what_costs_much if {
	dear := object.union(fall, {"plan": object.union(fall.plan, {"cost": {"delta": 100.6, "currency": "EUR"}})})
	found := data.prescale.gate.blast_radius.pull_request with input as dear with data.prescale.settings as settings
	found == {"this run costs 101 EUR a month more, above the 100 of `gate.settings.blastRadius.cost`"}
	unlimited := object.union(settings, {"blastRadius": {"least": 5, "workloads": 1, "replicas": 1, "cost": null}})
	none := data.prescale.gate.blast_radius.pull_request with input as dear with data.prescale.settings as unlimited
	count(none) == 0
}

at(local) := {"time": {"in": {"Europe/Berlin": {"local": local}}}}

test_a_freeze_holds_what_it_covers if {
	found := data.prescale.gate.freeze.hold with input as object.union(fall, at("2026-12-20T00:00")) with data.prescale.settings as settings
	found == {"frozen until 2027-01-02T06:00 Europe/Berlin by `gate.settings.freezes`: peak season"}
	plain := object.union(settings, {"freezes": [{"from": "2026-11-16T06:00", "to": "2026-11-16T08:00"}]})
	bare := data.prescale.gate.freeze.hold with input as fall with data.prescale.settings as plain
	bare == {"frozen until 2026-11-16T08:00 UTC by `gate.settings.freezes`"}
}

test_a_freeze_ends if {
	before := data.prescale.gate.freeze.hold with input as object.union(fall, at("2026-12-19T23:59")) with data.prescale.settings as settings
	after := data.prescale.gate.freeze.hold with input as object.union(fall, at("2027-01-02T06:00")) with data.prescale.settings as settings
	count(before | after) == 0
}

test_a_freeze_lets_pass_what_it_allows_and_does_not_cover if {
	now := at("2026-12-24T00:00")
	rise := object.union(with_change({"direction": "rise"}), now)
	elsewhere := object.union(with_change({"overlay": "overlays/production"}), now)
	allowed := data.prescale.gate.freeze.hold with input as rise with data.prescale.settings as settings
	uncovered := data.prescale.gate.freeze.hold with input as elsewhere with data.prescale.settings as settings
	count(allowed | uncovered) == 0
	everywhere := object.union(settings, {"freezes": [{"from": "2026-12-20T00:00", "to": "2027-01-02T06:00", "timeZone": "Europe/Berlin"}]})
	found := data.prescale.gate.freeze.hold with input as rise with data.prescale.settings as everywhere
	count(found) == 1
}

test_scale_in_is_reviewed if {
	found := data.prescale.gate.scale_in.pull_request with input as with_change({"to": 8}) with data.prescale.settings as settings
	found == {"2 of 10 replicas go at once, more than the 15 % of `gate.settings.scaleIn.share`"}
	usual := data.prescale.gate.scale_in.pull_request with input as with_change({"from": 20, "to": 16}) with data.prescale.settings as settings
	count(usual) == 1
	small := data.prescale.gate.scale_in.pull_request with input as with_change({"from": 20, "to": 17}) with data.prescale.settings as settings
	count(small) == 0
	rise := with_change({"direction": "rise", "from": 3, "to": 5})
	none := data.prescale.gate.scale_in.pull_request with input as rise with data.prescale.settings as settings
	count(none) == 0
}

test_a_single_replica_may_go if {
	last := data.prescale.gate.scale_in.pull_request with input as with_change({"from": 2, "to": 1}) with data.prescale.settings as settings
	count(last) == 0
	two := data.prescale.gate.scale_in.pull_request with input as with_change({"from": 3, "to": 1}) with data.prescale.settings as settings
	count(two) == 1
}

test_a_new_workload_is_watched if {
	young := object.union(fall, {"workload": {"days": 6}})
	found := data.prescale.gate.new_workload.hold with input as young with data.prescale.settings as settings
	found == {"only 6 of 7 days of it were seen"}
	unknown := object.union(fall, {"workload": {"days": null}})
	held := data.prescale.gate.new_workload.hold with input as unknown with data.prescale.settings as settings
	count(held) == 1
}

test_requests_in_production_are_reviewed if {
	template := with_change({"kind": "template", "direction": "rise"})
	found := data.prescale.gate.production_requests.pull_request with input as template with data.prescale.settings as settings
	count(found) == 1
	staging := with_change({"kind": "template", "overlay": "overlays/staging"})
	none := data.prescale.gate.production_requests.pull_request with input as staging with data.prescale.settings as settings
	count(none) == 0
}

test_a_burnt_budget_stops_scale_in if {
	burnt := object.union(fall, {"slo": {"budget": -0.1}})
	found := data.prescale.gate.error_budget.hold with input as burnt with data.prescale.settings as settings
	count(found) == 1
	none := data.prescale.gate.error_budget.hold with input as object.union(fall, {"slo": {"budget": 0.1}}) with data.prescale.settings as settings
	count(none) == 0
	unknown := data.prescale.gate.error_budget.hold with input as object.union(fall, {"slo": {"budget": null}}) with data.prescale.settings as settings
	unknown == {"its error budget cannot be read: it is not scaled in"}
}

guarded(pdb, change) := object.union(with_change(change), {"cluster": {"pdb": pdb}})

test_one_pod_can_always_be_moved if {
	whole := guarded({"minAvailable": 9, "minAvailableShare": null}, {})
	found := data.prescale.gate.disruption.hold with input as whole with data.prescale.settings as settings
	found == {"its PodDisruptionBudget wants 9 available: none could be moved"}
	spare := guarded({"minAvailable": 8, "minAvailableShare": null}, {})
	none := data.prescale.gate.disruption.hold with input as spare with data.prescale.settings as settings
	count(none) == 0
}

test_one_pod_of_a_share_can_always_be_moved if {
	half := guarded({"minAvailable": null, "minAvailableShare": 0.5}, {"from": 2, "to": 1})
	found := data.prescale.gate.disruption.hold with input as half with data.prescale.settings as settings
	found == {"its PodDisruptionBudget wants 50 % available: of 1 none could be moved"}
	more := guarded({"minAvailable": null, "minAvailableShare": 0.5}, {"from": 3, "to": 2})
	none := data.prescale.gate.disruption.hold with input as more with data.prescale.settings as settings
	count(none) == 0
	whole := guarded({"minAvailable": null, "minAvailableShare": 1}, {})
	held := data.prescale.gate.disruption.hold with input as whole with data.prescale.settings as settings
	held == {"its PodDisruptionBudget wants 100 % available: of 9 none could be moved"}
	just := guarded({"minAvailable": null, "minAvailableShare": 0.9}, {"from": 11, "to": 10})
	free := data.prescale.gate.disruption.hold with input as just with data.prescale.settings as settings
	count(free) == 0
	nothing := guarded({"minAvailable": null, "minAvailableShare": 0.5}, {"from": 1, "to": 0})
	gone := data.prescale.gate.disruption.hold with input as nothing with data.prescale.settings as settings
	count(gone) == 0
}

unwell(is_inverse) := object.union(with_change({"from": 10, "to": 5, "inverse": is_inverse}), {
	"time": {"in": {"Europe/Berlin": {"local": "2026-12-24T00:00"}}},
	"slo": {"budget": 0},
	"workload": {"days": null},
	"cluster": {"pdb": {"minAvailable": 5, "minAvailableShare": 1}},
})

test_what_is_taken_back_is_not_held if {
	gate := data.prescale.gate with input as unwell(true) with data.prescale.settings as settings
	said := {message | message := gate[_][_][_]; is_string(message)}
	count(said) == 0
	otherwise := data.prescale.gate with input as unwell(false) with data.prescale.settings as settings
	policies := {policy | is_string(otherwise[policy][_][_])}
	policies == {"disruption", "error_budget", "freeze", "new_workload", "scale_in"}
}
