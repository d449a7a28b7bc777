package debian

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"

	"hewn.example/hewn/internal/archive"
	"hewn.example/hewn/internal/platform"
	"hewn.example/hewn/internal/store"
	"hewn.example/hewn/internal/tree"
)

// Hints reads the log of a command that failed and says which packages have what it missed: headers, libraries,
// pkg-config and CMake files, commands. It looks nowhere but in the file lists of dir. What a package has that is there
// already, as there says, is not what was missed.
func Hints(dir string, p platform.Platform, log io.Reader, there func(pkg string) bool) []string {
	missed := missing(log)
	if len(missed) == 0 {
		return nil
	}
	arch := Arch(p)
	lists := fileLists(dir, arch)
	if len(lists) == 0 {
		return withoutList(missed)
	}
	for _, m := range missed {
		m.prepare(Triplet(arch))
	}
	for _, list := range lists {
		if err := lookUp(list, missed); err != nil {
			return nil // a damaged list is no reason to say less about the failure itself
		}
	}
	var out []string
	for _, m := range missed {
		if h := m.hint(); h != "" && !slices.ContainsFunc(m.found, there) {
			out = append(out, h)
		}
	}
	return out
}

// Installed says of a root which packages are in it.
func Installed(ctx context.Context, st store.Store, root tree.Tree) func(pkg string) bool {
	return func(pkg string) bool {
		_, err := tree.Lookup(ctx, st, root, statusDir+"/"+pkg)
		return err == nil
	}
}

// withoutList is the hint where hewn has no list yet. Commands are missed by many a log that means something else.
func withoutList(missed []*miss) []string {
	for _, m := range missed {
		if m.kind != kindCommand {
			return []string{fmt.Sprintf("to be told which Debian package has `%s`: `hewn update --missing`, then build again", m.shown)}
		}
	}
	return nil
}

// miss is something that a log says is not there.
type miss struct {
	kind  string
	name  string // "xmlsec/xmlsec.h", "libxslt.so", "libxml-2.0.pc", "xslt-config", "FooConfig.cmake"
	shown string // as the log has it
	bases []string
	dirs  []string // where the log has compilers look for headers
	best  int      // the rank of what was found
	found []string
}

const (
	maxMissed    = 6
	maxHintLog   = 64 << 20
	maxHintLine  = 4 << 10
	maxProviders = 4
	maxIncludes  = 64
)

