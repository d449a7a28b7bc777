package pnpm

import (
	"bufio"
	"bytes"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// Workspace is what pnpm-workspace.yaml and .npmrc say of where packages are laid out. Nil and zero mean that nothing is said.
type Workspace struct {
	NodeLinker                 string // isolated, hoisted or pnp
	HoistPattern               []string
	PublicHoistPattern         []string
	Hoist                      *bool
	ShamefullyHoist            *bool
	HoistWorkspacePackages     *bool
	DedupeDirectDeps           *bool
	PreferSymlinkedExecutables *bool
	VirtualStoreDirMaxLength   int
	Others                     map[string]int // other settings, with their lines
	File                       string
}

// ParseWorkspace reads a pnpm-workspace.yaml.
func ParseWorkspace(file string, b []byte) (*Workspace, error) {
	r := &reader{file: file}
	w := &Workspace{Others: map[string]int{}, File: file}
	b = bytes.ReplaceAll(bytes.TrimPrefix(b, []byte("\xef\xbb\xbf")), []byte("\r\n"), []byte("\n"))
	if line := tooDeep(b); line > 0 || len(b) > 1<<20 {
		return nil, r.problem("workspace-syntax", int32(line), "", "the file is too large, or nested too deep")
	}
	f, err := parseYAML(b)
	if err != nil {
		return nil, r.problem("workspace-syntax", 0, "", "this is not YAML: %v", err)
	}
	var root ast.Node
	if len(f.Docs) > 0 {
		root = f.Docs[0].Body
	}
	if _, ok := root.(*ast.CommentGroupNode); ok {
		root = nil
	}
	top, err := r.pairs(fromAST(root, 0), "")
	if err != nil {
		return nil, err
	}
	for _, p := range top {
		if err := r.setting(w, p); err != nil {
			return nil, err
		}
	}
	return w, nil
}

func (r *reader) setting(w *Workspace, p pair) (err error) {
	on := func(to **bool) error {
		b, err := r.flag(p, "")
		*to = &b
		return err
	}
	switch p.key {
	case "nodeLinker":
		w.NodeLinker, err = r.text(p, "")
	case "hoistPattern":
		w.HoistPattern, err = r.texts(p, "")
	case "publicHoistPattern":
		w.PublicHoistPattern, err = r.texts(p, "")
	case "hoist":
		err = on(&w.Hoist)
	case "shamefullyHoist":
		err = on(&w.ShamefullyHoist)
	case "hoistWorkspacePackages":
		err = on(&w.HoistWorkspacePackages)
	case "dedupeDirectDeps":
		err = on(&w.DedupeDirectDeps)
	case "preferSymlinkedExecutables":
		err = on(&w.PreferSymlinkedExecutables)
	case "virtualStoreDirMaxLength":
		var s string
		if s, err = r.text(p, ""); err == nil {
			if w.VirtualStoreDirMaxLength, err = strconv.Atoi(s); err != nil || w.VirtualStoreDirMaxLength < 34 {
				return r.problem("workspace-value", p.line, p.key, "%q is not a length that leaves room for a hash", s)
			}
		}
	default:
		w.Others[p.key] = int(p.line)
	}
	return err
}

// NPMRC adds what an .npmrc says and w does not: pnpm 10 reads these settings from there as well.
func (w *Workspace) NPMRC(b []byte) {
	lists := map[string][]string{}
	s := bufio.NewScanner(bytes.NewReader(b))
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		key, value, _ := strings.Cut(s.Text(), "=")
		key, value = strings.TrimSpace(key), strings.Trim(strings.TrimSpace(value), `"'`)
		flag := func(to **bool) {
			if b := value == "true"; *to == nil && (b || value == "false") {
				*to = &b
			}
		}
		switch key {
		case "node-linker":
			if w.NodeLinker == "" {
				w.NodeLinker = value
			}
		case "hoist-pattern[]", "public-hoist-pattern[]", "hoist-pattern", "public-hoist-pattern":
			key = strings.TrimSuffix(key, "[]")
			lists[key] = append(lists[key], value)
		case "hoist":
			flag(&w.Hoist)
		case "shamefully-hoist":
			flag(&w.ShamefullyHoist)
		case "hoist-workspace-packages":
			flag(&w.HoistWorkspacePackages)
		case "dedupe-direct-deps":
			flag(&w.DedupeDirectDeps)
		case "prefer-symlinked-executables":
			flag(&w.PreferSymlinkedExecutables)
		case "virtual-store-dir-max-length":
			if n, err := strconv.Atoi(value); err == nil && n >= 34 && w.VirtualStoreDirMaxLength == 0 {
				w.VirtualStoreDirMaxLength = n
			}
		}
	}
	if l, ok := lists["hoist-pattern"]; ok && w.HoistPattern == nil {
		w.HoistPattern = l
	}
	if l, ok := lists["public-hoist-pattern"]; ok && w.PublicHoistPattern == nil {
		w.PublicHoistPattern = l
	}
}
