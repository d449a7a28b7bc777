package fetch

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/url"
	"os"
	"strings"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/digest"
	"hewn.example/hewn/internal/event"
	"hewn.example/hewn/internal/origin"
	"hewn.example/hewn/internal/source"
	"hewn.example/hewn/internal/store"
	"hewn.example/hewn/internal/tree"
)

// maxArtifact bounds a download whose size no lock gives. The largest artifact known here, a Java runtime, has 300 MB.
const maxArtifact = 4 << 30

// Trees gives the tree of a commit; package fetch/git is one.
type Trees interface {
	Tree(ctx context.Context, ref source.GitRef) (tree.Tree, error)
}

// Config is what a Fetcher works with.
type Config struct {
	Store       store.Blobs
	Client      *Client
	Endpoints   origin.Endpoints
	Locators    map[source.Ecosystem]Locator
	Git         Trees
	MirrorsOnly bool // never use a URL that stands in a lock
	// TempDir gives a new directory for a download that has to be whole before it can be checked.
	TempDir func() (dir string, remove func(), err error)
	Events  event.Sink
	// Pinned says which file pins an artifact, for people; it may be nil.
	Pinned func(source.Artifact) string
}

// Fetcher turns artifacts into verified blobs. It may be used from many goroutines.
type Fetcher struct{ cfg Config }

// New makes a Fetcher.
func New(cfg Config) *Fetcher { return &Fetcher{cfg} }

// FetchGit gives the tree of a commit.
func (f *Fetcher) FetchGit(ctx context.Context, ref source.GitRef) (tree.Tree, error) {
	return f.cfg.Git.Tree(ctx, ref)
}

// Fetch gives an artifact's bytes: from the store where its digest is known and there, else from the first origin that
// has it. Nothing is in the store before it has been checked.
func (f *Fetcher) Fetch(ctx context.Context, a source.Artifact) (digest.Digest, error) {
	if a.Integrity.IsZero() {
		return digest.Digest{}, diag.Failf("integrity-missing", "nothing says which bytes `%s` must have", a.String()).
			Hint("run `hewn update --missing` to pin it")
	}
	if d, ok := known(a); ok {
		if missing, err := f.cfg.Store.Missing(ctx, []digest.Digest{d}); err == nil && len(missing) == 0 {
			return d, nil
		}
	}
	eps, err := f.cfg.Endpoints.For(ctx, a.Ecosystem)
	if err != nil {
		return digest.Digest{}, err
	}
	t := attempts{gone: len(eps) > 0}
	for _, e := range eps {
		d, err := f.from(ctx, e, a)
		if err == nil {
			return d, nil
		}
		if errors.Is(err, ErrNotFor) {
			continue
		}
		if ctx.Err() != nil || errors.Is(err, ErrOffline) {
			return digest.Digest{}, f.failed(a, err)
		}
		t.gone = t.gone && errors.Is(err, ErrGone)
		t.add(fmt.Sprintf("%s (%s)", redact(e.URL), e.From), err)
		if e.Final && !errors.Is(err, ErrGone) {
			return digest.Digest{}, f.nowhere(a, t)
		}
	}
	if u := f.ownURL(a); u != "" {
		d, err := f.download(ctx, Location{URL: u}, a)
		if err == nil {
			return d, nil
		}
		t.gone = errors.Is(err, ErrGone) && (t.gone || len(eps) == 0)
		t.add(redact(u)+" (the lock's own address)", err)
	}
	return digest.Digest{}, f.nowhere(a, t)
}

// attempts is what the origins of an artifact had to say.
type attempts struct {
	lines []string
	gone  bool          // each says that it has no such thing
	wrong *diag.Problem // one has something else under that name
}

func (t *attempts) add(origin string, err error) {
	t.lines = append(t.lines, origin+": "+err.Error())
	var p *diag.Problem
	if errors.As(err, &p) && p.Code == codeMismatch {
		t.wrong = p
	}
}

// known is the digest of an artifact whose lock gives both SHA-256 and size.
func known(a source.Artifact) (digest.Digest, bool) {
	if a.Integrity.Algorithm() != source.SHA256 || a.Size <= 0 {
		return digest.Digest{}, false
	}
	d, err := digest.New(a.Integrity.Sum(), a.Size)
	return d, err == nil
}

func (f *Fetcher) ownURL(a source.Artifact) string {
	u, err := url.Parse(a.URL)
	if a.URL == "" || err != nil || f.cfg.MirrorsOnly || strings.HasSuffix(u.Hostname(), ".example") {
		return ""
	}
	return a.URL
}

func (f *Fetcher) from(ctx context.Context, e origin.Endpoint, a source.Artifact) (digest.Digest, error) {
	locate := f.cfg.Locators[a.Ecosystem]
	if locate == nil {
		return digest.Digest{}, fmt.Errorf("nothing here knows how to find %s artifacts", a.Ecosystem)
	}
	loc, err := locate(ctx, f.cfg.Client, e, a)
	if err != nil {
		return digest.Digest{}, err
	}
	if loc.Endpoint.URL == "" {
		loc.Endpoint = e
	}
	return f.download(ctx, loc, a)
}