// signs are how tools say that something is not there. The groups are names, of which one or more are set.
var signs = []struct {
	kind   string
	part   string // without it in the line, in lower case, log is not tried
	log    *regexp.Regexp
	format string // the file's name
}{
	{kindHeader, "no such file", regexp.MustCompile(`fatal error: ([\w./+-]+): No such file or directory`), "%s"},
	{kindHeader, "file not found", regexp.MustCompile(`['"‘]([\w./+-]+)['"’] file not found`), "%s"},
	{kindLibrary, "cannot find", regexp.MustCompile(`cannot find -l([\w.+-]+)`), "lib%s.so"},
	{kindLibrary, "unable to find", regexp.MustCompile(`unable to find library -l([\w.+-]+)`), "lib%s.so"},
	{kindLibrary, "library not found", regexp.MustCompile(`library not found: ([\w.+-]+)`), "lib%s.so"},
	{kindLibrary, "development", regexp.MustCompile(`make sure (?:that )?(?:the )?lib([\w.+-]+)(?: and lib([\w.+-]+))? development (?:packages|headers|files|libraries)`), "lib%s.so"},
	{kindLibrary, "cannot find", regexp.MustCompile(`cannot find (\w*crt\w*\.o)\b`), "%s"},
	{kindLibrary, "cannot open shared object", regexp.MustCompile(`\b(lib[\w.+-]+\.so[.\w]*): cannot open shared object file`), "%s"},
	{kindLibrary, " needs ", regexp.MustCompile(`^/.* needs (?:/.*/)?(lib[\w.+-]+)$`), "%s"}, // elf_check
	{kindPkgConfig, "not found", regexp.MustCompile(`Package ['"‘]?([\w.+-]+)['"’]?,?(?: required by ['"‘].*['"’],)?(?: was)? not found`), "%s.pc"},
	{kindPkgConfig, "no package", regexp.MustCompile(`No package ['"‘]([\w.+-]+)['"’] found`), "%s.pc"},
	{kindPkgConfig, "packagenotfounderror", regexp.MustCompile(`PackageNotFoundError: ([\w.+-]+) not found`), "%s.pc"},
	{kindPkgConfig, "needs to be installed", regexp.MustCompile("The file `([\\w.+-]+)\\.pc` needs to be installed"), "%s.pc"},
	{kindPkgConfig, "dependency", regexp.MustCompile(`(?i)dependency ['"]([\w.+-]+)['"] not found`), "%s.pc"},
	{kindCMake, ".cmake", regexp.MustCompile(`^\s+([\w.+-]+(?:Config|-config)\.cmake)\s*$`), "%s"},
	{kindCommand, "not found", regexp.MustCompile(`: (?:line )?\d+: ([\w.+-]+): (?:command )?not found`), "%s"},
	{kindCommand, "command not found", regexp.MustCompile(`^(?:\w+: )?([\w.+-]+): command not found`), "%s"},
	{kindCommand, "no such file", regexp.MustCompile(`(?:make(?:\[\d+\])?|env): ['‘]?([\w.+-]+)['’]?: No such file or directory`), "%s"},
	{kindCommand, "no such file", regexp.MustCompile(`command ['"‘]?(?:[\w.+/-]*/)?([\w.+-]+)['"’]? failed: No such file`), "%s"},
	{kindCommand, "no such file", regexp.MustCompile(`FileNotFoundError: \[Errno 2\] No such file or directory: '([\w.+-]+)'`), "%s"},
	{kindCommand, "executable", regexp.MustCompile(`exec: "([\w.+-]+)": executable file not found`), "%s"},
	{kindCommand, "executable not found", regexp.MustCompile(`\b([\w.+-]+) executable not found`), "%s"},
	{kindCommand, "linker", regexp.MustCompile("linker `([\\w.+-]+)` not found"), "%s"},
	{kindCommand, "program", regexp.MustCompile(`[Pp]rogram ['"]([\w.+-]+)['"] not found`), "%s"},
}

// missing gives what the log says is not there, the last of it, each once.
func missing(log io.Reader) []*miss {
	var out []*miss
	var dirs []string
	add := func(m *miss) {
		out = slices.DeleteFunc(out, func(o *miss) bool { return o.kind == m.kind && o.name == m.name })
		if out = append(out, m); len(out) > maxMissed {
			out = out[1:]
		}
	}
	br := bufio.NewReaderSize(io.LimitReader(log, maxHintLog), maxHintLine)
	for {
		line, err := br.ReadSlice('\n') // a longer line comes in pieces, and one of them will have it
		if bytes.Contains(line, []byte("-I/usr/include/")) {
			dirs = includes(dirs, line)
		}
		lower := bytes.ToLower(line)
		if bytes.Contains(lower, []byte("found")) || bytes.Contains(lower, []byte("find")) || bytes.Contains(lower, []byte("no such")) ||
			bytes.Contains(lower, []byte("needs ")) || bytes.Contains(lower, []byte("development")) || bytes.Contains(lower, []byte("cannot open")) || bytes.Contains(lower, []byte(".cmake")) {
			for _, s := range signs {
				if !bytes.Contains(lower, []byte(s.part)) {
					continue
				}
				for i, name := range s.log.FindSubmatch(bytes.TrimRight(line, "\r\n")) {
					if i > 0 && len(name) > 0 && len(name) < 256 {
						add(&miss{kind: s.kind, name: fmt.Sprintf(s.format, name), shown: shown(s.kind, string(name), s.format)})
					}
				}
			}
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			for _, m := range out {
				m.dirs = dirs
			}
			return out
		}
	}
}

