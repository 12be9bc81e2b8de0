//! Which past windows were like the one to come: a forest of extremely randomised trees over a base's errors.
//!
//! Each tree splits past rows by their features so that errors within a leaf are alike; the rows that share leaves with the row to come are
//! its analogues, and their errors its distribution (Meinshausen 2006, *Quantile Regression Forests*; Geurts et al. 2006, *Extremely randomized
//! trees*). Rows that come after the fit are dropped into the leaves at once.

mod kept;

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::rows::{Rows, column};
pub(super) use kept::Kept;

/// Features of an error, beside those of the row.
pub(super) const LOOK: usize = 53;
type Look = [f32; LOOK];

/// How a forest is grown.
#[derive(Clone, Copy, Debug)]
pub struct Growth {
    /// Trees.
    pub trees: usize,
    /// The fewest rows of a leaf.
    pub leaf: usize,
    /// Random splits that are tried at each node.
    pub tries: usize,
}

/// Errors beyond this, in log space, count as this when a tree is grown.
const FAR: f32 = 3.0;
/// After so many rows a row weighs half: a week of ten minutes.
pub(super) const HALF_LIFE: f64 = 1008.0;

/// What a base's error may depend on: the row's demand beside the base, its clock, and how far the other base is.
pub(super) fn look(rows: &Rows, row: usize, base: f32, other: f32) -> Look {
    let x = rows.features(row);
    let mut look = [0.0; LOOK];
    for i in 0..column::DEMAND {
        look[i] = x[i] - base;
    }
    let level = [column::LAST, column::RECENT, column::DAY_MAXIMUM, column::DAY_MEAN, column::RESTLESSNESS].map(|i| x[i]);
    look[31..36].copy_from_slice(&level);
    // The clock, as one number each: minute of the day by its angle, slot of the hour by its dummies.
    let minute = x[32].atan2(x[33]).rem_euclid(std::f32::consts::TAU);
    let slot = (1..6).find(|slot| x[35 + slot] > 0.0).unwrap_or(0) as f32;
    look[36..39].copy_from_slice(&[minute, slot, (minute - std::f32::consts::PI).abs()]);
    look[39] = other - base;
    look[40..45].copy_from_slice(&x[column::SPIKES..column::PERIODIC]);
    for i in 0..7 {
        look[45 + i] = x[column::PERIODIC + i] - base;
    }
    look[52] = x[column::PERIOD];
    look
}

/// Grown trees with their leaves' rows.
#[derive(Debug)]
pub(super) struct Forest {
    /// The row that rows are counted from.
    first: usize,
    trees: Vec<Tree>,
}

#[derive(Debug, Default)]
struct Tree {
    nodes: Vec<Node>,
    /// The rows that it was grown on, leaf by leaf.
    order: Vec<u16>,
    /// The rows that came later, each with the leaf that it fell into.
    added: Vec<(Leaf, u16)>,
}

#[derive(Clone, Copy, Debug)]
enum Node {
    /// At or below the cut: the next node; above: the one behind `right`.
    Split {
        feature: u8,
        cut: f32,
        right: u16,
    },
    Leaf(Leaf),
}

/// A stretch of the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Leaf {
    from: u16,
    to: u16,
}

/// Rows to grow on: their numbers, looks by feature, errors and weights.
pub(super) struct Grown<'a> {
    pub rows: &'a [usize],
    pub looks: &'a [Look],
    pub errors: &'a [f32],
    pub weights: &'a [f32],
}

/// What trees are grown on.
struct Ground {
    /// The looks by feature, so that a split reads one stretch of memory.
    columns: Vec<Vec<f32>>,
    /// Weighted errors, and weights.
    targets: Vec<(f32, f32)>,
    growth: Growth,
    random: ChaCha8Rng,
    /// What the split at hand is judged by.
    judged: Judged,
}

impl Forest {
    pub(super) fn grow(sample: &Grown, growth: Growth, seed: u64) -> Self {
        let (n, first) = (sample.rows.len(), sample.rows.first().copied().unwrap_or(0));
        let columns: Vec<Vec<f32>> = (0..LOOK).map(|f| sample.looks.iter().map(|look| look[f]).collect()).collect();
        let targets: Vec<(f32, f32)> =
            sample.errors.iter().zip(sample.weights).map(|(error, weight)| (error.clamp(-FAR, FAR) * weight, *weight)).collect();
        let random = ChaCha8Rng::seed_from_u64(seed);
        let mut ground = Ground { columns, targets, growth, random, judged: Judged::default() };
        let trees = (0..growth.trees)
            .map(|_| {
                let mut tree = Tree::default();
                let mut order: Vec<u16> = (0..n as u16).collect();
                tree.grow(&mut ground, &mut order, 0);
                for row in &mut order {
                    *row = (sample.rows[usize::from(*row)] - first) as u16;
                }
                tree.order = order;
                tree
            })
            .collect();
        Self { first, trees }
    }

    /// The first of the rows that it was grown on.
    pub(super) fn first(&self) -> usize {
        self.first
    }

    /// Drops a row into each tree's leaf.
    pub(super) fn add(&mut self, row: usize, look: &Look) {
        for tree in &mut self.trees {
            tree.added.push((tree.leaf(look), (row - self.first) as u16));
        }
    }

    /// The rows of each tree's leaf for a look.
    pub(super) fn leaves<'a>(&'a self, look: &'a Look) -> impl ExactSizeIterator<Item = impl Iterator<Item = usize> + Clone + 'a> {
        self.trees.iter().map(|tree| {
            let leaf = tree.leaf(look);
            let added = tree.added.iter().filter(move |(fell, _)| *fell == leaf).map(|(_, row)| row);
            tree.order[usize::from(leaf.from)..usize::from(leaf.to)].iter().chain(added).map(|row| self.first + usize::from(*row))
        })
    }
}

