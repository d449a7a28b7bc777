package python

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"strings"

	"hewn.example/hewn/internal/archive"
	"hewn.example/hewn/internal/digest"
	"hewn.example/hewn/internal/engine"
	"hewn.example/hewn/internal/python/wheel"
	"hewn.example/hewn/internal/tree"
)

// Natives lists the native steps of this package.
func Natives() []engine.NativeDef {
	return []engine.NativeDef{wheelInstall, sdistUnpack, venvSkeleton, moduleNames, script}
}

var (
	wheelInstall = engine.NativeDef{Name: "wheel-install", Version: 2, Run: runInstall}
	sdistUnpack  = engine.NativeDef{Name: "sdist-unpack", Version: 1, Run: runUnpack}
	venvSkeleton = engine.NativeDef{Name: "venv-skeleton", Version: 1, Run: runSkeleton}
	script       = engine.NativeDef{Name: "python-script", Version: 1, Run: runScript}
	moduleNames  = engine.NativeDef{Name: "python-module-names", Version: 1, Run: runModuleNames}
)

func params[T any](c engine.NativeCall) (T, error) {
	var p T
	err := json.Unmarshal(c.Params, &p)
	if err == nil && len(c.Inputs) > 1 {
		err = fmt.Errorf("%d inputs where at most one was expected", len(c.Inputs))
	}
	return p, err
}

func runInstall(ctx context.Context, c engine.NativeCall) (tree.Tree, error) {
	in, err := params[wheel.Install](c)
	if err != nil {
		return tree.Tree{}, err
	}
	return in.Tree(ctx, c.Store, c.Inputs[0])
}

// unpackParams says what of an archive is the source.
type unpackParams struct {
	// SHA256 is the hash of an archive that lies in a source, where no fetch has checked it; else empty.
	SHA256 string `json:"sha256,omitempty"`
}

// runUnpack unpacks the one archive of its input without the directory that everything in an sdist lies in.
func runUnpack(ctx context.Context, c engine.NativeCall) (tree.Tree, error) {
	p, err := params[unpackParams](c)
	if err != nil {
		return tree.Tree{}, err
	}
	var file string
	var d digest.Digest
	err = tree.Walk(ctx, c.Store, c.Inputs[0], func(at string, e tree.Entry) error {
		if e.Kind != tree.KindFile {
			return nil
		}
		if file != "" {
			return fmt.Errorf("two files where one archive was expected: `%s` and `%s`", file, at)
		}
		file, d = at, e.Digest
		return nil
	})
	switch {
	case err != nil:
		return tree.Tree{}, err
	case file == "":
		return tree.Tree{}, errors.New("no archive where one was expected")
	case p.SHA256 != "" && p.SHA256 != d.Hex():
		return tree.Tree{}, fmt.Errorf("`%s` does not have the hash that the lock gives: want %s, got %s", file, p.SHA256, d.Hex())
	}
	o := archive.Options{Strip: 1}
	if strings.HasSuffix(file, ".zip") {
		ra, size, closeBlob, err := archive.OpenBlob(ctx, c.Store, d)
		if err != nil {
			return tree.Tree{}, err
		}
		t, err := archive.Zip(ctx, ra, size, c.Store, o)
		return t, errors.Join(err, closeBlob())
	}
	blob, err := c.Store.Open(ctx, d)
	if err != nil {
		return tree.Tree{}, err
	}
	defer blob.Close()
	r, err := archive.Decompress(blob, path.Base(file))
	if err != nil {
		return tree.Tree{}, err
	}
	defer r.Close()
	return archive.Tar(ctx, r, c.Store, o)
}

// skeletonParams describes an environment before anything is installed into it.
type skeletonParams struct {
	Interpreter string `json:"interpreter"` // absolute path in the root: "/usr/bin/python3.14"
	Python      string `json:"python"`      // full version
	Prompt      string `json:"prompt,omitempty"`
}

// runSkeleton makes what makes a directory a virtual environment, relative to its prefix. There are no activation
// scripts: nothing in a build or an image sources them.
func runSkeleton(ctx context.Context, c engine.NativeCall) (tree.Tree, error) {
	p, err := params[skeletonParams](c)
	if err != nil {
		return tree.Tree{}, err
	}
	short, err := minor(p.Python)
	if err != nil {
		return tree.Tree{}, err
	}
	cfg := "home = " + path.Dir(p.Interpreter) + "\nimplementation = CPython\nversion_info = " + p.Python +
		"\ninclude-system-site-packages = false\n"
	if p.Prompt != "" {
		cfg += "prompt = " + p.Prompt + "\n"
	}
	d, err := c.Store.Put(ctx, []byte(cfg))
	if err != nil {
		return tree.Tree{}, err
	}
	b := tree.NewBuilder()
	err = errors.Join(
		b.File("pyvenv.cfg", d, false),
		b.Link("bin/python", p.Interpreter),
		b.Link("bin/python3", "python"),
		b.Link("bin/python"+short, "python"),
		b.Link("lib64", "lib"),
		b.Dir(wheel.Site(short)),
	)
	if err != nil {
		return tree.Tree{}, err
	}
	return b.Build(ctx, c.Store)
}

// runModuleNames keeps a source's files but empties the modules below its directories.
func runModuleNames(ctx context.Context, c engine.NativeCall) (tree.Tree, error) {
	b := tree.NewBuilder()
	empty, err := c.Store.Put(ctx, nil)
	if err != nil {
		return tree.Tree{}, err
	}
	err = tree.Walk(ctx, c.Store, c.Inputs[0], func(p string, e tree.Entry) error {
		p = strings.TrimPrefix(p, "/")
		switch {
		case e.Kind == tree.KindLink:
			return b.Link(p, e.Target)
		case e.Kind == tree.KindDir && e.Tree == tree.Empty && p != "":
			return b.Dir(p)
		case e.Kind == tree.KindDir:
			return nil
		case strings.Contains(p, "/") && strings.HasSuffix(p, ".py"):
			return b.File(p, empty, false)
		}
		return b.File(p, e.Digest, e.Executable)
	})
	if err != nil {
		return tree.Tree{}, err
	}
	return b.Build(ctx, c.Store)
}

// scriptParams is a script of ours, which actions run. Its text is a parameter, so that a change of it is seen.
type scriptParams struct {
	Name string `json:"name"`
	Text string `json:"text"`
}

func runScript(ctx context.Context, c engine.NativeCall) (tree.Tree, error) {
	p, err := params[scriptParams](c)
	if err != nil {
		return tree.Tree{}, err
	}
	d, err := c.Store.Put(ctx, []byte(p.Text))
	if err != nil {
		return tree.Tree{}, err
	}
	b := tree.NewBuilder()
	if err := b.File(p.Name, d, false); err != nil {
		return tree.Tree{}, err
	}
	return b.Build(ctx, c.Store)
}

// scriptsAt is where actions find our scripts.
const scriptsAt = "/build/hewn"

// scriptLayer mounts a script at scriptsAt/name.
func scriptLayer(name, text string) engine.Layer {
	return engine.Layer{Step: engine.NativeStatic(name, script, scriptParams{Name: name, Text: text}).Step, At: scriptsAt}
}
