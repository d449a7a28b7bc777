package python

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/lock/uv"
	"hewn.example/hewn/internal/origin"
	"hewn.example/hewn/internal/python/index"
	"hewn.example/hewn/internal/python/pep508"
	"hewn.example/hewn/internal/source"
)

// runtime is what a request for what a program runs with has beside requirements.
type runtime struct {
	newest     bool                 // a newer sdist comes before an older wheel
	sourceOnly []string             // projects without their wheels, or `:all:`
	wheelsOnly []string             // projects without their sdists, or `:all:`
	provided   []pep508.Requirement // what is there already: name, extras and `==` version, if that is known
	url        string               // not requirements, but the file of this URL
}

func (r *runtime) parseRuntime(word, rest string) error {
	switch word {
	case "newest":
		r.newest = true
	case "no-build":
		r.wheelsOnly = append(r.wheelsOnly, rest)
	case "url":
		r.url = rest
	case "provided":
		var err error
		r.provided, err = appendRequirement(r.provided, rest)
		return err
	}
	return nil
}

// allows says that a file of a project is of a kind that the request wants.
func (r *runtime) allows(project, file string) bool {
	not := r.wheelsOnly
	if strings.HasSuffix(file, ".whl") {
		not = r.sourceOnly
	}
	return !r.newest || !slices.Contains(not, project) && !slices.Contains(not, ":all:")
}

// withoutProvided leaves out what is there already. An error says that it is not what is needed.
func (r *runtime) withoutProvided(list []pep508.Requirement) ([]pep508.Requirement, error) {
	var out []pep508.Requirement
	for _, need := range list {
		i := slices.IndexFunc(r.provided, func(p pep508.Requirement) bool { return p.Name == need.Name })
		if i < 0 {
			out = append(out, need)
			continue
		}
		if err := fits(r.provided[i], need); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// fits says whether what is provided is what is needed. A version that only a build would tell fits everything.
func fits(p, need pep508.Requirement) error {
	if v, ok := p.Specifiers.Pinned(); ok && !need.Specifiers.Match(v) {
		return fmt.Errorf("`%s` is needed, but the requirements have %s", need, p)
	}
	for _, x := range need.Extras {
		if !slices.Contains(p.Extras, x) {
			return fmt.Errorf("`%s` is needed, but the requirements have `%s` without that extra", need, p.Name)
		}
	}
	return nil
}

// maxURL bounds a file that is read for its hash.
const maxURL = 1 << 30

// pinURL downloads a file once for its hash.
func (r Resolver) pinURL(ctx context.Context, u string) ([]source.Artifact, error) {
	if r.MirrorsOnly {
		return nil, diag.Failf("no-origin", "`%s` would be downloaded, but with `origins = \"mirrors-only\"` only mirrors are asked", u).
			Hint("put the file into the source, and name its path")
	}
	b, err := r.Getter.Get(ctx, origin.Endpoint{}, u, "", maxURL)
	if err != nil {
		return nil, err
	}
	sum, err := source.ParseIntegrity(fmt.Sprintf("sha256:%x", sha256.Sum256(b)))
	if err != nil {
		return nil, err
	}
	file := uv.LastName(u)
	name, version, ok := fileName(file)
	if !ok {
		return nil, diag.Failf("no-artifact", "`%s` is neither a wheel nor an sdist with a version in its name", file)
	}
	if _, err := index.FileMetadata(ctx, file, b); err != nil {
		return nil, diag.Failf("no-artifact", "`%s` cannot be used", file).Because(err)
	}
	return []source.Artifact{{Ecosystem: source.PyPI, Name: name, Version: version, File: file, URL: u, Integrity: sum, Size: int64(len(b))}}, nil
}