// includes adds to dirs where a compiler's command looks for headers.
func includes(dirs []string, line []byte) []string {
	for f := range bytes.FieldsSeq(line) {
		if dir, ok := bytes.CutPrefix(f, []byte("-I/usr/include/")); ok && len(dirs) < maxIncludes && !slices.Contains(dirs, string(dir)) {
			dirs = append(dirs, string(dir))
		}
	}
	return dirs
}

func shown(kind, name, format string) string {
	if kind == kindLibrary && format == "lib%s.so" {
		return "-l" + name
	}
	return fmt.Sprintf(format, name)
}

// prepare says which names of files answer m.
func (m *miss) prepare(triplet string) {
	m.bases = []string{path.Base(m.name)}
	switch {
	case strings.HasPrefix(m.shown, "-l"):
		m.bases = append(m.bases, strings.TrimSuffix(m.name, ".so")+".a")
	case m.kind == kindCommand: // `cc` is a link that no package ships
		for _, a := range alternatives(triplet) {
			if a[0] != "usr/bin/"+m.name && a[0] != "usr/sbin/"+m.name {
				continue
			}
			for _, target := range a[1:] {
				m.bases = append(m.bases, path.Base(target))
			}
		}
	}
}

// rank says how well a file answers m: 0 is best, below 0 means not at all.
func (m *miss) rank(p, kind string) int {
	if kind != m.kind {
		return -1
	}
	at := slices.Index(m.bases, path.Base(p))
	if at < 0 || kind != kindHeader {
		return at
	}
	rest, ok := strings.CutSuffix("/"+p, "/"+strings.TrimPrefix(path.Clean(m.name), "/"))
	if !ok {
		return -1
	}
	rest = strings.Trim(strings.TrimPrefix(rest, "/usr/include"), "/")
	if rest == "" || slices.Contains(m.dirs, rest) || strings.Contains(rest, "-linux-gnu") && !strings.Contains(rest, "/") {
		return 0 // where the compiler looks
	}
	return 1 + strings.Count(rest, "/")
}

func (m *miss) note(rank int, packages string) {
	if len(m.found) > 0 && rank > m.best {
		return
	}
	if len(m.found) > 0 && rank < m.best {
		m.found = nil
	}
	m.best = rank
	for name := range strings.SplitSeq(packages, ",") {
		if len(m.found) <= maxProviders && !slices.Contains(m.found, name) {
			m.found = append(m.found, name)
		}
	}
}

func (m *miss) hint() string {
	slices.Sort(m.found)
	switch n := len(m.found); {
	case n == 0 || n > maxProviders: // a name that everybody uses says nothing
		return ""
	case n == 1:
		return fmt.Sprintf("the Debian package %s has `%s`: add it to the root in which this is built", m.found[0], m.shown)
	default:
		return fmt.Sprintf("the Debian packages %s and %s have `%s`: add one of them to the root in which this is built",
			strings.Join(m.found[:n-1], ", "), m.found[n-1], m.shown)
	}
}

// lookUp goes through a file list and notes what answers one of missed.
func lookUp(list string, missed []*miss) error {
	wanted := map[string][]*miss{}
	for _, m := range missed {
		if len(m.found) > 0 {
			continue // a newer list knows it
		}
		for _, base := range m.bases {
			wanted[base] = append(wanted[base], m)
		}
	}
	f, err := os.Open(list)
	if err != nil {
		return err
	}
	defer f.Close()
	plain, err := archive.Decompress(f, list)
	if err != nil {
		return err
	}
	defer plain.Close()
	br := bufio.NewReaderSize(io.LimitReader(plain, maxFilePlain), maxFileLine)
	for {
		line, err := br.ReadSlice('\n')
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		i := bytes.LastIndexByte(line, ' ')
		if i < 0 {
			continue
		}
		ms := wanted[string(line[bytes.LastIndexByte(line[:i], '/')+1:i])]
		if len(ms) == 0 {
			continue
		}
		p := string(line[:i])
		kind := kindOf(p)
		for _, m := range ms {
			if r := m.rank(p, kind); r >= 0 {
				m.note(r, strings.TrimSpace(string(line[i+1:])))
			}
		}
	}
}
