package pnpm

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"hewn.example/hewn/internal/diag"
)

// Workspace is what pnpm-workspace.yaml, package.json and .npmrc say of where packages are laid out, and of what the lock has
// to agree with. Nil and zero mean that nothing is said.
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
	HoistingLimits             string // none, workspaces or dependencies
	Supported                  Architectures

	Projects          []string // patterns of `packages`
	Overrides         []Pair   // selector -> version
	Patches           []Pair   // `name` or `name@version` -> path of the patch file
	Catalogs          []Catalog
	PackageExtensions any // as encoding/json would have it
	IgnoredOptional   []string
	OnlyBuilt         []string // packages whose install scripts run
	IgnoredBuilt      []string // packages whose install scripts do not run
	AllBuilds         bool     // all install scripts run

	AutoInstallPeers         *bool
	ExcludeLinksFromLockfile *bool
	InjectWorkspacePackages  *bool
	PeersSuffixMaxLength     int

	Others map[string]int // other settings, with their lines
	File   string
}

// Architectures are the platforms whose optional packages are installed; "current" stands for the one at hand.
type Architectures struct{ OS, CPU, Libc []string }

// ParseWorkspace reads a pnpm-workspace.yaml.
func ParseWorkspace(file string, b []byte) (*Workspace, error) {
	w := &Workspace{Others: map[string]int{}, File: file}
	b = bytes.ReplaceAll(bytes.TrimPrefix(b, []byte("\xef\xbb\xbf")), []byte("\r\n"), []byte("\n"))
	return w, w.read(file, b)
}

// fromManifest are the settings that pnpm 10 reads from package.json.
var fromManifest = []string{
	"allowBuilds", "ignoredBuiltDependencies", "ignoredOptionalDependencies", "neverBuiltDependencies", "onlyBuiltDependencies", "overrides",
	"packageExtensions", "patchedDependencies", "supportedArchitectures",
}

// Manifest puts what the field `pnpm` of the package.json at the lock says in the place of what pnpm-workspace.yaml does,
// as pnpm 10 has it. `resolutions` count as overrides.
func (w *Workspace) Manifest(file string, b []byte) error {
	var m struct {
		PNPM        map[string]json.RawMessage `json:"pnpm"`
		Resolutions map[string]string          `json:"resolutions"`
	}
	if err := json.Unmarshal(b, &m); err != nil {
		return diag.Inputf("package-json", "`pnpm` and `resolutions` cannot be read").At(diag.Position{File: file}).Because(err)
	}
	before := w.Overrides
	for _, key := range fromManifest {
		raw, ok := m.PNPM[key]
		if !ok {
			continue
		}
		var text bytes.Buffer
		fmt.Fprintf(&text, "{%q:", key)
		if err := json.Compact(&text, raw); err != nil {
			return err
		}
		text.WriteByte('}')
		switch key {
		case "overrides":
			w.Overrides = nil
		case "onlyBuiltDependencies", "neverBuiltDependencies", "ignoredBuiltDependencies", "allowBuilds":
			w.OnlyBuilt, w.IgnoredBuilt = nil, nil
		}
		if err := w.read(file, text.Bytes()); err != nil {
			return err
		}
	}
	if m.PNPM["overrides"] == nil && len(m.Resolutions) > 0 {
		w.Overrides = nil
	}
	for _, key := range slices.Sorted(maps.Keys(m.Resolutions)) {
		if !slices.ContainsFunc(w.Overrides, func(o Pair) bool { return o.Key == key }) {
			w.Overrides = append(w.Overrides, Pair{key, m.Resolutions[key]})
		}
	}
	if len(w.Overrides) == 0 {
		w.Overrides = before
	}
	return nil
}

func (w *Workspace) read(file string, b []byte) error {
	r := &reader{file: file}
	if line := tooDeep(b); line > 0 || len(b) > 1<<20 {
		return r.problem("workspace-syntax", int32(line), "", "the file is too large, or nested too deep")
	}
	f, err := parseYAML(b)
	if err != nil {
		return r.problem("workspace-syntax", 0, "", "this is not YAML: %v", err)
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
		return err
	}
	for _, p := range top {
		if err := r.setting(w, p); err != nil {
			return err
		}
	}
	return nil
}

