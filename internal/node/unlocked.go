package node

import (
	"context"
	"crypto/sha1"
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/origin"
	"hewn.example/hewn/internal/pins"
	"hewn.example/hewn/internal/source"
)

// maxTarball bounds a tarball that `hewn update` reads in order to pin it.
const maxTarball = 2 << 30

// strong says that nobody can make other bytes with the same hash. Of SHA-1, which old locks have, that is no longer so:
// such an entry is pinned like one without any hash, by bytes that have the one of the lock.
func strong(i source.Integrity) bool { return !i.IsZero() && i.Algorithm() != source.SHA1 }

// unlocked asks for the pin of an artifact whose lock does not say, or not well enough, which bytes it has.
func unlocked(a source.Artifact) pins.Question {
	id := a.Name + "@" + a.Version
	q := pins.Question{Ecosystem: source.NPM, Set: "npm/" + id, Request: []string{id}}
	if u, err := url.Parse(a.URL); err == nil && u.Host != "" && !strings.Contains(u.Path, "/-/") {
		u.User = nil
		q.Request = append(q.Request, "from "+u.String()) // of no registry that lays out its tarballs in the usual way
	}
	if !a.Integrity.IsZero() {
		q.Request = append(q.Request, a.Integrity.String())
	}
	return q
}

// wantedPackage is what a Question of unlocked asks for.
type wantedPackage struct {
	name, version string
	from          string           // where the lock found it; may be empty
	sha1          source.Integrity // that the lock has; may be zero
}

func (w wantedPackage) with(lines []string) wantedPackage {
	for _, l := range lines {
		if from, ok := strings.CutPrefix(l, "from "); ok {
			w.from = from
		} else if i, err := source.ParseIntegrity(l); err == nil {
			w.sha1 = i
		}
	}
	return w
}

// exact pins one version: by what its registry says of it, or, where that or the lock has nothing but an old hash, by the
// bytes themselves.
func (r Resolver) exact(ctx context.Context, w wantedPackage) (source.Artifact, error) {
	var own error
	if u, err := url.Parse(w.from); w.from != "" && err == nil && !r.MirrorsOnly && !strings.HasSuffix(u.Hostname(), ".example") {
		var a source.Artifact
		if a, own = r.measure(ctx, w, w.from, origin.Endpoint{}); own == nil {
			a.URL = w.from
			return a, nil
		}
	}
	b, e, err := r.get(ctx, w.name, escapeName(w.name)+"/"+url.PathEscape(w.version), "application/json", maxManifest)
	if err != nil {
		return source.Artifact{}, fmt.Errorf("%s %s: %w", w.name, w.version, errors.Join(own, err))
	}
	var v published
	if err := json.Unmarshal(b, &v); err != nil {
		return source.Artifact{}, fmt.Errorf("%s %s: %w", w.name, w.version, err)
	}
	if v.Version == "" {
		v.Version = w.version
	}
	if v.Dist.Integrity != "" && w.sha1.IsZero() {
		if a, err := v.artifact(w.name); err == nil && strong(a.Integrity) {
			return a, nil
		}
	}
	if v.Dist.Shasum == "" && v.Dist.Integrity == "" {
		return source.Artifact{}, fmt.Errorf("%s %s: the registry gives no hash", w.name, w.version)
	}
	if sum, err := source.ParseIntegrity("sha1:" + v.Dist.Shasum); err == nil && w.sha1.IsZero() {
		w.sha1 = sum
	}
	if u, err := url.Parse(v.Dist.Tarball); err != nil || !sameHost(u, e.URL) {
		e = origin.Endpoint{} // another host gets no credentials
	}
	return r.measure(ctx, w, v.Dist.Tarball, e)
}

// measure reads a tarball and pins what it is, if it has the hash that is known of it.
func (r Resolver) measure(ctx context.Context, w wantedPackage, address string, e origin.Endpoint) (source.Artifact, error) {
	a := source.Artifact{Ecosystem: source.NPM, Name: w.name, Version: w.version, File: tarballName(w.name, w.version, address)}
	body, err := r.Getter.Open(ctx, e, address)
	if err != nil {
		return a, err
	}
	defer body.Close()
	weak, sum := sha1.New(), sha512.New()
	n, err := io.Copy(io.MultiWriter(weak, sum), io.LimitReader(body, maxTarball+1))
	switch {
	case err != nil:
		return a, err
	case n > maxTarball:
		return a, fmt.Errorf("the tarball of %s has more than %d bytes", w.name, maxTarball)
	case !w.sha1.IsZero() && w.sha1.Hex() != hex.EncodeToString(weak.Sum(nil)):
		return a, diag.Failf("hash-mismatch", "`%s` is not what is locked", a.File).
			With("expected:  "+w.sha1.String(), "got:       sha1:"+hex.EncodeToString(weak.Sum(nil)))
	}
	a.Integrity, err = source.NewIntegrity(source.SHA512, sum.Sum(nil))
	return a, err
}
