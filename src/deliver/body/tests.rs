use super::*;
use crate::model::edit::{OverlayEdit, ProvenEdit};
use crate::model::plan::Hindsight;
use crate::model::{
    Bytes, HoldReason, Millicores, ObjectRef, Place, Proven, Rates, Reason, RepoPath, Rhythm, Route, Site, SiteKind, Sited, Window,
    WorkloadId, WorkloadKind,
};
use chrono::TimeDelta;
use expect_test::expect;
use std::collections::BTreeMap;

const HEAD: &str = "1111111111111111111111111111111111111111";

fn workload(name: &str) -> WorkloadId {
    WorkloadId { namespace: "shop".into(), kind: WorkloadKind::Deployment, name: name.into() }
}

fn overlay() -> RepoPath {
    RepoPath::parse("overlays/prod").unwrap()
}

fn sited(name: &str, to: u32) -> Sited {
    let object = ObjectRef { group: "apps".into(), kind: "Deployment".into(), namespace: "shop".into(), name: name.into() };
    let peak = Reason::PeakDemand { signal: Signal::Requests, model: "forest".into(), quantile: 0.99, demand: 231.4, capacity: 40.0 };
    let change = Change {
        workload: workload(name),
        object,
        overlay: overlay(),
        field: Field::Replicas,
        from: Some(Value::Count(3)),
        to: Value::Count(to),
        reasons: vec![peak, Reason::Risk { before: 0.63, after: 0.0104 }],
        route: Route::PullRequest,
    };
    let place = Place { path: RepoPath::parse("overlays/prod/kustomization.yaml").unwrap(), line: Some(9) };
    Sited { change, site: Site { place, kind: SiteKind::ReplicasTransformer } }
}

fn group(changes: Vec<Sited>) -> Group {
    let edit = OverlayEdit { overlay: overlay(), changes, files: BTreeMap::new(), roots: BTreeSet::new(), reaches: vec![], mend: None };
    let proof =
        Proof::Rendered { before: "a".repeat(64), after: "b".repeat(64), by: "kubectl v5.8.1".into(), along: vec![], unrendered: vec![] };
    Group { route: Route::PullRequest, rhythm: Rhythm::Floor, proven: Proven { overlays: vec![ProvenEdit { edit, proof }], held: vec![] } }
}

fn outlook(name: &str) -> Outlook {
    Outlook {
        workload: workload(name),
        overlay: overlay(),
        signal: Signal::Requests,
        model: "forest".into(),
        quantile: 0.99,
        expected: 180.0,
        peak: 231.4,
        high: 240.0,
        capacity: 40.0,
        settled: None,
        requests: (Millicores(500), Bytes(1 << 30)),
        prices: None,
        now: 3,
        floor: 6,
        censored: 0.0,
        history: (0..24).map(|hour| (hour != 3).then(|| 100.0 + 3.337 * f64::from(hour))).collect(),
        ahead: (0..24).map(|hour| 180.0 + f64::from(hour)).collect(),
        sibling: None,
        lead: crate::model::Lead::default(),
        study: None,
        unstudied: None,
        hindsight: Some(Hindsight { windows: 144, covered: 141 }),
    }
}

fn plan(names: &[&str]) -> Plan {
    let at = "2026-11-16T07:00:00Z".parse().unwrap();
    let window = Window::of_decision(at, TimeDelta::minutes(6), TimeDelta::minutes(10));
    let detail = "@all: a | b <!-- prescale:box hold -->".to_owned();
    let held = |name: &&str| Held {
        workload: workload(name),
        overlay: overlay(),
        field: Some(Field::MaxReplicas),
        wanted: None,
        why: HoldReason::CapacityUnknown { detail: detail.clone() },
    };
    Plan { at, window, outlooks: names.iter().map(|name| outlook(name)).collect(), changes: vec![], held: names.iter().map(held).collect() }
}

fn text(group: &Group, plan: &Plan, before: Option<&Proposal>, prices: Option<&Prices>) -> String {
    let (head, patience) = (HEAD.parse().unwrap(), Patience { band: 0.2, span: TimeDelta::days(7) });
    body(&Facts { group, plan, head, base: head, target: "main", before, patience, prices, is_new: false })
}

#[test]
fn a_policy_s_own_prices_come_first() {
    let prices = Prices { core_hour: 0.04, gib_hour: 0.005, currency: "EUR".into() };
    let mut plan = plan(&["web"]);
    let cost = |plan: &Plan| text(&group(vec![sited("web", 6)]), plan, None, Some(&prices)).contains("| +109.50 EUR |");
    assert!(!cost(&plan));
    plan.outlooks[0].prices = Some(Rates { core_hour: 0.08, gib_hour: 0.01 });
    assert!(cost(&plan));
}

