package cli

import (
	"crypto/sha256"
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/digest"
	"hewn.example/hewn/internal/image/layers"
	"hewn.example/hewn/internal/pins"
	"hewn.example/hewn/internal/recipe"
	"hewn.example/hewn/internal/source"
	"hewn.example/hewn/internal/workspace"
	"hewn.example/hewn/recipes"
)

// place is a settled reference: a workspace, the recipe that it builds, and a target of it.
type place struct {
	ws     *workspace.Config
	recipe string // bundled name or absolute directory
	fsys   fs.FS  // the recipe's files
	target string // empty: the recipe's default
	ref    string // what was typed for the recipe; empty for the working directory

	image  bool // an image is asked for: without a target, the recipe's default image
	images imageChoice
	loaded *recipe.Recipe
}

// imageChoice is what the flags of `hewn image` decide about the images of a recipe.
type imageChoice struct {
	compression string // in place of the recipe's
	unplanned   bool   // leave layers.lock aside, and cut as the recipe does
}

// refer settles a reference. What lies on disk decides: a directory with a hewn.toml is a workspace, one with a
// recipe.star a recipe without one; any other word is the name of a bundled recipe.
func (c *command) refer(ref string) (*place, error) {
	name, target, _ := strings.Cut(ref, ":")
	p := &place{target: target, ref: name}
	if name == "" {
		name = "."
	}
	dir := c.abs(name)
	if st, err := os.Stat(dir); err == nil && st.IsDir() {
		return p, c.referDir(p, dir)
	}
	if _, err := fs.Stat(recipes.FS, name); err == nil && name != "." && fs.ValidPath(name) {
		ws, err := c.workspaceFor(c.sys.Dir)
		if err != nil {
			return nil, err
		}
		p.ws = ws
		return p, p.bundled(name)
	}
	return nil, diag.Inputf("reference", "`%s` is neither a directory nor a bundled recipe", name).
		Hint("bundled recipes: %s", strings.Join(bundledNames(), ", "))
}

func (c *command) referDir(p *place, dir string) error {
	if isFile(filepath.Join(dir, recipe.MainFile)) && !isFile(filepath.Join(dir, workspace.FileName)) {
		p.ws = &workspace.Config{Dir: dir, Recipe: dir}
		p.recipe, p.fsys = dir, os.DirFS(dir)
		return nil
	}
	ws, err := c.workspaceFor(dir)
	if err != nil {
		return err
	}
	p.ws = ws
	switch {
	case ws.Recipe == "":
		if ws.Dir == "" || !isFile(filepath.Join(ws.Dir, recipe.MainFile)) {
			return diag.Inputf("recipe-missing", "nothing says which recipe to build").
				At(diag.Position{File: filepath.Join(dir, workspace.FileName), Key: "recipe"}).
				Hint("write `recipe = \"authentik\"`, or the directory of a recipe of your own, into hewn.toml")
		}
		p.recipe, p.fsys = ws.Dir, os.DirFS(ws.Dir)
	case filepath.IsAbs(ws.Recipe):
		p.recipe, p.fsys = ws.Recipe, os.DirFS(ws.Recipe)
	default:
		return p.bundled(ws.Recipe)
	}
	return nil
}

// workspaceFor finds the workspace that dir lies in; without one it is dir itself, with nothing configured.
func (c *command) workspaceFor(dir string) (*workspace.Config, error) {
	root, err := workspace.Find(dir)
	if errors.Is(err, workspace.ErrNone) {
		return &workspace.Config{Dir: dir}, nil
	}
	if err != nil {
		return nil, err
	}
	return workspace.Load(root)
}

func (p *place) bundled(name string) error {
	sub, err := fs.Sub(recipes.FS, name)
	if err == nil {
		_, err = fs.Stat(sub, recipe.MainFile)
	}
	if err != nil {
		return diag.Inputf("recipe-missing", "there is no bundled recipe `%s`", name).
			Hint("bundled recipes: %s", strings.Join(bundledNames(), ", "))
	}
	p.recipe, p.fsys = name, sub
	return nil
}

