package registry

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"golang.org/x/sync/errgroup"

	"hewn.example/hewn/internal/diag"
)

// everything sends blobs, then manifests, in that order: a registry refuses a manifest whose blobs it lacks, and nobody
// may see a tag whose image is not whole.
func (p *push) everything(ctx context.Context, blobs, manifests []*item) error {
	top := manifests[len(manifests)-1]
	tagged := make(chan bool, 1)
	go func() { tagged <- p.tagged(ctx, top) }()
	if err := p.blobs(ctx, blobs); err != nil {
		<-tagged
		return err
	}
	fresh := false
	for _, b := range blobs {
		fresh = fresh || b.State == Pushed || b.State == Mounted
	}
	if <-tagged && !fresh {
		for _, m := range manifests {
			p.set(m, func(b *Blob) { b.State, b.Done = Existed, b.Desc.Size })
		}
		return nil
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(p.c.Parallel)
	for _, m := range manifests[:len(manifests)-1] {
		g.Go(func() error { return p.manifest(gctx, m, m.Desc.Digest.String(), blobs) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return p.manifest(ctx, top, p.to.ref.Identifier(), blobs)
}

// tagged says that the reference names this image already.
func (p *push) tagged(ctx context.Context, top *item) bool {
	a, err := p.send(ctx, request{method: http.MethodHead, url: p.at("manifests/" + p.to.ref.Identifier()),
		header: http.Header{"Accept": {string(top.Desc.MediaType)}}, want: status(http.StatusOK)})
	return err == nil && a.header.Get("Docker-Content-Digest") == top.Desc.Digest.String()
}

// blobs asks for all of them at once, and sends those that are missing, a few at a time.
func (p *push) blobs(ctx context.Context, blobs []*item) error {
	g, ctx := errgroup.WithContext(ctx)
	questions := make(chan struct{}, asked)
	uploads := make(chan struct{}, p.c.Parallel)
	for _, b := range blobs {
		g.Go(func() error {
			questions <- struct{}{}
			u, err := p.look(ctx, b)
			<-questions
			if err != nil || u == nil {
				return err
			}
			uploads <- struct{}{}
			defer func() { <-uploads }()
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return u.run(ctx)
		})
	}
	return g.Wait()
}

// look asks whether the registry has a blob, here or where it can be mounted from. Nil: there is nothing to do.
func (p *push) look(ctx context.Context, b *item) (*upload, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	there, err := p.has(ctx, p.to.Repository(), b)
	if err != nil {
		return nil, err
	}
	if there {
		p.set(b, func(b *Blob) { b.State, b.Done = Existed, b.Desc.Size })
		return nil, nil
	}
	u := p.newUpload(b)
	for _, from := range p.mounts {
		if there, err := p.has(ctx, from, b); err == nil && there {
			u.mounts = append(u.mounts, from)
		}
	}
	return u, nil
}

// has asks whether a repository has a blob. A registry that will not say is one that has not: the upload tells more.
func (p *push) has(ctx context.Context, repository string, b *item) (bool, error) {
	at := *p.root
	at.Path = "/v2/" + repository + "/blobs/" + b.Desc.Digest.String()
	there := false
	err := p.retry(ctx, func() error {
		a, err := p.send(ctx, request{method: http.MethodHead, url: &at, want: func(int) bool { return true }})
		if err != nil {
			return err
		}
		switch {
		case a.status == http.StatusOK:
			n, err := strconv.ParseInt(a.header.Get("Content-Length"), 10, 64)
			there = err != nil || n == b.Desc.Size
		case a.status >= 300 && a.status < 400:
			there = true // it sends readers elsewhere for it
		case a.status == http.StatusTooManyRequests:
			return &statusError{method: http.MethodHead, path: at.Path, status: a.status, after: retryAfter(a.header)}
		}
		return nil
	})
	return there, err
}

// manifest sends one manifest or index under a digest or tag. Where the registry then lacks blobs that it claimed to
// have, they are sent after all.
func (p *push) manifest(ctx context.Context, m *item, as string, blobs []*item) error {
	p.set(m, func(b *Blob) { b.State = Pushing })
	err := p.put(ctx, m, as)
	if lacksBlobs(err) {
		var again int
		if again, err = p.claimed(ctx, m, blobs, err); err == nil {
			if err = p.put(ctx, m, as); lacksBlobs(err) {
				return p.liar(err, again)
			}
		}
	}
	if err != nil {
		return err
	}
	p.set(m, func(b *Blob) { b.State, b.Done = Pushed, b.Desc.Size })
	return nil
}

func (p *push) put(ctx context.Context, m *item, as string) error {
	var a *answer
	err := p.retry(ctx, func() (err error) {
		a, err = p.send(ctx, request{method: http.MethodPut, url: p.at("manifests/" + as), small: m.raw, sent: &m.sent,
			header: http.Header{"Content-Type": {string(m.Desc.MediaType)}},
			want:   status(http.StatusCreated, http.StatusOK, http.StatusAccepted)})
		return err
	})
	if err != nil {
		return err
	}
	if got := a.header.Get("Docker-Content-Digest"); got != "" && got != m.Desc.Digest.String() {
		return diag.Failf("registry-bytes", "the registry `%s` keeps the %s under `%s` and not under `%s`: it changed it",
			p.to.Registry(), m.Kind, oneLine(got), m.Desc.Digest)
	}
	return nil
}

func lacksBlobs(err error) bool {
	var st *statusError
	return errors.As(err, &st) && (st.says("MANIFEST_BLOB_UNKNOWN") || st.says("BLOB_UNKNOWN"))
}

// claimed sends the blobs that the registry claimed to have or to have mounted, and says how many.
func (p *push) claimed(ctx context.Context, m *item, blobs []*item, refusal error) (int, error) {
	var again []*item
	for _, b := range blobs {
		b.mu.Lock()
		if b.State == Existed || b.State == Mounted {
			again = append(again, b)
		}
		b.mu.Unlock()
	}
	if m.Kind == KindIndex || len(again) == 0 {
		return 0, p.liar(refusal, 0)
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(p.c.Parallel)
	for _, b := range again {
		g.Go(func() error { return p.newUpload(b).run(gctx) })
	}
	return len(again), g.Wait()
}

// liar is a registry that does not keep what it was given.
func (p *push) liar(err error, again int) error {
	why := "every blob was sent"
	if again > 0 {
		why = fmt.Sprintf("%d blobs that it claimed to have were sent again", again)
	}
	return diag.Failf("registry-lost-blobs", "the registry `%s` says that it lacks blobs of the image, although %s", p.to.Registry(), why).
		Because(err).Hint("its storage has lost something, or several instances of it do not share one: that is for its operator")
}
