package spec

import (
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"hewn.example/hewn/internal/diag"
)

// Image is how a tree becomes a container image: what is run in it, by whom, and how its files are cut into layers.
// It is what a recipe says; internal/oci makes bytes of it.
type Image struct {
	// Layers cuts the files into layers, the lowest first. Every file, link and empty directory belongs to the group with
	// the deepest pattern that covers it, and what none covers to the first group. Other directories stand in every layer
	// that has something in them. Groups to which nothing belongs give no layer. Without groups there is one layer.
	Layers []LayerGroup `json:"layers,omitempty"`
	// Owners maps a path, in the image, to `user`, `user:group`, `uid` or `uid:gid` for it and everything below; the
	// deepest path counts. Names are looked up in the image's own /etc/passwd and /etc/group. A user's name alone stands
	// for that account's own group too, a number alone for the group of the same number. The default is 0:0.
	Owners map[string]string `json:"owners,omitempty"`
	// Modes maps a path, in which each name may be a pattern (`*`, `?`, `[...]`), to octal permission bits such as "1777".
	// A path without patterns counts before those with. The default is 0755 for directories and executable files, 0644 for others.
	Modes map[string]string `json:"modes,omitempty"`

	Entrypoint []string `json:"entrypoint,omitempty"` // what is run
	Cmd        []string `json:"cmd,omitempty"`        // its arguments, where whoever starts a container gives no others

	Env     map[string]string `json:"env,omitempty"`
	WorkDir string            `json:"workDir,omitempty"`
	// User is `user`, `user:group`, `uid` or `uid:gid`, as in a Dockerfile; a name must exist in the image.
	User        string       `json:"user,omitempty"`
	Ports       []string     `json:"ports,omitempty"`   // "9000", "9000/tcp", "53/udp"
	Volumes     []string     `json:"volumes,omitempty"` // absolute paths
	Healthcheck *Healthcheck `json:"healthcheck,omitempty"`
	StopSignal  string       `json:"stopSignal,omitempty"` // "SIGTERM" where empty, which is the runtime's default

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
	// everything below; "/" covers everything. Of two that cover the same with equally many names, that of the later group counts.
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

// MaxLayers is how many layers an image may have: overlay file systems mount no more.
const MaxLayers = 127

// Validate says what is wrong with an image, naming the field.
func (i *Image) Validate() error {
	for _, check := range []func() error{i.checkLayers, i.checkFiles, i.checkProcess, i.checkContract, i.checkText} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

func badImage(key, format string, args ...any) *diag.Problem {
	return diag.Inputf("bad-image", format, args...).At(diag.Position{Key: key})
}

func (i *Image) checkLayers() error {
	if len(i.Layers) > MaxLayers {
		return badImage("layers", "an image has at most %d layers, and here are %d", MaxLayers, len(i.Layers)).
			Hint("put groups together that change together")
	}
	names := map[string]bool{}
	for _, g := range i.Layers {
		switch {
		case g.Name == "" || strings.ContainsFunc(g.Name, unicode.IsControl) || !utf8.ValidString(g.Name):
			return badImage("layers", "%q cannot be the name of a layer", g.Name)
		case names[g.Name]:
			return badImage("layers."+g.Name, "two layers are called `%s`", g.Name)
		case len(g.Paths) == 0:
			return badImage("layers."+g.Name, "layer `%s` has no paths", g.Name)
		}
		names[g.Name] = true
		for _, p := range g.Paths {
			if err := checkPattern(p); err != nil {
				return err.At(diag.Position{Key: "layers." + g.Name})
			}
		}
	}
	if !slices.Contains([]string{"", "zstd", "gzip", "none"}, i.Compression) {
		return badImage("compression", "`%s` is none of zstd, gzip, none", i.Compression)
	}
	return nil
}

func (i *Image) checkFiles() error {
	for _, p := range slices.Sorted(maps.Keys(i.Owners)) {
		if !cleanPath(p) {
			return badImage("owners."+p, "%q is not an absolute clean path", p)
		}
		if _, _, ok := SplitOwner(i.Owners[p]); !ok {
			return badImage("owners."+p, "%q is no owner: want `user`, `user:group`, `uid` or `uid:gid`", i.Owners[p])
		}
	}
	for _, p := range slices.Sorted(maps.Keys(i.Modes)) {
		if err := checkPattern(p); err != nil {
			return err.At(diag.Position{Key: "modes." + p})
		}
		if p == "/" {
			return badImage("modes./", "the root directory is made by whoever starts the container, with a mode of its own")
		}
		if _, ok := ParseMode(i.Modes[p]); !ok {
			return badImage("modes."+p, "%q is no mode: want octal permission bits from 0 to 7777, such as \"1777\"", i.Modes[p])
		}
	}
	return nil
}

// checkProcess looks at what is run, and how.
func (i *Image) checkProcess() error {
	for _, c := range []struct {
		key  string
		args []string
	}{{"entrypoint", i.Entrypoint}, {"cmd", i.Cmd}} {
		if len(c.args) > 0 && c.args[0] == "" && (c.key == "entrypoint" || len(i.Entrypoint) == 0) {
			return badImage(c.key, "the command is empty")
		}
		for _, a := range c.args {
			if !plainText(a) {
				return badImage(c.key, "the argument %q is not UTF-8, or has a zero byte", a)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(i.Env)) {
		switch {
		case name == "" || strings.Contains(name, "="):
			return badImage("env."+name, "%q cannot be the name of an environment variable", name)
		case !plainText(name) || !plainText(i.Env[name]):
			return badImage("env."+strings.ToValidUTF8(name, "?"), "the variable %q is not UTF-8, or has a zero byte", name)
		}
	}
	if i.WorkDir != "" && !cleanPath(i.WorkDir) {
		return badImage("workDir", "%q is not an absolute clean path", i.WorkDir)
	}
	if _, _, ok := SplitOwner(i.User); !ok && i.User != "" {
		return badImage("user", "%q is no user: want `user`, `user:group`, `uid` or `uid:gid`", i.User)
	}
	return nil
}

// checkContract looks at what a container engine has to know.
func (i *Image) checkContract() error {
	for _, p := range i.Ports {
		if _, ok := ParsePort(p); !ok {
			return badImage("ports", "%q is no port: want a number from 1 to 65535, with `/tcp`, `/udp` or `/sctp` or nothing after it", p)
		}
	}
	for _, v := range i.Volumes {
		if !cleanPath(v) || v == "/" {
			return badImage("volumes", "%q is not an absolute clean path below /", v)
		}
	}
	if i.StopSignal != "" && !knownSignal(i.StopSignal) {
		return badImage("stopSignal", "%q is no signal of Linux: want a name such as `SIGTERM`, or a number from 1 to 64", i.StopSignal)
	}
	if i.Healthcheck == nil {
		return nil
	}
	return i.Healthcheck.check()
}

func (h *Healthcheck) check() error {
	if len(h.Command) == 0 || h.Command[0] == "" {
		return badImage("healthcheck.command", "the health check has no command")
	}
	for _, a := range h.Command {
		if !plainText(a) {
			return badImage("healthcheck.command", "the argument %q is not UTF-8, or has a zero byte", a)
		}
	}
	for _, d := range []struct {
		key string
		d   time.Duration
	}{{"interval", h.Interval}, {"timeout", h.Timeout}, {"startPeriod", h.StartPeriod}} {
		// Container engines refuse what is shorter than a millisecond.
		if d.d < 0 || d.d > 0 && d.d < time.Millisecond {
			return badImage("healthcheck."+d.key, "%s is not 0 and not a millisecond or more", d.d)
		}
	}
	if h.Retries < 0 {
		return badImage("healthcheck.retries", "%d is negative", h.Retries)
	}
	return nil
}

func (i *Image) checkText() error {
	for _, m := range []struct {
		key    string
		values map[string]string
	}{{"labels", i.Labels}, {"annotations", i.Annotations}} {
		for _, k := range slices.Sorted(maps.Keys(m.values)) {
			if k == "" {
				return badImage(m.key, "a name is empty")
			}
			if !plainText(k) || !plainText(m.values[k]) {
				return badImage(m.key+"."+strings.ToValidUTF8(k, "?"), "%q = %q is not UTF-8, or has a zero byte", k, m.values[k])
			}
		}
	}
	if !plainText(i.Author) {
		return badImage("author", "%q is not UTF-8, or has a zero byte", i.Author)
	}
	if i.Created < 0 || i.Created > lastSecond {
		return badImage("created", "%d is not a time from 1970 to 9999, in seconds", i.Created)
	}
	return nil
}

// lastSecond ends the last year that the form of times in images (RFC 3339) can tell.
const lastSecond = 253402300799

func plainText(s string) bool { return utf8.ValidString(s) && !strings.ContainsRune(s, 0) }

func cleanPath(p string) bool { return path.IsAbs(p) && path.Clean(p) == p && plainText(p) }

// checkPattern says why p is no absolute path in which each name may be a pattern, or nil.
func checkPattern(p string) *diag.Problem {
	if !cleanPath(p) {
		return badImage("", "%q is not an absolute clean path", p)
	}
	for name := range strings.SplitSeq(p, "/") {
		if strings.Contains(name, "**") {
			return badImage("", "%q: `**` has no meaning here: a path covers everything below it", p)
		}
		if _, err := path.Match(name, ""); err != nil {
			return badImage("", "%q: %q is not a well-formed pattern", p, name)
		}
	}
	return nil
}

// SplitOwner gives the parts of `user`, `user:group`, `uid` or `uid:gid`; group is empty where none is named.
func SplitOwner(s string) (user, group string, ok bool) {
	user, group, both := strings.Cut(s, ":")
	return user, group, accountName(user) && (!both || accountName(group))
}

func accountName(s string) bool {
	return s != "" && plainText(s) && !strings.ContainsAny(s, ":/") && !strings.ContainsFunc(s, unicode.IsSpace) &&
		(strings.Trim(s, "0123456789") != "" || isID(s))
}

func isID(s string) bool { _, ok := ParseID(s); return ok }

// ParseID reads the number of a user or group; ok is false for anything else, such as a name. The highest number of 32
// bits stands for "no user" everywhere and is none.
func ParseID(s string) (id uint32, ok bool) {
	n, err := strconv.ParseUint(s, 10, 32)
	return uint32(n), err == nil && n < 1<<32-1 && strings.Trim(s, "0123456789") == ""
}

// ParseMode reads octal permission bits.
func ParseMode(s string) (mode uint32, ok bool) {
	n, err := strconv.ParseUint(s, 8, 16)
	return uint32(n), err == nil && n <= 0o7777 && strings.Trim(s, "01234567") == ""
}

// ParsePort reads a port and gives it with its protocol: `9000/tcp`.
func ParsePort(s string) (port string, ok bool) {
	number, protocol, both := strings.Cut(s, "/")
	if !both {
		protocol = "tcp"
	}
	n, err := strconv.ParseUint(number, 10, 16)
	ok = err == nil && n > 0 && strconv.FormatUint(n, 10) == number && slices.Contains([]string{"tcp", "udp", "sctp"}, protocol)
	return number + "/" + protocol, ok
}

const signals = " HUP INT QUIT ILL TRAP ABRT IOT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CLD CONT STOP TSTP" +
	" TTIN TTOU URG XCPU XFSZ VTALRM PROF WINCH IO POLL PWR SYS RTMIN RTMAX "

// knownSignal says whether s is a signal as container engines take it: `SIGTERM`, `TERM`, `15`, `SIGRTMIN+3`.
func knownSignal(s string) bool {
	if n, err := strconv.ParseUint(s, 10, 8); err == nil {
		return n >= 1 && n <= 64 && strconv.FormatUint(n, 10) == s
	}
	name := strings.TrimPrefix(s, "SIG")
	for from, sign := range map[string]string{"RTMIN": "+", "RTMAX": "-"} {
		if steps, ok := strings.CutPrefix(name, from+sign); ok {
			n, err := strconv.ParseUint(steps, 10, 8)
			return err == nil && n >= 1 && n <= 30 && strconv.FormatUint(n, 10) == steps
		}
	}
	return name != "" && !strings.Contains(name, " ") && strings.Contains(signals, " "+name+" ")
}
