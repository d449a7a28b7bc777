package node

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/engine"
	"hewn.example/hewn/internal/lock/npm"
	"hewn.example/hewn/internal/tree"
)

// Scripts says which packages' install scripts are run, and where. Every package that runs any is an action of its own,
// without network, in which the packages lie that it needs.
type Scripts struct {
	Allow  []string       // names of packages, or name@version; of all others no script is ever run
	At     string         // where the project will lie, absolute
	Layers []engine.Layer // what the scripts run on: a shell, libraries, compilers, Node.js as Toolchain gives it
}

// Installed is a package of a layout, as far as install scripts go.
type Installed struct {
	Name, Version string // as the registry has them
	Path          string // where it lies in the layout
	Has           bool   // the lock says that it has install scripts

	// Files has the package's own files, at Within. It is zero where they are none of an archive: nothing is run then.
	Files  engine.Static
	Within string
	Needs  []string          // places of the packages that it needs
	Beside []string          // what else of the layout belongs to it: links and commands, which need not be there
	Env    map[string]string // what the tool tells of the package's entry: npm_package_resolved, …
}

// scriptSet is the install scripts of one layout.
type scriptSet struct {
	Scripts
	lock     string // the lock's name, for messages
	packages map[string]*Installed
	modules  engine.Step
	done     []builtPackage
	visited  map[string]bool
	ask      *engine.Ask
}

// builtPackage is a package whose scripts are a step.
type builtPackage struct {
	path string
	step engine.Step
}

// RunScripts gives modules with the packages replaced whose install scripts o allows, by what these scripts make of
// them. What has scripts and is not allowed is noted. lock is the lock's name, for messages. known are the names of all
// packages of the lock, for those that this platform does not get.
func RunScripts(ctx context.Context, ask *engine.Ask, modules engine.Step, list []Installed, known []string, lock string, o Scripts) (engine.Step, error) {
	s := &scriptSet{Scripts: o, lock: lock, packages: map[string]*Installed{}, modules: modules, visited: map[string]bool{}, ask: ask}
	if err := s.check(list, known); err != nil {
		return engine.Step{}, err
	}
	var skipped []string
	for i := range list {
		p := &list[i]
		s.packages[p.Path] = p
		if p.Has && !s.allowed(p) {
			skipped = append(skipped, p.Name+"@"+p.Version)
		}
	}
	noteSkipped(ask, skipped)
	if len(s.Allow) == 0 {
		return modules, nil
	}
	for _, at := range slices.Sorted(maps.Keys(s.packages)) {
		if s.allowed(s.packages[at]) {
			if err := s.build(ctx, s.packages[at]); err != nil {
				return engine.Step{}, err
			}
		}
	}
	return s.with("node_modules", modules, func(builtPackage) bool { return true }), nil
}

// maxSkipped is how many packages the note names.
const maxSkipped = 20

func noteSkipped(ask *engine.Ask, names []string) {
	slices.Sort(names)
	names = slices.Compact(names)
	if len(names) == 0 {
		return
	}
	text := strings.Join(names[:min(len(names), maxSkipped)], ", ")
	if more := len(names) - maxSkipped; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	ask.Note("install scripts are skipped of %s; `allow_scripts` of node.modules names those that shall run", text)
}

func (s *scriptSet) allowed(p *Installed) bool {
	return !p.Files.IsZero() && (slices.Contains(s.Allow, p.Name) || slices.Contains(s.Allow, p.Name+"@"+p.Version))
}

// check refuses names that no package of the lock has, and scripts that have nothing to run on.
func (s *scriptSet) check(list []Installed, known []string) error {
	there := map[string]bool{}
	for _, p := range list {
		if !p.Files.IsZero() {
			there[p.Name], there[p.Name+"@"+p.Version] = true, true
		}
	}
	for _, name := range s.Allow {
		if !there[name] && !slices.Contains(known, name) {
			return diag.Inputf("npm-scripts", "`allow_scripts` names `%s`, but the lock has no such package", name).
				At(diag.Position{File: s.lock}).
				Hint("write the name, or name@version, of a package that comes from an archive")
		}
	}
	if len(s.Allow) > 0 && len(s.Layers) == 0 {
		return diag.Inputf("npm-scripts", "install scripts need something to run on").
			Hint("give node.modules a `build_root` (debian.root(…) with a shell, and a compiler if one is needed) and a `toolchain` (node.toolchain(…))")
	}
	return nil
}

