//! What is read from a commit, and what is written into one.

use super::*;

#[test]
fn a_tree_is_read_as_it_is_and_links_are_not_followed() {
    let upstream = Upstream::new();
    for via in Via::all(&upstream) {
        let (repository, _cache) = open(&via.settings(&upstream));
        let tree = repository.tree(repository.fetch().unwrap()).unwrap();
        let file = |mode, text: &str| Entry::File { mode, bytes: text.as_bytes().into() };
        let entry = |name: &str| tree.get(&path(name)).unwrap_or_else(|| panic!("{name}")).clone();
        assert_eq!(entry("base/deployment.yaml"), file(FileMode::Plain, "file: 1\n"));
        assert_eq!(entry("base/run.yaml"), file(FileMode::Executable, "#!/bin/sh\n"));
        assert_eq!(entry("Überlagerung mit Leerzeichen/数/größe 1.yaml"), file(FileMode::Plain, "ä: 1\r\n"));
        for unread in ["README.md", "base/big.yaml", "base/blob.bin"] {
            assert_eq!(entry(unread), Entry::Unread, "{unread}");
        }
        for (link, target) in [("base/link.yaml", "/etc/passwd"), ("base/up", "../..")] {
            assert_eq!(entry(link), Entry::Symlink { target: target.into() });
        }
        assert_eq!(entry("vendored"), Entry::Submodule);
        let listed = git(&upstream.bare(), &["ls-tree", "-r", "-z", "--name-only", "main"]);
        let mut listed: Vec<&str> = listed.split_terminator('\0').collect();
        listed.sort_unstable();
        assert_eq!(tree.iter().map(|(path, _)| path.as_str()).collect::<Vec<_>>(), listed);
    }
}

#[test]
fn an_export_holds_the_folders_and_nothing_that_leads_out_of_them() {
    let upstream = Upstream::new();
    let (repository, _cache) = open(&Via::File.settings(&upstream));
    let into = tempfile::tempdir().unwrap();
    let folders = BTreeSet::from([path("base"), path("Überlagerung mit Leerzeichen"), path("none")]);
    repository.export(repository.fetch().unwrap(), &folders, into.path()).unwrap();
    assert_eq!(
        files(into.path()),
        ["Überlagerung mit Leerzeichen/数/größe 1.yaml", "base/big.yaml", "base/blob.bin", "base/deployment.yaml", "base/run.yaml"]
            .into_iter()
            .map(str::to_owned)
            .collect::<BTreeSet<_>>()
    );
    assert_eq!(std::fs::read(into.path().join("base/blob.bin")).unwrap(), [0, 159, 146, 150]);

    let error = repository.export(repository.fetch().unwrap(), &folders, Path::new("/dev/null/x")).unwrap_err().to_string();
    assert!(error.starts_with("cannot write /dev/null/x: ") && error.ends_with("check that the disk has room"), "{error}");
}

