#!/usr/bin/env bash
# Makes NAME.bundle out of NAME/, and prints the commit. Same files, same commit, on every machine.
set -euo pipefail
cd "$(dirname "$0")"
name=${1:-ocirefs}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null
export GIT_AUTHOR_NAME=miniature GIT_AUTHOR_EMAIL=miniature@git.example GIT_AUTHOR_DATE='2026-01-01T00:00:00Z'
export GIT_COMMITTER_NAME=$GIT_AUTHOR_NAME GIT_COMMITTER_EMAIL=$GIT_AUTHOR_EMAIL GIT_COMMITTER_DATE=$GIT_AUTHOR_DATE
export GIT_DIR=$work/git GIT_WORK_TREE=$work/tree

mkdir "$GIT_WORK_TREE"
(cd "$name" && find . -type f -not -path '*/__pycache__/*' -not -path '*.egg-info/*' -print0 | tar --null -T - -c) |
    tar -C "$GIT_WORK_TREE" -x --no-same-permissions
find "$GIT_WORK_TREE" -type f -exec chmod 644 {} +

git init -q -b main
git config core.autocrlf false
git config pack.threads 1
git -C "$GIT_WORK_TREE" add -A
git commit -q -m "$name 0.1.0"
git bundle create -q "$PWD/$name.bundle" main HEAD
git rev-parse HEAD
