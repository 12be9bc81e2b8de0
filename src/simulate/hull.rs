//! The frontier of cost against violation.

/// The lower convex hull of `(cost, violation)` points from the cheapest on: what mixing scalers over workloads can reach.
pub fn envelope(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let mut points = points.to_vec();
    points.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    let mut hull: Vec<(f64, f64)> = Vec::new();
    for (cost, violation) in points {
        if hull.last().is_some_and(|last| violation >= last.1) {
            continue;
        }
        while let [.., before, last] = hull[..]
            && (last.1 - before.1) * (cost - before.0) >= (violation - before.1) * (last.0 - before.0)
        {
            hull.pop();
        }
        hull.push((cost, violation));
    }
    hull
}

/// The violation at a mean cost on the [`envelope`]; infinite where it starts above the cost.
pub fn at_cost(points: &[(f64, f64)], cost: f64) -> f64 {
    let hull = envelope(points);
    match hull.iter().rposition(|point| point.0 <= cost) {
        None => f64::INFINITY,
        Some(i) => match hull.get(i + 1) {
            None => hull[i].1,
            Some(next) => (next.1 - hull[i].1) / (next.0 - hull[i].0) * (cost - hull[i].0) + hull[i].1,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_mixture_cannot_beat_stays() {
        let points = [(2.0, 0.1), (1.0, 0.5), (1.5, 0.4), (3.0, 0.1), (1.0, 0.6), (4.0, 0.0)];
        assert_eq!(envelope(&points), [(1.0, 0.5), (2.0, 0.1), (4.0, 0.0)]);
        for (cost, violation) in [(0.9, f64::INFINITY), (1.0, 0.5), (1.5, 0.3), (3.0, 0.05), (9.0, 0.0)] {
            let found = at_cost(&points, cost);
            assert!(found == violation || (found - violation).abs() < 1e-12, "{found} at {cost}");
        }
        assert_eq!(at_cost(&[], 1.0), f64::INFINITY);
    }
}
