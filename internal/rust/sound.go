package rust

import (
	"context"
	"path"
	"slices"
	"strings"

	"hewn.example/hewn/internal/diag"
)

// sound finds what cargo would not read in the manifests of the workspace, and says where it stands. That a key is not
// known, or of use to nobody, is for cargo to say.
func (w *workspace) sound(ctx context.Context) error {
	if w.root.packageTable() == nil && sub(w.root.top, "workspace") == nil {
		return diag.Inputf("cargo-manifest", "%s has neither a [package] nor a [workspace]", manifestName).At(w.root.at()).
			Hint("let the source begin where the package or its workspace has its manifest")
	}
	if err := w.soundPlaces(ctx); err != nil {
		return err
	}
	for _, p := range w.packages {
		if err := w.soundPackage(p); err != nil {
			return err
		}
		if !p.own {
			continue // tests of other packages, and what they need, do not count
		}
		for _, n := range w.needs(p) {
			if err := w.soundNeed(ctx, p, n); err != nil {
				return err
			}
		}
	}
	return nil
}

// soundPlaces looks for the members and patches that the workspace names by their directories.
func (w *workspace) soundPlaces(ctx context.Context) error {
	there := func(to string, at diag.Position, format string, args ...any) error {
		ok, err := w.ask.Exists(ctx, w.src, path.Join(w.dir, to, manifestName))
		if err != nil || ok {
			return err
		}
		return diag.Inputf("cargo-manifest", format+", where there is no "+manifestName, args...).At(at).Hint("`cargo metadata` in the project says more")
	}
	for _, m := range texts(sub(w.root.top, "workspace")["members"]) {
		if strings.ContainsAny(m, "*?[") || strings.HasPrefix(path.Clean(m), "..") {
			continue
		}
		if err := there(m, w.root.at("workspace", "members"), "the workspace has the member `%s`", m); err != nil {
			return err
		}
	}
	patches := sub(w.root.top, "patch")
	for _, registry := range sortedKeys(patches) {
		for _, k := range sortedKeys(sub(patches, registry)) {
			to, ok := sub(sub(patches, registry), k)["path"].(string)
			if !ok || path.IsAbs(to) || strings.HasPrefix(path.Join(w.dir, to), "..") {
				continue
			}
			if err := there(to, w.root.at("patch", registry, k), "`%s` is patched by `%s`", k, to); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *workspace) soundPackage(p *localPackage) error {
	fault := func(key, format string, args ...any) error {
		return diag.Inputf("cargo-manifest", format, args...).At(p.at("package", key)).Hint("`cargo metadata` in the project says more")
	}
	if p.name() == "" {
		return fault("name", "the package has no name")
	}
	shared := sub(sub(w.root.top, "workspace"), "package")
	for _, k := range sortedKeys(p.packageTable()) {
		if _, ok := shared[k]; p.own && !ok && inherited(p.packageTable()[k]) {
			return fault(k, "`%s` of `%s` is the workspace's, which has no `workspace.package.%s`", k, p.name(), k)
		}
	}
	if v := w.version(p); v != "" {
		if _, parts, ok := parseVersion(v); !ok || parts != 3 {
			return fault("version", "the version of `%s` is %q, which is none: three numbers are wanted", p.name(), v)
		}
	}
	return nil
}

// soundNeed looks at a dependency of a member.
func (w *workspace) soundNeed(ctx context.Context, p *localPackage, n need) error {
	fault := func(format string, args ...any) error {
		return diag.Inputf("cargo-manifest", format, args...).At(n.pos).Hint("`cargo metadata` in the project says more")
	}
	if n.wrong != "" {
		return fault("the dependency `%s` of `%s` %s", n.key, p.name(), n.wrong)
	}
	if n.req != "" {
		if _, ok := parseRequirement(n.req); !ok {
			return fault("`%s` needs `%s` in the version %q, which is no version requirement", p.name(), n.name, n.req)
		}
	}
	if n.path == "" {
		return nil
	}
	if path.IsAbs(n.path) || n.path == ".." || strings.HasPrefix(n.path, "../") {
		return diag.Inputf("cargo-outside", "`%s` needs `%s` from `%s`, which lies outside of the source", p.name(), n.name, n.path).At(n.pos).
			Hint("let the source begin where both lie below, or depend on a published version")
	}
	ok, err := w.ask.Exists(ctx, w.src, path.Join(n.path, manifestName))
	if err != nil || ok {
		return err
	}
	return fault("`%s` needs `%s` from `%s`, where there is no %s", p.name(), n.name, n.path, manifestName)
}

// wrongKind says what is wrong with the value of a dependency; empty: nothing. shared is what the workspace has.
func wrongKind(key string, spec any, shared table) string {
	t, isTable := spec.(table)
	if _, isText := spec.(string); !isText && !isTable {
		return "is neither a version nor a table"
	}
	if !isTable {
		return ""
	}
	if _, ok := shared[key]; inherited(t) && !ok {
		return "is the workspace's, which has no `workspace.dependencies." + key + "`"
	}
	if _, absolute := t["path"].(string); absolute && path.IsAbs(t["path"].(string)) {
		return "has an absolute path, which is another on each machine"
	}
	for _, k := range []string{"version", "path", "git", "branch", "tag", "rev", "package"} {
		if v, there := t[k]; there {
			if _, ok := v.(string); !ok {
				return "has a `" + k + "` that is no string"
			}
		}
	}
	if refs := slices.DeleteFunc([]string{"branch", "tag", "rev"}, func(k string) bool { _, there := t[k]; return !there }); len(refs) > 1 && t["git"] != nil {
		return "has both `" + refs[0] + "` and `" + refs[1] + "`: only one of them can say which commit is meant"
	}
	return ""
}