// installManifest is what is read of a package.json for its scripts.
type installManifest struct {
	Scripts map[string]any  `json:"scripts"`
	GypFile *bool           `json:"gypfile"`
	Config  json.RawMessage `json:"config"`
	Engines json.RawMessage `json:"engines"`
	Bin     json.RawMessage `json:"bin"`
}

// lifecycle is one script.
type lifecycle struct{ event, command string }

// scripts gives the package's install scripts in their order, and its manifest.
func (s *scriptSet) scripts(ctx context.Context, p *Installed) ([]lifecycle, installManifest, error) {
	var m installManifest
	b, err := s.ask.Read(ctx, p.Files, path.Join(p.Within, "package.json"))
	if errors.Is(err, tree.ErrNotExist) {
		return nil, m, nil
	}
	if err != nil {
		return nil, m, err
	}
	var typ *json.UnmarshalTypeError
	if err := json.Unmarshal(b, &m); err != nil && !errors.As(err, &typ) { // what has another type is not there for npm
		return nil, m, diag.Inputf("package-json", "this is not JSON").At(diag.Position{File: p.Path + "/package.json"}).Because(err)
	}
	command := func(event string) string { text, _ := m.Scripts[event].(string); return text }
	gyp := false
	if (m.GypFile == nil || *m.GypFile) && command("install") == "" && command("preinstall") == "" {
		if gyp, err = s.ask.Exists(ctx, p.Files, path.Join(p.Within, "binding.gyp")); err != nil {
			return nil, m, err
		}
	}
	var out []lifecycle
	for _, event := range []string{"preinstall", "install", "postinstall"} {
		text := command(event)
		if event == "install" && gyp {
			text = "node-gyp rebuild"
		}
		if text != "" {
			out = append(out, lifecycle{event, text})
		}
	}
	return out, m, nil
}

// needed is everything that p reaches, itself included, with what lies in it.
func (s *scriptSet) needed(p *Installed) map[string]bool {
	in := map[string]bool{p.Path: true}
	queue := []string{p.Path}
	for k := 0; k < len(queue); k++ {
		for _, at := range s.packages[queue[k]].Needs {
			if s.packages[at] != nil && !in[at] {
				in[at] = true
				queue = append(queue, at)
			}
		}
	}
	return in
}

// build makes the step of a package, after those of all that it needs. Where packages need each other, the one that is
// met first goes last.
func (s *scriptSet) build(ctx context.Context, p *Installed) error {
	if s.visited[p.Path] {
		return nil
	}
	s.visited[p.Path] = true
	seen := s.needed(p)
	for _, at := range slices.Sorted(maps.Keys(s.packages)) {
		q := s.packages[at]
		inside := strings.HasPrefix(at, p.Path+"/")
		around := strings.HasPrefix(p.Path, at+"/")
		if q != p && s.allowed(q) && (inside || seen[at] && !around) {
			if err := s.build(ctx, q); err != nil {
				return err
			}
		}
	}
	scripts, m, err := s.scripts(ctx, p)
	if err != nil || len(scripts) == 0 {
		return err
	}
	s.done = append(s.done, builtPackage{p.Path, s.step(p, scripts, m, seen)})
	return nil
}

// with is a layout with the results of those packages in their places that are wanted.
func (s *scriptSet) with(label string, layout engine.Step, want func(builtPackage) bool) engine.Step {
	for _, b := range s.done {
		if want(b) {
			layout = engine.Merge(label, engine.Part{Step: engine.Remove(layout, b.path), At: "/"}, engine.Part{Step: b.step, At: "/" + b.path})
		}
	}
	return layout
}

// visible is the part of the layout that the packages at seen are.
func (s *scriptSet) visible(p *Installed, seen map[string]bool) engine.Step {
	var paths []string
	for at := range seen {
		paths = append(paths, at)
		for _, b := range s.packages[at].Beside {
			paths = append(paths, b+"?")
		}
	}
	paths = slices.DeleteFunc(paths, func(at string) bool { // what lies in another package comes with it
		for dir := path.Dir(at); dir != "."; dir = path.Dir(dir) {
			if seen[dir] {
				return true
			}
		}
		return false
	})
	layout := engine.Select(s.modules, paths...)
	return s.with("packages for "+p.Name, layout, func(b builtPackage) bool {
		return slices.ContainsFunc(paths, func(at string) bool { return at == b.path || strings.HasPrefix(b.path, at+"/") })
	})
}

