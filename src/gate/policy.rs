//! A file of Rego, as the engine reads it.

use regorus::Engine;
use regorus::unstable::{Expr, Rule, RuleHead};

use super::{GateError, first_lines};

/// A file of Rego.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// What messages call it.
    pub path: String,
    /// Its text.
    pub text: String,
}

impl Policy {
    /// The package that it is of; `None` where it is no Rego.
    pub fn package(&self) -> Option<String> {
        let package = self.read_by(&mut Engine::new()).ok()?;
        package.strip_prefix("data.").map(ToOwned::to_owned)
    }

    /// The tests in it, as `data.…`: its rules whose names begin with `test_`. A function is none.
    pub fn tests(&self) -> Result<Vec<String>, GateError> {
        let mut engine = Engine::new();
        let package = self.read_by(&mut engine)?;
        let rules = engine.get_modules().iter().flat_map(|module| module.policy.iter());
        let mut tests = Vec::new();
        for name in rules.filter_map(|rule| name_of(rule)).filter(|name| name.starts_with("test_")) {
            let test = format!("{package}.{name}");
            if !tests.contains(&test) {
                tests.push(test);
            }
        }
        Ok(tests)
    }

    /// Has an engine read it; gives its package, as `data.…`.
    pub(super) fn read_by(&self, engine: &mut Engine) -> Result<String, GateError> {
        let package = engine.add_policy(self.path.clone(), self.text.clone());
        package.map_err(|error| self.wrong(&format!("is no Rego: {}", first_lines(&error))))
    }

    /// Whether it holds tests, which no run asks.
    pub(super) fn is_test(&self) -> bool {
        self.path.ends_with("_test.rego")
    }

    /// What is wrong with it.
    pub(super) fn wrong(&self, why: &str) -> GateError {
        GateError(format!("the gate's policy `{}` {why}", self.path))
    }
}

/// The name of a rule that is no function.
fn name_of(rule: &Rule) -> Option<&str> {
    let Rule::Spec { head: RuleHead::Compr { refr, .. } | RuleHead::Set { refr, .. }, .. } = rule else { return None };
    let Expr::Var { span, .. } = refr.as_ref() else { return None };
    Some(span.text())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(text: &str) -> Policy {
        Policy { path: "mine_test.rego".to_owned(), text: text.to_owned() }
    }

    #[test]
    fn a_package_is_told_by_the_parser() {
        for head in ["package a.b", "package a.b # of mine", "# package c\n  package\ta.b"] {
            assert_eq!(policy(&format!("{head}\n\nx := 1\n")).package().as_deref(), Some("a.b"), "{head}");
        }
        assert_eq!(policy("package\n").package(), None);
    }

    #[test]
    fn tests_are_rules_and_no_functions() {
        let text = "package a # of mine\n\nimport rego.v1\n\ntest_helper(x) := x + 1\n\n  test_one if test_helper(1) == 2\n\ntest_two := true\n\n\
                    test_one if false\n\nnot_a_test if true\n\ntext := `\ntest_none if true\n`\n";
        assert_eq!(policy(text).tests().unwrap(), ["data.a.test_one", "data.a.test_two"]);
        let error = policy("package a\n\ntest_one if {\n").tests().unwrap_err().to_string();
        assert!(error.contains("`mine_test.rego` is no Rego"), "{error}");
    }
}
