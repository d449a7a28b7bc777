#!/bin/sh
# Compares making a layer (trees of a store on disk -> tar -> zstd -> store, with every digest) with `zstd -3 -T0` on one tar
# of the same files, which reads a file and writes one. Prints a table; each figure is the best of ROUNDS.
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
bench() { "$work/layer.test" -test.run '^$' -test.bench "$1" -test.benchtime 1x; }
bench Collect >/dev/null
tar=$work/store/bench-tree.tar
cat "$tar" >/dev/null
round=0
while [ "$round" -lt "$rounds" ]; do
	round=$((round + 1))
	/usr/bin/time -o "$work/time" -f '%e %M' zstd -3 -T0 -q -f "$tar" -o "$work/all.zst"
	read -r s kb <"$work/time"
	echo "zstd-3-T0 $s $(stat -c %s "$work/all.zst") $((kb / 1000))"
	for c in zstd gzip none; do
		bench "Assembly/^$c\$" | awk -v c="$c" '/^BenchmarkAssembly/ {
			for (i = 2; i < NF; i++) { if ($(i+1) == "ns/op") s = $i / 1e9; if ($(i+1) == "outbytes") n = $i; if ($(i+1) == "peakMB") m = $i }
			printf "hewn-%s %.2f %d %d\n", c, s, n, m }'
	done
done >"$work/rows"
echo "tar: $(stat -c %s "$tar") bytes; $(nproc) processors"
sort -k1,1 -k2,2n "$work/rows" | awk '
	!($1 in s) { s[$1] = $2; n[$1] = $3; m[$1] = $4 }
	END {
		printf "%-12s %9s %8s %12s %8s %8s\n", "", "seconds", "ratio", "bytes", "ratio", "peak MB"
		split("zstd-3-T0 hewn-zstd hewn-gzip hewn-none", order, " ")
		for (i = 1; i <= 4; i++) { k = order[i]
			printf "%-12s %9.2f %8.2f %12d %8.3f %8d\n", k, s[k], s[k] / s["zstd-3-T0"], n[k], n[k] / n["zstd-3-T0"], m[k] }
	}'
