package pins

import (
	"fmt"
	"sort"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/platform"
	"hewn.example/hewn/internal/source"
)

// SourceDecl is one table of a recipe's sources.toml: where a source comes from unless the workspace says otherwise.
type SourceDecl struct {
	Git  string `toml:"git"`  // alias form or URL
	Rev  string `toml:"rev"`  // tag, branch or commit
	Path string `toml:"path"` // a directory, relative to the file
	Doc  string `toml:"doc"`  // one line for people
}

// CheckSources says what is wrong with the tables of a sources.toml.
func CheckSources(file string, decls map[string]SourceDecl) error {
	names := make([]string, 0, len(decls))
	for n := range decls {
		names = append(names, n)
	}
	sort.Strings(names)
	for _, n := range names {
		d := decls[n]
		if d.Git != "" && d.Path != "" {
			return diag.Inputf("bad-source", "a source has a `git` or a `path`, not both").
				At(diag.Position{File: file, Key: n})
		}
		if d.Rev != "" && d.Git == "" {
			return diag.Inputf("bad-source", "`rev` goes with `git`").At(diag.Position{File: file, Key: n + ".rev"})
		}
	}
	return nil
}

// GitQuestion asks for the commit of a git source.
func GitQuestion(name, repo, rev string) Question {
	return Question{Ecosystem: source.Git, Set: "source/" + name, Request: []string{"repo " + repo, "rev " + rev}}
}

// GitAnswer is the pin of a git source: the commit that rev was.
func GitAnswer(repo, rev, commit string) source.Artifact {
	return source.Artifact{Ecosystem: source.Git, Name: repo, Version: rev, File: commit}
}

// GitRef reads a pin that GitAnswer made.
func GitRef(a source.Artifact) source.GitRef {
	return source.GitRef{Repo: a.Name, Rev: a.Version, Commit: a.File}
}

// key is a place in the lock.
type key struct {
	eco  source.Ecosystem
	set  string
	plat platform.Platform
}

func (q Question) key() key { return key{q.Ecosystem, q.Set, q.Platform} }

func (k key) String() string {
	s := fmt.Sprintf("%s %s", k.eco, k.set)
	if k.plat != (platform.Platform{}) {
		s += " " + k.plat.String()
	}
	return s
}

func (k key) less(o key) bool {
	if k.eco != o.eco {
		return k.eco < o.eco
	}
	if k.set != o.set {
		return k.set < o.set
	}
	return k.plat.String() < o.plat.String()
}
