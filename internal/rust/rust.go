// Package rust brings in what Rust builds need: every crate that Cargo.lock names, unpacked as cargo wants it, and the
// configuration that makes cargo take all of them from there.
//
// The result has the files, bytes and executable bits that `cargo vendor --versioned-dirs` leaves. docs/LOCKS.md lists
// the differences, which are in packages from git repositories only.
package rust

import (
	"context"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/engine"
	"hewn.example/hewn/internal/lock/cargo"
	"hewn.example/hewn/internal/source"
	"hewn.example/hewn/internal/tree"
)

// Natives lists the native steps of this package.
func Natives() []engine.NativeDef { return []engine.NativeDef{unpackDef, gitDef, vendorDef, stubsDef} }

// vendorDef puts packages together below `vendor`, and the configuration beside them.
var vendorDef = engine.NativeDef{Name: "cargo-vendor", Version: 1, Run: assemble}

type vendorParams struct {
	Dirs   []string `json:"dirs"`   // the name of each input's directory
	Config string   `json:"config"` // the content of config.toml
}

const lockName = "Cargo.lock"

// DefaultAt is where a vendor tree goes if nobody says otherwise: a place that cargo knows as CARGO_HOME.
const DefaultAt = "/usr/local/cargo"

// VendorOptions says which vendor tree to make.
type VendorOptions struct {
	Dir engine.Static // the project: Cargo.lock at its root
	At  string        // where the tree will be mounted, which its configuration names; empty: DefaultAt
}

// Vendor is the step whose tree serves as CARGO_HOME at o.At: `vendor/<name>-<version>` for every package of the lock
// that does not lie beside it, and a `config.toml` that replaces their sources by `vendor`. Nothing is resolved and
// nothing chosen: cargo wants to see the packages of all platforms.
func Vendor(ctx context.Context, ask *engine.Ask, o VendorOptions) (engine.Static, error) {
	lock, err := ReadLock(ctx, ask, o.Dir)
	if err != nil {
		return engine.Static{}, err
	}
	if o.At == "" {
		o.At = DefaultAt
	}
	return vendor(lock, o.At)
}

// vendor is the vendor tree of a lock, or of several whose packages stand together in one.
func vendor(lock *cargo.Lock, at string) (engine.Static, error) {
	p := vendorParams{}
	var inputs []engine.Static
	from := map[string]*cargo.Package{}
	for i := range lock.Packages {
		pkg := &lock.Packages[i]
		if !pkg.Source.Remote() || pkg.Replacement >= 0 {
			continue // it lies beside the lock, or another one stands in for it
		}
		dir := pkg.Name + "-" + pkg.Version
		if other := from[dir]; other != nil && other.Source == pkg.Source && other.Checksum == pkg.Checksum {
			continue // of another lock
		} else if other != nil {
			return engine.Static{}, diag.Inputf("cargo-twice", "package `%s` comes from two sources, and a vendor directory has room for one", pkg).
				At(pkg.Pos).With(other.Source.String(), pkg.Source.String()).
				Hint("let all of the workspace depend on it from the same source, for example with [patch] in Cargo.toml")
		}
		from[dir] = pkg
		step, err := unpacked(pkg)
		if err != nil {
			return engine.Static{}, err
		}
		p.Dirs, inputs = append(p.Dirs, dir), append(inputs, step)
	}
	p.Config = Config(lock, path.Join(at, "vendor"))
	return engine.NativeStatic("crates", vendorDef, p, inputs...), nil
}

// ReadLock reads the project's Cargo.lock.
func ReadLock(ctx context.Context, ask *engine.Ask, dir engine.Static) (*cargo.Lock, error) {
	b, err := ask.Read(ctx, dir, lockName)
	if err != nil {
		return nil, diag.Inputf("lock-missing", "cannot read `Cargo.lock` of %s", dir.Label()).Because(err).
			Hint("make one with `cargo generate-lockfile`, and commit it")
	}
	return cargo.Read(dir.File(lockName), b)
}

// unpacked is the step whose tree is a package's directory.
func unpacked(p *cargo.Package) (engine.Static, error) {
	if p.Source.Kind == cargo.Git {
		ref := source.GitRef{Repo: p.Source.URL, Rev: p.Source.RefTo, Commit: p.Source.Commit}
		return engine.NativeStatic(p.String(), gitDef, gitParams{p.Name, p.Version}, engine.Git(ref)), nil
	}
	a, err := Artifact(p)
	if err != nil {
		return engine.Static{}, err
	}
	return engine.NativeStatic(p.String(), unpackDef, unpackParams{p.Name, p.Version, p.Checksum.Hex()}, engine.FetchLocked(a, p.Pos)), nil
}

