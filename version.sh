#!/bin/sh
# The version of this source: that of meson.build, and in a git repository how many commits it has since
# then and which is the last, so that a later one is also later to dpkg: 0.1.0+577.g0da3a6e, with ".dirty"
# where files were changed. What was exported from a repository has it in the file .version.

set -eu
cd "$(dirname "$0")"

if [ -e .version ]; then
    exec cat .version
fi
base=$(sed -n "s/^ *version: '\([0-9.]*\)',$/\1/p" meson.build)
git() {
    # it may belong to somebody else than who builds, root mostly
    command git -c safe.directory='*' "$@" 2>/dev/null
}
if [ -e .git ] && commit=$(git rev-parse --short=7 HEAD); then
    since=$(git describe --tags --match "v$base" --abbrev=0) || since=
    dirty=
    git diff --quiet HEAD -- || dirty=.dirty
    base=$base+$(git rev-list --count "${since:+$since..}HEAD").g$commit$dirty
fi
echo "$base"
