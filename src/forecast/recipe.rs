//! The models that compete: what each forecasts with, and how it tells which past rows are like the one to come.

use super::forest::Growth;
use super::naive::{NAIVE, RECENT, SeasonalNaive};
use super::{Forecaster, HoltWinters, Linear, Median, ProfileLevel, Stack};

/// A model: bases, whose errors on past rows make the distribution around what they say of the one to come.
#[derive(Clone, Copy, Debug)]
pub struct Recipe {
    /// The name that plans and records carry.
    pub name: &'static str,
    /// Its bases; the distributions around them are averaged.
    pub bases: &'static [&'static dyn Forecaster],
    /// Which past errors count.
    pub likeness: Likeness,
}

/// Which past rows count for the one to come, recent ones always more.
#[derive(Clone, Copy, Debug)]
pub enum Likeness {
    /// All alike: recency-weighted conformal quantiles.
    Recent,
    /// Those that share a leaf with it.
    Forest(Growth),
}

/// Every model, the simplest first.
pub static RECIPES: [Recipe; 9] = [
    plain("seasonal-naive", &[&SeasonalNaive]),
    plain("naive", &[&NAIVE]),
    plain("recent", &[&RECENT]),
    plain("profile-level", &[&ProfileLevel]),
    plain("holt-winters", &[&HoltWinters]),
    plain("linear", &[&Linear]),
    plain("stack", &[&Stack]),
    plain("median", &[&Median]),
    Recipe { name: "forest", bases: &[&Linear, &RECENT], likeness: Likeness::Forest(Growth { trees: 10, leaf: 15, tries: 6 }) },
];

const fn plain(name: &'static str, bases: &'static [&'static dyn Forecaster]) -> Recipe {
    Recipe { name, bases, likeness: Likeness::Recent }
}

impl Recipe {
    /// The model of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        RECIPES.iter().find(|recipe| recipe.name == name)
    }

    /// The one that does best on most workloads.
    pub fn usual() -> &'static Self {
        &RECIPES[RECIPES.len() - 1]
    }
}
