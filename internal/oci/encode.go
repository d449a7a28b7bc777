package oci

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/types"

	"hewn.example/hewn/internal/digest"
	"hewn.example/hewn/internal/platform"
	"hewn.example/hewn/internal/spec"
)

// The documents of an image as hewn writes them. Their fields stand here, and not in a library, since the order of
// fields is part of every image's digest: see docs/IMAGE.md.

// descriptor names a blob.
type descriptor struct {
	MediaType types.MediaType `json:"mediaType"`
	Digest    string          `json:"digest"`
	Size      int64           `json:"size"`
	Platform  *osArch         `json:"platform,omitempty"`
}

// osArch is what an image runs on, in the words of the image specification.
type osArch struct {
	Architecture string   `json:"architecture"`
	OS           string   `json:"os"`
	OSVersion    string   `json:"os.version,omitempty"`
	OSFeatures   []string `json:"os.features,omitempty"`
	Variant      string   `json:"variant,omitempty"`
}

type manifestDoc struct {
	SchemaVersion int               `json:"schemaVersion"`
	MediaType     types.MediaType   `json:"mediaType"`
	Config        descriptor        `json:"config"`
	Layers        []descriptor      `json:"layers"`
	Annotations   map[string]string `json:"annotations,omitempty"`
}

type indexDoc struct {
	SchemaVersion int               `json:"schemaVersion"`
	MediaType     types.MediaType   `json:"mediaType"`
	Manifests     []descriptor      `json:"manifests"`
	Annotations   map[string]string `json:"annotations,omitempty"`
}

type configDoc struct {
	Created      string       `json:"created,omitempty"`
	Author       string       `json:"author,omitempty"`
	Architecture string       `json:"architecture"`
	OS           string       `json:"os"`
	Variant      string       `json:"variant,omitempty"`
	Config       runDoc       `json:"config"`
	RootFS       rootFSDoc    `json:"rootfs"`
	History      []historyDoc `json:"history"`
}

type runDoc struct {
	User         string              `json:"User,omitempty"`
	ExposedPorts map[string]struct{} `json:"ExposedPorts,omitempty"`
	Env          []string            `json:"Env,omitempty"`
	Entrypoint   []string            `json:"Entrypoint,omitempty"`
	Cmd          []string            `json:"Cmd,omitempty"`
	Volumes      map[string]struct{} `json:"Volumes,omitempty"`
	WorkingDir   string              `json:"WorkingDir,omitempty"`
	Labels       map[string]string   `json:"Labels,omitempty"`
	StopSignal   string              `json:"StopSignal,omitempty"`
	Healthcheck  *healthDoc          `json:"Healthcheck,omitempty"`
}

// healthDoc has durations in nanoseconds.
type healthDoc struct {
	Test        []string
	Interval    time.Duration `json:",omitempty"`
	Timeout     time.Duration `json:",omitempty"`
	StartPeriod time.Duration `json:",omitempty"`
	Retries     int           `json:",omitempty"`
}

type rootFSDoc struct {
	Type    string   `json:"type"`
	DiffIDs []string `json:"diff_ids"`
}

type historyDoc struct {
	Created   string `json:"created,omitempty"`
	CreatedBy string `json:"created_by"`
}

// encodeJSON is the one form in which hewn writes documents: no white space, maps in the order of their keys, `<`, `>`
// and `&` as they are.
func encodeJSON(doc any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(doc); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// madeLayer is the outcome of an oci-layer step, as it stands in its layer.json.
type madeLayer struct {
	MediaType types.MediaType `json:"mediaType"`
	Digest    string          `json:"digest"`
	Size      int64           `json:"size"`
	DiffID    string          `json:"diffID"`
}

// namedLayer is a layer and the group that it was made of.
type namedLayer struct {
	madeLayer
	name string
}

// newConfig is the configuration of an image.
func newConfig(i *spec.Image, p platform.Platform, layers []namedLayer) configDoc {
	on := imagePlatform(p)
	c := configDoc{
		Created: timeText(i.Created), Author: i.Author, Architecture: on.Architecture, OS: on.OS, Variant: on.Variant,
		RootFS: rootFSDoc{Type: "layers", DiffIDs: []string{}},
		Config: runDoc{
			User: i.User, Entrypoint: i.Entrypoint, Cmd: i.Cmd, WorkingDir: i.WorkDir, Labels: i.Labels, StopSignal: i.StopSignal,
			Volumes: set(i.Volumes),
		},
	}
	for _, name := range slices.Sorted(maps.Keys(i.Env)) {
		c.Config.Env = append(c.Config.Env, name+"="+i.Env[name])
	}
	ports := make([]string, 0, len(i.Ports))
	for _, p := range i.Ports {
		port, _ := spec.ParsePort(p) // a valid image has no other
		ports = append(ports, port)
	}
	c.Config.ExposedPorts = set(ports)
	if h := i.Healthcheck; h != nil {
		c.Config.Healthcheck = &healthDoc{append([]string{"CMD"}, h.Command...), h.Interval, h.Timeout, h.StartPeriod, h.Retries}
	}
	for _, l := range layers {
		c.RootFS.DiffIDs = append(c.RootFS.DiffIDs, l.DiffID)
		c.History = append(c.History, historyDoc{timeText(i.Created), "hewn: " + l.name})
	}
	return c
}

func set(names []string) map[string]struct{} {
	out := make(map[string]struct{}, len(names))
	for _, n := range names {
		out[n] = struct{}{}
	}
	return out
}

// timeText is a time as images have it; empty for none.
func timeText(seconds int64) string {
	if seconds == 0 {
		return ""
	}
	return time.Unix(seconds, 0).UTC().Format(time.RFC3339)
}

// imagePlatform is a platform in the words of the image specification, which also wants to know which ARM it is: the one
// that Debian builds for.
func imagePlatform(p platform.Platform) osArch {
	variants := map[string]string{"arm": "v7", "arm64": "v8"}
	return osArch{Architecture: p.Arch, OS: p.OS, Variant: variants[p.Arch]}
}

// describeBlob is the descriptor of a document.
func describeBlob(t types.MediaType, d digest.Digest) descriptor {
	return descriptor{MediaType: t, Digest: ociDigest(d), Size: d.Size()}
}

// ociDigest is how images write a digest.
func ociDigest(d digest.Digest) string { return "sha256:" + d.Hex() }
