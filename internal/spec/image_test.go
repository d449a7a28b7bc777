package spec_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/spec"
)

// container is an image with everything that can be said of one.
func container() *spec.Image {
	return &spec.Image{
		Layers: []spec.LayerGroup{
			{Name: "system", Paths: []string{"/"}},
			{Name: "packages", Paths: []string{"/venv/lib/python3.*/site-packages", `/odd/\*`}},
			{Name: "application", Paths: []string{"/app", "/usr/lib/[a-c]?"}},
		},
		Owners:     map[string]string{"/": "0", "/data": "app", "/media": "1000:1000", "/www": "www-data:www-data"},
		Modes:      map[string]string{"/tmp": "1777", "/usr/bin/*": "755", "/etc/secret": "0"},
		Entrypoint: []string{"init", "--"}, Cmd: []string{"", "serve"},
		Env: map[string]string{"PATH": "/bin", "EMPTY": "", "lower.case-x": "a=b"}, WorkDir: "/", User: "app:1000",
		Ports: []string{"9000", "9443/tcp", "53/udp", "7/sctp"}, Volumes: []string{"/data", "/media"},
		Healthcheck: &spec.Healthcheck{Command: []string{"ak", "healthcheck"}, Interval: 30 * time.Second, Retries: 3},
		StopSignal:  "SIGTERM", Labels: map[string]string{"org.x": "ä\n"}, Annotations: map[string]string{"org.y": ""},
		Created: 253402300799, Author: "somebody", Compression: "gzip",
	}
}

