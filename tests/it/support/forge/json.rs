//! Things as GitHub's answers show them.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value as Json, json};

use super::state::{Comment, Pull, State, merged_tree};
use super::{APP, BOT, COLLABORATORS, INSTALLATION, MILESTONE, OWNER, PERSON, REPOSITORY, Site};
use crate::support::git::git;

/// The repository's number.
pub(super) const REPOSITORY_ID: u64 = 77_001;
/// The app's number.
pub(super) const APP_ID: u64 = 31_337;

/// A time as GitHub writes it.
pub(super) fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// An account; an app's is its name with `[bot]`.
pub(super) fn user(site: &Site, login: &str) -> Json {
    let known = [OWNER, BOT, APP, PERSON].into_iter().chain(COLLABORATORS);
    let id = 1001 + known.take_while(|known| *known != login.trim_end_matches("[bot]")).count();
    let kind = if login == OWNER {
        "Organization"
    } else if login.ends_with("[bot]") {
        "Bot"
    } else {
        "User"
    };
    let path = login.replace('[', "%5B").replace(']', "%5D");
    let url = format!("{}/users/{path}", site.api());
    json!({
        "login": login, "id": id, "node_id": format!("U_kgDO{id}"), "type": kind, "site_admin": false, "user_view_type": "public",
        "avatar_url": format!("{}/avatars/u/{id}", site.host), "gravatar_id": "", "html_url": format!("{}/{path}", site.host), "url": url,
        "followers_url": format!("{url}/followers"), "following_url": format!("{url}/following{{/other_user}}"),
        "gists_url": format!("{url}/gists{{/gist_id}}"), "starred_url": format!("{url}/starred{{/owner}}{{/repo}}"),
        "subscriptions_url": format!("{url}/subscriptions"), "organizations_url": format!("{url}/orgs"), "repos_url": format!("{url}/repos"),
        "events_url": format!("{url}/events{{/privacy}}"), "received_events_url": format!("{url}/received_events"),
    })
}

/// The repository, as it is shown within other things.
pub(super) fn repository(site: &Site) -> Json {
    let (api, web, owner) = (site.repository(), site.web(), user(site, OWNER));
    let since = "2026-01-01T00:00:00Z";
    let mut shown = json!({
        "id": REPOSITORY_ID, "node_id": "R_kgDOABCDEf", "name": REPOSITORY, "full_name": format!("{OWNER}/{REPOSITORY}"), "owner": owner,
        "private": true, "visibility": "private", "fork": false, "archived": false, "disabled": false, "is_template": false,
        "description": null, "homepage": null, "language": null, "license": null, "mirror_url": null, "topics": [],
        "html_url": web, "url": api, "clone_url": format!("{web}.git"), "svn_url": web, "git_url": format!("git://localhost/{OWNER}/{REPOSITORY}.git"),
        "ssh_url": format!("git@localhost:{OWNER}/{REPOSITORY}.git"), "default_branch": "main", "size": 108,
    });
    let more = json!({
        "forks": 0, "forks_count": 0, "stargazers_count": 0, "watchers": 0, "watchers_count": 0, "open_issues": 0, "open_issues_count": 0,
        "has_issues": true, "has_projects": false, "has_wiki": false, "has_pages": false, "has_downloads": false, "has_discussions": false,
        "web_commit_signoff_required": false, "allow_forking": false, "created_at": since, "updated_at": since, "pushed_at": since,
        "permissions": {"admin": false, "maintain": false, "push": true, "triage": true, "pull": true},
    });
    merge_fields(&mut shown, more);
    for (name, path) in [
        ("archive", "/{archive_format}{/ref}"),
        ("assignees", "/assignees{/user}"),
        ("blobs", "/git/blobs{/sha}"),
        ("branches", "/branches{/branch}"),
        ("collaborators", "/collaborators{/collaborator}"),
        ("comments", "/comments{/number}"),
        ("commits", "/commits{/sha}"),
        ("compare", "/compare/{base}...{head}"),
        ("contents", "/contents/{+path}"),
        ("contributors", "/contributors"),
        ("deployments", "/deployments"),
        ("downloads", "/downloads"),
        ("events", "/events"),
        ("forks", "/forks"),
        ("git_commits", "/git/commits{/sha}"),
        ("git_refs", "/git/refs{/sha}"),
        ("git_tags", "/git/tags{/sha}"),
        ("hooks", "/hooks"),
        ("issue_comment", "/issues/comments{/number}"),
        ("issue_events", "/issues/events{/number}"),
        ("issues", "/issues{/number}"),
        ("keys", "/keys{/key_id}"),
        ("labels", "/labels{/name}"),
        ("languages", "/languages"),
        ("merges", "/merges"),
        ("milestones", "/milestones{/number}"),
        ("notifications", "/notifications{?since,all,participating}"),
        ("pulls", "/pulls{/number}"),
        ("releases", "/releases{/id}"),
        ("stargazers", "/stargazers"),
        ("statuses", "/statuses/{sha}"),
        ("subscribers", "/subscribers"),
        ("subscription", "/subscription"),
        ("tags", "/tags"),
        ("teams", "/teams"),
        ("trees", "/git/trees{/sha}"),
    ] {
        shown[format!("{name}_url")] = json!(format!("{api}{path}"));
    }
    shown
}

