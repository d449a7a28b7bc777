package python

import (
	"context"
	"errors"
	"slices"
	"strings"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/fetch"
	"hewn.example/hewn/internal/python/index"
	"hewn.example/hewn/internal/python/pep440"
	"hewn.example/hewn/internal/python/resolver"
	"hewn.example/hewn/internal/python/wheel"
	"hewn.example/hewn/internal/source"
)

// locked finds the one file of a locked project that is for this platform, by the hashes that the lock gives. The first
// endpoint that has such a file answers.
func (p *provider) locked(ctx context.Context) ([]source.Artifact, error) {
	version, ok := p.spec.file.Specifiers.Pinned()
	if !ok {
		return nil, diag.Inputf("bad-request", "`%s` does not pin a version", p.spec.file.Name)
	}
	for _, e := range p.endpoints {
		files, err := index.Project(ctx, p.getter, e, p.spec.file.Name)
		if errors.Is(err, fetch.ErrGone) {
			continue
		}
		if err != nil {
			return nil, err
		}
		files = slices.DeleteFunc(files, func(f index.File) bool {
			return f.SHA256 == "" || !slices.Contains(p.spec.hashes, "sha256:"+strings.ToLower(f.SHA256))
		})
		f, ok := p.best(files)
		if !ok {
			continue
		}
		if _, has, ok := fileName(f.Name); ok && !p.versionFits(has) {
			return nil, diag.Inputf("bad-file", "the hashes that are locked for `%s` %s are those of %s", p.spec.file.Name, version, f.Name).
				Hint("write the file anew with your tool: version and hashes belong together")
		}
		a, err := p.artifact(ctx, resolver.Chosen{Name: p.spec.file.Name, Candidate: resolver.Candidate{Version: version, File: located{f, e}}})
		return []source.Artifact{a}, err
	}
	return nil, diag.Failf("no-artifact", "no index has a file of `%s` %s for Python %s on %s with one of the hashes that are locked",
		p.spec.file.Name, version, p.spec.target.Python, p.spec.target.Platform)
}

// versionFits says that a file of that version is what was asked for.
func (p *provider) versionFits(text string) bool {
	v, err := pep440.Parse(text)
	return err == nil && p.spec.file.Specifiers.Match(v)
}

// best is the best wheel, or else the sdist.
func (p *provider) best(files []index.File) (index.File, bool) {
	if !p.spec.noBinary {
		names := make([]string, len(files))
		for i := range files {
			names[i] = files[i].Name
		}
		if i := p.spec.ranks.Best(names); i >= 0 {
			return files[i], true
		}
	}
	for _, f := range files {
		if _, err := wheel.ParseFileName(f.Name); err != nil && !strings.HasSuffix(f.Name, ".whl") {
			return f, true
		}
	}
	return index.File{}, false
}