#[test]
fn a_reviewer_sees_what_why_and_what_it_costs() {
    let prices = Prices { core_hour: 0.04, gib_hour: 0.005, currency: "EUR".into() };
    let before = Proposal::of(Rhythm::Floor, "0".repeat(40), [sited("web", 4), sited("old", 5)].iter());
    let text = text(&group(vec![sited("web", 6)]), &plan(&["web"]), Some(&before), Some(&prices));
    let (shown, machine) = text.split_once("<!-- prescale:proposal").unwrap();
    assert!(machine.ends_with(" -->\n"));
    expect![[r#"
        <!-- prescale:group main floors -->
        <!-- prescale:head 1111111111111111111111111111111111111111 -->
        Prescale proposes 1 change, for what is expected between 2026-11-16 07:06 and 07:16 UTC.

        | workload | field | now | proposed | why | cost a month | risk now | risk then |
        |---|---|---:|---:|---|---:|---:|---:|
        | shop/Deployment/web | replicas | 3 | **6** | peak requests of the window at most 231 req/s in 99 of 100 cases (forest); one replica carries 40 req/s | +54.75 EUR | 63 % | 1 % |

        Risk: how likely demand exceeds the floor within the window.

        No longer proposed:

        - ~~shop/Deployment/web replicas: 4~~
        - ~~shop/Deployment/old replicas: 5~~

        ### Proof

        - overlays/prod: rendered before and after by kubectl v5.8.1; only these fields differ (aaaaaaaaaaaa…bbbbbbbbbbbb)

        <details><summary>Held back, and why</summary>

        - shop/Deployment/web maxReplicas: &#64;all: a \| b &lt;!-- prescale:box hold --&gt;

        </details>

        <details><summary>shop/Deployment/web: ▄▅▅·▅▅▅▅▅▆▆▆▆▆▆▆▇▇▇▇▇▇▇▇ → ████████████████████████</summary>

        Bars: measured, by the hour. Lines: what is expected (forest), and what the floor carries (3 → 6 replicas, 40 req/s each).

        ```mermaid
        xychart-beta
          x-axis "hours from now" -24 --> 24
          y-axis "req/s" 0 --> 264
          bar [100, 103, 107, 107, 113, 117, 120, 123, 127, 130, 133, 137, 140, 143, 147, 150, 153, 157, 160, 163, 167, 170, 173, 177, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
          line [100, 103, 107, 107, 113, 117, 120, 123, 127, 130, 133, 137, 140, 143, 147, 150, 153, 157, 160, 163, 167, 170, 173, 177, 180, 181, 182, 183, 184, 185, 186, 187, 188, 189, 190, 191, 192, 193, 194, 195, 196, 197, 198, 199, 200, 201, 202, 203]
          line [120, 120, 120, 120, 120, 120, 120, 120, 120, 120, 120, 120, 120, 120, 120, 120, 120, 120, 120, 120, 120, 120, 120, 120, 240, 240, 240, 240, 240, 240, 240, 240, 240, 240, 240, 240, 240, 240, 240, 240, 240, 240, 240, 240, 240, 240, 240, 240]
        ```

        Of its last 144 forecasts, demand stayed at or under what was planned for in 141 (97.9 %).

        </details>

        ### How to decide

        Merge it, and Argo CD syncs it; to undo it then, revert the merge. Close it, and these changes are not proposed again until what they are made from has moved by 20 %, or 7 days have passed. Commits of yours on this branch are never overwritten: Prescale then leaves it to you. The lead time counted on is 6 minutes from the decision to ready pods.

        - [ ] <!-- prescale:box rebase --> make it anew on the newest base
        - [ ] <!-- prescale:box hold --> leave it as it is
        - [ ] <!-- prescale:box explain --> say more, as a comment

    "#]].assert_eq(shown);
}

#[test]
fn what_it_says_is_read_back() {
    let group = group(vec![sited("web", 6)]);
    let text = text(&group, &plan(&["web"]), None, None);
    assert_eq!(head(&text), Some(HEAD));
    assert_eq!(proposal(&text), Some(Proposal::of(Rhythm::Floor, HEAD.to_owned(), group.proven.changes().map(|(sited, _)| sited))));
    assert_eq!(boxes(&text), Boxes::default(), "what names hold is no box");
    let ticked = text.replace("- [ ] <!-- prescale:box hold", "- [X] <!-- prescale:box hold").replace('\n', "\r\n");
    assert_eq!(boxes(&ticked), Boxes { hold: true, ..Boxes::default() });
    assert!(!is_withdrawn(&text) && is_withdrawn(&withdrawn(&text)) && proposal(&withdrawn(&text)).is_some());
}

#[test]
fn it_keeps_within_githubs_limit_for_any_number_of_workloads() {
    for workloads in [1, 30, 300, 3000] {
        let names: Vec<String> = (0..workloads).map(|i| format!("service-with-a-name-{i}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let group = group(names.iter().enumerate().map(|(i, name)| sited(name, 4 + i as u32 % 7)).collect());
        let gone = Proposal::of(Rhythm::Floor, HEAD.to_owned(), names.iter().map(|name| sited(name, 99)).collect::<Vec<_>>().iter());
        let text = text(&group, &plan(&names), Some(&gone), None);
        let length = text.chars().count();
        assert!(length <= MOST, "{length} for {workloads}");
        assert!(workloads < 300 || length > MOST / 2, "the room is used: {length}");
        assert_eq!(text.contains("Prescale-Proposal"), proposal(&text).is_none(), "in one place or the other");
        assert!(text.contains("prescale:box hold -->"), "the foot is always there");
        assert!(explanation(&group, &plan(&names)).chars().count() <= MOST);
    }
}
