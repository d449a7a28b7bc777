package wheel

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"sort"
	"strings"
	"unicode/utf8"
)

// maxShebang is the length up to which every Linux kernel takes a `#!` line whole (BINPRM_BUF_SIZE was 128 before 5.1).
const maxShebang = 127

// shebang is the first line, or lines, of a script that the interpreter at path runs.
func shebang(path string) string {
	if len(path)+len("#!") <= maxShebang && !strings.ContainsAny(path, " \t") {
		return "#!" + path + "\n"
	}
	// For sh an exec, for Python a string: the usual way round a path that a kernel would cut off.
	return "#!/bin/sh\n'''exec' \"" + path + "\" \"$0\" \"$@\"\n' '''\n"
}

// entryPoint is a script to write: name, and the callable that it runs.
type entryPoint struct{ name, module, attr string }

var (
	sectionRE = regexp.MustCompile(`^\[\s*([^\]]+?)\s*\]$`)
	objectRE  = regexp.MustCompile(`^([\pL_][\pL\pN_]*(?:\.[\pL_][\pL\pN_]*)*)\s*:\s*([\pL_][\pL\pN_]*(?:\.[\pL_][\pL\pN_]*)*)\s*(?:\[.*\])?$`)
)

// entryPoints reads console_scripts and gui_scripts of entry_points.txt, sorted by name.
func entryPoints(b []byte) ([]entryPoint, error) {
	if !utf8.Valid(b) {
		return nil, errors.New("entry_points.txt is not UTF-8")
	}
	byName := map[string]entryPoint{}
	section := ""
	lines := bufio.NewScanner(bytes.NewReader(b))
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(strings.TrimPrefix(lines.Text(), "\ufeff"))
		if line == "" || line[0] == '#' || line[0] == ';' {
			continue
		}
		if m := sectionRE.FindStringSubmatch(line); m != nil {
			section = m[1]
			continue
		}
		if section != "console_scripts" && section != "gui_scripts" {
			continue
		}
		name, object, ok := strings.Cut(line, "=")
		name, object = strings.TrimSpace(name), strings.TrimSpace(object)
		if i := strings.Index(object, " #"); i >= 0 {
			object = strings.TrimSpace(object[:i])
		}
		m := objectRE.FindStringSubmatch(object)
		if !ok || m == nil || name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\\\x00") {
			return nil, fmt.Errorf("entry_points.txt:%d: %q is not `script = module:function`", n, line)
		}
		byName[name] = entryPoint{name, m[1], m[2]}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("entry_points.txt: %w", err)
	}
	out := make([]entryPoint, 0, len(byName))
	for _, e := range byName {
		out = append(out, e)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].name < out[j].name })
	return out, nil
}

// text is the script's content.
func (e entryPoint) text(python string) []byte {
	first, _, _ := strings.Cut(e.attr, ".")
	return []byte(shebang(python) + "import sys\n\nfrom " + e.module + " import " + first +
		"\n\nif __name__ == \"__main__\":\n    sys.exit(" + e.attr + "())\n")
}

// retarget gives a script of the `scripts` scheme, which starts with the wheel format's placeholder `#!python`, its
// interpreter. Arguments of the placeholder are lost, as they are with uv.
func retarget(b []byte, python string) []byte {
	_, rest, _ := bytes.Cut(b, []byte("\n"))
	return append([]byte(shebang(python)), rest...)
}
