package node

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"path"
	"strings"
	"unicode"

	"github.com/bluekeyes/go-gitdiff/gitdiff"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/engine"
	"hewn.example/hewn/internal/lock/pnpm"
	"hewn.example/hewn/internal/store"
	"hewn.example/hewn/internal/tree"
)

// patchDef applies a patch file to a package as pnpm does.
var patchDef = engine.NativeDef{Name: "pnpm-patch", Version: 1, Run: patchPackage}

const (
	maxPatch   = 64 << 20 // of a patch, and of a file that it changes
	maxDrift   = 20       // how many lines away from its place a change is looked for
	modeExec   = 0o100
	patchInput = 1
)

type patchParams struct {
	File string `json:"file"` // the patch, in the second input
}

// patched is a package with the patch that its snapshot names by hash.
func (a *pnpmAssembler) patched(s engine.Step, sn *pnpm.Snapshot) (engine.Step, error) {
	for _, patch := range a.patches {
		if patch.Hash == sn.PatchHash {
			pkg := a.pkg(sn.Key)
			file := engine.Select(a.opts.Dir.Step, patch.Path)
			label, params := pkg.Name+" "+pkg.Version+" patched", patchParams{File: patch.Path}
			files, ok1 := s.Static()
			text, ok2 := file.Static()
			if ok1 && ok2 {
				return engine.NativeStatic(label, patchDef, params, files, text).Step, nil
			}
			return engine.Native(label, patchDef, params, s, file), nil
		}
	}
	return s, diag.Inputf("pnpm-patch", "no patch has the hash %s, which `%s` is locked with", sn.PatchHash, sn.Package).
		At(diag.Position{File: a.lock.File, Line: sn.Line, Key: "snapshots." + sn.Key}).
		Hint("run `pnpm install --lockfile-only` in the project, and commit the lock")
}

func patchPackage(ctx context.Context, c engine.NativeCall) (tree.Tree, error) {
	var p patchParams
	if err := json.Unmarshal(c.Params, &p); err != nil {
		return tree.Tree{}, err
	}
	if len(c.Inputs) != 2 {
		return tree.Tree{}, fmt.Errorf("pnpm-patch: want two inputs, got %d", len(c.Inputs))
	}
	e, err := tree.Lookup(ctx, c.Store, c.Inputs[patchInput], p.File)
	if err != nil {
		return tree.Tree{}, err
	}
	text, err := store.ReadBlob(ctx, c.Store, e.Digest, maxPatch)
	if err != nil {
		return tree.Tree{}, err
	}
	m := &patcher{ctx: ctx, store: c.Store, files: map[string]packed{}}
	if err := m.load(c.Inputs[0]); err != nil {
		return tree.Tree{}, err
	}
	if err := m.apply(text); err != nil {
		return tree.Tree{}, diag.Inputf("pnpm-patch", "the patch does not fit the package").At(diag.Position{File: p.File}).Because(err)
	}
	return m.tree()
}

// patcher is a package while it is changed.
type patcher struct {
	ctx   context.Context
	store store.Store
	files map[string]packed
	links map[string]string
}

func (m *patcher) load(t tree.Tree) error {
	m.links = map[string]string{}
	return tree.Walk(m.ctx, m.store, t, func(p string, e tree.Entry) error {
		switch e.Kind {
		case tree.KindFile:
			m.files[p] = packed{e.Digest, e.Executable}
		case tree.KindLink:
			m.links[p] = e.Target
		}
		return nil
	})
}

func (m *patcher) tree() (tree.Tree, error) {
	b := tree.NewBuilder()
	for p, f := range m.files {
		if err := b.File(p, f.digest, f.exec); err != nil {
			return tree.Tree{}, err
		}
	}
	for p, to := range m.links {
		if err := b.Link(p, to); err != nil {
			return tree.Tree{}, err
		}
	}
	return b.Build(m.ctx, m.store)
}

func (m *patcher) apply(text []byte) error {
	changes, err := parsePatch(text)
	if err != nil {
		return err
	}
	for _, f := range changes {
		if err := m.change(f); err != nil {
			return err
		}
	}
	return nil
}

