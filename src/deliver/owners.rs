//! Who reviews which file, by GitHub's `CODEOWNERS`.

use ignore::gitignore::{Gitignore, GitignoreBuilder};

use crate::model::RepoPath;

/// Where GitHub looks for the file; the first one counts.
pub const PLACES: [&str; 3] = [".github/CODEOWNERS", "CODEOWNERS", "docs/CODEOWNERS"];

/// The rules of a `CODEOWNERS` file; the last one that fits a path counts.
#[derive(Clone, Debug, Default)]
pub struct Owners(Vec<(Gitignore, Vec<String>)>);

impl Owners {
    /// Reads the file. Lines that GitHub would pass over are passed over.
    pub fn parse(text: &str) -> Self {
        let rule = |line: &str| {
            let mut words = line.split('#').next()?.split_whitespace();
            let pattern = words.next()?;
            let mut builder = GitignoreBuilder::new("");
            builder.add_line(None, pattern).ok()?;
            Some((builder.build().ok()?, words.map(str::to_owned).collect()))
        };
        Self(text.lines().filter_map(rule).collect())
    }

    /// The people and the teams that own any of these files, by the names that GitHub's API takes. Owners known by e-mail alone are left out.
    pub fn of(&self, files: &[RepoPath]) -> (Vec<String>, Vec<String>) {
        let (mut people, mut teams) = (Vec::new(), Vec::new());
        for file in files {
            let fits = |rule: &&(Gitignore, Vec<String>)| rule.0.matched_path_or_any_parents(file.as_str(), false).is_ignore();
            for owner in self.0.iter().rev().find(fits).map(|(_, owners)| owners).into_iter().flatten() {
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
}
