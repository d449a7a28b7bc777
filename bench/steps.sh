#!/bin/sh
# Compares 1,000 cold trivial actions in hewn's sandbox with ninja running each under `bwrap --unshare-all`.
# Needs ninja, bwrap and a static shell (busybox). Prints seconds of wall time and of processor time; on a machine that
# does other things meanwhile only the second says much.
#
#   bench/steps.sh [ROUNDS]
set -eu
rounds=${1:-3}
steps=${STEPS:-1000}
jobs=${JOBS:-$(nproc)}
shell=${HEWN_BENCH_SHELL:-/bin/busybox}
here=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/hewn-steps-XXXXXX")
trap 'rm -rf "$work"' EXIT INT TERM
mkdir -p "$work/root/bin" "$work/root/proc" "$work/root/dev" "$work/root/tmp" "$work/root/out" "$work/out" "$work/tmp"
cp "$shell" "$work/root/bin/sh"
{
	echo "rule step"
	echo "  command = bwrap --unshare-all --die-with-parent --bind $work/root / --dev /dev --proc /proc --tmpfs /tmp --bind $work/out /out /bin/sh -c 'echo \$n >/out/\$n'"
	i=0
	while [ "$i" -lt "$steps" ]; do
		echo "build $work/out/$i: step"
		echo "  n = $i"
		i=$((i + 1))
	done
} >"$work/build.ninja"
(cd "$here" && go test -c -o "$work/sandbox.test" ./internal/executor/sandbox)
round=0
while [ "$round" -lt "$rounds" ]; do
	round=$((round + 1))
	rm -f "$work"/out/* "$work"/.ninja_*
	(cd "$work" && /usr/bin/time -f "ninja+bwrap  wall %e  user %U  sys %S" ninja -f build.ninja -j "$jobs" >/dev/null)
	(cd "$work" && HEWN_TEST_HELPER=$shell HEWN_BENCH_SHELL=$shell HEWN_BENCH_JOBS=$jobs TMPDIR=$work/tmp \
		/usr/bin/time -f "hewn         wall %e  user %U  sys %S" ./sandbox.test -test.run '^$' -test.bench Steps -test.benchtime "${steps}x" | grep ns/op)
done
