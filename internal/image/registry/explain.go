package registry

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"syscall"
	"time"

	"hewn.example/hewn/internal/diag"
)

// temporary says that a further try may do better.
func temporary(err error) bool {
	var (
		st    *statusError
		local *localError
		prob  *diag.Problem
		dns   *net.DNSError
		cert  *tls.CertificateVerificationError
		last  final
	)
	switch {
	case errors.As(err, &st):
		return st.temporary()
	case errors.As(err, &local), errors.As(err, &prob), errors.As(err, &cert), errors.As(err, &last), errors.Is(err, errPlain),
		errors.Is(err, http.ErrSchemeMismatch), errors.Is(err, errNoLocation), errors.Is(err, context.Canceled):
		return false
	case errors.As(err, &dns):
		return dns.IsTimeout || dns.IsTemporary
	}
	return true
}

// explain turns what went wrong into words for the person who has to mend it.
func (p *push) explain(ctx context.Context, err error) error {
	var (
		prob  *diag.Problem
		st    *statusError
		local *localError
	)
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.As(err, &prob):
		return err
	case errors.As(err, &local):
		return diag.Failf("image-blob", "the image cannot be pushed").Because(err)
	case errors.As(err, &st):
		return p.refused(st).Because(st)
	}
	return p.unreachable(err)
}

func (p *push) refused(e *statusError) *diag.Problem {
	host, to := p.to.Registry(), p.to.Registry()+"/"+p.to.Repository()
	fail := func(code, format string, args ...any) *diag.Problem { return diag.Failf(code, format, args...) }
	switch {
	case e.status == http.StatusUnauthorized, e.says("UNAUTHORIZED") && p.origin == "":
		return p.unauthorized()
	case e.status == http.StatusTooManyRequests, e.says("TOOMANYREQUESTS"):
		f := fail("registry-rate-limit", "the registry `%s` is rate limited", host)
		if e.after > 0 {
			return f.Hint("push again in %s: what has arrived will not be sent again", e.after.Round(time.Second))
		}
		return f.Hint("push again later: what has arrived will not be sent again")
	case e.says("UNSUPPORTED"), e.status == http.StatusMethodNotAllowed:
		return fail("registry-read-only", "the registry `%s` takes no push: it is read-only, or a mirror", host).
			Hint("push to the registry that it mirrors, or ask its operator")
	case e.status == http.StatusForbidden, e.says("DENIED"):
		f := fail("registry-denied", "the registry `%s` does not let you push to `%s`", host, p.to.Repository())
		return p.login(f, "these credentials may not push there").Hint("see whether the repository exists, and whether its settings let you push")
	case e.says("NAME_INVALID"), e.says("TAG_INVALID"):
		return diag.Inputf("reference", "the registry `%s` does not take the name `%s`", host, p.to.String()).
			Hint("many registries ask for `PROJECT/NAME` below the host: see how it names its repositories")
	case e.says("NAME_UNKNOWN"):
		return fail("registry-denied", "the registry `%s` has no repository `%s`", host, p.to.Repository()).
			Hint("create it there first, if this registry asks for that, and see whether your credentials may push to it")
	case e.status == http.StatusRequestEntityTooLarge:
		return fail("registry-body", "`%s`, or a proxy before it, takes no request of this size", host).
			Hint("its operator can raise the limit (`client_max_body_size` where it is nginx)")
	case e.says("MANIFEST_INVALID"), e.says("MANIFEST_UNVERIFIED"), e.says("MANIFEST_UNKNOWN") && e.method == http.MethodPut,
		e.status == http.StatusUnsupportedMediaType:
		return fail("registry-manifest", "the registry `%s` does not accept this image's manifest", host).
			Hint("an old registry knows no zstd layers: try `--compression gzip`")
	case e.html, e.status == http.StatusNotFound && len(e.codes) == 0, e.status < 400:
		return fail("registry-none", "`%s` does not answer as a registry", host).
			Hint("see whether the host, its port and the part before `%s` are right", p.to.Repository())
	case e.temporary():
		return fail("registry-down", "the registry `%s` fails", host).Hint("push again later: what has arrived will not be sent again")
	}
	return fail("registry-refused", "the push to `%s` was refused", to)
}

func (p *push) unauthorized() *diag.Problem {
	f := diag.Failf("registry-unauthorized", "the registry `%s` does not accept you", p.to.Registry())
	return p.login(f, "they have expired, or are for somebody else")
}

// login adds where credentials came from and how to get better ones.
func (p *push) login(f *diag.Problem, why string) *diag.Problem {
	if p.origin == "" {
		f.With("no credentials for it were found where Docker and podman keep them")
	} else {
		f.With("credentials came from " + p.origin + ": " + why)
	}
	return f.Hint("log in with `docker login %s` or `podman login %s`: hewn reads what they keep", p.to.Registry(), p.to.Registry())
}

func (p *push) unreachable(err error) error {
	host := p.to.Registry()
	var (
		dns       *net.DNSError
		authority x509.UnknownAuthorityError
		hostname  x509.HostnameError
		cert      *tls.CertificateVerificationError
	)
	f := diag.Failf("registry-unreachable", "the registry `%s` cannot be reached", host).Because(err)
	switch {
	case errors.Is(err, http.ErrSchemeMismatch):
		f.Code, f.What, f.Cause = "registry-plain-http", "the registry `"+host+"` speaks plain HTTP, and hewn speaks TLS to all but this machine's own", nil
		f.Hint("give the registry a certificate")
		if p.c.PlainHTTPHint != "" {
			f.Hint(p.c.PlainHTTPHint, host)
		}
		return f
	case errors.As(err, &authority):
		f.Code, f.What = "registry-certificate", "the certificate of the registry `"+host+"` is signed by nobody whom this machine trusts"
		return f.Hint("add the registry's certificate authority to the system's, or name a file that holds it in `SSL_CERT_FILE`")
	case errors.As(err, &hostname):
		f.Code, f.What = "registry-certificate", "the certificate of the registry `"+host+"` is for another host"
		return f.Hint("push to the name that the certificate is for")
	case errors.As(err, &cert):
		f.Code, f.What = "registry-certificate", "the certificate of the registry `"+host+"` is not valid"
		return f
	case errors.As(err, &dns):
		return f.Hint("see whether the host is spelled right, and whether this machine's name server knows it")
	case errors.Is(err, syscall.ECONNREFUSED):
		return f.Hint("nothing listens there: see whether the registry runs, and whether the port is right")
	case errors.Is(err, errNoLocation):
		f.Code, f.What = "registry-none", "`"+host+"` does not answer as a registry"
		return f
	case errors.Is(err, errPlain):
		return f.Hint("hewn speaks TLS to all registries but this machine's own")
	}
	return f.Hint("push again when it answers: what has arrived will not be sent again")
}
