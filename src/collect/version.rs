//! Which images a workload runs, and since when.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::Series;
use crate::model::snapshot::Version;

/// The images that were seen last, and the first time since which none but they were. While a rollout is under way both versions are seen: that
/// is a version of its own, as young as the rollout.
pub(super) fn version(seen: &BTreeMap<(String, String), Series>) -> Option<Version> {
    let mut at: BTreeMap<i64, BTreeSet<&(String, String)>> = BTreeMap::new();
    for (image, series) in seen {
        for (i, _) in series.values().iter().enumerate().filter(|(_, value)| **value > 0.0) {
            at.entry(series.start() + i as i64 * series.step()).or_default().insert(image);
        }
    }
    let now = at.values().next_back()?.clone();
    let same = at.iter().rev().take_while(|(_, images)| **images == now);
    let since = same.last().map(|(since, _)| *since)?;
    let first = at.keys().next().is_none_or(|first| *first == since);
    let images = now.into_iter().map(|(_, image)| image.clone()).collect();
    Some(Version { images, since: (!first).then_some(since) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(images: &[(&str, &[f64])]) -> Option<Version> {
        let series = |values: &[f64]| Series::new(3000, 300, values.iter().copied());
        version(&images.iter().map(|(image, values)| (("app".to_owned(), (*image).to_owned()), series(values))).collect())
    }

    #[test]
    fn a_version_is_as_old_as_the_last_pod_of_the_one_before() {
        const NO: f64 = f64::NAN;
        let told = seen(&[("web:1", &[1.0, 1.0, 1.0, NO, NO, NO]), ("web:2", &[NO, NO, 1.0, 1.0, NO, 1.0])]);
        assert_eq!(told, Some(Version { images: ["web:2".to_owned()].into(), since: Some(3900) }), "gaps are no change");
        let told = seen(&[("web:1", &[1.0, 1.0, 1.0]), ("web:2", &[NO, 1.0, 1.0])]).unwrap();
        assert_eq!((told.images.len(), told.since), (2, Some(3300)), "a rollout under way");
        assert_eq!(seen(&[("web:1", &[1.0, 1.0])]).unwrap().since, None, "older than what is known");
        assert_eq!(seen(&[("web:1", &[0.0, NO])]), None);
    }
}
