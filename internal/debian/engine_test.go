package debian

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"hewn.example/hewn/internal/digest"
	"hewn.example/hewn/internal/engine"
	"hewn.example/hewn/internal/event"
	"hewn.example/hewn/internal/executor"
	"hewn.example/hewn/internal/origin"
	"hewn.example/hewn/internal/pins"
	"hewn.example/hewn/internal/source"
	"hewn.example/hewn/internal/store"
	"hewn.example/hewn/internal/store/memory"
	"hewn.example/hewn/internal/tree"
)

// outside is everything around an engine: a mirror to fetch from, an executor that answers with the declared outputs.
type outside struct {
	st     store.Store
	mirror *fakeMirror
	plans  map[string]engine.Plan
	mu     sync.Mutex
	ran    []string
	traces map[string][]byte
}

func (o *outside) Plan(name string) (engine.Plan, string, error) { return o.plans[name], "1", nil }

func (o *outside) Tree(context.Context, string) (tree.Tree, error) {
	return tree.Tree{}, errors.New("no sources")
}

func (o *outside) Info(context.Context, string) (engine.SourceInfo, error) {
	return engine.SourceInfo{}, nil
}

func (o *outside) FetchGit(context.Context, source.GitRef) (tree.Tree, error) {
	return tree.Tree{}, errors.New("no git")
}

func (o *outside) Fetch(ctx context.Context, a source.Artifact) (digest.Digest, error) {
	loc, err := Locate(ctx, o.mirror, origin.Endpoint{URL: mirror}, a)
	if err != nil {
		return digest.Digest{}, err
	}
	b, err := o.mirror.Get(ctx, loc.Endpoint, loc.URL, "", a.Size)
	if err != nil {
		return digest.Digest{}, err
	}
	if sum := sha256.Sum256(b); !bytes.Equal(sum[:], a.Integrity.Sum()) {
		return digest.Digest{}, fmt.Errorf("%s has the wrong hash", a)
	}
	return o.st.Put(ctx, b)
}

func (o *outside) Execute(ctx context.Context, r executor.Request) (*executor.Outcome, error) {
	o.mu.Lock()
	o.ran = append(o.ran, strings.Join(r.Action.Args, " "))
	o.mu.Unlock()
	d, err := o.st.Put(ctx, []byte("cache"))
	if err != nil {
		return nil, err
	}
	b := tree.NewBuilder()
	for _, p := range r.Action.Outputs {
		if err := b.File(p, d, false); err != nil {
			return nil, err
		}
	}
	out, err := b.Build(ctx, o.st)
	return &executor.Outcome{Output: out, Log: d}, err
}

func (o *outside) LoadTrace(key string) ([]byte, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	b, ok := o.traces[key]
	return b, ok
}

func (o *outside) SaveTrace(key string, b []byte) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.traces[key] = b
	return nil
}

func (o *outside) Lock(context.Context, string) (func(), error) { return func() {}, nil }

// resolving answers a plan's questions as an update does.
type resolving struct{ r *Resolver }

func (p resolving) Artifacts(ctx context.Context, q pins.Question) ([]source.Artifact, error) {
	return p.r.Resolve(ctx, q)
}

func (resolving) Lines(context.Context, pins.Question, func(context.Context) ([]string, error)) ([]string, error) {
	return nil, errors.New("a root observes nothing")
}

// From the names of packages to a root, through everything but a real sandbox: the resolver answers as in an update.
func TestRootThroughTheEngine(t *testing.T) {
	ctx := context.Background()
	debs := map[string][]byte{
		"bash":     deb("Package: bash\nVersion: 1\n", tarball(t, "bin/bash* = #!"), t),
		"libc6":    deb("Package: libc6\nVersion: 1\n", tarball(t, "lib64/ld.so* = x"), t),
		"libc-bin": deb("Package: libc-bin\nVersion: 1\n", tarball(t, "sbin/ldconfig* = x"), t),
	}
	var index strings.Builder
	for _, name := range sortedKeys(debs) {
		fmt.Fprintf(&index, "Package: %s\nVersion: 1\nArchitecture: amd64\nFilename: pool/%s.deb\nSize: %d\nSHA256: %x\n", name, name, len(debs[name]), sha256.Sum256(debs[name]))
		if name == "bash" {
			index.WriteString("Depends: libc6, libc-bin\n")
		}
		index.WriteString("\n")
	}
	key, raw := newKey(t, 0), zipped(index.String())
	m := &fakeMirror{files: map[string][]byte{}}
	m.files[mirror+"/dists/stable/InRelease"] = sign(t, releaseText("stable", "x", map[string][]byte{"main/binary-amd64/Packages.gz": raw}), key)
	m.files[mirror+"/dists/stable/main/binary-amd64/Packages.gz"] = raw
	for name, b := range debs {
		m.files[mirror+"/pool/"+name+".deb"] = b
	}
	r, _ := newResolver(t, nil)
	r.Getter, r.Keyring = m, func() ([]byte, error) { return public(t, key), nil }

	o := &outside{st: memory.New(), mirror: m, traces: map[string][]byte{}}
	o.plans = map[string]engine.Plan{"root": func(ctx context.Context, ask *engine.Ask) (engine.Step, error) {
		info, err := Root(ctx, ask, RootOptions{Name: "r", Packages: []string{"bash"}})
		if err != nil {
			return engine.Step{}, err
		}
		if ok, err := ask.Exists(ctx, info.Base, "bin/bash"); !ok {
			return engine.Step{}, fmt.Errorf("a plan does not see /bin/bash: %w", err)
		}
		if info.Versions["libc6"] != "1" {
			t.Errorf("versions %v", info.Versions)
		}
		return info.Root, nil
	}}
	e, err := engine.New(engine.Config{Store: o.st, Executor: o, Fetcher: o, Sources: o, Pins: resolving{r}, Targets: o, Natives: Natives(),
		Traces: o, Locks: o, Platform: linux, Events: func(event.Event) {}, Workspace: "/w", Recipe: "app"})
	if err != nil {
		t.Fatal(err)
	}
	step, err := e.Plan(ctx, "root")
	if err != nil {
		t.Fatal(err)
	}
	root, err := e.Build(ctx, step)
	if err != nil {
		t.Fatal(err)
	}
	v := view{o.st, root}
	for _, p := range []string{"usr/bin/bash", "bin/sh", "lib64/ld.so", "etc/ld.so.cache", statusDir + "/bash", "etc/passwd"} {
		if ok, err := v.leads(ctx, p); !ok || err != nil {
			t.Errorf("%s is missing: %v", p, err)
		}
	}
	if len(o.ran) != 1 || o.ran[0] != "/usr/sbin/ldconfig -X" {
		t.Errorf("ran %v", o.ran)
	}
}