/// The repository, as it is shown by itself.
pub(super) fn full_repository(site: &Site, state: &State) -> Json {
    let mut shown = repository(site);
    for (name, value) in [
        ("network_count", json!(0)),
        ("subscribers_count", json!(1)),
        ("organization", user(site, OWNER)),
        ("allow_auto_merge", json!(state.auto_merge)),
        ("allow_merge_commit", json!(true)),
        ("allow_squash_merge", json!(true)),
        ("allow_rebase_merge", json!(true)),
        ("delete_branch_on_merge", json!(false)),
        ("open_issues_count", json!(state.pulls.iter().filter(|pull| pull.open).count())),
    ] {
        shown[name] = value;
    }
    shown
}

/// Labels of a pull request.
pub(super) fn labels(site: &Site, state: &State, names: &[String]) -> Json {
    let shown = names.iter().map(|name| {
        let id = 501 + state.labels.iter().position(|known| known == name).unwrap();
        let mut url = url::Url::parse(&format!("{}/labels/", site.repository())).unwrap();
        url.path_segments_mut().unwrap().pop_if_empty().push(name);
        json!({
            "id": id, "node_id": format!("LA_kwDO{id}"), "url": url.as_str(), "name": name, "description": "", "color": "ededed", "default": false,
        })
    });
    shown.collect()
}

fn milestone(site: &Site) -> Json {
    let (url, since) = (format!("{}/milestones/1", site.repository()), "2026-01-01T00:00:00Z");
    json!({
        "id": 601, "node_id": "MI_kwDO601", "number": 1, "state": "open", "title": MILESTONE, "description": null, "creator": user(site, PERSON),
        "open_issues": 1, "closed_issues": 0, "created_at": since, "updated_at": since, "closed_at": null, "due_on": null, "url": url,
        "html_url": format!("{}/milestone/1", site.web()), "labels_url": format!("{url}/labels"),
    })
}

fn team(site: &Site, slug: &str) -> Json {
    let url = format!("{}/organizations/1001/team/{}", site.api(), 701);
    json!({
        "id": 701, "node_id": "T_kwDO701", "name": slug, "slug": slug, "description": null, "privacy": "closed", "permission": "push",
        "notification_setting": "notifications_enabled", "parent": null, "url": url, "members_url": format!("{url}/members{{/member}}"),
        "repositories_url": format!("{url}/repos"), "html_url": format!("{}/orgs/{OWNER}/teams/{slug}", site.host), "type": "organization",
        "organization_id": 1001,
    })
}

