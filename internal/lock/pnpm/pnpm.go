// Package pnpm reads pnpm-lock.yaml in lockfileVersion 9.0, as pnpm 9 and later write it.
//
// It says what stands in the lock and decides nothing: which packages a platform gets, and where they are laid out, is
// the business of package node. Reading is pure and takes time linear in the size of the file. Newer versions of pnpm put
// a first YAML document before the lock, which is about pnpm itself and its plugins; it is passed over.
package pnpm

import (
	"hewn.example/hewn/internal/source"
)

// Lock is a whole pnpm-lock.yaml. Lists are in the order of the file, which decides in pnpm's layouts.
type Lock struct {
	File      string // the name under which it was read, for errors
	Version   string // lockfileVersion
	Settings  Settings
	Catalogs  []Catalog
	Overrides []Pair // selector -> what it is replaced with
	Patches   []Patch
	Importers []Importer
	Packages  []Package
	Snapshots []Snapshot

	PackageExtensionsChecksum string
	PnpmfileChecksum          string
	IgnoredOptional           []string // ignoredOptionalDependencies
	EnvDocument               bool     // there was a first document with config dependencies

	packages, snapshots, importers map[string]int
}

// Settings are those that pnpm keeps in the lock.
type Settings struct {
	AutoInstallPeers         bool
	ExcludeLinksFromLockfile bool
	InjectWorkspacePackages  bool
	PeersSuffixMaxLength     int // 0: pnpm's own
}

// Pair is a key with its value.
type Pair struct{ Key, Value string }

// Catalog is a named table of versions that importers refer to with `catalog:`.
type Catalog struct {
	Name    string
	Entries []CatalogEntry
}

// CatalogEntry is what a catalog says of one package.
type CatalogEntry struct{ Name, Specifier, Version string }

// Patch is one of patchedDependencies.
type Patch struct {
	Key  string // `name` or `name@version`
	Path string // of the patch file relative to the lock; newer locks have the hash only
	Hash string
	Line int
}

// Importer is a project of the workspace; the one at the lock itself has the path ".".
type Importer struct {
	Path                 string
	Dependencies         []Dependency
	OptionalDependencies []Dependency
	DevDependencies      []Dependency
	Injected             []string // names with dependenciesMeta.injected
	Line                 int
}

// Dependency is an edge. Exactly one of Snapshot and Link is set.
type Dependency struct {
	Name      string // by which it is imported
	Specifier string // what the manifest asks for; of importers only
	Snapshot  string // key of the Snapshot
	Link      string // directory, relative to the importer (of a snapshot: to the lock)
	Line      int
}

// Package is one entry of `packages`: an artifact.
type Package struct {
	Key        string // `name@version`, `name@file:…`, `name@https://…`
	Name       string // in the registry
	Version    string
	Resolution Resolution
	NodeRange  string // engines.node
	HasBin     bool
	Deprecated string
	Line       int

	OS, CPU, Libc    []string // with `!` for exclusions; empty means any
	PeerDependencies []string // names, sorted, the optional ones included
	OptionalPeers    []string
	Bundled          []string // bundledDependencies
	BundledAll       bool     // bundledDependencies: true
}

// Resolution says where a package comes from.
type Resolution struct {
	Integrity source.Integrity
	Tarball   string // address, or `file:` with a path relative to the lock; empty: where the registry has it
	Directory string // type directory: relative to the lock
	Repo      string // type git
	Commit    string // type git
	Path      string // of a git repository or tarball: the folder of the package in it
	GitHosted bool   // a tarball that a forge makes of a commit
}

// Snapshot is a package in one context of peers.
type Snapshot struct {
	Key                  string // with peers and patch: `name@1.0.0(patch_hash=…)(peer@2.0.0)`
	Package              string // key of the Package
	Dependencies         []Dependency
	OptionalDependencies []Dependency
	TransitivePeers      []string
	Optional             bool // reached through optional edges only
	PatchHash            string
	Line                 int
}

// Package finds an entry of `packages`.
func (l *Lock) Package(key string) (*Package, bool) {
	i, ok := l.packages[key]
	if !ok {
		return nil, false
	}
	return &l.Packages[i], true
}

// Snapshot finds an entry of `snapshots`.
func (l *Lock) Snapshot(key string) (*Snapshot, bool) {
	i, ok := l.snapshots[key]
	if !ok {
		return nil, false
	}
	return &l.Snapshots[i], true
}

// Importer finds a project by its path.
func (l *Lock) Importer(path string) (*Importer, bool) {
	i, ok := l.importers[path]
	if !ok {
		return nil, false
	}
	return &l.Importers[i], true
}
