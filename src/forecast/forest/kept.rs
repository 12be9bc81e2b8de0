//! A forest as it is kept between runs.

use serde::{Deserialize, Serialize};

use super::{Forest, LOOK, Leaf, Node, Tree};
use crate::forecast::kept::Column;
use crate::forecast::rows::Rows;

/// A forest that holds the rows it was grown on, and no others.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::forecast) struct Kept {
    first: usize,
    trees: Vec<KeptTree>,
}

/// A tree from its root on, each split before what is below its cut, and that before what is above.
#[derive(Debug, Serialize, Deserialize)]
struct KeptTree {
    /// What each node splits by, or [`LEAF`].
    features: Column<u8>,
    /// Of each split.
    cuts: Column<f32>,
    /// Rows of each leaf.
    sizes: Column<u16>,
    /// The rows, leaf by leaf.
    order: Column<u16>,
}

const LEAF: u8 = u8::MAX;

impl Forest {
    /// What is kept of it: the rows that came after it was grown are not.
    pub(in crate::forecast) fn keep(&self) -> Kept {
        Kept { first: self.first, trees: self.trees.iter().map(Tree::keep).collect() }
    }

    /// The forest again. `None` where that is none that was grown on the rows before `past`.
    pub(in crate::forecast) fn recall(kept: Kept, past: usize) -> Option<Self> {
        let first = kept.first;
        let is_past = |tree: &Tree| tree.order.iter().max().is_none_or(|last| first + usize::from(*last) < past);
        let trees: Option<Vec<Tree>> = kept.trees.into_iter().map(|tree| tree.recall().filter(is_past)).collect();
        (first + Rows::MOST >= past).then_some(Self { first, trees: trees? })
    }
}

impl Tree {
    fn keep(&self) -> KeptTree {
        let (mut features, mut cuts, mut sizes) = (Vec::new(), Vec::new(), Vec::new());
        for node in &self.nodes {
            match node {
                Node::Split { feature, cut, .. } => {
                    features.push(*feature);
                    cuts.push(*cut);
                }
                Node::Leaf(Leaf { from, to }) => {
                    features.push(LEAF);
                    sizes.push(to - from);
                }
            }
        }
        KeptTree { features: Column(features), cuts: Column(cuts), sizes: Column(sizes), order: Column(self.order.clone()) }
    }
}

impl KeptTree {
    /// `None` where it is no tree.
    fn recall(self) -> Option<Tree> {
        let (mut cuts, mut sizes) = (self.cuts.0.into_iter(), self.sizes.0.into_iter());
        let mut nodes = Vec::with_capacity(self.features.0.len());
        // Splits whose upper side is still to come.
        let mut open = Vec::new();
        let (mut from, mut is_whole) = (0_u16, false);
        for feature in self.features.0 {
            if is_whole {
                return None;
            }
            if feature == LEAF {
                let to = from.checked_add(sizes.next()?)?;
                nodes.push(Node::Leaf(Leaf { from, to }));
                from = to;
                match open.pop() {
                    Some(split) => {
                        let next = nodes.len() as u16;
                        if let Some(Node::Split { right, .. }) = nodes.get_mut::<usize>(split) {
                            *right = next;
                        }
                    }
                    None => is_whole = true,
                }
            } else {
                open.push(nodes.len());
                nodes.push(Node::Split {
                    feature: Some(feature).filter(|feature| usize::from(*feature) < LOOK)?,
                    cut: cuts.next()?,
                    right: 0,
                });
            }
        }
        (is_whole && usize::from(from) == self.order.0.len()).then_some(Tree { nodes, order: self.order.0, added: Vec::new() })
    }
}