// Artifact is the .crate file of a package from a registry. Which registry does not matter: the file is found by name
// and version at whatever origins the user has, and accepted by its checksum.
func Artifact(p *cargo.Package) (source.Artifact, error) {
	if p.Checksum.IsZero() {
		return source.Artifact{}, diag.Inputf("lock-value", "package `%s` has no `checksum`, so that nothing says which bytes are meant", p).
			At(p.Pos).Hint("run `cargo update --workspace` with a registry that has checksums")
	}
	return source.Artifact{Ecosystem: source.Crates, Name: p.Name, Version: p.Version, File: p.Name + "-" + p.Version + ".crate",
		Integrity: p.Checksum}, nil
}

// Config is what has to stand in cargo's configuration so that every source of the lock is replaced by the vendor
// directory at dir. It is what `cargo vendor` prints, byte by byte, but for the last line's end.
func Config(lock *cargo.Lock, dir string) string {
	type section struct{ name, lines string }
	var all []section
	for _, p := range lock.Packages {
		s := p.Source
		if !s.Remote() || p.Replacement >= 0 {
			continue
		}
		// The name is cargo's own for that source; it is what the section is found by.
		sec := section{name: s.String()}
		switch {
		case s.Default():
			sec.name = "crates-io"
		case s.Kind == cargo.Git:
			sec.lines = "git = " + quote(s.URL) + "\n"
			if s.Ref != "" {
				sec.lines += string(s.Ref) + " = " + quote(s.RefTo) + "\n"
			}
		case s.Kind == cargo.Sparse:
			sec.lines = "registry = " + quote(s.String()) + "\n"
		default:
			sec.lines = "registry = " + quote(s.URL) + "\n"
		}
		sec.lines += "replace-with = \"vendored-sources\"\n"
		all = append(all, sec)
	}
	if len(all) == 0 {
		return ""
	}
	all = append(all, section{"vendored-sources", "directory = " + quote(dir) + "\n"})
	slices.SortFunc(all, func(a, b section) int { return strings.Compare(a.name, b.name) })
	all = slices.Compact(all)
	var b strings.Builder
	for i, s := range all {
		if i > 0 {
			b.WriteString("\n")
		}
		fmt.Fprintf(&b, "[source.%s]\n%s", key(s.name), s.lines)
	}
	return b.String()
}

// key writes a TOML key, quoted where it must be.
func key(s string) string {
	if s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") == "" {
		return s
	}
	return quote(s)
}

// quote writes a TOML basic string.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r < 0x20 || r == 0x7f:
			fmt.Fprintf(&b, `\u%04X`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

func assemble(ctx context.Context, c engine.NativeCall) (tree.Tree, error) {
	var p vendorParams
	if err := json.Unmarshal(c.Params, &p); err != nil {
		return tree.Tree{}, err
	}
	if len(p.Dirs) != len(c.Inputs) {
		return tree.Tree{}, fmt.Errorf("cargo-vendor: %d names for %d inputs", len(p.Dirs), len(c.Inputs))
	}
	b := tree.NewBuilder()
	if err := b.Dir("vendor"); err != nil {
		return tree.Tree{}, err
	}
	for i, t := range c.Inputs {
		if err := b.Tree("vendor/"+p.Dirs[i], t); err != nil {
			return tree.Tree{}, err
		}
	}
	d, err := c.Store.Put(ctx, []byte(p.Config))
	if err != nil {
		return tree.Tree{}, err
	}
	if err := b.File("config.toml", d, false); err != nil {
		return tree.Tree{}, err
	}
	return b.Build(ctx, c.Store)
}

// checksums is the content of `.cargo-checksum.json`: what cargo compares a vendored package with before it compiles it.
// sums maps paths to SHA-256 in hex; pkg is the checksum of the .crate file, empty where there is none.
func checksums(sums map[string]string, pkg string) []byte {
	b := []byte(`{"files":{`)
	for i, p := range sortedKeys(sums) {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendJSON(b, p)
		b = append(b, ':', '"')
		b = append(b, sums[p]...)
		b = append(b, '"')
	}
	b = append(b, `},"package":`...)
	if pkg == "" {
		return append(b, `null}`...)
	}
	return append(b, `"`+pkg+`"}`...)
}

// appendJSON writes a string as serde_json does, which escapes less than Go's encoder.
func appendJSON(b []byte, s string) []byte {
	b = append(b, '"')
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c == '\n':
			b = append(b, `\n`...)
		case c == '\r':
			b = append(b, `\r`...)
		case c == '\t':
			b = append(b, `\t`...)
		case c == '\b':
			b = append(b, `\b`...)
		case c == '\f':
			b = append(b, `\f`...)
		case c < 0x20:
			b = fmt.Appendf(b, `\u%04x`, c)
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}