func bundledNames() []string {
	var out []string
	entries, _ := fs.ReadDir(recipes.FS, ".")
	for _, e := range entries {
		if e.IsDir() {
			out = append(out, e.Name())
		}
	}
	return out
}

func isFile(p string) bool {
	st, err := os.Stat(p)
	return err == nil && st.Mode().IsRegular()
}

// load evaluates the recipe once and settles the default target.
func (p *place) load() (*recipe.Recipe, error) {
	if p.loaded != nil {
		return p.loaded, nil
	}
	settings := recipe.ImageSettings{Compression: p.images.compression}
	if !p.images.unplanned {
		plan, err := p.layerPlan()
		if err != nil {
			return nil, err
		}
		settings.Layers = plan.Plans()
	}
	configured := map[string]bool{}
	for name := range p.ws.Source {
		configured[name] = true
	}
	r, err := recipe.Load(p.fsys, recipe.Options{Name: p.recipe, Vars: p.ws.Vars, Images: settings, Configured: configured})
	if err != nil {
		return nil, err
	}
	for name := range p.ws.Source {
		if _, ok := r.Sources[name]; !ok {
			return nil, r.UnknownSource(name).At(workspace.Locate(filepath.Join(p.ws.Dir, workspace.FileName), p.ws.Raw, "source."+name))
		}
	}
	p.loaded = r
	return r, nil
}

func (p *place) lockFile() string { return filepath.Join(p.ws.Dir, pins.LockName) }

// lockBytes reads the workspace's sources.lock; nil where there is none.
func (p *place) lockBytes() ([]byte, error) {
	b, err := os.ReadFile(p.lockFile())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, diag.Inputf("lock-unreadable", "cannot read `%s`", p.lockFile()).Because(err)
	}
	return b, nil
}

func (p *place) layersFile() string { return filepath.Join(p.ws.Dir, layers.LockName) }

// layersBytes reads the workspace's layers.lock; nil where there is none.
func (p *place) layersBytes() ([]byte, error) {
	b, err := os.ReadFile(p.layersFile())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, diag.Inputf("lock-unreadable", "cannot read `%s`", p.layersFile()).Because(err)
	}
	return b, nil
}

// layerPlan parses the workspace's layers.lock; one that does not exist is empty.
func (p *place) layerPlan() (*layers.File, error) {
	b, err := p.layersBytes()
	if err != nil || b == nil {
		return &layers.File{}, err
	}
	return layers.Parse(p.layersFile(), b)
}

// lock parses the workspace's sources.lock; one that does not exist is empty.
func (p *place) lock() (*pins.Lock, error) {
	b, err := p.lockBytes()
	if err != nil || b == nil {
		return pins.NewLock(p.lockFile()), err
	}
	return pins.ParseLock(p.lockFile(), b)
}

// pinnedBy says which file pins an artifact: sources.lock, or a lock that the ecosystem keeps in the source.
func (p *place) pinnedBy(a source.Artifact) string {
	if l, err := p.lock(); err == nil {
		if sets := l.SetsOf(a); len(sets) > 0 {
			return p.lockFile() + ", " + strings.Join(sets, ", ")
		}
	}
	return "the lock of the source"
}

// recipeDigest is the digest of the recipe's files, without evaluating them.
func (p *place) recipeDigest() (digest.Digest, error) { return recipe.Digest(p.fsys, p.recipe) }

// buildID identifies this very program: from the note that Go's linker writes, so that `go run` and a developer's edit
// are never stale, or from the file itself where there is no such note.
func buildID() string {
	exe, err := os.Executable()
	if err != nil {
		return "unknown"
	}
	if f, err := elf.Open(exe); err == nil {
		defer f.Close()
		if s := f.Section(".note.go.buildid"); s != nil {
			if b, err := s.Data(); err == nil {
				return fmt.Sprintf("%x", sha256.Sum256(b))
			}
		}
	}
	st, err := os.Stat(exe)
	if err != nil {
		return "unknown"
	}
	return fmt.Sprintf("%d-%d", st.Size(), st.ModTime().UnixNano())
}

// programVersion is what `hewn version` prints.
func programVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	v := info.Main.Version
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			v += " " + s.Value[:12]
		}
	}
	return v
}
