package golang

import (
	"context"
	"encoding/json"
	"fmt"
	"go/version"
	"path"
	"strings"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/engine"
	"hewn.example/hewn/internal/lock/gosum"
	"hewn.example/hewn/internal/pins"
	"hewn.example/hewn/internal/platform"
	"hewn.example/hewn/internal/source"
	"hewn.example/hewn/internal/tree"
)

// toolchainModule is the module as which Go's own toolchains are published, for ever, next to all others.
const toolchainModule = "golang.org/toolchain"

// toolchainDef lays a toolchain out at /usr/local/go, with what the go command mends after downloading one: executable
// bits, which module zips lack, and the names of nested go.mod files, which module zips cannot have.
var toolchainDef = engine.NativeDef{Name: "go-toolchain", Version: 1, Run: layToolchain}

type toolchainParams struct {
	Version string `json:"version"`
}

// Toolchain is the Go that the project asks for, in go.work if it has one: the newer of its `toolchain` and `go` lines. Its tree has /usr/local/go
// and links in /usr/local/bin. A go line without a patch (`go 1.26`) means the newest of that line when it was pinned.
func Toolchain(ctx context.Context, ask *engine.Ask, dir engine.Static) (engine.Static, error) {
	p, err := readProject(ctx, ask, dir, projectFiles{work: true, vendor: true})
	if err != nil {
		return engine.Static{}, err
	}
	return p.toolchain(ctx, ask)
}

func (p *goProject) toolchain(ctx context.Context, ask *engine.Ask) (engine.Static, error) {
	want, err := p.wantedGo()
	if err != nil {
		return engine.Static{}, err
	}
	q := pins.Question{Ecosystem: source.Go, Set: "tool/go", Platform: ask.Platform(), Request: []string{want}}
	as, err := ask.Artifacts(ctx, q)
	if err != nil {
		return engine.Static{}, err
	}
	if len(as) != 1 || as[0].Name != toolchainModule {
		return engine.Static{}, diag.Inputf("pin-wrong", "the pin of `tool/go` is not one Go toolchain").Hint("run `hewn update`")
	}
	label := strings.TrimPrefix(as[0].Version, "v0.0.1-")
	return engine.NativeStatic(label, toolchainDef, toolchainParams{as[0].Version}, engine.Fetch(as[0])), nil
}

func readMod(ctx context.Context, ask *engine.Ask, dir engine.Static) (*gosum.Mod, error) {
	b, err := ask.Read(ctx, dir, "go.mod")
	if err != nil {
		return nil, diag.Inputf("lock-missing", "cannot read `go.mod` of %s", dir.Label()).Because(err)
	}
	return gosum.ParseMod("go.mod", b)
}

// wantedGo gives what to ask for: an exact release ("go1.24.6"), or a line ("go1.26.x").
func wantedGo(m gosum.Lines, file string) (string, error) {
	want := m.Toolchain
	if want == "" && m.Go == "" {
		return "", diag.Inputf("go-version", "%s names no version of Go", file).At(diag.Position{File: file, Key: "go"}).
			Hint("run `go get go@latest` in the project")
	}
	if m.Go != "" && (want == "" || version.Compare(want, "go"+m.Go) < 0) {
		want = "go" + m.Go // the go command passes over a toolchain line that is older
	}
	want, _, _ = strings.Cut(want, "-") // a suffix names a distribution's own build
	want, _, _ = strings.Cut(want, "+")
	if strings.Count(want, ".") == 1 && !strings.ContainsAny(want[2:], "rb") { // not a release candidate or beta
		want += ".x"
	}
	return want, nil
}

// toolchainVersion is the module version of a Go release for a platform.
func toolchainVersion(release string, p platform.Platform) string {
	return "v0.0.1-" + release + "." + p.OS + "-" + p.Arch
}

func layToolchain(ctx context.Context, c engine.NativeCall) (tree.Tree, error) {
	var p toolchainParams
	if err := json.Unmarshal(c.Params, &p); err != nil {
		return tree.Tree{}, err
	}
	files, err := openZip(ctx, c, toolchainModule+"@"+p.Version+"/")
	if err != nil {
		return tree.Tree{}, err
	}
	const root = "usr/local/go"
	b := tree.NewBuilder()
	err = tree.Walk(ctx, c.Store, files, func(at string, e tree.Entry) error {
		if e.Kind != tree.KindFile {
			return nil
		}
		exec := e.Executable || strings.HasPrefix(at, "bin/") || strings.HasPrefix(at, "pkg/tool/")
		if path.Base(at) == "_go.mod" {
			at = path.Join(path.Dir(at), "go.mod")
		}
		return b.File(root+"/"+at, e.Digest, exec)
	})
	if err != nil {
		return tree.Tree{}, err
	}
	for _, tool := range []string{"go", "gofmt"} {
		if _, err := tree.Lookup(ctx, c.Store, files, "bin/"+tool); err != nil {
			return tree.Tree{}, fmt.Errorf("the toolchain is not laid out as expected: %w", err)
		}
		if err := b.Link("usr/local/bin/"+tool, "../go/bin/"+tool); err != nil {
			return tree.Tree{}, err
		}
	}
	return b.Build(ctx, c.Store)
}
