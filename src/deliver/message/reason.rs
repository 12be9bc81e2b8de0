//! Why a value is what it is.

use super::{amount, capacity, limit, span, trimmed, unstudied};
use crate::model::{Borrowed, Reason, Share, Signal};

/// Why a value is what it is, in one line.
pub fn reason(reason: &Reason) -> String {
    match reason {
        Reason::PeakDemand { signal, model, quantile, demand, capacity } => {
            let what = match signal {
                Signal::Promql(_) => "demand".to_owned(),
                signal => signal.name().to_owned(),
            };
            format!(
                "peak {what} of the window at most {} in {} of 100 cases ({model}); one replica carries {}",
                amount(*demand, signal),
                trimmed(quantile * 100.0, 2),
                amount(*capacity, signal)
            )
        }
        Reason::UnderHpa { target, signal } => {
            format!(
                "its HPA adds replicas by itself from {} each on, so the floor covers what it would be late for",
                amount(*target, signal)
            )
        }
        Reason::Borrowed(Borrowed { overlay, workload, ratio, common }) => format!(
            "too little history of its own: that of its sibling {workload} in {overlay} stands for it, times {} as over the {} in which both \
             were measured",
            trimmed(*ratio, 3),
            span(*common)
        ),
        Reason::Studied { at, price, stretch, gain, simplest } => {
            let stretch = if *stretch > 1.0 { format!(" and {} times the floor", trimmed(*stretch, 2)) } else { String::new() };
            let gain = if *gain > 0.0 { format!(", {} % cheaper than {simplest}", trimmed(gain * 100.0, 1)) } else { String::new() };
            format!(
                "chosen by replay on {}: this model{gain}, and to plan with a price of shortfall of {}, which served the policy best{stretch}",
                at.format("%Y-%m-%d"),
                trimmed(*price, 2)
            )
        }
        Reason::ObjectiveUnstudied { objective, price, why } => {
            let objective = Share(*objective);
            format!("no price is known yet that meets the objective of {objective} ({}); until then the price is {price}", unstudied(why))
        }
        Reason::Tuned { replayed, before, after } => format!(
            "a replay of the last {} cost {} replicas with these settings, minutes short included, and {} as it is set now",
            span(*replayed),
            trimmed(*after, 2),
            trimmed(*before, 2)
        ),
        Reason::Spare { added, spare } => {
            format!("{added} of them spare: {} times the square root of those that are busy", trimmed(*spare, 2))
        }
        Reason::Kept { .. } => "as it was proposed before: nothing newer is known".to_owned(),
        Reason::Rests { wanted } => format!("as it was proposed before: {wanted} would be enough, which is hardly less"),
        Reason::Risk { before, after } => {
            let share = |risk: f64| trimmed(risk * 100.0, usize::from(risk < 0.1));
            format!("demand exceeds it in {} of 100 windows like this one, and what is there now in {}", share(*after), share(*before))
        }
        Reason::OtherSignal { signal, needed } => format!("{signal} needs {needed}"),
        Reason::CapacityLearned(learned) => capacity::learned(learned),
        Reason::TakenBack { application, commit, since } => format!(
            "Argo CD's Application {application} is Degraded since {}, when it deployed {commit:.12}, which set this: it is taken back",
            since.format("%Y-%m-%d %H:%M UTC")
        ),
        Reason::ManualSync { application } => {
            format!("Argo CD's Application {application} does not sync by itself: nothing changes before someone syncs it")
        }
        Reason::AtLeast { bound, by } => format!("never below {bound}, {}", limit(by)),
        Reason::AtMost { bound, wanted, by } => format!("never above {bound}, {}, though the forecast asks for {wanted}", limit(by)),
        Reason::Gated { policy, message } => format!("by pull request, says the gate's policy {policy}: {message}"),
        Reason::Stepped { wanted, step } => format!("a step of at most {step} towards {wanted}"),
        Reason::Deferred { wanted, over } => {
            format!("lowered only to the most that was wanted in the last {}, though {wanted} would do now", span(*over))
        }
        Reason::RoomAboveFloor { floor } => format!("room for the autoscaler above the floor of {floor}"),
        Reason::AtLimit { limit, wanted } => format!("capped at the limit of {limit}, though usage asks for {wanted}"),
        Reason::Usage { percentile, used, headroom, history } => {
            let days = history.num_hours() as f64 / 24.0;
            let what = if *percentile < 100.0 { format!("p{} of usage", trimmed(*percentile, 1)) } else { "the most ever used".to_owned() };
            format!("{what} was {used} over {} days, with {} % headroom", trimmed(days, 1), trimmed(headroom * 100.0, 0))
        }
    }
}