func TestValidImages(t *testing.T) {
	for name, change := range map[string]func(*spec.Image){
		"everything":   func(*spec.Image) {},
		"nothing":      func(i *spec.Image) { *i = spec.Image{} },
		"one layer":    func(i *spec.Image) { i.Layers = i.Layers[:1] },
		"127 layers":   func(i *spec.Image) { i.Layers = layers(127) },
		"highest id":   func(i *spec.Image) { i.User = "4294967294" },
		"signal":       func(i *spec.Image) { i.StopSignal = "INT" },
		"real time":    func(i *spec.Image) { i.StopSignal = "SIGRTMIN+3" },
		"number":       func(i *spec.Image) { i.StopSignal = "64" },
		"uncompressed": func(i *spec.Image) { i.Compression = "none" },
	} {
		i := container()
		change(i)
		if err := i.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func layers(n int) (out []spec.LayerGroup) {
	for i := range n {
		out = append(out, spec.LayerGroup{Name: fmt.Sprint(i), Paths: []string{fmt.Sprint("/", i)}})
	}
	return out
}

// one is a map of one entry.
func one(k, v string) map[string]string { return map[string]string{k: v} }

func TestInvalidImages(t *testing.T) {
	group := func(name string, paths ...string) []spec.LayerGroup {
		return []spec.LayerGroup{{Name: name, Paths: paths}}
	}
	type change = func(*spec.Image)
	for _, c := range []struct {
		spoil change
		key   string
		says  string
	}{
		{func(i *spec.Image) { i.Layers = layers(128) }, "layers", "at most 127 layers, and here are 128"},
		{func(i *spec.Image) { i.Layers[1].Name = "system" }, "layers.system", "two layers"},
		{func(i *spec.Image) { i.Layers = group("", "/a") }, "layers", `""`},
		{func(i *spec.Image) { i.Layers = group("a\nb", "/a") }, "layers", `"a\nb"`},
		{func(i *spec.Image) { i.Layers = group("a") }, "layers.a", "no paths"},
		{func(i *spec.Image) { i.Layers = group("a", "usr") }, "layers.a", "absolute"},
		{func(i *spec.Image) { i.Layers = group("a", "/usr/") }, "layers.a", "clean"},
		{func(i *spec.Image) { i.Layers = group("a", "/usr/../etc") }, "layers.a", "clean"},
		{func(i *spec.Image) { i.Layers = group("a", "") }, "layers.a", "absolute"},
		{func(i *spec.Image) { i.Layers = group("a", "/usr/[a") }, "layers.a", "well-formed"},
		{func(i *spec.Image) { i.Layers = group("a", "/usr/**/x") }, "layers.a", "`**`"},
		{func(i *spec.Image) { i.Layers = group("a", "/\xff") }, "layers.a", `"/\xff"`},
		{func(i *spec.Image) { i.Compression = "xz" }, "compression", "`xz`"},
		{func(i *spec.Image) { i.Owners = one("data", "0") }, "owners.data", "absolute"},
		{func(i *spec.Image) { i.Owners = one("/data", "") }, "owners./data", `""`},
		{func(i *spec.Image) { i.Owners = one("/data", "a:") }, "owners./data", `"a:"`},
		{func(i *spec.Image) { i.Owners = one("/data", ":a") }, "owners./data", `":a"`},
		{func(i *spec.Image) { i.Owners = one("/data", "a:b:c") }, "owners./data", "no owner"},
		{func(i *spec.Image) { i.Owners = one("/data", "a b") }, "owners./data", "no owner"},
		{func(i *spec.Image) { i.Owners = one("/data", "4294967295") }, "owners./data", "no owner"},
		{func(i *spec.Image) { i.Owners = one("/data", "1:99999999999") }, "owners./data", "no owner"},
		{func(i *spec.Image) { i.Modes = one("/a", "rwx") }, "modes./a", "octal"},
		{func(i *spec.Image) { i.Modes = one("/a", "") }, "modes./a", "octal"},
		{func(i *spec.Image) { i.Modes = one("/a", "0o755") }, "modes./a", "octal"},
		{func(i *spec.Image) { i.Modes = one("/a", "789") }, "modes./a", "octal"},
		{func(i *spec.Image) { i.Modes = one("/a", "10000") }, "modes./a", "7777"},
		{func(i *spec.Image) { i.Modes = one("/", "1777") }, "modes./", "root directory"},
		{func(i *spec.Image) { i.Modes = one("a/*", "755") }, "modes.a/*", "absolute"},
		{func(i *spec.Image) { i.Modes = one("/a/[", "755") }, "modes./a/[", "well-formed"},
		{func(i *spec.Image) { i.Entrypoint = []string{""} }, "entrypoint", "empty"},
		{func(i *spec.Image) { i.Entrypoint = nil }, "cmd", "empty"},
		{func(i *spec.Image) { i.Cmd = []string{"a\x00"} }, "cmd", "zero byte"},
		{func(i *spec.Image) { i.Entrypoint[1] = "\xff" }, "entrypoint", "UTF-8"},
		{func(i *spec.Image) { i.Env = one("A=B", "") }, "env.A=B", "name"},
		{func(i *spec.Image) { i.Env = one("", "") }, "env.", "name"},
		{func(i *spec.Image) { i.Env = one("A", "\xff") }, "env.A", "UTF-8"},
		{func(i *spec.Image) { i.Env = one("A\x00", "") }, "env.A\x00", "zero byte"},
		{func(i *spec.Image) { i.WorkDir = "app" }, "workDir", "absolute"},
		{func(i *spec.Image) { i.WorkDir = "/app/." }, "workDir", "clean"},
		{func(i *spec.Image) { i.User = "a:b:c" }, "user", "no user"},
		{func(i *spec.Image) { i.User = "-1:" }, "user", "no user"},
		{func(i *spec.Image) { i.Ports = []string{"0"} }, "ports", `"0"`},
		{func(i *spec.Image) { i.Ports = []string{"65536/tcp"} }, "ports", "65535"},
		{func(i *spec.Image) { i.Ports = []string{"80/http"} }, "ports", "/udp"},
		{func(i *spec.Image) { i.Ports = []string{"80/"} }, "ports", `"80/"`},
		{func(i *spec.Image) { i.Ports = []string{"+80"} }, "ports", `"+80"`},
		{func(i *spec.Image) { i.Ports = []string{"80-90"} }, "ports", `"80-90"`},
		{func(i *spec.Image) { i.Volumes = []string{"/"} }, "volumes", "below /"},
		{func(i *spec.Image) { i.Volumes = []string{"data"} }, "volumes", "absolute"},
		{func(i *spec.Image) { i.StopSignal = "SIGFOO" }, "stopSignal", "SIGFOO"},
		{func(i *spec.Image) { i.StopSignal = "SIG" }, "stopSignal", "no signal"},
		{func(i *spec.Image) { i.StopSignal = "65" }, "stopSignal", "64"},
		{func(i *spec.Image) { i.StopSignal = "SIGRTMIN+31" }, "stopSignal", "no signal"},
		{func(i *spec.Image) { i.StopSignal = "HUP INT" }, "stopSignal", "no signal"},
		{func(i *spec.Image) { i.Healthcheck.Command = nil }, "healthcheck.command", "no command"},
		{func(i *spec.Image) { i.Healthcheck.Command = []string{"a", "\xff"} }, "healthcheck.command", "UTF-8"},
		{func(i *spec.Image) { i.Healthcheck.Interval = -1 }, "healthcheck.interval", "-1ns"},
		{func(i *spec.Image) { i.Healthcheck.Timeout = time.Microsecond }, "healthcheck.timeout", "millisecond"},
		{func(i *spec.Image) { i.Healthcheck.StartPeriod = -time.Second }, "healthcheck.startPeriod", "-1s"},
		{func(i *spec.Image) { i.Healthcheck.Retries = -1 }, "healthcheck.retries", "negative"},
		{func(i *spec.Image) { i.Labels = one("a", "\xff") }, "labels.a", "UTF-8"},
		{func(i *spec.Image) { i.Labels = one("\xff", "a") }, "labels.?", "UTF-8"},
		{func(i *spec.Image) { i.Labels = one("", "a") }, "labels", "empty"},
		{func(i *spec.Image) { i.Annotations = one("a", "\x00") }, "annotations.a", "zero byte"},
		{func(i *spec.Image) { i.Author = "\xff" }, "author", "UTF-8"},
		{func(i *spec.Image) { i.Created = -1 }, "created", "1970"},
		{func(i *spec.Image) { i.Created = 1 << 40 }, "created", "9999"},
	} {
		i := container()
		c.spoil(i)
		err := i.Validate()
		var p *diag.Problem
		if !errors.As(err, &p) || p.Kind != diag.BadInput || p.Pos.Key != c.key || !strings.Contains(p.What, c.says) {
			t.Errorf("want `%s` to be bad and the text to have %q, got %v", c.key, c.says, err)
		}
	}
}

func TestParsePort(t *testing.T) {
	for in, want := range map[string]string{"80": "80/tcp", "80/tcp": "80/tcp", "53/udp": "53/udp"} {
		if got, ok := spec.ParsePort(in); got != want || !ok {
			t.Errorf("%s: got %s, %v", in, got, ok)
		}
	}
}