func (r *reader) setting(w *Workspace, p pair) (err error) {
	flags := map[string]**bool{
		"hoist": &w.Hoist, "shamefullyHoist": &w.ShamefullyHoist, "hoistWorkspacePackages": &w.HoistWorkspacePackages,
		"dedupeDirectDeps": &w.DedupeDirectDeps, "preferSymlinkedExecutables": &w.PreferSymlinkedExecutables,
		"autoInstallPeers": &w.AutoInstallPeers, "excludeLinksFromLockfile": &w.ExcludeLinksFromLockfile,
		"injectWorkspacePackages": &w.InjectWorkspacePackages,
	}
	lists := map[string]*[]string{
		"hoistPattern": &w.HoistPattern, "publicHoistPattern": &w.PublicHoistPattern, "ignoredOptionalDependencies": &w.IgnoredOptional,
	}
	if to, ok := flags[p.key]; ok {
		b, err := r.flag(p, "")
		*to = &b
		return err
	}
	if to, ok := lists[p.key]; ok {
		*to, err = r.texts(p, "")
		return err
	}
	switch p.key {
	case "packages":
		w.Projects, err = r.projects(p)
	case "nodeLinker":
		w.NodeLinker, err = r.text(p, "")
	case "hoistingLimits":
		w.HoistingLimits, err = r.text(p, "")
	case "virtualStoreDirMaxLength":
		w.VirtualStoreDirMaxLength, err = r.number(p, 34, "is not a length that leaves room for a hash")
	case "peersSuffixMaxLength":
		w.PeersSuffixMaxLength, err = r.number(p, 1, "is not a length")
	case "overrides":
		w.Overrides, err = r.strings(p)
	case "patchedDependencies":
		w.Patches, err = r.strings(p)
	case "packageExtensions":
		w.PackageExtensions = p.value.value()
	case "catalog", "catalogs":
		err = r.wantedCatalogs(w, p)
	case "supportedArchitectures":
		err = r.each(p, func(q pair, _ string) (err error) {
			switch q.key {
			case "os":
				w.Supported.OS, err = r.texts(q, p.key)
			case "cpu":
				w.Supported.CPU, err = r.texts(q, p.key)
			case "libc":
				w.Supported.Libc, err = r.texts(q, p.key)
			}
			return err
		})
	case "onlyBuiltDependencies", "ignoredBuiltDependencies", "neverBuiltDependencies", "allowBuilds", "dangerouslyAllowAllBuilds":
		err = r.builds(w, p)
	default:
		w.Others[p.key] = int(p.line)
	}
	return err
}

// projects reads patterns, about which pnpm is strict: a list, and no empty texts.
func (r *reader) projects(p pair) ([]string, error) {
	if p.value.kind == nothing {
		return nil, nil
	}
	if p.value.kind != list {
		return nil, r.problem("workspace-value", p.line, p.key, "this must be a list, not %s", p.value)
	}
	out, err := r.texts(p, "")
	if err == nil && slices.Contains(out, "") {
		err = r.problem("workspace-value", p.line, p.key, "a pattern is empty")
	}
	return out, err
}

func (r *reader) number(p pair, least int, otherwise string) (int, error) {
	s, err := r.text(p, "")
	if err != nil {
		return 0, err
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < least {
		return 0, r.problem("workspace-value", p.line, p.key, "%q %s", s, otherwise)
	}
	return n, nil
}

func (r *reader) wantedCatalogs(w *Workspace, p pair) error {
	one := func(name string, q pair) error {
		entries, err := r.strings(q)
		c := Catalog{Name: name}
		for _, e := range entries {
			c.Entries = append(c.Entries, CatalogEntry{Name: e.Key, Specifier: e.Value})
		}
		w.Catalogs = append(w.Catalogs, c)
		return err
	}
	if p.key == "catalog" {
		return one("default", p)
	}
	return r.each(p, func(q pair, _ string) error { return one(q.key, q) })
}

// builds reads whose install scripts run; what it is called depends on the version of pnpm.
func (r *reader) builds(w *Workspace, p pair) (err error) {
	var names []string
	switch p.key {
	case "dangerouslyAllowAllBuilds":
		w.AllBuilds, err = r.flag(p, "")
	case "allowBuilds":
		return r.each(p, func(q pair, _ string) error {
			switch {
			case q.value.kind != truth: // pnpm writes a sentence there until somebody has decided
			case q.value.text == "true":
				w.OnlyBuilt = append(w.OnlyBuilt, q.key)
			default:
				w.IgnoredBuilt = append(w.IgnoredBuilt, q.key)
			}
			return nil
		})
	case "onlyBuiltDependencies":
		names, err = r.texts(p, "")
		w.OnlyBuilt = append(w.OnlyBuilt, names...)
	default:
		names, err = r.texts(p, "")
		w.IgnoredBuilt = append(w.IgnoredBuilt, names...)
	}
	return err
}

// NPMRC adds what an .npmrc says and w does not: pnpm 10 reads these settings from there as well.
func (w *Workspace) NPMRC(b []byte) {
	lists := map[string][]string{}
	flags := map[string]**bool{
		"hoist": &w.Hoist, "shamefully-hoist": &w.ShamefullyHoist, "hoist-workspace-packages": &w.HoistWorkspacePackages,
		"dedupe-direct-deps": &w.DedupeDirectDeps, "prefer-symlinked-executables": &w.PreferSymlinkedExecutables,
		"auto-install-peers": &w.AutoInstallPeers, "exclude-links-from-lockfile": &w.ExcludeLinksFromLockfile,
		"inject-workspace-packages": &w.InjectWorkspacePackages,
	}
	s := bufio.NewScanner(bytes.NewReader(b))
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		key, value, _ := strings.Cut(s.Text(), "=")
		key, value = strings.TrimSpace(key), strings.Trim(strings.TrimSpace(value), `"'`)
		if to, ok := flags[key]; ok {
			if b := value == "true"; *to == nil && (b || value == "false") {
				*to = &b
			}
			continue
		}
		switch key {
		case "node-linker":
			if w.NodeLinker == "" {
				w.NodeLinker = value
			}
		case "hoist-pattern[]", "public-hoist-pattern[]", "hoist-pattern", "public-hoist-pattern":
			key = strings.TrimSuffix(key, "[]")
			lists[key] = append(lists[key], value)
		case "virtual-store-dir-max-length":
			if n, err := strconv.Atoi(value); err == nil && n >= 34 && w.VirtualStoreDirMaxLength == 0 {
				w.VirtualStoreDirMaxLength = n
			}
		case "peers-suffix-max-length":
			if n, err := strconv.Atoi(value); err == nil && w.PeersSuffixMaxLength == 0 {
				w.PeersSuffixMaxLength = n
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
