// Package workspace reads hewn.toml: which recipe a workspace builds, where its sources come from, mirrors and limits.
package workspace

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/source"
)

// FileName is the name of the file that makes a directory a workspace.
const FileName = "hewn.toml"

// maxFile bounds how much of a configuration file is read: far more than anybody writes by hand.
const maxFile = 4 << 20

// Config is what hewn.toml says. Paths in it are relative to its directory until Load has made them absolute.
type Config struct {
	Recipe  string            `toml:"recipe"`  // a bundled recipe's name, or a directory
	Origins string            `toml:"origins"` // "" or "mirrors-only"
	Source  map[string]Source `toml:"source"`  // by the recipe's name of the source
	Alias   map[string]Alias  `toml:"alias"`   // of git repositories, by alias or by host name
	Mirror  map[string]Mirror `toml:"mirror"`  // by ecosystem
	Debian  Debian            `toml:"debian"`
	Go      Go                `toml:"go"`
	// Registry is how image registries are treated.
	Registry Registry          `toml:"registry"`
	Limits   Limits            `toml:"limits"`
	Vars     map[string]string `toml:"vars"` // what the recipe lets a workspace choose

	Dir string `toml:"-"` // the workspace's directory, absolute
	Raw []byte `toml:"-"` // the file's own bytes, which are part of every build record's key
}

// Source says where a source of the recipe comes from in this workspace.
type Source struct {
	Path string `toml:"path"` // a directory of this machine
	Git  string `toml:"git"`  // instead of what the recipe's sources.toml says
	Rev  string `toml:"rev"`
}

// Alias maps the left side of `alias:owner/name` to URLs, tried in order; {name} is the last part of the right side,
// {path} all of it.
type Alias struct {
	URLs []string `toml:"urls"`
}

// Mirror is a list of origins of an ecosystem, tried before any other.
type Mirror struct {
	URLs   []string          `toml:"urls"`
	Scopes map[string]string `toml:"scopes"` // of npm: registries for the names in one scope ("@corp") alone
}

// Debian is how Debian archives are treated.
type Debian struct {
	Suites      []string `toml:"suites"`        // tried in order until one has all packages of a root
	Gone        string   `toml:"gone"`          // "error" (default) or "repin": what to do when a pinned package has left the archive
	MaxIndexAge string   `toml:"max-index-age"` // "400d": accept an index of up to this age; default: obey its Valid-Until
	Keyrings    []string `toml:"keyrings"`      // OpenPGP public keys; default: those that the machine's apt trusts
}

// Go is where Go modules come from.
type Go struct {
	Private []string `toml:"private"` // patterns as in GOPRIVATE: modules that are taken from their own repositories, not from a proxy
}

// Registry is how the registries that `hewn image --push` sends to are treated.
type Registry struct {
	PlainHTTP []string `toml:"plain-http"` // hosts, with their port if they have one, that are spoken to without TLS
	MountFrom []string `toml:"mount-from"` // repositories of a registry that may have some of the layers: "team/base"
}

// Limits bounds a run; zero means hewn's default.
type Limits struct {
	Actions int `toml:"actions"`
	Fetches int `toml:"fetches"`
	Disk    int `toml:"disk"`
}

// ErrNone is wrapped by Find's error when there is no workspace.
var ErrNone = errors.New("no hewn.toml")

// Find gives the directory of the workspace that dir lies in: dir itself or the nearest parent with a hewn.toml.
func Find(dir string) (string, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	for d := abs; ; d = filepath.Dir(d) {
		if st, err := os.Stat(filepath.Join(d, FileName)); err == nil && st.Mode().IsRegular() {
			return d, nil
		}
		if d == filepath.Dir(d) {
			return "", fmt.Errorf("%w in `%s` or above it", ErrNone, abs)
		}
	}
}

// Load reads the hewn.toml of dir.
func Load(dir string) (*Config, error) {
	file := filepath.Join(dir, FileName)
	f, err := os.Open(file)
	if err != nil {
		return nil, diag.Inputf("workspace-missing", "cannot read `%s`", file).Because(err).Hint("run `hewn init` to start a workspace")
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, diag.Inputf("workspace-missing", "cannot read `%s`", file).Because(err)
	}
	if len(raw) > maxFile {
		return nil, diag.Inputf("workspace-too-large", "`%s` is larger than the %d bytes that are read", file, maxFile)
	}
	c, err := Parse(file, raw)
	if err != nil {
		return nil, err
	}
	if c.Dir, err = filepath.Abs(dir); err != nil {
		return nil, err
	}
	c.resolvePaths()
	return c, nil
}

// Parse reads a hewn.toml; file is for messages. Paths stay as they are written.
func Parse(file string, raw []byte) (*Config, error) {
	c := &Config{Raw: raw}
	if err := DecodeTOML(file, raw, c); err != nil {
		return nil, err
	}
	return c, c.check(file)
}

