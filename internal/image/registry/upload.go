package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"hewn.example/hewn/internal/digest"
)

const (
	// smallestChunk is the least that goes up in one request where the way to the registry refuses larger bodies.
	smallestChunk = 256 << 10
	// restarts is how often a blob is begun anew after the registry lost an upload or found other bytes in it.
	restarts = 5
	// worthwhile is how much of a broken request must have arrived for the next try to count as the first.
	worthwhile = 64 << 10
	// grace is how long a chunk may go on after the push was ended. The registry that most run (distribution, and what is
	// built on it) drops an upload of which a chunk arrived in part: its sessions survive between chunks only.
	grace = 2 * time.Second
)

// item is one blob or manifest of a push.
type item struct {
	Blob
	at  digest.Digest // of a blob, in the store
	raw []byte        // of a manifest

	mu   sync.Mutex
	sent atomic.Int64
}

// snapshot is a copy of what is known of the item.
func (i *item) snapshot() Blob {
	i.mu.Lock()
	defer i.mu.Unlock()
	b := i.Blob
	b.Sent = i.sent.Load()
	if b.State == Pushing { // of what is under way, the part that the registry has confirmed is too coarse to look at
		b.Done = min(max(b.Done, b.Sent), b.Desc.Size)
	}
	return b
}

// set changes the state and tells of it.
func (p *push) set(i *item, change func(*Blob)) {
	i.mu.Lock()
	change(&i.Blob)
	i.mu.Unlock()
	p.tell(i)
}

func (p *push) tell(i *item) {
	if p.c.Progress != nil {
		p.c.Progress(i.snapshot())
	}
}

// upload is the way of one blob to the registry.
type upload struct {
	p    *push
	item *item
	src  *source

	mounts   []string // repositories that say they have the blob
	location *url.URL // of the session; nil where there is none
	offset   int64    // what the registry has of it
	chunk    int64
	whole    bool // the registry takes no chunks
	done     bool
	tried    int // failures since the last progress
	restarts int
}

func (p *push) newUpload(i *item) *upload {
	return &upload{p: p, item: i, chunk: p.c.ChunkSize, src: &source{store: p.store, blob: i.at}}
}

// run brings the blob up. Each step is one request; after a failure the registry is asked how far it got.
func (u *upload) run(ctx context.Context) error {
	defer u.src.close()
	u.p.set(u.item, func(b *Blob) { b.State, b.Done = Pushing, 0 })
	u.recall(ctx)
	for !u.done {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		before := u.offset
		err := u.step(ctx)
		if local := u.src.failure(); local != nil {
			return local
		}
		if err != nil {
			if err = u.recover(ctx, err); err != nil {
				return err
			}
		} else if u.offset > before {
			u.tried = 0
		}
	}
	u.remember(nil)
	return nil
}

func (u *upload) size() int64 { return u.item.Desc.Size }

// inOne says that the blob goes up in one request.
func (u *upload) inOne() bool { return u.whole || u.size() <= u.chunk && u.offset == 0 }

func (u *upload) step(ctx context.Context) error {
	switch {
	case u.location == nil:
		return u.open(ctx)
	case u.inOne():
		return u.finish(ctx, u.size())
	case u.offset < u.size():
		return u.patch(ctx)
	}
	return u.finish(ctx, 0)
}

// open starts a session, or mounts the blob from where it is already.
func (u *upload) open(ctx context.Context) error {
	at := u.p.at("blobs/uploads/")
	for len(u.mounts) > 0 {
		from := u.mounts[0]
		u.mounts = u.mounts[1:]
		q := url.Values{"mount": {u.item.Desc.Digest.String()}, "from": {from}}
		at.RawQuery = q.Encode()
		a, err := u.p.send(ctx, request{method: http.MethodPost, url: at, want: status(http.StatusCreated, http.StatusAccepted)})
		var st *statusError
		switch {
		case errors.As(err, &st) && !st.temporary():
			continue // it will not mount from there
		case err != nil:
			return err
		case a.status == http.StatusCreated:
			u.p.set(u.item, func(b *Blob) { b.State, b.From, b.Done = Mounted, from, b.Desc.Size })
			u.done = true
			return nil
		}
		return u.begin(a)
	}
	at.RawQuery = ""
	a, err := u.p.send(ctx, request{method: http.MethodPost, url: at, want: status(http.StatusAccepted)})
	if err != nil {
		return err
	}
	return u.begin(a)
}

