//! Who reviews which file, by GitHub's `CODEOWNERS`.

use ignore::gitignore::{Gitignore, GitignoreBuilder};

use crate::model::RepoPath;

/// Where GitHub looks for the file; the first one counts.
pub const PLACES: [&str; 3] = [".github/CODEOWNERS", "CODEOWNERS", "docs/CODEOWNERS"];

/// The rules of a `CODEOWNERS` file; the last one that fits a path counts.
#[derive(Clone, Debug, Default)]
pub struct Owners(Vec<Rule>);

#[derive(Clone, Debug)]
struct Rule {
    pattern: Gitignore,
    /// Whether it means what is in a folder, and not what is deeper.
    shallow: bool,
    owners: Vec<String>,
}

impl Owners {
    /// Reads the file. Its patterns are those of `.gitignore`, with GitHub's exceptions: `!`, `[…]` and `\#` have no meaning there, so that
    /// such lines are passed over, and `docs/*` does not reach into folders.
    ///
    /// Source: <https://docs.github.com/repositories/managing-your-repositorys-settings-and-features/customizing-your-repository/about-code-owners>.
    pub fn parse(text: &str) -> Self {
        let rule = |line: &str| {
            let mut words = line.split('#').next()?.split_whitespace();
            let pattern = words.next().filter(|pattern| !pattern.contains(['!', '[', ']', '\\']))?;
            let mut builder = GitignoreBuilder::new("");
            builder.add_line(None, pattern).ok()?;
            let shallow = pattern.ends_with("/*");
            Some(Rule { pattern: builder.build().ok()?, shallow, owners: words.map(str::to_owned).collect() })
        };
        Self(text.lines().filter_map(rule).collect())
    }

    /// The people and the teams that own any of these files, by the names that GitHub's API takes. Owners known by e-mail alone are left out.
    pub fn of(&self, files: &[RepoPath]) -> (Vec<String>, Vec<String>) {
        let (mut people, mut teams) = (Vec::new(), Vec::new());
        for file in files {
            for owner in self.0.iter().rev().find(|rule| rule.fits(file)).into_iter().flat_map(|rule| &rule.owners) {
                let Some(name) = owner.strip_prefix('@') else { continue };
                let (list, name) = name.split_once('/').map_or((&mut people, name), |(_, team)| (&mut teams, team));
                if !list.iter().any(|known| known == name) {
                    list.push(name.to_owned());
                }
            }
        }
        (people, teams)
    }
}

impl Rule {
    fn fits(&self, file: &RepoPath) -> bool {
        let found = if self.shallow {
            self.pattern.matched(file.as_str(), false)
        } else {
            self.pattern.matched_path_or_any_parents(file.as_str(), false)
        };
        found.is_ignore()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_rule_that_fits_counts() {
        let owners = Owners::parse("* @all\n# none\n/overlays/ @shop/platform ops@example.com\noverlays/staging/ @ada # hers\n*.md\n");
        let of = |path: &str| owners.of(&[RepoPath::parse(path).unwrap()]);
        let (none, one) = (Vec::<String>::new(), |name: &str| vec![name.to_owned()]);
        assert_eq!(of("base/a.yaml"), (one("all"), none.clone()));
        assert_eq!(of("overlays/prod/a.yaml"), (none.clone(), one("platform")));
        assert_eq!(of("overlays/staging/b/a.yaml"), (one("ada"), none.clone()));
        assert_eq!(of("overlays/prod/README.md"), (none.clone(), none));
        let both = ["overlays/prod/a.yaml", "overlays/staging/a.yaml"].map(|path| RepoPath::parse(path).unwrap());
        assert_eq!(owners.of(&both), (one("ada"), one("platform")));
    }

    #[test]
    fn githubs_exceptions_are_made() {
        let owners = Owners::parse("/apps/* @near\n/apps/**/deep/ @deep\n!/apps/ @no\n[a]pps/ @no\n/logs @both\n");
        let of = |path: &str| owners.of(&[RepoPath::parse(path).unwrap()]).0;
        assert_eq!(of("apps/a.yaml"), ["near"]);
        assert_eq!(of("apps/web/a.yaml"), Vec::<String>::new());
        assert_eq!(of("apps/web/deep/a.yaml"), ["deep"]);
        assert_eq!((of("logs"), of("logs/a/b.yaml")), (vec!["both".to_owned()], vec!["both".to_owned()]));
    }
}