func (s *scriptSet) step(p *Installed, scripts []lifecycle, m installManifest, seen map[string]bool) engine.Step {
	layers := slices.Clone(s.Layers)
	layers = append(layers, engine.Layer{Step: s.visible(p, seen), At: path.Clean(s.At)})
	at := path.Join(s.At, p.Path)
	run := engine.Run("install scripts of "+p.Name+" "+p.Version, engine.Command{
		Args: []string{"/bin/sh", "-ec", driver(p, scripts)}, Dir: at, Env: s.env(p, m, at), Layers: layers, Outputs: []string{at},
	})
	return engine.Sub(run, strings.TrimPrefix(at, "/"))
}

// driver runs scripts one after the other, each in a shell of its own, as npm does.
func driver(p *Installed, scripts []lifecycle) string {
	var b strings.Builder
	for _, l := range scripts {
		fmt.Fprintf(&b, "printf '%%s\\n' '' %s %s ''\n", quote("> "+p.Name+"@"+p.Version+" "+l.event), quote("> "+strings.ReplaceAll(strings.TrimSpace(l.command), "\n", "\n> ")))
		fmt.Fprintf(&b, "npm_lifecycle_event=%s npm_lifecycle_script=%s /bin/sh -c %s\n", l.event, quote(l.command), quote(l.command))
	}
	return b.String()
}

const npmAt = "/usr/local/lib/node_modules/npm"

// env is what npm sets for the scripts of a package, but for what tells of the machine.
func (s *scriptSet) env(p *Installed, m installManifest, at string) map[string]string {
	env := map[string]string{
		"INIT_CWD": path.Clean(s.At), "NODE": "/usr/local/bin/node", "npm_node_execpath": "/usr/local/bin/node",
		"npm_execpath": npmAt + "/bin/npm-cli.js", "npm_command": "ci", "COLOR": "0", "EDITOR": "vi",
		"npm_config_user_agent":  "npm/0 node/0 linux x64 workspaces/false",
		"npm_config_node_gyp":    npmAt + "/node_modules/node-gyp/bin/node-gyp.js",
		"npm_config_nodedir":     "/usr/local",
		"npm_config_prefix":      "/usr/local",
		"npm_config_cache":       "/tmp/npm-cache",
		"npm_config_noproxy":     "",
		"npm_config_init_module": "/tmp/npm-init.js",
		"npm_package_name":       p.Name, "npm_package_version": p.Version, "npm_package_json": at + "/package.json",
	}
	env["npm_config_local_prefix"], env["npm_config_global_prefix"] = env["INIT_CWD"], env["npm_config_prefix"]
	for what, raw := range map[string]json.RawMessage{"config": m.Config, "engines": m.Engines} {
		var v any
		d := json.NewDecoder(bytes.NewReader(raw))
		d.UseNumber()
		if d.Decode(&v) == nil && v != nil {
			packageEnv(env, "npm_package_"+what, v)
		}
	}
	for _, b := range npm.Bins(p.Name, m.Bin) {
		env["npm_package_bin_"+b.Name] = b.File
	}
	maps.Copy(env, p.Env)
	var dirs []string
	for dir := at; ; dir = path.Dir(dir) {
		dirs = append(dirs, path.Join(dir, "node_modules/.bin"))
		if dir == "/" {
			break
		}
	}
	dirs = append(dirs, npmAt+"/node_modules/@npmcli/run-script/lib/node-gyp-bin", "/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
	env["PATH"] = strings.Join(dirs, ":")
	return env
}

// packageEnv is how npm makes variables of a value in a package.json.
func packageEnv(env map[string]string, name string, v any) {
	switch v := v.(type) {
	case nil:
		env[name] = ""
	case bool:
		if env[name] = ""; v {
			env[name] = "true"
		}
	case []any:
		for i, w := range v {
			packageEnv(env, fmt.Sprintf("%s_%d", name, i), w)
		}
	case map[string]any:
		for k, w := range v {
			if k != "" && !strings.ContainsAny(k, "=\x00") {
				packageEnv(env, name+"_"+k, w)
			}
		}
	default:
		if text := fmt.Sprint(v); !strings.ContainsRune(text, 0) {
			env[name] = text
		}
	}
}
