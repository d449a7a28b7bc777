package debian

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"pault.ag/go/debian/version"
)

const (
	maxIndexLine    = 1 << 20
	maxIndexBytes   = 1 << 30 // Debian's largest has 60 MB
	maxIndexEntries = 1 << 20 // Debian's largest has 71,000
)

// pkg is one package of an index; only what resolving and fetching need. Relations stay text until somebody looks:
// of 71,000 packages a closure visits a few hundred.
type pkg struct {
	name, version, arch   string
	file                  string // below the archive's root: "pool/main/b/bash/bash_5.3-1_amd64.deb"
	size                  int64
	sum                   [sha256.Size]byte
	depends, preDepends   string
	conflicts, breaks     string
	provides              string
	priority, multiArch   string
	home                  string // the index's architecture; arch may be "all"
	essential             bool
	ver                   version.Version
	groups                relation    // depends and preDepends, once parsed
	against               []exclusion // conflicts and breaks, once parsed
	parsedDeps, parsedNot bool
}

// exclusion is a package that another must not be together with, and the field that says so.
type exclusion struct {
	field string
	atom
}

func (e *exclusion) String() string { return e.field + ": " + e.atom.String() }

// provider is a package that provides a name, at a version if it says one.
type provider struct {
	p         *pkg
	versioned bool
	ver       version.Version
}

// index is all packages of one suite for one architecture.
type index struct {
	arch      string
	packages  map[string]*pkg // the highest version of each
	providers map[string][]provider
}

// parseIndex reads a Packages file in one pass.
func parseIndex(r io.Reader, arch string) (*index, error) {
	x := &index{arch: arch, packages: map[string]*pkg{}, providers: map[string][]provider{}}
	s := indexScanner{br: bufio.NewReaderSize(io.LimitReader(r, maxIndexBytes+1), 256<<10)}
	for {
		p, err := s.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = x.add(p)
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", s.line, err)
		}
	}
	return x, x.finish()
}

func (x *index) add(p *pkg) error {
	if !validName(p.name) || p.version == "" || p.file == "" {
		return fmt.Errorf("package %q lacks a name, a version or a file", p.name)
	}
	if p.arch != x.arch && p.arch != "all" {
		return nil
	}
	p.home = x.arch
	var err error
	if p.ver, err = version.Parse(p.version); err != nil {
		return fmt.Errorf("package %s: %w", p.name, err)
	}
	if old := x.packages[p.name]; old == nil || version.Compare(p.ver, old.ver) > 0 {
		x.packages[p.name] = p
	}
	if len(x.packages) > maxIndexEntries {
		return fmt.Errorf("more than %d packages", maxIndexEntries)
	}
	return nil
}

// finish indexes what packages provide, best provider first: by priority, then by name.
func (x *index) finish() error {
	for _, p := range x.packages {
		if p.provides == "" {
			continue
		}
		r, err := parseRelation(p.provides)
		if err != nil {
			return fmt.Errorf("package %s: Provides: %w", p.name, err)
		}
		for _, g := range r {
			a := g[0]
			x.providers[a.name] = append(x.providers[a.name], provider{p: p, versioned: a.op == "=", ver: a.ver})
		}
	}
	for _, list := range x.providers {
		slices.SortFunc(list, func(a, b provider) int {
			if c := rank(a.p) - rank(b.p); c != 0 {
				return c
			}
			return strings.Compare(a.p.name, b.p.name)
		})
	}
	return nil
}

func rank(p *pkg) int {
	return slices.Index([]string{"extra", "optional", "standard", "important", "required"}, p.priority) * -1
}

// candidates gives the packages that satisfy an atom, best first: the package of that name, then what provides it.
func (x *index) candidates(a atom) []*pkg {
	if a.arch != "" && a.arch != "any" && a.arch != "native" && a.arch != x.arch {
		return nil
	}
	var out []*pkg
	if p := x.packages[a.name]; p != nil && a.admits(p.ver) && (a.arch != "any" || p.multiArch == "allowed") {
		out = append(out, p)
	}
	for _, v := range x.providers[a.name] {
		if (a.op == "" || v.versioned && a.admits(v.ver)) && !slices.Contains(out, v.p) {
			out = append(out, v.p)
		}
	}
	return out
}

