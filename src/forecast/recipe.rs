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
    /// What they forecast.
    pub target: Target,
    /// Which past errors count.
    pub likeness: Likeness,
}

/// What a model learns to forecast.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The maximum over the window, and the window's minutes with it.
    WindowMaximum,
    /// The window's first step, as forecasts of points do: what comes between and after is not looked at.
    FirstStep,
}

/// Which past rows count for the one to come, recent ones always more.
#[derive(Clone, Copy, Debug)]
pub enum Likeness {
    /// All alike: recency-weighted conformal quantiles.
    Recent,
    /// Those that share a leaf with it.
    Forest(Growth),
    /// None: errors are taken to be normal, as wide as they were on the very rows that the model was fitted on.
    Normal,
}

/// Every model, the simplest first. `normal` and `pointwise` are not meant to win: they show what is lost without calibrated quantiles, and
/// without the maximum over the window as what is learned.
pub static RECIPES: [Recipe; 11] = [
    recent("seasonal-naive", &[&SeasonalNaive]),
    recent("naive", &[&NAIVE]),
    recent("recent", &[&RECENT]),
    recent("profile-level", &[&ProfileLevel]),
    recent("holt-winters", &[&HoltWinters]),
    recent("linear", &[&Linear]),
    recent("stack", &[&Stack]),
    recent("median", &[&Median]),
    Recipe { likeness: Likeness::Normal, ..recent("normal", &[&Linear]) },
    Recipe { target: Target::FirstStep, ..forest("pointwise") },
    forest("forest"),
];

const fn recent(name: &'static str, bases: &'static [&'static dyn Forecaster]) -> Recipe {
    Recipe { name, bases, target: Target::WindowMaximum, likeness: Likeness::Recent }
}

const fn forest(name: &'static str) -> Recipe {
    let growth = Growth { trees: 8, leaf: 15, tries: 6 };
    Recipe { name, bases: &[&Linear, &NAIVE, &RECENT], target: Target::WindowMaximum, likeness: Likeness::Forest(growth) }
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
