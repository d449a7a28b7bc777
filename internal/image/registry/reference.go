package registry

import (
	"net"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"hewn.example/hewn/internal/diag"
)

// Reference is where an image goes: registry, repository, and a tag or a digest.
type Reference struct{ ref name.Reference }

// ParseReference reads `registry.example:5000/team/app:tag`. The registry must be named: hewn goes nowhere by default.
// Without a tag it is `latest`, as everywhere.
func ParseReference(s string) (Reference, error) {
	host, rest, ok := strings.Cut(s, "/")
	switch {
	case strings.Contains(s, "://"):
		return Reference{}, diag.Inputf("reference", "`%s` is an address, not an image reference", s).
			Hint("leave out what stands before the registry's host: `registry.example:5000/team/app:tag`")
	case !ok, rest == "", !namesHost(host):
		return Reference{}, diag.Inputf("reference", "the image reference `%s` does not name its registry", s).
			Hint("write the registry's host first: `registry.example:5000/team/app:tag`")
	}
	ref, err := name.ParseReference(s)
	if err != nil {
		return Reference{}, diag.Inputf("reference", "`%s` is not an image reference", s).
			Because(plainReason(s)).
			Hint("the form is `registry.example:5000/team/app:tag`: repositories in lower case, tags of at most 128 letters, digits, `_`, `.` and `-`")
	}
	return Reference{ref}, nil
}

// namesHost says that the first element of a reference is a host: others have neither dot nor colon.
func namesHost(s string) bool {
	return s == "localhost" || strings.ContainsAny(s, ".:")
}

// plainReason asks for each part of a reference whether it is to blame; ggcr says only that the whole does not parse.
func plainReason(s string) error {
	if _, err := name.NewTag(s); err != nil && !strings.Contains(s, "@") {
		return err
	}
	_, err := name.NewDigest(s)
	return err
}

// String has all parts: registry, repository, and tag or digest.
func (r Reference) String() string { return r.ref.Name() }

// Registry is the host, with its port if it has one.
func (r Reference) Registry() string { return r.ref.Context().RegistryStr() }

// Repository is the path below the registry.
func (r Reference) Repository() string { return r.ref.Context().RepositoryStr() }

// digest is what a reference by digest names, else empty.
func (r Reference) digest() string {
	if d, ok := r.ref.(name.Digest); ok {
		return d.DigestStr()
	}
	return ""
}

func errOtherDigest(ref string, have v1.Hash) error {
	return diag.Inputf("reference", "the reference `%s` names another image than this one, which is `%s`", ref, have).
		Hint("push to a tag instead: the digest follows from the content")
}

// plainAllowed says that host (with its port) may be spoken to without TLS.
func plainAllowed(hostport string, listed []string) bool {
	host := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
	}
	if slices.Contains(listed, hostport) || slices.Contains(listed, host) {
		return true
	}
	host = strings.Trim(host, "[]")
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
