// Package fetch turns artifacts into verified blobs: it asks a locator where an artifact is, downloads with retry and
// resume, checks the integrity and only then lets anybody see the bytes. It knows no registry.
package fetch

import (
	"context"
	"errors"
	"io"

	"hewn.example/hewn/internal/origin"
	"hewn.example/hewn/internal/source"
)

// Getter reads small documents (indexes, metadata) from endpoints, with the endpoint's credentials, retries and a bound.
type Getter interface {
	// Get reads the document at url, at most limit bytes. accept is the Accept header, or empty. A document that does
	// not exist (404, 410) gives an error that wraps ErrGone.
	Get(ctx context.Context, e origin.Endpoint, url, accept string, limit int64) ([]byte, error)
	// Open streams a large document.
	Open(ctx context.Context, e origin.Endpoint, url string) (io.ReadCloser, error)
}

// Location is where an artifact may be downloaded.
type Location struct {
	Endpoint origin.Endpoint
	URL      string
	// Make, if set, makes the artifact, which then is no download; URL is what it is made of, for people.
	Make func(ctx context.Context) (io.ReadCloser, error)
}

// Locator finds an artifact of its ecosystem at one endpoint. Each ecosystem package has one. It returns an error that
// wraps ErrGone where that endpoint does not have the artifact; then the next endpoint is asked.
type Locator func(ctx context.Context, g Getter, e origin.Endpoint, a source.Artifact) (Location, error)

// ErrGone is wrapped by errors that say that an origin answers but does not have what was asked for.
var ErrGone = errGone{}

type errGone struct{}

func (errGone) Error() string { return "not there (404)" }

// ErrNotFor is wrapped by a Locator's error where the endpoint is not meant for the artifact: it is passed over as if it
// were not there.
var ErrNotFor = errors.New("not for this artifact")
