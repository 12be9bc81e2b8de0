# A calendar of days on which nothing moves, but for what is taken back: an Application is unwell, and people merge it.
package prescale.gate.freeze

import rego.v1

hold contains sprintf("frozen until %s %s by `gate.settings.freezes`%s", [freeze.to, zone(freeze), why(freeze)]) if {
	not input.change.inverse
	some freeze in data.prescale.settings.freezes
	now := input.time["in"][zone(freeze)].local
	freeze.from <= now
	now < freeze.to
	covers(freeze)
	not allows(freeze)
}

zone(freeze) := freeze.timeZone

zone(freeze) := "UTC" if not freeze.timeZone

why(freeze) := sprintf(": %s", [freeze.why])

why(freeze) := "" if not freeze.why

covers(freeze) if not freeze.overlays

covers(freeze) if {
	some folder in freeze.overlays
	startswith(sprintf("%s/", [input.change.overlay]), sprintf("%s/", [folder]))
}

allows(freeze) if input.change.direction in freeze.allow
