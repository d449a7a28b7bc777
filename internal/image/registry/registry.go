// Package registry pushes a finished image layout to an OCI registry.
//
// What the registry has already stays where it is: blobs are asked for by HEAD, then mounted from other repositories of
// the same registry, and only then sent: large ones in chunks, each of which can be taken up again where a connection
// broke, in the same run or in a later one. Manifests follow their blobs, the index follows its manifests, and the tag
// comes last, so that nobody who pulls ever sees half an image.
//
// References, challenges and tokens are ggcr's; the upload is written here, since ggcr sends a blob in one piece and
// starts again from its first byte.
package registry

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"hewn.example/hewn/internal/oci"
	"hewn.example/hewn/internal/store"
)

// Config is how pushes are made. The zero value pushes without credentials.
type Config struct {
	// Keychain finds credentials; nil means none. Credentials is one that can say where it found them.
	Keychain authn.ContextKeychain
	// PlainHTTP lists hosts (`host` or `host:port`) that may be spoken to without TLS. Loopback addresses always may.
	PlainHTTP []string
	// PlainHTTPHint tells a person how to add a host to PlainHTTP; %s is the host. Empty: errors do not mention it.
	PlainHTTPHint string
	// Transport carries proxies and trusted certificates. A push works on a clone of it; nil means no proxy.
	Transport *http.Transport
	// MountFrom lists repositories of the same registry (`team/base`) that may have some of the blobs.
	MountFrom []string
	// ChunkSize is how much goes up in one request; 0 means DefaultChunk. Smaller blobs go up in one piece.
	ChunkSize int64
	// Parallel is how many blobs go up at once; 0 means 4.
	Parallel int
	// Sessions remembers uploads that were begun, so that the next run can finish them. It may be nil.
	Sessions Sessions
	// Progress is told of each change of a blob's or manifest's state, and of bytes sent. It may be nil. It is called
	// from many goroutines and must not block for long.
	Progress func(Blob)
	// Pause waits between tries; nil means time.
	Pause func(ctx context.Context, d time.Duration) error
	// Jitter gives numbers in [0, 1) that spread the tries of many clients; nil means no spread.
	Jitter func() float64
}

// DefaultChunk is what goes up in one request: large enough that the round trip for each does not show (128 MiB to
// Debian's docker-registry over TLS on loopback, 2 processors: 30 MB/s with 1 MiB, 57 with 4, 90 with 16, 79 with 64),
// small enough that a proxy's time limits and a broken connection cost little.
const DefaultChunk = 16 << 20

// Sessions keeps small values by key; the store's records are one. An empty value is one that was forgotten.
type Sessions interface {
	LoadRecord(key string) ([]byte, bool)
	SaveRecord(key string, value []byte) error
}

// State is what a push did with a blob or a manifest.
type State string

// The states. A blob ends in one of the first three.
const (
	Existed State = "existed" // the registry had it
	Mounted State = "mounted" // the registry took it from another repository
	Pushed  State = "pushed"  // it was sent
	Pushing State = "pushing" // it is being sent
)

// Kind says what a blob is in the image.
type Kind string

// The kinds of blob.
const (
	KindLayer    Kind = "layer"
	KindConfig   Kind = "config"
	KindManifest Kind = "manifest"
	KindIndex    Kind = "index"
)

// Blob is one blob or manifest of a push.
type Blob struct {
	Desc  v1.Descriptor
	Kind  Kind
	State State
	From  string // the repository from which it was mounted
	Done  int64  // bytes that the registry has; Desc.Size when it is done
	Sent  int64  // bytes that were sent, with those sent again after a broken connection
}

// Report is what a push did.
type Report struct {
	Reference string  // with registry and tag: what a person pulls
	Digest    v1.Hash // of the manifest, or of the index of several platforms
	Blobs     []Blob  // configurations and layers, each once, in the layout's order; then manifests, then the index
	Sent      int64   // bytes of all of them that went over the wire
}

// Push brings layout, whose blobs are in s, to where ref says: `registry.example:5000/team/app:tag`. A reference that
// does not name its registry is refused. A push that fails loses nothing: what arrived is found by the next one.
func Push(ctx context.Context, c Config, layout *oci.Layout, s store.Blobs, ref string) (Report, error) {
	to, err := ParseReference(ref)
	if err != nil {
		return Report{}, err
	}
	if d := to.digest(); d != "" && d != layout.Top.Digest.String() {
		return Report{}, errOtherDigest(ref, layout.Top.Digest)
	}
	p := newPush(c, s, to)
	defer p.close()
	if err := p.connect(ctx); err != nil {
		return Report{}, p.explain(ctx, err)
	}
	r := Report{Reference: to.String(), Digest: layout.Top.Digest}
	blobs, manifests, err := contents(layout)
	if err != nil {
		return r, err
	}
	err = p.everything(ctx, blobs, manifests)
	for _, b := range append(blobs, manifests...) {
		r.Blobs = append(r.Blobs, b.snapshot())
		r.Sent += b.snapshot().Sent
	}
	if err != nil {
		return r, p.explain(ctx, err)
	}
	return r, nil
}

// contents lists the blobs of a layout, each once, and its manifests in the order in which they must be sent.
func contents(l *oci.Layout) (blobs, manifests []*item, err error) {
	seen := map[v1.Hash]bool{}
	add := func(d v1.Descriptor, k Kind) error {
		if seen[d.Digest] {
			return nil
		}
		seen[d.Digest] = true
		at, err := oci.BlobDigest(d)
		if err != nil {
			return fmt.Errorf("%s of the image: %w", k, err)
		}
		blobs = append(blobs, &item{Blob: Blob{Desc: d, Kind: k}, at: at})
		return nil
	}
	for _, img := range l.Images {
		for _, d := range img.Manifest.Layers {
			if err := add(d, KindLayer); err != nil {
				return nil, nil, err
			}
		}
		if err := add(img.Manifest.Config, KindConfig); err != nil {
			return nil, nil, err
		}
		if !seen[img.Desc.Digest] {
			seen[img.Desc.Digest] = true
			manifests = append(manifests, &item{Blob: Blob{Desc: img.Desc, Kind: KindManifest}, raw: img.Raw})
		}
	}
	if l.Index != nil {
		manifests = append(manifests, &item{Blob: Blob{Desc: l.Top, Kind: KindIndex}, raw: l.Index})
	}
	if len(manifests) == 0 {
		return nil, nil, fmt.Errorf("the layout has no image")
	}
	return blobs, manifests, nil
}
