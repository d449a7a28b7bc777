#!/usr/bin/env bash
# Remakes web/package-lock.json from the package.json files with the npm of this machine and the registry that it is
# set up for. The lock names no registry: every URL is rewritten to npm.example, a name that nothing answers to, and
# whoever installs finds the archives by name, version and hash.
#
#   scripts/relock-web.sh            keep what is locked, add what is missing
#   scripts/relock-web.sh --fresh    lock the newest versions that the ranges allow
set -euo pipefail
cd "$(dirname "$0")/../web"

major="$(npm --version)"
if [[ "${major%%.*}" -lt 11 ]]; then
    echo "relock-web: npm 11 or later is needed, this is ${major}" >&2
    exit 1
fi
registry="$(npm config get registry)"
registry="${registry%/}/"

work="$(mktemp -d)"
trap 'rm -rf "${work}"' EXIT
mkdir "${work}/web"
cp ../package.json ../.npmrc "${work}/"
for manifest in package.json packages/*/package.json; do
    mkdir -p "${work}/web/$(dirname "${manifest}")"
    cp "${manifest}" "${work}/web/${manifest}"
done
if [[ "${1:-}" != "--fresh" && -f package-lock.json ]]; then
    REGISTRY="${registry}" node -e '
        const fs = require("node:fs");
        const text = fs.readFileSync("package-lock.json", "utf8");
        fs.writeFileSync(process.argv[1], text.replaceAll("https://npm.example/", process.env.REGISTRY));
    ' "${work}/web/package-lock.json"
fi

(cd "${work}/web" && NODE_ENV=development npm install --package-lock-only --ignore-scripts --no-audit --no-fund \
    --lockfile-version 3 --omit-lockfile-registry-resolved=false)

REGISTRY="${registry}" node -e '
    const fs = require("node:fs");
    const [from, to] = process.argv.slice(1);
    const lock = JSON.parse(fs.readFileSync(from, "utf8"));
    for (const [place, entry] of Object.entries(lock.packages)) {
        if (entry.link || !place.includes("node_modules/")) continue;
        if (entry.resolved?.startsWith(process.env.REGISTRY)) {
            entry.resolved = "https://npm.example/" + entry.resolved.slice(process.env.REGISTRY.length);
        }
        if (!entry.resolved?.startsWith("https://npm.example/") || !entry.integrity) {
            throw new Error(`${place}: no archive of the registry, or no hash: ${entry.resolved}`);
        }
    }
    fs.writeFileSync(to, JSON.stringify(lock, null, 4) + "\n");
' "${work}/web/package-lock.json" package-lock.json
echo "relock-web: $(grep -c '"resolved": "https://npm.example/' package-lock.json) archives"