// begin takes up a new session.
func (u *upload) begin(a *answer) error {
	u.mounts = nil
	u.offset = 0
	least, err := strconv.ParseInt(a.header.Get("OCI-Chunk-Min-Length"), 10, 64)
	if err == nil && least > u.chunk {
		u.chunk = least
	}
	return u.follow(a)
}

// follow takes the address for the next request, which may change with each answer.
func (u *upload) follow(a *answer) error {
	next, err := resolve(a.url, a.header.Get("Location"))
	if err != nil {
		return err
	}
	u.location = next
	return nil
}

// patch sends the next chunk.
func (u *upload) patch(ctx context.Context) error {
	n := min(u.chunk, u.size()-u.offset)
	if u.p.c.Sessions != nil {
		var stop func()
		ctx, stop = linger(ctx, grace)
		defer stop()
	}
	a, err := u.p.send(ctx, request{method: http.MethodPatch, url: u.location,
		header: http.Header{"Content-Type": {"application/octet-stream"},
			"Content-Range": {fmt.Sprintf("%d-%d", u.offset, u.offset+n-1)}},
		body: u.body(ctx, u.offset, n), size: n, sent: &u.item.sent, told: func() { u.p.tell(u.item) },
		want: status(http.StatusAccepted, http.StatusNoContent, http.StatusCreated)})
	if err != nil {
		return err
	}
	end := u.offset + n
	if has, ok := rangeEnd(a.header.Get("Range")); ok && has > u.offset && has < end {
		end = has // it took less than it was given
	}
	u.advance(end)
	if err := u.follow(a); err != nil && !errors.Is(err, errNoLocation) {
		return err
	}
	u.remember(u.location)
	return nil
}

// linger gives a context that ends some time after ctx.
func linger(ctx context.Context, d time.Duration) (context.Context, func()) {
	out, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		_ = pause(out, d)
		cancel(context.Cause(ctx))
	})
	return out, func() {
		stop()
		cancel(nil)
	}
}

func (u *upload) advance(offset int64) {
	u.offset = offset
	u.p.set(u.item, func(b *Blob) { b.Done = offset })
}

func (u *upload) body(ctx context.Context, off, n int64) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) { return u.src.section(ctx, off, n) }
}

// finish ends the session with the blob's digest, after or together with its last n bytes.
func (u *upload) finish(ctx context.Context, n int64) error {
	at := *u.location
	if at.RawQuery != "" {
		at.RawQuery += "&" // the registry's own part may be signed: it stays as it is
	}
	at.RawQuery += "digest=" + url.QueryEscape(u.item.Desc.Digest.String())
	r := request{method: http.MethodPut, url: &at, want: status(http.StatusCreated, http.StatusNoContent)}
	if n > 0 {
		r.header = http.Header{"Content-Type": {"application/octet-stream"}}
		r.body, r.size, r.sent = u.body(ctx, 0, n), n, &u.item.sent
		r.told = func() { u.p.tell(u.item) }
	}
	if _, err := u.p.send(ctx, r); err != nil {
		return err
	}
	u.complete()
	return nil
}

func (u *upload) complete() {
	u.done = true
	u.p.set(u.item, func(b *Blob) { b.State, b.Done = Pushed, b.Desc.Size })
}

// recover decides how to go on after err, or gives it back.
func (u *upload) recover(ctx context.Context, err error) error {
	var st *statusError
	if ctx.Err() == nil && errors.As(err, &st) && u.location != nil {
		switch {
		case st.status == http.StatusRequestEntityTooLarge && u.shrink():
			u.forget() // not counted: chunks can only become so small
			return nil
		case st.says("BLOB_UPLOAD_INVALID"), st.says("DIGEST_INVALID"), st.says("SIZE_INVALID"):
			return u.restart(err)
		case st.status == http.StatusNotFound, st.says("BLOB_UPLOAD_UNKNOWN"), st.status == http.StatusRequestedRangeNotSatisfiable:
			if u.tried++; u.tried >= tries {
				return err
			}
			return u.ask(ctx, err)
		case st.method == http.MethodPatch && !u.whole && !st.temporary() && st.status != http.StatusUnauthorized && st.status != http.StatusForbidden,
			st.method == http.MethodPatch && st.status == http.StatusNotImplemented:
			u.whole = true // an old registry, or a proxy that lets no PATCH through
			return u.restart(err)
		}
	}
	u.tried++
	if err := u.p.wait(ctx, u.tried, err); err != nil {
		return err
	}
	if u.location == nil {
		return nil
	}
	return u.ask(ctx, err)
}

