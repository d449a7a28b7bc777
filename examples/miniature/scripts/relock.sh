#!/usr/bin/env bash
# Remakes uv.lock with uv, then writes identities (hosts below .example) in place of this machine's hosts.
# Arguments go to `uv lock`: --upgrade, --upgrade-package NAME, --python PATH, --check ...
#
# The index is the one this machine uses: $UV_DEFAULT_INDEX, else pip's configuration, else pip's own default.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
index=${UV_DEFAULT_INDEX:-$(python3 -m pip config get global.index-url 2>/dev/null || true)}
index=${index:-$(python3 -c 'from pip._internal.models.index import PyPI; print(PyPI.simple_url)')}
index=${index%/}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The git dependencies, served from their bundles.
for bundle in "$root"/../miniature-git/*.bundle; do
    repository=$work/git/miniature/$(basename "$bundle" .bundle)
    git clone -q --bare "$bundle" "$repository"
    git -C "$repository" config uploadpack.allowAnySHA1InWant true
done
export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0="url.file://$work/git/.insteadOf" GIT_CONFIG_VALUE_0=https://git.example/

mkdir "$work/tree"
cp -r pyproject.toml packages "$work/tree/"
if [ -f uv.lock ]; then
    sed "s|https://pypi\.example/simple|$index|g" uv.lock > "$work/tree/uv.lock"
fi
(cd "$work/tree" && UV_DEFAULT_INDEX=$index "${UV:-uv}" lock "$@")

# Whatever stood there, users and passwords of a private index included.
sed -E \
    -e 's#(registry = ")[^"]*"#\1https://pypi.example/simple"#' \
    -e 's#(url = ")https?://[^/"]+/#\1https://files.pypi.example/#' \
    "$work/tree/uv.lock" > "$work/uv.lock"
if cmp -s "$work/uv.lock" uv.lock; then
    echo "uv.lock is up to date"
else
    cp "$work/uv.lock" uv.lock
    echo "uv.lock rewritten"
fi
