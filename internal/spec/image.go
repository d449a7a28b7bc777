package spec

import "time"

// Image is how a tree becomes a container image: what is run in it, by whom, and how its files are cut into layers.
// It is what a recipe says; internal/oci makes bytes of it.
type Image struct {
	// Layers cuts the files into layers, the lowest first. Every path belongs to the group with the deepest pattern that
	// covers it, and what none covers to the first group. Groups to which nothing belongs give no layer.
	Layers []LayerGroup `json:"layers,omitempty"`
	// Owners maps a path, in the image, to `user`, `user:group`, `uid` or `uid:gid` for it and everything below; the
	// deepest path counts. Names are looked up in the image's own /etc/passwd and /etc/group. The default is 0:0.
	Owners map[string]string `json:"owners,omitempty"`
	// Modes maps a path, in which each name may be a pattern (`*`, `?`, `[...]`), to octal permission bits such as "1777".
	// The default is 0755 for directories and executable files, 0644 for others.
	Modes map[string]string `json:"modes,omitempty"`

	Entrypoint []string          `json:"entrypoint,omitempty"`
	Cmd        []string          `json:"cmd,omitempty"`
	Env        map[string]string `json:"env,omitempty"`
	WorkDir    string            `json:"workDir,omitempty"`
	// User is `user`, `user:group`, `uid` or `uid:gid`, as in a Dockerfile; a name must exist in the image.
	User        string            `json:"user,omitempty"`
	Ports       []string          `json:"ports,omitempty"`   // "9000", "9000/tcp", "53/udp"
	Volumes     []string          `json:"volumes,omitempty"` // absolute paths
	Healthcheck *Healthcheck      `json:"healthcheck,omitempty"`
	StopSignal  string            `json:"stopSignal,omitempty"` // "SIGTERM" where empty, which is the runtime's default
	Labels      map[string]string `json:"labels,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"` // of the manifest
	// Created is the time that the image says it was made at, in seconds since 1970: the source's own time, never the
	// clock's. Zero leaves it out.
	Created int64  `json:"created,omitempty"`
	Author  string `json:"author,omitempty"`
	// Compression of the layers: "zstd" (where empty), "gzip" or "none".
	Compression string `json:"compression,omitempty"`
}

// LayerGroup is one layer of an image: a name for people, and the paths that belong to it.
type LayerGroup struct {
	Name string `json:"name"`
	// Paths are absolute; each name in one may be a pattern (`*`, `?`, `[...]`). A path covers what it matches and
	// everything below. Of two that cover the same with equally many names, that of the later group counts.
	Paths []string `json:"paths"`
}

// Healthcheck is the command by which a container engine asks whether the application is well. Zero durations leave the
// choice to the engine.
type Healthcheck struct {
	Command     []string      `json:"command"`
	Interval    time.Duration `json:"interval,omitempty"`
	Timeout     time.Duration `json:"timeout,omitempty"`
	StartPeriod time.Duration `json:"startPeriod,omitempty"`
	Retries     int           `json:"retries,omitempty"`
}
