package debian

import (
	"regexp"
	"strings"
)

// diversion is a file that, while package by is there, goes elsewhere when any other package ships it.
type diversion struct{ by, from, to string }

// diverters are the packages whose maintainer scripts divert files of others, and how: the paths, then what is put
// behind each. They were found by looking for every path of the suite testing (November 2026) that two packages have
// although neither conflicts with the other nor replaces it. Left out are packages that only guard the shutdown of a
// machine, and diversions that guard the way to a merged /usr: they change nothing in a root that is merged from the
// start.
func diverters() map[string]struct{ suffix, paths string } {
	return map[string]struct{ suffix, paths string }{
		"binutils-multiarch":      {".single", "addr2line ar gprof nm objcopy objdump ranlib readelf size strings strip"}, // names behind the triplet
		"gpg-from-sq":             {"-g10code", "usr/bin/gpg"},
		"gpgv-from-sq":            {"-g10code", "usr/bin/gpgv"},
		"libdigest-sha-perl":      {".bundled", "usr/bin/shasum"},
		"libio-compress-perl":     {".bundled", "usr/bin/streamzip usr/bin/zipdetails"},
		"libjson-pp-perl":         {".bundled", "usr/bin/json_pp"},
		"libmodule-corelist-perl": {".bundled", "usr/bin/corelist"},
		"libtest-harness-perl":    {".bundled", "usr/bin/prove"},
		"live-tools":              {".orig.initramfs-tools", "usr/sbin/update-initramfs"},
		"parallel":                {".moreutils", "usr/bin/parallel"},
		"perl-doc":                {".stub", "usr/bin/perldoc"},
		"postgresql-common":       {".libpq-dev", "usr/bin/pg_config"},
		"runit-init":              {".real", "usr/sbin/invoke-rc.d usr/sbin/service"},
		"zutils":                  {".gzip", "usr/bin/zcat usr/bin/zcmp usr/bin/zdiff usr/bin/zegrep usr/bin/zfgrep usr/bin/zgrep"},
	}
}

var noPie = regexp.MustCompile(`^(python3\.[0-9]+)-nopie$`)

// diversions gives what the packages of a root divert.
func diversions(packages []unpacked, triplet string) []diversion {
	var out []diversion
	table := diverters()
	for _, p := range packages {
		d := table[p.name]
		for from := range strings.FieldsSeq(d.paths) {
			if p.name == "binutils-multiarch" {
				from = "usr/bin/" + triplet + "-" + from
			}
			out = append(out, diversion{p.name, from, from + d.suffix})
		}
		if m := noPie.FindStringSubmatch(p.name); m != nil {
			out = append(out, diversion{p.name, "usr/bin/" + m[1], "usr/bin/" + m[1] + "-pie"})
		}
		if v := strings.Split(p.ver.Version, "."); p.name == "vim-runtime" && len(v) > 1 { // 9.2.0858: vim92
			for _, name := range []string{"help.txt", "tags"} {
				from := "usr/share/vim/vim" + v[0] + v[1] + "/doc/" + name
				out = append(out, diversion{p.name, from, from + ".vim-tiny"})
			}
		}
	}
	return out
}