// needs gives the dependency groups of p.
func (p *pkg) needs() (relation, error) {
	if !p.parsedDeps {
		for _, field := range []string{p.preDepends, p.depends} {
			r, err := parseRelation(field)
			if err != nil {
				return nil, fmt.Errorf("package %s: Depends: %w", p.name, err)
			}
			p.groups = append(p.groups, r...)
		}
		p.parsedDeps = true
	}
	return p.groups, nil
}

// excludes gives what p must not be together with.
func (p *pkg) excludes() ([]exclusion, error) {
	if !p.parsedNot {
		for _, f := range [2][2]string{{"Conflicts", p.conflicts}, {"Breaks", p.breaks}} {
			r, err := parseRelation(f[1])
			if err != nil {
				return nil, fmt.Errorf("package %s: %s: %w", p.name, f[0], err)
			}
			for _, g := range r {
				p.against = append(p.against, exclusion{f[0], g[0]})
			}
		}
		p.parsedNot = true
	}
	return p.against, nil
}

// indexScanner splits a Packages file into paragraphs.
type indexScanner struct {
	br    *bufio.Reader
	line  int
	bytes int64
	long  []byte // a line that did not fit the reader's buffer
}

// next gives the next package, or io.EOF.
func (s *indexScanner) next() (*pkg, error) {
	var p *pkg
	var field *string // where a continuation line belongs
	for {
		line, err := s.readLine()
		if err != nil {
			if errors.Is(err, io.EOF) && p != nil {
				return p, nil
			}
			return nil, err
		}
		if len(line) == 0 {
			if p != nil {
				return p, nil
			}
			continue
		}
		if line[0] == ' ' || line[0] == '\t' {
			if field != nil {
				*field += " " + string(bytes.TrimSpace(line))
			}
			continue
		}
		if p == nil {
			p = &pkg{}
		}
		key, value, ok := bytes.Cut(line, []byte(":"))
		if !ok {
			return nil, fmt.Errorf("%.40q is no `Field: value`", line)
		}
		if field, err = p.set(key, bytes.TrimSpace(value)); err != nil {
			return nil, err
		}
	}
}

// set takes one field and gives the place to which its continuation lines belong, or nil.
func (p *pkg) set(key, value []byte) (field *string, err error) {
	switch string(key) {
	case "Package":
		field = &p.name
	case "Version":
		field = &p.version
	case "Architecture":
		field = &p.arch
	case "Filename":
		field = &p.file
	case "Depends":
		field = &p.depends
	case "Pre-Depends":
		field = &p.preDepends
	case "Conflicts":
		field = &p.conflicts
	case "Breaks":
		field = &p.breaks
	case "Provides":
		field = &p.provides
	case "Priority":
		field = &p.priority
	case "Multi-Arch":
		field = &p.multiArch
	case "Essential":
		p.essential = string(value) == "yes"
		return nil, nil
	case "Size":
		p.size, err = strconv.ParseInt(string(value), 10, 64)
		return nil, err
	case "SHA256":
		if n, err := hex.Decode(p.sum[:min(len(p.sum), len(value)/2)], value[:min(len(value), 2*len(p.sum))]); err != nil || n != len(p.sum) || len(value) != 2*n {
			return nil, fmt.Errorf("SHA256: %q is no hash", value)
		}
		return nil, nil
	default:
		return nil, nil
	}
	*field = string(value)
	return field, nil
}

// readLine gives a line without its end. The bytes are good until the next call.
func (s *indexScanner) readLine() ([]byte, error) {
	line, err := s.br.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		s.long = append(s.long[:0], line...)
		for errors.Is(err, bufio.ErrBufferFull) && len(s.long) <= maxIndexLine {
			line, err = s.br.ReadSlice('\n')
			s.long = append(s.long, line...)
		}
		line = s.long
	}
	s.line++
	if s.bytes += int64(len(line)); s.bytes > maxIndexBytes || len(line) > maxIndexLine {
		return nil, fmt.Errorf("the index is longer than %d bytes, or a line of it longer than %d", maxIndexBytes, maxIndexLine)
	}
	if err != nil && (!errors.Is(err, io.EOF) || len(line) == 0) {
		return nil, err
	}
	return bytes.TrimRight(line, "\r\n"), nil
}
