#!/usr/bin/env bash
# Puts the blueprints of this version where the owner's own lie, and goes on as `ak`. They are copied: the application
# reads no blueprint that a link leads out of the directory to. A file appears at once and whole, since server and worker
# may start at the same time on one volume.
set -euo pipefail
shopt -s globstar

cd /usr/share/authentik/blueprints
for file in **/*; do
    to=$AUTHENTIK_BLUEPRINTS_DIR/$file
    if [[ -d $file ]]; then
        mkdir -p "$to"
    else
        cp "$file" "$to.$$"
        mv "$to.$$" "$to"
    fi
done
cd /
exec ak "$@"
