package origin

import (
	"path"
	"slices"
	"strings"
)

// golang: GOPROXY and the modules that no proxy is for, from the environment, from Go's own file, else from `go env`.
// As with the go command, the first of these places that has a value is the only one that counts.
func (f *finder) golang() {
	file := f.env.Getenv("GOENV")
	if file == "" {
		file = path.Join(f.configHome(), "go/env")
	}
	ini := parseINI(f.read(file))
	look := func(name string) (value, from string) {
		if v := f.env.Getenv(name); v != "" {
			return v, "environment " + name
		}
		return ini[name], file
	}
	proxies, from := look("GOPROXY")
	private, privateFrom := look("GONOPROXY")
	if private == "" {
		private, privateFrom = look("GOPRIVATE")
	}
	if proxies == "" {
		lines := strings.Split(f.ask("go", "env", "GOPROXY", "GONOPROXY"), "\n")
		proxies, from = strings.TrimSpace(lines[0]), "answer of `go env GOPROXY`"
		if private == "" && len(lines) > 1 {
			private, privateFrom = strings.TrimSpace(lines[1]), "answer of `go env GONOPROXY`"
		}
	}
	if private == "none" { // of GONOPROXY: nothing is private
		private = ""
	}
	if private != "" {
		f.logs = append(f.logs, privateFrom+": modules "+private+" come from their own repositories")
		f.eps = append(f.eps, Endpoint{URL: Direct, From: privateFrom, Only: private})
		f.private = strings.Trim(f.private+","+private, ",")
	}
	f.proxies(proxies, from)
}

// proxies reads a list as GOPROXY has it. The words direct and off end it: nothing is asked after them.
func (f *finder) proxies(list, from string) {
	for list != "" {
		i := strings.IndexAny(list, ",|")
		one, comma := list, false
		if list = ""; i >= 0 {
			list, one, comma = one[i+1:], one[:i], one[i] == ','
		}
		switch one = strings.TrimSpace(one); one {
		case "off":
			return
		case Direct:
			f.logs = append(f.logs, from+": direct, the repositories of the modules themselves")
			f.eps = append(f.eps, Endpoint{URL: Direct, From: from, Not: f.private})
			return
		}
		before := slices.Clone(f.eps)
		if f.add(one, from); len(f.eps) > len(before) {
			e := &f.eps[len(before)]
			e.Final, e.Not = comma, f.private
		}
	}
}
