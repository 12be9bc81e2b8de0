#!/bin/sh
# What the Git server's pod runs: `server.sh prepare` makes the bare repositories, `server.sh seed REPOSITORY once|always` commits the files of a tar
# archive on standard input: once, while the repository is empty, or whenever they differ from what is there.
set -eu

root=${GIT_ROOT:-/srv/git}

prepare() {
  for name in config prescale; do
    [ -f "$root/$name.git/HEAD" ] || git init --quiet --bare --initial-branch=main "$root/$name.git"
  done
  # What Argo CD syncs for the demo, and Prescale writes: the one repository that takes pushes.
  git -C "$root/config.git" config http.receivepack true
}

seed() {
  repository=$root/$1.git
  parent=$(git -C "$repository" rev-parse --quiet --verify refs/heads/main || true)
  if [ "$2" = once ] && [ -n "$parent" ]; then
    cat >/dev/null
    echo "$1.git is left as it is, at $(git -C "$repository" rev-parse --short main)"
    return
  fi
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  mkdir "$work/tree"
  tar -xf - -C "$work/tree"
  # The files, as a tree in the bare repository, by an index that is thrown away.
  export GIT_DIR="$repository" GIT_WORK_TREE="$work/tree" GIT_INDEX_FILE="$work/index"
  cd "$work/tree"
  git add --all .
  tree=$(git write-tree)
  if [ -n "$parent" ] && [ "$tree" = "$(git rev-parse "$parent^{tree}")" ]; then
    echo "$1.git already has these files, at $(git rev-parse --short main)"
    return
  fi
  export GIT_AUTHOR_NAME=kind GIT_AUTHOR_EMAIL=kind@localhost GIT_COMMITTER_NAME=kind GIT_COMMITTER_EMAIL=kind@localhost
  commit=$(git commit-tree "$tree" ${parent:+-p "$parent"} -m "Files of manifests/kind/up")
  # From exactly the commit that was read: whoever pushed meanwhile loses nothing.
  git update-ref refs/heads/main "$commit" "${parent:-0000000000000000000000000000000000000000}"
  echo "$1.git is at $(git rev-parse --short main)"
}

case "${1:-}" in
  prepare) prepare ;;
  seed) seed "$2" "$3" ;;
  *) echo "usage: server.sh prepare | seed config|prescale once|always" >&2; exit 2 ;;
esac