// DecodeTOML decodes strictly and turns the library's errors into Problems with line, column and key.
func DecodeTOML(file string, raw []byte, into any) error {
	dec := toml.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	err := dec.Decode(into)
	var strict *toml.StrictMissingError
	var de *toml.DecodeError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &strict) && len(strict.Errors) > 0:
		e := strict.Errors[0]
		row, col := e.Position()
		key := strings.Join(e.Key(), ".")
		p := diag.Inputf("unknown-key", "unknown key").At(diag.Position{File: file, Line: row, Col: col, Key: key})
		if table, keys := knownKeys(reflect.TypeOf(into), e.Key()); len(keys) > 0 {
			p.Hint("%s has the keys %s", table, strings.Join(keys, ", "))
		}
		return p
	case errors.As(err, &de):
		row, col := de.Position()
		return diag.Inputf("malformed-toml", "malformed TOML").Because(errors.New(strings.TrimPrefix(de.Error(), "toml: "))).
			At(diag.Position{File: file, Line: row, Col: col, Key: strings.Join(de.Key(), ".")})
	}
	return diag.Inputf("malformed-toml", "malformed TOML").Because(err).At(diag.Position{File: file})
}

// knownKeys gives the keys of the innermost table around an unknown key that t describes, and what to call that table.
func knownKeys(t reflect.Type, key []string) (table string, keys []string) {
	for i := 0; ; i++ {
		for t.Kind() == reflect.Pointer || t.Kind() == reflect.Map || t.Kind() == reflect.Slice {
			if t.Kind() == reflect.Map {
				i++
			}
			t = t.Elem()
		}
		if t.Kind() != reflect.Struct || i >= len(key) {
			return "", nil
		}
		keys = nil
		var inner reflect.Type
		for j := range t.NumField() {
			switch name := t.Field(j).Tag.Get("toml"); name {
			case "-", "":
			case key[i]:
				inner = t.Field(j).Type
				fallthrough
			default:
				keys = append(keys, name)
			}
		}
		if inner == nil {
			if i == 0 {
				return "the file", keys
			}
			return "`" + strings.Join(key[:i], ".") + "`", keys
		}
		t = inner
	}
}

var ecosystems = []string{string(source.PyPI), string(source.NPM), string(source.Go), string(source.Crates),
	string(source.Debian), string(source.Maven)}

// check looks at what the types cannot say, in one order whatever the maps do.
func (c *Config) check(file string) error {
	bad := func(key, format string, args ...any) *diag.Problem {
		return diag.Inputf("bad-value", format, args...).At(Locate(file, c.Raw, key))
	}
	if c.Origins != "" && c.Origins != "mirrors-only" {
		return bad("origins", "`%s` is not a value of this key", c.Origins).Hint("leave it out, or set it to \"mirrors-only\"")
	}
	for _, eco := range slices.Sorted(maps.Keys(c.Mirror)) {
		if !slices.Contains(ecosystems, eco) {
			return bad("mirror."+eco, "no such ecosystem; there are %s", strings.Join(ecosystems, ", "))
		}
		for _, scope := range slices.Sorted(maps.Keys(c.Mirror[eco].Scopes)) {
			if eco != string(source.NPM) || !strings.HasPrefix(scope, "@") || strings.ContainsAny(scope, "/,") {
				return bad("mirror."+eco+".scopes", "`%s` is no scope of npm, as in \"@corp\"", scope)
			}
		}
	}
	if g := c.Debian.Gone; g != "" && g != "error" && g != "repin" {
		return bad("debian.gone", "`%s` is neither \"error\" nor \"repin\"", g)
	}
	if _, err := c.Debian.MaxAge(); err != nil {
		return bad("debian.max-index-age", "%v", err)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Source)) {
		if s := c.Source[name]; s.Path != "" && (s.Git != "" || s.Rev != "") {
			return bad("source."+name, "a source has either a `path` or a `git` and `rev`, not both")
		}
	}
	for _, l := range []struct {
		key string
		n   int
	}{{"actions", c.Limits.Actions}, {"fetches", c.Limits.Fetches}, {"disk", c.Limits.Disk}} {
		if l.n < 0 {
			return bad("limits."+l.key, "%d is no limit", l.n).Hint("leave it out, or set it to 0, for hewn's default")
		}
	}
	return nil
}

// MaxAge is MaxIndexAge as a duration: 0 where the index's own Valid-Until is obeyed.
func (d Debian) MaxAge() (time.Duration, error) {
	s := d.MaxIndexAge
	if s == "" {
		return 0, nil
	}
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.Atoi(days)
		if err == nil && n > 0 && n < 36500 {
			return time.Duration(n) * 24 * time.Hour, nil
		}
	} else if v, err := time.ParseDuration(s); err == nil && v > 0 {
		return v, nil
	}
	return 0, fmt.Errorf("`%s` is no age; write days, for example \"400d\"", s)
}

func (c *Config) resolvePaths() {
	abs := func(p string) string {
		if p == "" || filepath.IsAbs(p) {
			return p
		}
		return filepath.Join(c.Dir, p)
	}
	for name, s := range c.Source {
		s.Path = abs(s.Path)
		c.Source[name] = s
	}
	for i, k := range c.Debian.Keyrings {
		c.Debian.Keyrings[i] = abs(k)
	}
	// A recipe that is a directory is written with a slash or a dot in it; a bundled one is a plain name.
	if strings.ContainsAny(c.Recipe, "/.") {
		c.Recipe = abs(c.Recipe)
	}
	for name, a := range c.Alias {
		for i, u := range a.URLs {
			if !strings.Contains(u, "://") && !strings.Contains(u, "@") {
				a.URLs[i] = abs(u)
			}
		}
		c.Alias[name] = a
	}
}