func (f *Fetcher) download(ctx context.Context, loc Location, a source.Artifact) (digest.Digest, error) {
	open := loc.Make
	if open == nil {
		open = func(ctx context.Context) (io.ReadCloser, error) { return f.cfg.Client.Open(ctx, loc.Endpoint, loc.URL) }
	}
	body, err := open(ctx)
	if err != nil {
		return digest.Digest{}, err
	}
	defer body.Close()
	c := &checker{r: body, a: a, url: loc.URL, h: a.Integrity.NewHash(), limit: a.Size, sink: f.cfg.Events}
	if c.limit <= 0 {
		c.limit = maxArtifact
	}
	if c.h != nil {
		return f.cfg.Store.Ingest(ctx, c)
	}
	return f.viaFile(ctx, c, a)
}

// viaFile is for integrities that are no hash of the byte stream: the file is written beside the store, checked, and
// only then taken in.
func (f *Fetcher) viaFile(ctx context.Context, c *checker, a source.Artifact) (digest.Digest, error) {
	dir, remove, err := f.cfg.TempDir()
	if err != nil {
		return digest.Digest{}, err
	}
	defer remove()
	file, err := os.CreateTemp(dir, "download-*")
	if err != nil {
		return digest.Digest{}, err
	}
	defer file.Close()
	size, err := io.Copy(file, c)
	if err != nil {
		return digest.Digest{}, err
	}
	got, err := source.VerifyH1(a.File, file, size)
	if err != nil {
		return digest.Digest{}, err
	}
	if got != a.Integrity {
		return digest.Digest{}, mismatch(a, c.url, got.String())
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return digest.Digest{}, err
	}
	return f.cfg.Store.Ingest(ctx, file)
}

// checker passes bytes on and refuses to end well unless they were the right ones, so that whoever ingests them never
// finishes with wrong ones.
type checker struct {
	r     io.Reader
	a     source.Artifact
	url   string
	h     hash.Hash
	n     int64
	limit int64
	sink  event.Sink
	told  int64
}

func (c *checker) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	if c.h != nil {
		_, _ = c.h.Write(p[:n])
	}
	if c.n += int64(n); c.n > c.limit {
		return n, mismatch(c.a, c.url, fmt.Sprintf("more than %d bytes", c.limit))
	}
	if c.n-c.told > 1<<20 {
		c.told = c.n
		c.sink.Emit(event.Progress{Label: c.a.String(), Done: c.n, Total: c.a.Size})
	}
	if !errors.Is(err, io.EOF) || c.h == nil {
		return n, err
	}
	if got, _ := source.NewIntegrity(c.a.Integrity.Algorithm(), c.h.Sum(nil)); got != c.a.Integrity {
		return n, mismatch(c.a, c.url, got.String())
	}
	return n, err
}

const codeMismatch = "hash-mismatch"

func mismatch(a source.Artifact, from, got string) error {
	return diag.Failf(codeMismatch, "`%s` is not what is pinned", a.File).
		With("expected:  "+a.Integrity.String(), "got:       "+got, "from:      "+redact(from)).
		Hint("if the origin is right and the lock is wrong, lock `%s` anew; if not, the file was changed on its way", a.Name)
}

func (f *Fetcher) failed(a source.Artifact, err error) error {
	p := diag.Failf("fetch-failed", "cannot fetch `%s`", a.String()).Because(err)
	if errors.Is(err, ErrOffline) {
		p.Hint("run `hewn fetch` while there is a network, then build with `--offline`")
	}
	return p
}

// GoneError says that every origin answered and none has the artifact.
type GoneError struct{ Artifact source.Artifact }

// Error names the artifact.
func (e *GoneError) Error() string { return "no origin has `" + e.Artifact.File + "` any more" }

// Is makes it an ErrGone.
func (e *GoneError) Is(target error) bool { return target == ErrGone }

func (f *Fetcher) nowhere(a source.Artifact, t attempts) error {
	p := diag.Failf("fetch-failed", "cannot fetch `%s`", a.String())
	switch {
	case len(t.lines) == 0:
		p.Because(fmt.Errorf("no origin is configured for %s artifacts", a.Ecosystem)).
			Hint("add the address of yours to hewn.toml: [mirror.%s] urls = [\"https://…\"]", a.Ecosystem).
			Hint("`hewn doctor` shows where hewn looked")
	case t.gone:
		p.Code = "artifact-gone"
		p.Because(&GoneError{a}).With(t.lines...).Hint("run `hewn update` to pin what the origin has now, or name an origin that keeps old files in [mirror.%s]", a.Ecosystem)
	case t.wrong != nil:
		p.Code = codeMismatch
		p.Because(t.wrong)
		if f.cfg.Pinned != nil {
			p.With("pinned by: " + f.cfg.Pinned(a))
		}
	default:
		p.Because(errors.New(lastOf(t.lines))).With(t.lines...).Hint("`hewn doctor` shows which origins are used, and why")
	}
	return p
}

func lastOf(s []string) string { return s[len(s)-1] }
