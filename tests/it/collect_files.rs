//! History from files: CSV, and OpenMetrics text that gives what Prometheus makes of it.

use std::collections::BTreeMap;
use std::path::Path;

use chrono::TimeDelta;
use prescale::collect::{self, History, Source, Wanted};
use prescale::model::{Cause, HoldReason, Series, Signal, WorkloadId, WorkloadKind};

use crate::collect_prometheus::{all_wanted, east, now, six_hours, source, told, workload};
use crate::support::exposition::{BEGIN, END, HOUR, shop};
use crate::support::prometheus::RealPrometheus;

fn write(folder: &Path, file: &str, text: &str) {
    let path = folder.join(file);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

async fn read(folder: &Path, wanted: &[Wanted]) -> BTreeMap<WorkloadId, History> {
    six_hours(&Source::Files(folder.to_owned()), wanted).await
}

fn why(history: &History) -> String {
    match told(history).as_ref().unwrap_err() {
        HoldReason::NoData { detail, .. } | HoldReason::SourceFailed { detail } => detail.clone(),
        other => panic!("{other:?}"),
    }
}

/// Where a series of the shop begins or ends: Prometheus extrapolates to the edge of its window there, and keeps a pod's owner for five
/// minutes after its last sample, where files know it for good. Counters meet their windows within five minutes, usage in one step more.
fn at_an_edge(at: i64) -> bool {
    let edges = [BEGIN, BEGIN + 3 * HOUR, BEGIN + 5 * HOUR, BEGIN + 5 * HOUR + 1200, END];
    edges.iter().any(|edge| (edge - 600..=edge + 600).contains(&at))
}

/// Away from the edges all points are the same to rounding: there a rate over evenly spaced samples needs no extrapolation.
#[track_caller]
fn assert_same(one: Option<&Series>, other: Option<&Series>, what: &str) {
    let (Some(one), Some(other)) = (one, other) else { return assert_eq!(one.is_some(), other.is_some(), "{what}") };
    assert_eq!(one.step(), other.step(), "{what}");
    let value = |series: &Series, at: i64| series.get(usize::try_from((at - series.start()) / series.step()).ok()?);
    let mut compared = 0;
    for at in (BEGIN..END).step_by(one.step() as usize).filter(|at| !at_an_edge(*at)) {
        let (a, b) = (value(one, at), value(other, at));
        assert_eq!(a.is_some(), b.is_some(), "{what} {} min after the beginning", (at - BEGIN) / 60);
        if let (Some(a), Some(b)) = (a, b) {
            assert!((a - b).abs() <= 1e-9 * a.abs().max(1.0), "{what} {} min after the beginning: {a} and {b}", (at - BEGIN) / 60);
            compared += 1;
        }
    }
    assert!(compared > 40, "{what}: only {compared} points");
}

#[tokio::test(flavor = "multi_thread")]
async fn openmetrics_text_gives_what_prometheus_makes_of_it() {
    let text = shop(&["east"]);
    let server = RealPrometheus::with(&text);
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "history.om", &text);
    for signal in [Signal::Cpu, Signal::Memory, Signal::Requests] {
        // Istio's counter names workloads in labels of its own, which files do not read.
        let wanted: Vec<Wanted> = all_wanted(&signal).into_iter().filter(|w| w.id.name != "api" || signal != Signal::Requests).collect();
        let asked = six_hours(&source(east(&server.url)), &wanted).await;
        let read = read(folder.path(), &wanted).await;
        for (id, asked) in &asked {
            let read = &read[id];
            let what = format!("{id} {}", signal.name());
            assert!(read.troubles.is_empty(), "{:?}", read.troubles);
            assert_same(told(asked).as_ref().ok(), told(read).as_ref().ok(), &what);
            assert_eq!(asked.usage.keys().collect::<Vec<_>>(), read.usage.keys().collect::<Vec<_>>(), "{what}");
            for (container, usage) in &asked.usage {
                assert_same(usage.cpu.as_ref(), read.usage[container].cpu.as_ref(), &format!("{what}: cpu of {container}"));
                assert_same(usage.memory.as_ref(), read.usage[container].memory.as_ref(), &format!("{what}: memory of {container}"));
            }
            assert_same(asked.ready.as_ref(), read.ready.as_ref(), &format!("{what}: ready"));
            assert_same(asked.hpa_min.as_ref(), read.hpa_min.as_ref(), &format!("{what}: HPA min"));
            assert_same(asked.hpa_max.as_ref(), read.hpa_max.as_ref(), &format!("{what}: HPA max"));
            assert_same(asked.restarts.as_ref(), read.restarts.as_ref(), &format!("{what}: restarts"));
            let at_maximum = |history: &History| history.censored.stretches().filter(|(cause, _, _)| *cause == Cause::AtMaximum).count();
            assert_eq!(at_maximum(asked), at_maximum(read), "{what}");
            assert_eq!(asked.startup, read.startup, "{what}");
        }
    }
}

