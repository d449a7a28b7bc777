package rust

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/engine"
	"hewn.example/hewn/internal/tree"
)

// lowest is the lowest version of Rust that will do, and who says so; an empty version: any.
type lowest struct {
	version string
	at      diag.Position
}

// atLeast takes in what a file asks for. What is no release ("stable") asks for none.
func (l *lowest) atLeast(version string, at diag.Position) {
	if version != "" && strings.Trim(version, "0123456789.") == "" && (l.version == "" || older(l.version, version)) {
		*l = lowest{version, at}
	}
}

// check compares it with what a root has.
func (l lowest) check(have string) error {
	if l.version == "" || !older(have, l.version) {
		return nil
	}
	return diag.Inputf("rust-toolchain", "the source asks for Rust %s, but the root has %s", l.version, have).At(l.at).
		Hint("take rustc from a newer suite: [debian] suites in hewn.toml")
}

// checkToolchain compares the version of a rustc with what a project asks for: the channel of `rust-toolchain.toml`,
// and the `rust-version` of its packages. A newer one will do: Rust keeps compiling what it once did.
func (w *workspace) checkToolchain(ctx context.Context, have string) error {
	var want lowest
	if err := want.channel(ctx, w.ask, w.src); err != nil {
		return err
	}
	want.packages(w)
	return want.check(have)
}

// channel takes in the toolchain file: what rustup would install.
func (l *lowest) channel(ctx context.Context, ask *engine.Ask, src engine.Static) error {
	for _, file := range []string{"rust-toolchain", "rust-toolchain.toml"} { // in rustup's order
		b, err := ask.Read(ctx, src, file)
		if errors.Is(err, tree.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		channel, at := strings.TrimSpace(string(b)), diag.Position{File: src.File(file), Line: 1} // the old form: nothing but a channel
		if file != "rust-toolchain" || strings.Contains(channel, "[") {
			m, err := parseManifest(src.File(file), b)
			if err != nil {
				return err
			}
			if channel, at, err = channelOf(m); err != nil || channel == "" {
				return err
			}
		}
		if strings.HasPrefix(channel, "nightly") || strings.HasPrefix(channel, "beta") {
			return diag.Inputf("rust-toolchain", "the source asks for Rust `%s`, and archives have releases only", channel).At(at).
				Hint("name a release there, for example the one that the root has")
		}
		if i := strings.IndexByte(channel, '-'); i > 0 { // a host may follow: 1.94.0-x86_64-unknown-linux-gnu
			channel = channel[:i]
		}
		if channel != "stable" && strings.Trim(channel, "0123456789.") != "" {
			return diag.Inputf("rust-toolchain", "the source asks for Rust `%s`, which is no release", channel).At(at).
				Hint("name a release there, for example the one that the root has, or \"stable\"")
		}
		l.atLeast(channel, at)
		break
	}
	return nil
}

// channelOf is what a toolchain file in TOML asks for; empty: any.
func channelOf(m *manifest) (channel string, at diag.Position, err error) {
	t := sub(m.top, "toolchain")
	fault := func(key, format string, args ...any) (string, diag.Position, error) {
		at := m.at("toolchain")
		if key != "" {
			at = m.at("toolchain", key)
		}
		return "", at, diag.Inputf("rust-toolchain", format, args...).At(at).Hint("name a release: [toolchain] channel = \"1.94\"")
	}
	if to, ok := t["path"].(string); ok {
		return fault("path", "the source asks for the Rust in `%s`, which a build does not see", to)
	}
	v, there := t["channel"]
	channel, isText := v.(string)
	switch {
	case there && !isText:
		return fault("channel", "the channel is no string")
	case len(t) == 0:
		return fault("", "rust-toolchain.toml names no channel")
	}
	return channel, m.at("toolchain", "channel"), nil
}

// packages takes in `rust-version` of a workspace and its members. Tests of cargo for other packages are its own matter.
func (l *lowest) packages(w *workspace) {
	v, _ := sub(sub(w.root.top, "workspace"), "package")["rust-version"].(string)
	l.atLeast(v, w.root.at("workspace", "package", "rust-version"))
	for _, p := range w.packages {
		if v, ok := p.packageTable()["rust-version"].(string); ok {
			l.atLeast(v, p.at("package", "rust-version"))
		}
	}
}

// older compares releases such as 1.94 and 1.94.1 number by number; what follows the third is not looked at.
func older(a, b string) bool {
	x, y := numbers(a), numbers(b)
	return slices.Compare(x[:], y[:]) < 0
}

func numbers(s string) (n [3]int) {
	if i := strings.IndexAny(s, "-+~"); i >= 0 {
		s = s[:i]
	}
	for i, part := range strings.SplitN(s, ".", 4) {
		if i < 3 {
			n[i], _ = strconv.Atoi(part)
		}
	}
	return n
}
