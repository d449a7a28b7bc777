#!/bin/sh
# Compares making a layer (trees of a store on disk -> tar -> zstd -> store, with every digest) with `zstd -3 -T0` on one tar
# of the same files, which reads a file and writes one. Prints a table; each row is the fastest of ROUNDS. On a
# machine that does other things meanwhile, processor time says more than seconds.
#
#   bench/layer.sh [ROUNDS [DIRECTORY...]]
#
# The directories are absolute; without any, over 1 GB of libraries and sources that a development machine has.
set -eu
rounds=${1:-3}
[ $# -eq 0 ] || shift
if [ $# -eq 0 ]; then
	for d in /usr/lib/python3 /usr/lib/python3.* /usr/local/go /usr/lib/x86_64-linux-gnu /usr/lib/node_modules; do
		[ ! -d "$d" ] || set -- "$@" "$d"
	done
fi
here=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/hewn-layer-XXXXXX")
trap 'rm -rf "$work"' EXIT INT TERM
(cd "$here" && go test -c -o "$work/layer.test" ./internal/oci/layer)
export HEWN_BENCH_LAYER_STORE="$work/store"
HEWN_BENCH_LAYER_DIRS=$(IFS=:; echo "$*")
export HEWN_BENCH_LAYER_DIRS
mkdir "$work/store"
bench() { /usr/bin/time -o "$work/time" -f '%e %U %S %M' "$work/layer.test" -test.run '^$' -test.bench "$1" -test.benchtime 1x; }
row() { awk -v name="$1" -v bytes="$2" '{ printf "%s %.2f %.2f %d %d\n", name, $1, $2 + $3, bytes, $4 / 1000 }' "$work/time"; }
bench Collect >/dev/null
tar=$work/store/bench-tree.tar
cat "$tar" >/dev/null
round=0
while [ "$round" -lt "$rounds" ]; do
	round=$((round + 1))
	/usr/bin/time -o "$work/time" -f '%e %U %S %M' zstd -3 -T0 -q -f "$tar" -o "$work/all.zst"
	row zstd-3-T0 "$(stat -c %s "$work/all.zst")"
	for c in zstd gzip none; do
		bytes=$(bench "Assembly/^$c\$" | awk '{ for (i = 2; i < NF; i++) if ($(i+1) == "outbytes") printf "%d", $i }')
		row "hewn-$c" "$bytes"
	done
done >"$work/rows"
echo "tar: $(stat -c %s "$tar") bytes; $(nproc) processors"
sort -k1,1 -k2,2n "$work/rows" | awk '
	!($1 in s) { s[$1] = $2; c[$1] = $3; n[$1] = $4; m[$1] = $5 }
	END {
		printf "%-10s %8s %6s %8s %6s %11s %6s %8s\n", "", "seconds", "ratio", "cpu s", "ratio", "bytes", "ratio", "peak MB"
		z = "zstd-3-T0"
		split(z " hewn-zstd hewn-gzip hewn-none", order, " ")
		for (i = 1; i <= 4; i++) { k = order[i]
			printf "%-10s %8.2f %6.2f %8.2f %6.2f %11d %6.3f %8d\n", k, s[k], s[k] / s[z], c[k], c[k] / c[z], n[k], n[k] / n[z], m[k] }
	}'