#[tokio::test]
async fn tables_are_read_and_win_over_the_text() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "history.txt", &shop(&["east"]));
    write(folder.path(), "shop/web/cpu.csv", &format!("timestamp,value\n{},7\n2025-11-10T05:59:00Z,8\n{END},9\n", END - 120));
    write(folder.path(), "shop/web/cpu.app.csv", &format!("{},0.5\n{},0.7\n", END - 600, END - 540));
    write(folder.path(), "shop/web/memory.cache.csv", &format!("{},1e9\n", END - 600));
    write(folder.path(), "shop/web/ready.csv", &format!("{},4\n", END - 600));
    write(folder.path(), "shop/web/promql.csv", &format!("{},41\n", END - 60));

    let web = |signal| workload("shop", WorkloadKind::Deployment, "web", signal);
    let histories = read(folder.path(), &[web(Signal::Cpu)]).await;
    let history = histories.values().next().unwrap();
    let demand = told(history).as_ref().unwrap();
    assert_eq!((demand.start(), demand.values()), (END - 120, &[7.0, 8.0][..]), "nothing of the minute that begins now");
    assert_eq!(history.usage.keys().collect::<Vec<_>>(), ["app", "cache", "sidecar"]);
    assert_eq!(history.usage["app"].cpu.as_ref().unwrap().values(), [0.6], "the mean of five minutes");
    assert!(history.usage["app"].memory.is_some(), "from the text");
    assert_eq!(history.ready.as_ref().unwrap().values(), [4.0]);

    write(folder.path(), "shop/web/throttled.csv", &format!("{},0.2\n{},0.5\n", END - 900, END - 600));
    write(folder.path(), "shop/web/at-maximum.csv", &format!("{},1\n", END - 300));
    let histories = read(folder.path(), &[web(Signal::Cpu)]).await;
    let censored: Vec<_> = histories.values().next().unwrap().censored.stretches().collect();
    assert_eq!(censored, [(Cause::AtMaximum, END - 300, END), (Cause::Throttled, END - 600, END - 300)]);

    let own = read(folder.path(), &[web(Signal::Promql("sum(queue)".to_owned()))]).await;
    assert_eq!(told(own.values().next().unwrap()).as_ref().unwrap().values(), [41.0]);
}

#[tokio::test]
async fn what_is_missing_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let web = workload("shop", WorkloadKind::Deployment, "web", Signal::Requests);
    let said = why(read(folder.path(), std::slice::from_ref(&web)).await.values().next().unwrap());
    let shown = folder.path().display();
    assert_eq!(
        said,
        format!(
            "{shown} tells no requests of the last 6h: put `timestamp,value` lines into shop/web/requests.csv there, or OpenMetrics text with its \
             pods' metrics and their owners beside"
        )
    );
    let said = why(read(&folder.path().join("none"), &[web]).await.values().next().unwrap());
    assert!(said.contains("none cannot be read") && said.ends_with("check `metrics.files`"), "{said}");
}

#[tokio::test]
async fn a_malformed_line_holds_those_that_need_it() {
    let folder = tempfile::tempdir().unwrap();
    let wanted =
        [workload("shop", WorkloadKind::Deployment, "web", Signal::Cpu), workload("data", WorkloadKind::StatefulSet, "db", Signal::Cpu)];
    write(folder.path(), "shop/web/cpu.csv", "timestamp,value\n60,1\nnoon,2\n");
    write(folder.path(), "data/db/cpu.csv", &format!("{},2\n", END - 60));
    let histories = read(folder.path(), &wanted).await;
    assert!(
        why(&histories[&wanted[0].id])
            .ends_with("shop/web/cpu.csv:3: `noon` is neither epoch seconds nor RFC 3339 (`2026-11-02T10:00:00Z`)")
    );
    assert!(told(&histories[&wanted[1].id]).is_ok());

    // A malformed text is no reason to doubt a table.
    write(folder.path(), "b.om", "# TYPE up gauge\nup 1 60\nup one 120\n");
    std::fs::remove_file(folder.path().join("shop/web/cpu.csv")).unwrap();
    let histories = read(folder.path(), &wanted).await;
    assert!(why(&histories[&wanted[0].id]).ends_with("b.om:3: `one` is not a number"));
    let db = &histories[&wanted[1].id];
    assert!(
        told(db).is_ok()
            && matches!(&db.troubles[..], [HoldReason::SourceFailed { detail }] if detail.ends_with("b.om:3: `one` is not a number"))
    );
}

#[tokio::test]
async fn clusters_in_one_text_are_not_mixed() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "history.openmetrics", &shop(&["east", "west"]));
    let histories = read(folder.path(), &all_wanted(&Signal::Cpu)).await;
    for history in histories.values() {
        assert_eq!(why(history), "the OpenMetrics text holds several clusters (east, west): keep the one that is meant");
    }
}

#[tokio::test]
async fn names_do_not_lead_out_of_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "cpu.csv", &format!("{},2\n", END - 60));
    let inside = folder.path().join("inside");
    write(&inside, "a/b/cpu.csv", "");
    let wanted =
        [workload("..", WorkloadKind::Deployment, ".", Signal::Cpu), workload("a", WorkloadKind::Deployment, "../..", Signal::Cpu)];
    let histories = collect::histories(&Source::Files(inside), &wanted, now(), TimeDelta::hours(6), TimeDelta::minutes(1)).await;
    assert!(histories.values().all(|history| matches!(told(history), Err(HoldReason::NoData { .. }))));
}