// parsePatch reads a patch. Line ends of the file itself do not count.
func parsePatch(text []byte) ([]*gitdiff.File, error) {
	changes, _, err := gitdiff.Parse(bytes.NewReader(bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n"))))
	if err != nil {
		return nil, err
	}
	for _, f := range changes {
		for _, name := range []string{f.OldName, f.NewName} {
			if name != "" && (path.IsAbs(name) || path.Clean(name) != name || name == ".." || strings.HasPrefix(name, "../") || strings.ContainsRune(name, 0)) {
				return nil, fmt.Errorf("%q is no path of a package", name)
			}
		}
		if f.IsBinary {
			return nil, fmt.Errorf("%s is a binary file", f.NewName+f.OldName)
		}
	}
	return changes, nil
}

func (m *patcher) change(f *gitdiff.File) error {
	if f.IsNew {
		if _, ok := m.files[f.NewName]; ok {
			return fmt.Errorf("%s is there already", f.NewName)
		}
		return m.put(f.NewName, added(f), f.NewMode&modeExec != 0)
	}
	old, ok := m.files[f.OldName]
	if !ok {
		return fmt.Errorf("there is no file %s", f.OldName)
	}
	if f.IsDelete || f.IsRename {
		delete(m.files, f.OldName)
	}
	if f.IsDelete {
		return nil
	}
	if f.NewMode != 0 {
		old.exec = f.NewMode&modeExec != 0
	}
	if len(f.TextFragments) == 0 {
		m.files[f.NewName] = old
		return nil
	}
	b, err := store.ReadBlob(m.ctx, m.store, old.digest, maxPatch)
	if err != nil {
		return err
	}
	text, err := patchText(string(b), f.TextFragments)
	if err != nil {
		return fmt.Errorf("%s: %w", f.OldName, err)
	}
	return m.put(f.NewName, text, old.exec)
}

func (m *patcher) put(name, text string, exec bool) error {
	d, err := m.store.Put(m.ctx, []byte(text))
	m.files[name] = packed{d, exec}
	return err
}

func added(f *gitdiff.File) string {
	var b strings.Builder
	for _, h := range f.TextFragments {
		for _, l := range h.Lines {
			b.WriteString(l.Line)
		}
	}
	return b.String()
}

// patchText changes a file. As with pnpm a change may be up to maxDrift lines away from where it says, each change by
// itself, and white space at the ends of lines does not count.
func patchText(text string, changes []*gitdiff.TextFragment) (string, error) {
	lines := strings.Split(text, "\n")
	var out []string
	next := 0 // the first line that has not been taken over
	endless, ended := false, false
	for i, h := range changes {
		at, ok := findChange(lines, h)
		if !ok || at < next {
			return "", fmt.Errorf("change %d, at line %d, does not fit", i+1, h.OldPosition)
		}
		out = append(out, lines[next:at]...)
		next = at
		for _, l := range h.Lines {
			body, whole := strings.CutSuffix(l.Line, "\n")
			switch l.Op {
			case gitdiff.OpContext:
				out = append(out, lines[next])
				next++
			case gitdiff.OpDelete:
				next++
				ended = ended || !whole
			case gitdiff.OpAdd:
				out = append(out, body)
				endless = endless || !whole
			}
		}
	}
	out = append(out, lines[next:]...)
	if ended {
		out = append(out, "")
	}
	if endless && len(out) > 0 {
		out = out[:len(out)-1]
	}
	return strings.Join(out, "\n"), nil
}

// findChange finds the line at which a change fits, nearest to its own place.
func findChange(lines []string, h *gitdiff.TextFragment) (int, bool) {
	for drift := 0; ; {
		if at := int(h.OldPosition) - 1 + drift; at >= 0 && len(lines)-at >= int(h.OldLines) && fits(lines[at:], h) {
			return at, true
		}
		if drift < 0 {
			drift = -drift
		} else {
			drift = -drift - 1
		}
		if drift < -maxDrift {
			return 0, false
		}
	}
}

func fits(lines []string, h *gitdiff.TextFragment) bool {
	i := 0
	for _, l := range h.Lines {
		if l.Op == gitdiff.OpAdd {
			continue
		}
		if i == len(lines) || strings.TrimRightFunc(lines[i], unicode.IsSpace) != strings.TrimRightFunc(l.Line, unicode.IsSpace) {
			return false
		}
		i++
	}
	return true
}