/// What issues and pull requests have in common.
fn common(site: &Site, state: &State, pull: &Pull) -> Json {
    let users = |logins: &[String]| logins.iter().map(|login| user(site, login)).collect::<Vec<_>>();
    let association = if pull.author == BOT { "COLLABORATOR" } else { "CONTRIBUTOR" };
    json!({
        "number": pull.number, "state": if pull.open { "open" } else { "closed" }, "locked": false, "active_lock_reason": null,
        "title": pull.title, "body": pull.body, "user": user(site, &pull.author), "labels": labels(site, state, &pull.labels),
        "assignee": pull.assignees.first().map(|login| user(site, login)), "assignees": users(&pull.assignees),
        "milestone": pull.milestone.map(|_| milestone(site)), "author_association": association, "draft": pull.draft,
        "created_at": time(pull.created_at), "updated_at": time(pull.updated_at), "closed_at": pull.closed_at.map(time),
    })
}

fn merge_fields(into: &mut Json, more: Json) {
    let Json::Object(more) = more else { unreachable!() };
    into.as_object_mut().unwrap().extend(more);
}

/// A pull request, as lists show it.
pub(super) fn pull_simple(site: &Site, state: &State, pull: &Pull) -> Json {
    let (number, api, web) = (pull.number, site.repository(), site.web());
    let (url, issue) = (format!("{api}/pulls/{number}"), format!("{api}/issues/{number}"));
    let html = format!("{web}/pull/{number}");
    let end = |branch: &str, sha: &str| {
        let label = format!("{OWNER}:{branch}");
        json!({"label": label, "ref": branch, "sha": sha, "user": user(site, OWNER), "repo": repository(site)})
    };
    let auto_merge = pull.auto_merge.as_ref().map(|method| {
        let by = user(site, &pull.author);
        json!({"enabled_by": by, "merge_method": method.to_lowercase(), "commit_title": "", "commit_message": ""})
    });
    let mut shown = common(site, state, pull);
    merge_fields(
        &mut shown,
        json!({
            "id": 90_000 + number, "node_id": pull.node(), "url": url, "html_url": html, "diff_url": format!("{html}.diff"),
            "patch_url": format!("{html}.patch"), "issue_url": issue, "commits_url": format!("{url}/commits"),
            "review_comments_url": format!("{url}/comments"), "review_comment_url": format!("{api}/pulls/comments{{/number}}"),
            "comments_url": format!("{issue}/comments"), "statuses_url": format!("{api}/statuses/{}", pull.head_sha),
            "requested_reviewers": pull.reviewers.iter().map(|login| user(site, login)).collect::<Vec<_>>(),
            "requested_teams": pull.team_reviewers.iter().map(|slug| team(site, slug)).collect::<Vec<_>>(),
            "head": end(&pull.head, &pull.head_sha), "base": end(&pull.base, &pull.base_sha), "auto_merge": auto_merge,
            "merged_at": pull.merged.as_ref().map(|merged| time(merged.at)),
            "merge_commit_sha": pull.merged.as_ref().map_or(&pull.head_sha, |merged| &merged.commit),
            "_links": {
                "self": {"href": url}, "html": {"href": html}, "issue": {"href": issue}, "comments": {"href": format!("{issue}/comments")},
                "review_comments": {"href": format!("{url}/comments")}, "commits": {"href": format!("{url}/commits")},
                "review_comment": {"href": format!("{api}/pulls/comments{{/number}}")},
                "statuses": {"href": format!("{api}/statuses/{}", pull.head_sha)},
            },
        }),
    );
    shown
}

