package cli_test

import (
	"archive/tar"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hewn.example/hewn/internal/testkit/ociregistry"
)

// picture is a recipe of an image that no command is run for.
const picture = `
image("picture", lambda t: oci.image(
    root = merge(write({"/etc/passwd": "root:x:0:0::/root:/bin/sh\n", "/bin/app": "#!/bin/sh\n"}, executable = ["/bin/app"]), t.source("app").at("/app")),
    layers = [("system", ["/"]), ("app", ["/app"])],
    entrypoint = ["/bin/app"],
    labels = {"org.opencontainers.image.version": t.source("app").read("version")},
))
`

func pictureIn(t *testing.T, dir string) {
	t.Helper()
	write(t, filepath.Join(dir, "hewn.toml"), "recipe = \"./recipe\"\n[source.app]\npath = \"app\"\n")
	write(t, filepath.Join(dir, "recipe/sources.toml"), "[app]\n")
	write(t, filepath.Join(dir, "recipe/recipe.star"), picture)
	write(t, filepath.Join(dir, "app/version"), "1.0")
	write(t, filepath.Join(dir, "app/text"), strings.Repeat("text\n", 1000))
}

// TestSameImage: the same sources give the same image, wherever, whenever and by whomever it is made.
func TestSameImage(t *testing.T) {
	base := openDir(t)
	first := filepath.Join(base, "first")
	pictureIn(t, first)
	want := output(t, hewn(t, first, t.TempDir(), "image"))
	if !strings.HasPrefix(want, "sha256:") {
		t.Fatalf("got %q", want)
	}
	second := filepath.Join(base, "elsewhere", "second")
	pictureIn(t, second)
	for name, change := range map[string]func(cmd *exec.Cmd){
		"another store":     func(*exec.Cmd) {},
		"another directory": func(cmd *exec.Cmd) { cmd.Dir = second },
		"one job":           func(cmd *exec.Cmd) { cmd.Args = append(cmd.Args, "--jobs", "1") },
		"one processor":     func(cmd *exec.Cmd) { cmd.Env = append(cmd.Env, "GOMAXPROCS=1") },
		"another environment": func(cmd *exec.Cmd) {
			cmd.Env = append(cmd.Env, "TZ=Pacific/Auckland", "LC_ALL=de_DE.UTF-8", "SOURCE_DATE_EPOCH=1", "USER=nobody")
		},
		"another umask": func(cmd *exec.Cmd) { shell(cmd, "umask 077; exec \"$0\" \"$@\"") },
	} {
		cmd := hewn(t, first, t.TempDir(), "image")
		change(cmd)
		if got := output(t, cmd); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
	t.Run("an ordinary user", func(t *testing.T) {
		cmd := hewn(t, first, openDir(t), "image")
		asUser(t, cmd)
		if got := output(t, cmd); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	})
}

// pushed is what --json says of one push.
type pushed struct {
	Digest string
	Pushed []struct {
		Sent                     int64
		Pushed, Mounted, Existed int
	}
}

func push(t *testing.T, dir, home, ref string) (p pushed) {
	t.Helper()
	if err := json.Unmarshal([]byte(output(t, hewn(t, dir, home, "image", "--json", "--push", ref))), &p); err != nil {
		t.Fatal(err)
	}
	if len(p.Pushed) != 1 {
		t.Fatalf("got %+v", p)
	}
	return p
}

func TestImagePush(t *testing.T) {
	r := ociregistry.Start(t, ociregistry.Options{User: "me", Password: "secret", Bearer: true})
	dir, home := openDir(t), t.TempDir()
	pictureIn(t, dir)
	ref := r.Host() + "/team/app:1.0"

	cmd := hewn(t, dir, home, "image", "--push", ref)
	said, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() == 0 || !strings.Contains(string(said), "docker login") || !strings.Contains(string(said), r.Host()) {
		t.Errorf("without credentials: %v\n%s", err, said)
	}

	auth := base64.StdEncoding.EncodeToString([]byte("me:secret"))
	write(t, filepath.Join(home, ".docker/config.json"), fmt.Sprintf(`{"auths": {%q: {"auth": %q}}}`, r.Host(), auth))
	first := push(t, dir, home, ref)
	if got := r.Tag("team/app", "1.0"); got != first.Digest || first.Pushed[0].Pushed != 4 {
		t.Errorf("the tag stands for %s, want %s; %+v", got, first.Digest, first)
	}
	if again := push(t, dir, home, ref); again.Digest != first.Digest || again.Pushed[0].Sent != 0 {
		t.Errorf("nothing changed, but sent: %+v", again)
	}

	// One line changed: one layer, the configuration and the manifest travel.
	write(t, filepath.Join(dir, "app/version"), "1.1")
	if next := push(t, dir, home, ref); next.Pushed[0].Pushed != 3 || next.Pushed[0].Existed != 1 {
		t.Errorf("after an edit: %+v", next)
	}
	// Another repository of the registry gets what is there already by mounts.
	if other := push(t, dir, home, r.Host()+"/team/other:1.1"); other.Pushed[0].Mounted != 3 || other.Pushed[0].Pushed != 1 {
		t.Errorf("to another repository: %+v", other)
	}

	r.Set(func(f *ociregistry.Faults) { f.ReadOnly = true })
	write(t, filepath.Join(dir, "app/version"), "1.2")
	if said, err := hewn(t, dir, home, "image", "--push", ref).CombinedOutput(); err == nil || !strings.Contains(string(said), r.Host()) {
		t.Errorf("a registry that is read-only: %v\n%s", err, said)
	}
	if said, err := hewn(t, dir, home, "image", "--offline", "--push", ref).CombinedOutput(); err == nil || !strings.Contains(string(said), "--offline") {
		t.Errorf("offline: %v\n%s", err, said)
	}
}

// engineFor is a Docker engine on a socket, as far as loading goes; it tells what files the archive has.
func engineFor(t *testing.T) (address string, files *[]string) {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "docker.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	files = new([]string)
	mux := http.NewServeMux()
	mux.HandleFunc("/_ping", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "OK") })
	mux.HandleFunc("POST /images/load", func(w http.ResponseWriter, req *http.Request) {
		for tr := tar.NewReader(req.Body); ; {
			h, err := tr.Next()
			if err != nil {
				break
			}
			*files = append(*files, h.Name)
		}
		_, _ = io.WriteString(w, `{"stream":"Loaded image: picture:latest\n"}`)
	})
	srv := &http.Server{Handler: mux}
	go func() { _ = srv.Serve(l) }()
	t.Cleanup(func() { srv.Close() })
	return "unix://" + socket, files
}

func TestImageLoad(t *testing.T) {
	dir, home := openDir(t), t.TempDir()
	pictureIn(t, dir)
	address, files := engineFor(t)
	cmd := hewn(t, dir, home, "image", "--load")
	cmd.Env = append(cmd.Env, "DOCKER_HOST="+address)
	said, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(said), "loaded picture:latest into Docker") || !slices.Contains(*files, "manifest.json") {
		t.Errorf("%v, %v\n%s", err, *files, said)
	}
	cmd = hewn(t, dir, home, "image", "--load")
	cmd.Env = append(cmd.Env, "DOCKER_HOST=unix://"+filepath.Join(home, "nobody.sock"))
	said, err = cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 3 || !strings.Contains(string(said), "nobody.sock") {
		t.Errorf("no engine: %v\n%s", err, said)
	}
	if _, err := os.Stat(filepath.Join(dir, "layers.lock")); err == nil {
		t.Error("an image wrote layers.lock without being asked to")
	}
}
