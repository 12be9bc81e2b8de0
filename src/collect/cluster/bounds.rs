//! What bounds workloads: quotas, limit ranges, budgets and nodes, out of the objects of a cluster.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::objects::{NodeSpec, NodeStatus, Nothing, Object, QuotaSpec, QuotaStatus, RangeItem, RangeSpec, condition};
use crate::model::cluster::{Bounds, LimitRange, Quota};
use crate::model::{Bytes, Millicores, Resource};

pub(super) fn quota(quota: Object<QuotaSpec, QuotaStatus>) -> Quota {
    let status = quota.status.unwrap_or_default();
    let left = status.hard.iter().filter_map(|(resource, hard)| {
        let used = status.used.get(resource).and_then(|used| amount(resource, used)).unwrap_or(0.0);
        Some((resource.clone(), (amount(resource, hard)? - used).max(0.0)))
    });
    Quota { left: left.collect(), namespace: quota.metadata.namespace, name: quota.metadata.name }
}

/// What a budget wants available: a number of pods, or a share of them.
pub(super) fn available(least: &Json) -> Option<(u32, Option<f64>)> {
    if let Some(number) = least.as_u64() {
        return Some((u32::try_from(number).ok()?, None));
    }
    let percent: u32 = least.as_str()?.strip_suffix('%')?.parse().ok()?;
    Some((0, Some(f64::from(percent.min(100)) / 100.0)))
}

/// What a node that is Ready and takes pods has to give, in cores and bytes, and whether it keeps those away that do not tolerate it.
pub(super) fn size(node: Object<NodeSpec, NodeStatus>) -> Option<(bool, (f64, f64))> {
    let (spec, status) = (node.spec.unwrap_or_default(), node.status.unwrap_or_default());
    let is_ready = condition(&status.conditions, "Ready").is_none_or(|condition| condition.status == "True");
    let amount = |resource: &str| status.allocatable.get(resource).and_then(|text| amount(resource, text)).unwrap_or(0.0);
    (is_ready && !spec.unschedulable).then(|| (spec.is_tainted(), (amount("cpu"), amount("memory"))))
}

pub(super) fn range(range: Object<RangeSpec, Nothing>) -> LimitRange {
    let mut read = LimitRange { namespace: range.metadata.namespace, name: range.metadata.name, ..LimitRange::default() };
    for item in &range.spec.unwrap_or_default().limits {
        for resource in [Resource::Cpu, Resource::Memory] {
            match item.of.as_str() {
                "Container" => {
                    let known = read.container.entry(resource).or_default();
                    *known = tightened(*known, bounds(item, resource));
                }
                "Pod" => {
                    let most = [read.pod.get(&resource).copied(), bounds(item, resource).most];
                    read.pod.extend(most.into_iter().flatten().reduce(f64::min).map(|most| (resource, most)));
                }
                _ => {}
            }
        }
    }
    read
}

/// What an item of a limit range says of a resource.
fn bounds(item: &RangeItem, resource: Resource) -> Bounds {
    let name = resource.as_str();
    let of = |map: &BTreeMap<String, String>| map.get(name).and_then(|text| amount(name, text));
    // A ratio is no amount of anything; it is written as one of cores may be.
    let ratio = item.max_limit_request_ratio.get(name).and_then(|text| amount("cpu", text));
    Bounds { least: of(&item.min), most: of(&item.max), request: of(&item.default_request), limit: of(&item.default_limit), ratio }
}

/// Two items of one limit range: both hold, and the first one fills in.
fn tightened(first: Bounds, second: Bounds) -> Bounds {
    let less = |a: Option<f64>, b: Option<f64>| [a, b].into_iter().flatten().reduce(f64::min);
    Bounds {
        least: [first.least, second.least].into_iter().flatten().reduce(f64::max),
        most: less(first.most, second.most),
        request: first.request.or(second.request),
        limit: first.limit.or(second.limit),
        ratio: less(first.ratio, second.ratio),
    }
}

/// A quantity in cores, bytes or objects.
fn amount(resource: &str, text: &str) -> Option<f64> {
    if resource.ends_with("cpu") { text.parse().ok().map(Millicores::cores) } else { text.parse().ok().map(|bytes: Bytes| bytes.0 as f64) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_budget_wants_a_number_or_a_share() {
        for (least, wants) in [
            (json!(3), Some((3, None))),
            (json!("50%"), Some((0, Some(0.5)))),
            (json!("100%"), Some((0, Some(1.0)))),
            (json!("3"), None),
            (json!("half"), None),
            (json!(-1), None),
            (json!(null), None),
        ] {
            assert_eq!(available(&least), wants, "{least}");
        }
    }

    #[test]
    fn a_limit_range_is_read_by_its_types() {
        let object = json!({"metadata": {"name": "limits", "namespace": "shop"}, "spec": {"limits": [
            {"type": "Container", "min": {"cpu": "100m"}, "max": {"cpu": "2", "memory": "1Gi"}, "default": {"cpu": "500m"}},
            {"type": "Container", "max": {"cpu": "1500m"}, "default": {"cpu": "1"}, "defaultRequest": {"cpu": "200m"}, "maxLimitRequestRatio": {"memory": "1.5"}},
            {"type": "Pod", "max": {"cpu": "4"}},
            {"type": "Pod", "max": {"cpu": "3", "memory": "2Gi"}},
            {"type": "PersistentVolumeClaim", "max": {"storage": "1Gi"}},
        ]}});
        let read = range(serde_json::from_value(object).unwrap());
        assert_eq!(
            read.container[&Resource::Cpu],
            Bounds { least: Some(0.1), most: Some(1.5), request: Some(0.2), limit: Some(0.5), ratio: None }
        );
        let gib = 1_073_741_824.0;
        assert_eq!(read.container[&Resource::Memory], Bounds { most: Some(gib), ratio: Some(1.5), ..Bounds::default() });
        assert_eq!(read.pod, BTreeMap::from([(Resource::Cpu, 3.0), (Resource::Memory, 2.0 * gib)]));
    }

    #[test]
    fn nodes_are_taken_as_they_take_pods() {
        let node = |spec: Json, ready: &str| {
            let status = json!({"allocatable": {"cpu": "2", "memory": "1Gi"}, "conditions": [{"type": "Ready", "status": ready}]});
            size(serde_json::from_value(json!({"metadata": {"name": "n"}, "spec": spec, "status": status})).unwrap())
        };
        let taint = |effect: &str| json!({"taints": [{"key": "dedicated", "effect": effect}]});
        let whole = (2.0, 1_073_741_824.0);
        assert_eq!(node(json!({}), "True"), Some((false, whole)));
        assert_eq!(node(taint("PreferNoSchedule"), "True"), Some((false, whole)));
        assert_eq!(node(taint("NoSchedule"), "True"), Some((true, whole)));
        assert_eq!(node(taint("NoExecute"), "True"), Some((true, whole)));
        assert_eq!((node(json!({}), "Unknown"), node(json!({"unschedulable": true}), "True")), (None, None));
    }
}