/// A pull request, as it is shown by itself.
pub(super) fn pull(site: &Site, state: &State, pull: &Pull) -> Json {
    let bare = &site.bare;
    let range = format!("{}...{}", pull.base_sha, pull.head_sha);
    let stat = git(bare, &["diff", "--shortstat", &range]);
    let count = |what: &str| {
        let part = stat.split(", ").find(|part| part.contains(what));
        part.map_or(0, |part| part.trim().split(' ').next().unwrap().parse::<u64>().unwrap())
    };
    let commits: u64 = git(bare, &["rev-list", "--count", &format!("{}..{}", pull.base_sha, pull.head_sha)]).parse().unwrap();
    let (mergeable, waits_for) = if pull.open {
        let conflicts = merged_tree(bare, &pull.base_sha, &pull.head_sha).is_none();
        (Some(!conflicts), if conflicts { "dirty" } else { pull.mergeable_state })
    } else {
        (None, "unknown")
    };
    let mut shown = pull_simple(site, state, pull);
    merge_fields(
        &mut shown,
        json!({
            "merged": pull.merged.is_some(), "merged_by": pull.merged.as_ref().map(|merged| user(site, &merged.by)), "mergeable": mergeable,
            "rebaseable": mergeable, "mergeable_state": waits_for, "comments": pull.comments.len(), "review_comments": 0, "commits": commits,
            "maintainer_can_modify": false, "additions": count("insertion"), "deletions": count("deletion"), "changed_files": count("file"),
        }),
    );
    shown
}

/// A pull request, as the issue that it is too.
pub(super) fn issue(site: &Site, state: &State, pull: &Pull) -> Json {
    let (number, api, web) = (pull.number, site.repository(), site.web());
    let (url, html) = (format!("{api}/issues/{number}"), format!("{web}/pull/{number}"));
    let mut shown = common(site, state, pull);
    merge_fields(
        &mut shown,
        json!({
            "id": 80_000 + number, "node_id": pull.node(), "url": url, "html_url": html, "repository_url": api, "state_reason": null,
            "labels_url": format!("{url}/labels{{/name}}"), "comments_url": format!("{url}/comments"), "events_url": format!("{url}/events"),
            "timeline_url": format!("{url}/timeline"), "comments": pull.comments.len(), "closed_by": null,
            "pull_request": {
                "url": format!("{api}/pulls/{number}"), "html_url": html, "diff_url": format!("{html}.diff"), "patch_url": format!("{html}.patch"),
                "merged_at": pull.merged.as_ref().map(|merged| time(merged.at)),
            },
        }),
    );
    shown
}

/// A comment on a pull request.
pub(super) fn comment(site: &Site, pull: u64, comment: &Comment) -> Json {
    let (id, api) = (comment.id, site.repository());
    json!({
        "id": id, "node_id": format!("IC_kwDO{id}"), "url": format!("{api}/issues/comments/{id}"), "issue_url": format!("{api}/issues/{pull}"),
        "html_url": format!("{}/pull/{pull}#issuecomment-{id}", site.web()), "body": comment.body, "user": user(site, &comment.author),
        "author_association": "COLLABORATOR", "created_at": time(comment.created_at), "updated_at": time(comment.updated_at),
        "performed_via_github_app": null,
    })
}

/// What the app may do.
pub(super) fn permissions() -> Json {
    json!({"contents": "write", "issues": "write", "members": "read", "metadata": "read", "pull_requests": "write"})
}

/// The app itself.
pub(super) fn app(site: &Site) -> Json {
    let since = "2026-01-01T00:00:00Z";
    json!({
        "id": APP_ID, "slug": APP, "node_id": "A_kwDO31337", "client_id": "Iv1.0123456789abcdef", "owner": user(site, OWNER), "name": APP,
        "description": null, "external_url": "https://example.com", "html_url": format!("{}/github-apps/{APP}", site.host),
        "created_at": since, "updated_at": since, "permissions": permissions(), "events": [], "installations_count": 1,
    })
}

/// Its installation on the repository.
pub(super) fn installation(site: &Site) -> Json {
    let since = "2026-01-01T00:00:00Z";
    json!({
        "id": INSTALLATION, "account": user(site, OWNER), "app_id": APP_ID, "app_slug": APP, "target_id": 1001, "target_type": "Organization",
        "access_tokens_url": format!("{}/app/installations/{INSTALLATION}/access_tokens", site.api()),
        "repositories_url": format!("{}/installation/repositories", site.api()),
        "html_url": format!("{}/organizations/{OWNER}/settings/installations/{INSTALLATION}", site.host),
        "permissions": permissions(), "events": [], "created_at": since, "updated_at": since, "single_file_name": null,
        "repository_selection": "selected", "suspended_by": null, "suspended_at": null,
    })
}