/// The files (links included) under a folder.
fn files(folder: &Path) -> BTreeSet<String> {
    let listed = std::process::Command::new("find").arg(folder).args(["!", "-type", "d", "-printf", "%P\\n"]).output().unwrap();
    String::from_utf8(listed.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn a_commit_changes_what_it_says_and_keeps_the_rest() {
    let upstream = Upstream::new();
    let (repository, _cache) = open(&Via::File.settings(&upstream));
    let base = repository.fetch().unwrap();
    let edits = Edits::from([
        (path("base/run.yaml"), (FileMode::Executable, Some(b"#!/bin/bash\n".to_vec()))),
        (path("base/deployment.yaml"), (FileMode::Plain, Some(vec![0, 255]))),
        (path("overlays/prod/kustomization.yaml"), (FileMode::Plain, None)),
        (path("overlays/none.yaml"), (FileMode::Plain, None)),
        (path("new/deep/er/file.yaml"), (FileMode::Plain, Some(vec![]))),
    ]);
    let ours = commit(&repository, base, &edits, "Edit").unwrap();
    assert_eq!(repository.push(ours, base).unwrap(), Pushed::Done);
    upstream.check();
    let changed = git(&upstream.bare(), &["diff", "--raw", "--abbrev=7", "--no-renames", "main^", "main"]);
    let changed: Vec<&str> = changed.lines().map(|line| line.split_at(15).0).zip(changed.lines()).map(|(_, line)| line).collect();
    let modes: Vec<String> = changed.iter().map(|line| format!("{} {}", &line[..14], line.split_once('\t').unwrap().1)).collect();
    assert_eq!(
        modes,
        [
            ":100644 100644 base/deployment.yaml",
            ":100755 100755 base/run.yaml",
            ":000000 100644 new/deep/er/file.yaml",
            ":100644 000000 overlays/prod/kustomization.yaml",
        ]
    );
    assert_eq!(git(&upstream.bare(), &["ls-tree", "--name-only", "main", "overlays"]), "", "an empty folder does not stay");
    assert!(repository.diff(base, ours).unwrap().contains("Binary files a/base/deployment.yaml and b/base/deployment.yaml differ"));
    assert_eq!(commit(&repository, ours, &edits, "Again"), None);
}

#[test]
fn a_commit_tells_of_itself_and_holds_files() {
    let upstream = Upstream::new();
    let (repository, _cache) = open(&Via::File.settings(&upstream));
    let base = repository.fetch().unwrap();
    let edits = Edits::from([
        (path("base/run.yaml"), (FileMode::Plain, Some(b"#!/bin/sh\n".to_vec()))),
        (path("overlays/prod/kustomization.yaml"), (FileMode::Plain, None)),
        (path("new/a.txt"), (FileMode::Executable, Some(vec![0, 255]))),
    ]);
    let ours = commit(&repository, base, &edits, "Edit\n\nWhy: noon\n").unwrap();
    let told = repository.commit_of(ours).unwrap();
    assert_eq!((told.id, told.parents, told.at, told.message.as_str()), (ours, vec![base], noon(), "Edit\n\nWhy: noon\n"));
    assert_eq!((told.author, told.committer), (author(), author()));
    let told = repository.commit_of(base).unwrap();
    assert_eq!(
        (told.author.to_string(), told.at.to_rfc3339()),
        ("Someone Else <else@example.com>".to_owned(), "2026-01-01T00:00:00+00:00".to_owned())
    );

    let file = |at, name: &str| repository.file(at, &path(name)).unwrap();
    assert_eq!(file(base, "base/run.yaml"), Some((FileMode::Executable, b"#!/bin/sh\n".to_vec())));
    assert_eq!(file(ours, "base/run.yaml"), Some((FileMode::Plain, b"#!/bin/sh\n".to_vec())));
    assert_eq!(file(ours, "new/a.txt"), Some((FileMode::Executable, vec![0, 255])));
    assert_eq!(file(ours, "base/big.yaml").unwrap().1.len(), 4 << 20, "whatever its size");
    for absent in ["none.yaml", "README.md/x", "base", "base/link.yaml", "base/up/README.md", "vendored", "vendored/x", "", "new/b.txt"] {
        assert_eq!(file(ours, absent), None, "{absent}");
    }
}

#[test]
fn the_same_arguments_give_the_same_commit() {
    let upstream = Upstream::new();
    let commits: BTreeSet<_> = Via::all(&upstream)
        .iter()
        .map(|via| {
            let (repository, _cache) = open(&via.settings(&upstream));
            commit(&repository, repository.fetch().unwrap(), &writes(&[("a/b.yaml", "1"), ("c.yaml", "2")]), "Same")
        })
        .collect();
    assert_eq!(commits.len(), 1);
}

#[test]
fn nothing_is_written_through_or_over_what_is_not_a_file() {
    let upstream = Upstream::new();
    let (repository, _cache) = open(&Via::File.settings(&upstream));
    let base = repository.fetch().unwrap();
    let refused = [
        ("base/link.yaml", "base/link.yaml in the repository cannot be used: it is a symbolic link, which is never written through"),
        ("base/up/x.yaml", "base/up in the repository cannot be used: it is a symbolic link, which is never written through"),
        ("vendored/x.yaml", "vendored in the repository cannot be used: it is a submodule, which is never written into"),
        ("base", "base in the repository cannot be used: it is a folder"),
        ("README.md/x", "README.md in the repository cannot be used: it is a file, not a folder"),
        ("a/.GIT/config", "a/.GIT/config in the repository cannot be used: it is not the path of a file"),
        ("", ". in the repository cannot be used: it is not the path of a file"),
    ];
    for (name, expected) in refused {
        let error = repository.commit(base, &writes(&[(name, "x")]), "No", &author(), noon()).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
    let nobody = Identity { name: "<>".to_owned(), email: String::new() };
    let error = repository.commit(base, &writes(&[("a", "x")]), "No", &nobody, noon()).unwrap_err().to_string();
    assert!(error.starts_with("the commit's author `<> <>` cannot be used"), "{error}");
}

#[test]
fn a_hostile_tree_is_refused() {
    let upstream = Upstream::new();
    let bare = upstream.bare();
    let blob = git(&bare, &["rev-parse", "main:README.md"]);
    let tree = |entry: &str| git_with_input(&bare, &["mktree"], entry);
    let evil = tree(&format!("100644 blob {blob}\tpasswd\n"));
    let root = tree(&format!("040000 tree {evil}\t..\n"));
    let commit = git(&bare, &["commit-tree", &root, "-m", "Evil"]);
    git(&bare, &["update-ref", "refs/heads/main", &commit]);
    let (repository, _cache) = open(&Via::File.settings(&upstream));
    let error = repository.fetch().and_then(|tip| repository.tree(tip)).unwrap_err().to_string();
    assert_eq!(error, ". in the repository cannot be used: it holds an entry named `..`, which no honest client writes");
    // Under our prefix it does not stop us: it is met when it is looked at.
    git(&bare, &["update-ref", "refs/heads/main", "staging"]);
    git(&bare, &["update-ref", "refs/heads/prescale/evil", &commit]);
    let main = repository.fetch().unwrap();
    let evil = repository.branches().unwrap()["prescale/evil"];
    let error = repository.tree(evil).unwrap_err().to_string();
    assert_eq!(error, ". in the repository cannot be used: it holds an entry named `..`, which no honest client writes");
    assert!(!repository.merges_to(evil, main, main, evil).unwrap());
}

#[test]
fn what_a_merge_would_give_is_known() {
    let upstream = Upstream::new();
    let (repository, _cache) = open(&Via::File.settings(&upstream));
    let base = repository.fetch().unwrap();
    let on = |base, name: &str, text: &str| {
        let edits = Edits::from([(path(name), (FileMode::Plain, Some(text.as_bytes().to_vec())))]);
        commit(&repository, base, &edits, "Edit").unwrap()
    };
    let base = on(base, "a.txt", "1\n2\n3\n4\n5\n6\n7\n8\n9\n");
    let ours = on(base, "a.txt", "one\n2\n3\n4\n5\n6\n7\n8\n9\n");
    // Elsewhere in the file, or in another one: the same lines are wanted on what it is now.
    let theirs = on(base, "a.txt", "1\n2\n3\n4\n5\n6\n7\n8\nnine\n");
    assert!(repository.merges_to(ours, base, theirs, on(theirs, "a.txt", "one\n2\n3\n4\n5\n6\n7\n8\nnine\n")).unwrap());
    assert!(!repository.merges_to(ours, base, theirs, on(theirs, "a.txt", "One\n2\n3\n4\n5\n6\n7\n8\nnine\n")).unwrap());
    let elsewhere = on(base, "b.txt", "b\n");
    assert!(repository.merges_to(ours, base, elsewhere, on(elsewhere, "a.txt", "one\n2\n3\n4\n5\n6\n7\n8\n9\n")).unwrap());
    // The same line: a conflict, whatever is wanted.
    let conflict = on(base, "a.txt", "eins\n2\n3\n4\n5\n6\n7\n8\n9\n");
    assert!(!repository.merges_to(ours, base, conflict, ours).unwrap());
}

#[test]
fn names_that_are_not_text_are_kept_and_not_read() {
    let upstream = Upstream::new();
    let bare_repo = upstream.bare();
    let blob = git(&bare_repo, &["rev-parse", "main:README.md"]);
    let inner = git_with_input(&bare_repo, &["mktree"], &format!("100644 blob {blob}\ta.yaml\n"));
    let root = format!("100644 blob {blob}\t\"caf\\351.yaml\"\n040000 tree {inner}\t\"d\\351\"\n100644 blob {blob}\tok.yaml\n");
    let root = git_with_input(&bare_repo, &["mktree"], &root);
    let odd = git(&bare_repo, &["commit-tree", &root, "-m", "Odd"]);
    git(&bare_repo, &["update-ref", "refs/heads/main", &odd]);
    let (repository, _cache) = open(&Via::File.settings(&upstream));
    let base = repository.fetch().unwrap();
    let tree = repository.tree(base).unwrap();
    assert_eq!(tree.iter().map(|(path, _)| path.as_str()).collect::<Vec<_>>(), ["ok.yaml"]);
    let ours = commit(&repository, base, &writes(&[("ok.yaml", "changed")]), "Edit").unwrap();
    assert_eq!(repository.push(ours, base).unwrap(), Pushed::Done);
    assert_eq!(git(&bare_repo, &["diff", "--name-only", "main^", "main"]), "ok.yaml");
    upstream.check();
}

fn git_with_input(folder: &Path, args: &[&str], input: &str) -> String {
    use std::io::Write;
    let mut child = crate::support::git::git_command(folder)
        .args(args)
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}
