package node

import (
	"context"
	"encoding/json"
	"errors"
	"path"
	"slices"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/engine"
	"hewn.example/hewn/internal/lock/pnpm"
	"hewn.example/hewn/internal/tree"
)

const pnpmSettings = "pnpm-workspace.yaml"

// refused are settings under which node_modules looks in a way that is not made here.
var refused = []string{
	"modulesDir", "virtualStoreDir", "enableGlobalVirtualStore", "symlink", "enableModulesDir", "virtualStoreOnly", "packageConfigs",
}

// readSettings reads what the project says of its layout: pnpm-workspace.yaml, for pnpm 10 also package.json and .npmrc.
func (p *pnpmPlan) readSettings(ctx context.Context, ask *engine.Ask, dir engine.Static) error {
	files := map[string][]byte{}
	for _, name := range []string{pnpmSettings, ".npmrc", "package.json"} {
		b, err := ask.Read(ctx, dir, name)
		if err != nil && !errors.Is(err, tree.ErrNotExist) {
			return err
		}
		files[name] = b
	}
	w, err := pnpm.ParseWorkspace(dir.File(pnpmSettings), files[pnpmSettings])
	if err != nil {
		return err
	}
	if p.major == 10 {
		if err := w.Manifest(dir.File("package.json"), files["package.json"]); err != nil {
			return err
		}
		w.NPMRC(files[".npmrc"])
	}
	p.settings = w
	for _, name := range refused {
		if line, ok := w.Others[name]; ok {
			return diag.Inputf("pnpm-setting", "setting `%s` changes the layout in a way that cannot be made here", name).
				At(diag.Position{File: w.File, Line: line, Key: name})
		}
	}
	return p.applySettings(w)
}

func (p *pnpmPlan) applySettings(w *pnpm.Workspace) error {
	p.linker, p.maxLength = w.NodeLinker, w.VirtualStoreDirMaxLength
	if p.linker == "" {
		p.linker = "isolated"
	}
	if p.maxLength == 0 {
		p.maxLength = 120
	}
	if p.hoistPattern = w.HoistPattern; p.hoistPattern == nil {
		p.hoistPattern = []string{"*"}
	}
	if !isOn(w.Hoist, true) {
		p.hoistPattern = nil
	}
	if p.publicPattern = w.PublicHoistPattern; isOn(w.ShamefullyHoist, false) {
		p.publicPattern = []string{"*"}
	}
	p.dedupe, p.hoistWorkspace = isOn(w.DedupeDirectDeps, false), isOn(w.HoistWorkspacePackages, true)
	p.symlinkBins = isOn(w.PreferSymlinkedExecutables, p.linker == "hoisted")
	p.limits = w.HoistingLimits
	if p.limits != "" && p.major == 10 && p.linker == "hoisted" || !slices.Contains([]string{"", "none", "workspaces", "dependencies"}, p.limits) {
		return diag.Inputf("pnpm-setting", "`hoistingLimits: %s` is not known to pnpm %d", p.limits, p.major).
			At(diag.Position{File: w.File, Key: "hoistingLimits"})
	}
	p.allowed = map[string][]string{
		"os": platforms(w.Supported.OS, npmOS(p.platform)), "cpu": platforms(w.Supported.CPU, npmCPU(p.platform)),
		"libc": platforms(w.Supported.Libc, p.platform.Libc),
	}
	return nil
}

// platforms is a list of supportedArchitectures with the value at hand in the place of "current".
func platforms(list []string, current string) []string {
	if list == nil {
		return []string{current}
	}
	list = slices.Clone(list)
	for i, one := range list {
		if one == "current" {
			list[i] = current
		}
	}
	return list
}

func isOn(b *bool, otherwise bool) bool {
	if b == nil {
		return otherwise
	}
	return *b
}

// pnpmManifest is what is read of the package.json of a project.
type pnpmManifest struct {
	Name                 string            `json:"name"`
	Version              string            `json:"version"`
	Dependencies         map[string]string `json:"dependencies"`
	DevDependencies      map[string]string `json:"devDependencies"`
	OptionalDependencies map[string]string `json:"optionalDependencies"`
	PeerDependencies     map[string]string `json:"peerDependencies"`
	DependenciesMeta     map[string]struct {
		Injected bool `json:"injected"`
	} `json:"dependenciesMeta"`
}

// readManifests reads the package.json of each project.
func (p *pnpmPlan) readManifests(ctx context.Context, ask *engine.Ask, dir engine.Static) error {
	p.manifests = map[string]*pnpmManifest{}
	for _, im := range p.importers {
		file := path.Join(im.Path, "package.json")
		b, err := ask.Read(ctx, dir, file)
		if err != nil {
			return diag.Inputf("pnpm-importer", "the lock has a project `%s`, which cannot be read", im.Path).
				At(diag.Position{File: p.lock.File, Line: im.Line, Key: "importers." + im.Path}).Because(err)
		}
		m := &pnpmManifest{}
		if err := json.Unmarshal(bytesWithoutMark(b), m); err != nil {
			return badManifest(dir.File(file), b, err)
		}
		p.manifests[im.Path] = m
		if m.Name != "" && im.Path != "." {
			p.workspaces = append(p.workspaces, workspaceName{m.Name, im.Path})
		}
	}
	return nil
}
