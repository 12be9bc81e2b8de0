//! Percentiles, with linear interpolation between the two nearest ranks.

/// The `p`-th percentile (0–100) of what was measured, a gap being NaN. `None` when nothing was.
pub fn percentile(values: &[f64], p: f64) -> Option<f64> {
    let mut known: Vec<f64> = values.iter().copied().filter(|v| !v.is_nan()).collect();
    known.sort_by(f64::total_cmp);
    let rank = known.len().checked_sub(1)? as f64 * (p / 100.0).clamp(0.0, 1.0);
    let (below, above) = (known[rank.floor() as usize], known[rank.ceil() as usize]);
    let share = rank.fract();
    // From the nearer end: at a share of 1 it is `above` exactly.
    Some(if share < 0.5 { below + (above - below) * share } else { above - (above - below) * (1.0 - share) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_interpolated() {
        let values = [4.0, f64::NAN, 1.0, 3.0, 2.0];
        for (p, expected) in [(0.0, 1.0), (50.0, 2.5), (90.0, 3.7), (99.0, 3.97), (100.0, 4.0)] {
            assert!((percentile(&values, p).unwrap() - expected).abs() < 1e-12, "{p}");
        }
        assert_eq!(percentile(&[7.0], 99.0), Some(7.0));
        assert_eq!(percentile(&[f64::NAN], 50.0), None);
        assert_eq!(percentile(&[], 50.0), None);
    }
}