// shrink makes chunks smaller where a body was too large for somebody on the way.
func (u *upload) shrink() bool {
	next := min(u.chunk, u.size()) / 4
	if u.whole || next < smallestChunk {
		return false
	}
	u.chunk = next
	return true
}

func (u *upload) forget() {
	u.location, u.offset = nil, 0
	u.remember(nil)
}

// restart forgets the session. With a registry that loses every session, err stands in the end.
func (u *upload) restart(err error) error {
	u.forget()
	if u.restarts++; u.restarts > restarts {
		return err
	}
	return nil
}

// ask asks the registry how much of the session it has, after cause.
func (u *upload) ask(ctx context.Context, cause error) error {
	var a *answer
	err := u.p.retry(ctx, func() (err error) {
		a, err = u.p.send(ctx, request{method: http.MethodGet, url: u.location,
			want: status(http.StatusNoContent, http.StatusOK, http.StatusAccepted)})
		return err
	})
	var st *statusError
	switch {
	case errors.As(err, &st) && !st.temporary():
		// The session is gone: because it was finished, and only the answer was lost, or because the registry forgot it.
		if there, err := u.p.has(ctx, u.p.to.Repository(), u.item); err == nil && there {
			u.complete()
			return nil
		}
		return u.restart(cause)
	case err != nil:
		return err
	}
	has, ok := rangeEnd(a.header.Get("Range"))
	if !ok || has > u.size() || u.whole && has > 0 {
		return u.restart(cause)
	}
	if has >= u.offset+worthwhile {
		u.tried = 0
	}
	u.advance(has)
	if err := u.follow(a); err != nil && !errors.Is(err, errNoLocation) {
		return err
	}
	return nil
}

// rangeEnd reads how many bytes `0-1023` stands for. `0-0` stands for none: registries cannot say that otherwise.
func rangeEnd(s string) (int64, bool) {
	first, last, ok := strings.Cut(strings.TrimPrefix(s, "bytes="), "-")
	n, err := strconv.ParseInt(last, 10, 64)
	if !ok || first != "0" || err != nil || n < 0 {
		return 0, s == ""
	}
	if n == 0 {
		return 0, true
	}
	return n + 1, true
}

// remember keeps the session for the next run; nil forgets it. That it cannot be kept is no reason to fail. Sessions at
// other hosts carry their permission in the address: they are not written down.
func (u *upload) remember(location *url.URL) {
	if u.p.c.Sessions == nil || u.size() <= u.p.c.ChunkSize {
		return
	}
	var v []byte
	if location != nil && strings.EqualFold(location.Host, u.p.to.Registry()) {
		v = []byte(location.String())
	}
	_ = u.p.c.Sessions.SaveRecord(u.key(), v)
}

func (u *upload) key() string {
	return "push " + u.p.to.Registry() + "/" + u.p.to.Repository() + "@" + u.item.Desc.Digest.String()
}

// recall takes up the session of an earlier run.
func (u *upload) recall(ctx context.Context) {
	if u.p.c.Sessions == nil || u.size() <= u.p.c.ChunkSize {
		return
	}
	v, ok := u.p.c.Sessions.LoadRecord(u.key())
	if !ok || len(v) == 0 {
		return
	}
	at, err := url.Parse(string(v))
	if err != nil || !strings.EqualFold(at.Host, u.p.to.Registry()) || at.Scheme != u.p.root.Scheme {
		return
	}
	u.location = at
	if err := u.ask(ctx, nil); err != nil {
		u.location, u.offset = nil, 0
	}
	u.tried, u.restarts = 0, 0
}