impl Tree {
    fn leaf(&self, look: &Look) -> Leaf {
        let mut at = 0;
        loop {
            match self.nodes[at] {
                Node::Leaf(leaf) => return leaf,
                Node::Split { feature, cut, right } => at = if look[usize::from(feature)] <= cut { at + 1 } else { usize::from(right) },
            }
        }
    }

    /// Grows the subtree of the rows in `order`, which is left in the order of the leaves, the first of which begins at `from`.
    fn grow(&mut self, ground: &mut Ground, order: &mut [u16], from: usize) {
        let split = if order.len() >= 2 * ground.growth.leaf { best_split(ground, order) } else { None };
        let Some((feature, cut)) = split else {
            self.nodes.push(Node::Leaf(Leaf { from: from as u16, to: (from + order.len()) as u16 }));
            order.sort_unstable();
            return;
        };
        let column = &ground.columns[feature];
        let mut left = 0;
        for i in 0..order.len() {
            // Without a branch, which could not be predicted.
            let (here, there) = (order[i], order[left]);
            let is_below = column[usize::from(here)] <= cut;
            let swapped = (here ^ there) & u16::from(is_below).wrapping_neg();
            order[i] = here ^ swapped;
            order[left] = there ^ swapped;
            left += usize::from(is_below);
        }
        let (below, above) = order.split_at_mut(left);
        let here = self.nodes.len();
        self.nodes.push(Node::Leaf(Leaf { from: 0, to: 0 }));
        self.grow(ground, below, from);
        self.nodes[here] = Node::Split { feature: feature as u8, cut, right: self.nodes.len() as u16 };
        self.grow(ground, above, from + left);
    }
}

/// A split of many rows is judged by so many of them, evenly spread.
const JUDGED: usize = 64;
/// Sums are taken in so many lanes, which the compiler turns into vector instructions.
const LANES: usize = 8;

/// The rows that a split is judged by: which, and their weighted errors and weights.
#[derive(Default)]
struct Judged {
    rows: Vec<u16>,
    errors: Vec<f32>,
    weights: Vec<f32>,
}

/// What lies at or below a cut.
#[derive(Clone, Copy, Debug, Default)]
struct Side {
    rows: f32,
    error: f32,
    weight: f32,
}

impl Judged {
    /// Every so many rows of those in `order` instead of what is there.
    fn take(&mut self, targets: &[(f32, f32)], order: &[u16], every: usize) {
        self.rows.clear();
        self.errors.clear();
        self.weights.clear();
        for row in order.iter().step_by(every) {
            let (error, weight) = targets[usize::from(*row)];
            self.rows.push(*row);
            self.errors.push(error);
            self.weights.push(weight);
        }
    }

    fn below(&self, column: &[f32], cut: f32) -> Side {
        let mut lanes = [Side::default(); LANES];
        let add = |side: &mut Side, row: u16, error: f32, weight: f32| {
            let below = if column[usize::from(row)] <= cut { 1.0 } else { 0.0 };
            side.rows += below;
            side.error += below * error;
            side.weight += below * weight;
        };
        let whole = self.rows.len() / LANES * LANES;
        let (rows, errors, weights) = (&self.rows[..whole], &self.errors[..whole], &self.weights[..whole]);
        for ((rows, errors), weights) in rows.chunks_exact(LANES).zip(errors.chunks_exact(LANES)).zip(weights.chunks_exact(LANES)) {
            for i in 0..LANES {
                add(&mut lanes[i], rows[i], errors[i], weights[i]);
            }
        }
        for i in whole..self.rows.len() {
            add(&mut lanes[i - whole], self.rows[i], self.errors[i], self.weights[i]);
        }
        lanes.iter().fold(Side::default(), |all, lane| Side {
            rows: all.rows + lane.rows,
            error: all.error + lane.error,
            weight: all.weight + lane.weight,
        })
    }
}

/// The best of a few random splits: the one that leaves the least weighted variance of the errors. `None` where none leaves enough rows on
/// both sides, or tells anything.
fn best_split(ground: &mut Ground, order: &[u16]) -> Option<(usize, f32)> {
    let Ground { columns, targets, growth, random, judged } = ground;
    let mut best: Option<(f32, usize, f32)> = None;
    let every = order.len().div_ceil(JUDGED);
    judged.take(targets, order, every);
    let least = growth.leaf.div_ceil(every) as f32;
    let all = judged.below(&columns[0], f32::INFINITY);
    for _ in 0..growth.tries {
        let feature = random.random_range(0..columns.len());
        let column = &columns[feature];
        let mut pick = || column[usize::from(order[random.random_range(0..order.len())])];
        let (a, b) = (pick(), pick());
        if a == b {
            continue;
        }
        let cut = f32::midpoint(a, b);
        let below = judged.below(column, cut);
        if below.rows < least || all.rows - below.rows < least {
            continue;
        }
        let above = Side { error: all.error - below.error, weight: all.weight - below.weight, ..all };
        let gain = below.error.powi(2) / below.weight.max(1e-12) + above.error.powi(2) / above.weight.max(1e-12);
        if gain.is_finite() && best.is_none_or(|(most, _, _)| gain > most) {
            best = Some((gain, feature, cut));
        }
    }
    best.map(|(_, feature, cut)| (feature, cut))
}
