//! Prescale forecasts what each Kubernetes workload will need and writes it into Git before it is needed.
//!
//! # Bird's-eye view
//!
//! One run, from left to right; [`run`] has it on one screen:
//!
//! ```text
//!  Prometheus, files ─┐                                                                ┌─> Git: one commit, or one pull request, a group
//!  Git: overlays,     ├─> collect ─> forecast ─> decide ─> gate ─> overlay ─> prove ─> deliver
//!        policies     │   Snapshot   Forecast    Plan      Plan    Edited     Proven   └─> state: records, studies, what was learned,
//!  cluster, Argo CD   ─┘                           ^        ^                              written and asked of GitHub, reports
//!  GitHub and Git: what people closed or took back ─┘        └─ Rego: the shipped policies and the user's
//! ```
//!
//! - [`model`] is the vocabulary. It knows no outside system.
//! - [`forecast`], [`decide`], [`gate`] and [`overlay`] are pure: no clock, no environment, no network, no async. They take `now` as an argument.
//! - [`simulate`] replays decisions over real traces: what a forecast is worth beside an HPA. It alone may import `forecast` and `decide`.
//!   A run asks it for a study of each workload, about once a week: which model, price and HPA settings did best over the last two weeks.
//! - [`clients`] holds one file an outside system, without decisions. Only [`collect`], [`prove`] and [`deliver`] use them.
//! - [`run`] calls the stages; [`config`] composes their settings; [`cli`] prints; [`demo`] is the embedded default.
//!
//! [`run::eject`] is the way out: it takes Prescale's Components out of the overlays and leaves their values, with Git alone.
//!
//! For fleets beyond one pod, several runs share the workloads by a hash of kind and name ([`Shard`](model::Shard)); compare-and-swap keeps their
//! pushes apart, and each has its own part of the state and its own branches.
//!
//! Imports flow one way: `model` <- the pure stages <- `clients` and the stages with I/O <- `config`, `run` <- `demo`, `cli`. A stage never
//! imports another stage, but for `collect`, which asks `overlay` what is rendered, and `simulate`. A test holds the code to this.
//!
//! # What always holds
//!
//! 1. **Only intended bytes change.** An edit replaces or inserts the planned spans; every other byte of the file stays.
//! 2. **Proven, not hoped.** After an edit the file is re-parsed and its model is the planned one; where Kustomize is found, the renders before
//!    and after differ in the planned fields and nowhere else, or nothing is written.
//! 3. **Refuse rather than guess.** What cannot be edited safely is held, with a code, the file and the line.
//! 4. **One writer a field.** With an HPA its `minReplicas`, with a ScaledObject its `minReplicaCount`, with neither `replicas`.
//! 5. **No lost update.** A push is compare-and-swap on the exact base; a lost race is rebuilt on the new base, never merged as text.
//! 6. **Same inputs, same bytes.** A second run on unchanged inputs makes no commit and no push, on however many cores. What earlier runs
//!    learned of a workload (its study) is an input: the run after one that made a study may decide otherwise, once.
//!    What was learned of its demand is none: it is recalled only where a run would learn the very same again.
//! 7. **Fail static.** Missing, stale or absurd data holds the workload. A crash leaves the repository as it was, or as it was meant to be.
//! 8. **A rise may be wrong; a fall must be right.** Scale-in waits until nothing lately wanted as much, is stepped, and rests after each change.
//! 9. **Explained.** Each change and each non-change carries typed reasons; all words are made from them.
//! 10. **Secrets never travel**: not in arguments, logs, commit texts, `.git/config` or reports.
//! 11. **People win.** A commit of someone else on our branch stops us; a closed pull request, a revert or an edit by hand is a veto.
//! 12. **The gate only tightens.** A policy may send a change to review or hold it; one that fails holds everything.
//! 13. **A cluster is only listed.** What may not be read of it, or fails, is told and gone without; Git and metrics are enough.
//! 14. **`plan` never builds a writer.** It differs from `run` in nothing else.

pub mod model;

// The pure stages.
pub mod decide;
pub mod forecast;
pub mod gate;
pub mod overlay;
pub mod simulate;

// The stages with I/O, and what they talk to.
pub mod clients;
pub mod collect;
pub mod deliver;
pub mod prove;

// The whole.
pub mod config;
pub mod demo;
pub mod run;

pub mod cli;
