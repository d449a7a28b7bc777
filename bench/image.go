package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// fewRuns is how often a thing is done that takes around a second: the rows of images are medians of as many.
const fewRuns = 5

// installed says which programs are not there.
func installed(programs ...string) error {
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			return fmt.Errorf("%s: %w", p, errMissing)
		}
	}
	return nil
}

// imageNoop measures the image when nothing has changed.
func (b *bench) imageNoop(ctx context.Context) error {
	mini, err := b.copyExamples(ctx)
	if err != nil {
		return err
	}
	if _, err := b.build("", "image", mini).run(ctx); err != nil {
		return err
	}
	s, err := b.repeat(ctx, b.runs, b.build("", "image", mini))
	if err != nil {
		return err
	}
	b.table.add(row{"image, nothing changed", "40 ms", s.String(), ratio(median(s.walls), 40*time.Millisecond), "start of the program, one stat a source file"})
	return nil
}

// changedLine puts a new line into a Python file; undo puts the old content back.
func changedLine(mini string, n int) (undo func(), err error) {
	file := filepath.Join(mini, "authentik/core/views.py")
	was, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	line := fmt.Sprintf("\n_BENCH = %d\n", time.Now().UnixNano()+int64(n))
	return func() { _ = os.WriteFile(file, was, 0o644) }, os.WriteFile(file, append(was[:len(was):len(was)], line...), 0o644)
}

// imagePython measures a changed line, until the image is in the layout.
func (b *bench) imagePython(ctx context.Context) error {
	mini, err := b.copyExamples(ctx)
	if err != nil {
		return err
	}
	if _, err := b.build("", "image", mini).run(ctx); err != nil {
		return err
	}
	s := &series{}
	for i := range fewRuns {
		undo, err := changedLine(mini, i)
		if err != nil {
			return err
		}
		m, err := b.build("", "image", mini).run(ctx)
		undo()
		if err != nil {
			return err
		}
		s.add(m)
	}
	b.table.add(row{"one line of Python changed, to the image", "0.4 s", s.String(), ratio(median(s.walls), 400*time.Millisecond),
		"the backend's steps; cutting the tree into groups; one layer's tar and its compression"})
	return nil
}

// startRegistry starts docker-registry on loopback and gives its address.
func (b *bench) startRegistry(ctx context.Context) (addr string, stop func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	addr = l.Addr().String()
	l.Close()
	dir := b.sub("registry")
	config := fmt.Sprintf("version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\nstorage: {filesystem: {rootdirectory: %q}}\nhttp: {addr: %q}\n", dir, addr)
	file := filepath.Join(b.temp, "registry.yml")
	if err := os.WriteFile(file, []byte(config), 0o644); err != nil {
		return "", nil, err
	}
	cmd := exec.CommandContext(ctx, "docker-registry", "serve", file)
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	stop = func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }
	for range 500 {
		if c, err := net.Dial("tcp", addr); err == nil {
			c.Close()
			return addr, stop, nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	stop()
	return "", nil, errors.New("docker-registry does not answer")
}

// others is how buildah, and umoci with skopeo, do what hewn does, from trees that lie checked out for them: all of it, and
// the best that they can do, where they are given the image of everything else and add one layer to it.
type others struct {
	b      *bench
	trees  string // what the image is made of
	addr   string
	layout string // umoci's
}

func (o *others) buildah(args ...string) process {
	dir := o.b.sub("buildah")
	return process{args: append([]string{"buildah", "--root", dir + "/root", "--runroot", dir + "/run", "--storage-driver", "overlay"}, args...), env: os.Environ()}
}

// prepare makes the image of everything but the application.
func (o *others) prepare(ctx context.Context) error {
	rest := o.b.sub("rest")
	entries, err := os.ReadDir(o.trees)
	if err != nil {
		return err
	}
	steps := []process{}
	for _, e := range entries {
		if e.Name() != "authentik" {
			steps = append(steps, process{args: []string{"cp", "-a", filepath.Join(o.trees, e.Name()), rest}})
		}
	}
	steps = append(steps,
		o.buildah("from", "--name", "rest", "scratch"), o.buildah("copy", "--quiet", "rest", rest, "/"),
		o.buildah("commit", "--quiet", "rest", "base"), o.buildah("push", "--quiet", "--tls-verify=false", "base", "docker://"+o.addr+"/bench/buildah:base"),
		o.buildah("push", "--quiet", "base", "oci:"+o.layout+":base"),
		process{args: []string{"skopeo", "copy", "--quiet", "--dest-tls-verify=false", "oci:" + o.layout + ":base", "docker://" + o.addr + "/bench/umoci:base"}})
	return all(ctx, steps)
}

// all runs processes one after another.
func all(ctx context.Context, steps []process) error {
	for _, p := range steps {
		if p.env == nil {
			p.env = os.Environ()
		}
		if _, err := p.run(ctx); err != nil {
			return err
		}
	}
	return nil
}

// round does the work once with each and adds the times.
func (o *others) round(ctx context.Context, i int, buildah, umoci *series) error {
	app, name := filepath.Join(o.trees, "authentik"), fmt.Sprintf("round-%d", i)
	began := time.Now()
	err := all(ctx, []process{o.buildah("from", "--pull-never", "--name", name, "base"), o.buildah("copy", "--quiet", name, app, "/authentik"),
		o.buildah("config", "--entrypoint", `["ak"]`, "--user", "1000", name), o.buildah("commit", "--quiet", name, name),
		o.buildah("push", "--quiet", "--tls-verify=false", name, "docker://"+o.addr+"/bench/buildah:"+name)})
	if err != nil {
		return err
	}
	buildah.add(measured{wall: time.Since(began)})
	began = time.Now()
	err = all(ctx, []process{{args: []string{"umoci", "insert", "--image", o.layout + ":base", "--tag", name, app, "/authentik"}},
		{args: []string{"umoci", "config", "--image", o.layout + ":" + name, "--config.user", "1000", "--config.entrypoint", "ak"}},
		{args: []string{"skopeo", "copy", "--quiet", "--dest-tls-verify=false", "oci:" + o.layout + ":" + name, "docker://" + o.addr + "/bench/umoci:" + name}}})
	if err != nil {
		return err
	}
	umoci.add(measured{wall: time.Since(began)})
	return nil
}

// scratch does all of it once with each, as it has to be done where nobody says which trees have changed.
func (o *others) scratch(ctx context.Context, i int, buildah, umoci *series) error {
	app, rest, name := filepath.Join(o.trees, "authentik"), o.b.sub("rest"), fmt.Sprintf("whole-%d", i)
	began := time.Now()
	err := all(ctx, []process{o.buildah("from", "--name", name, "scratch"), o.buildah("copy", "--quiet", name, rest, "/"),
		o.buildah("commit", "--quiet", name, name+"-rest"), o.buildah("from", "--pull-never", "--name", name+"-app", name+"-rest"),
		o.buildah("copy", "--quiet", name+"-app", app, "/authentik"), o.buildah("config", "--entrypoint", `["ak"]`, "--user", "1000", name+"-app"),
		o.buildah("commit", "--quiet", name+"-app", name),
		o.buildah("push", "--quiet", "--tls-verify=false", name, "docker://"+o.addr+"/bench/buildah:"+name)})
	if err != nil {
		return err
	}
	buildah.add(measured{wall: time.Since(began)})
	layout := filepath.Join(o.b.temp, "umoci-"+name)
	image := layout + ":x"
	began = time.Now()
	err = all(ctx, []process{{args: []string{"umoci", "init", "--layout", layout}}, {args: []string{"umoci", "new", "--image", image}},
		{args: []string{"umoci", "insert", "--image", image, rest, "/"}}, {args: []string{"umoci", "insert", "--image", image, app, "/authentik"}},
		{args: []string{"umoci", "config", "--image", image, "--config.user", "1000", "--config.entrypoint", "ak"}},
		{args: []string{"skopeo", "copy", "--quiet", "--dest-tls-verify=false", "oci:" + image, "docker://" + o.addr + "/bench/umoci:" + name}}})
	if err != nil {
		return err
	}
	umoci.add(measured{wall: time.Since(began)})
	return nil
}

// imagePush measures a changed line until the image is in a registry on loopback; the others take turns.
func (b *bench) imagePush(ctx context.Context) error {
	if err := installed("docker-registry", "buildah", "umoci", "skopeo"); err != nil {
		return err
	}
	mini, err := b.copyExamples(ctx)
	if err != nil {
		return err
	}
	addr, stop, err := b.startRegistry(ctx)
	if err != nil {
		return err
	}
	defer stop()
	trees := filepath.Join(b.temp, "trees")
	o := &others{b: b, trees: trees, addr: addr, layout: filepath.Join(b.temp, "umoci")}
	if _, err := b.build("", "build", mini+":assembled", "--out", trees).run(ctx); err != nil {
		return err
	}
	if err := o.prepare(ctx); err != nil {
		return err
	}
	push := b.build("", "image", mini, "--push", addr+"/bench/hewn:latest")
	if _, err := push.run(ctx); err != nil {
		return err
	}
	ours, buildah, umoci := &series{}, &series{}, &series{}
	for i := range fewRuns {
		undo, err := changedLine(mini, i)
		if err != nil {
			return err
		}
		m, err := push.run(ctx)
		if err == nil { // what the others start from is made for them
			ours.add(m)
			_, err = b.build("", "build", mini+":assembled", "--out", trees).run(ctx)
		}
		undo()
		if err == nil {
			err = o.round(ctx, i, buildah, umoci)
		}
		if err != nil {
			return err
		}
		b.say("pushed: hewn %s, buildah %s, umoci and skopeo %s", short(m.wall), short(buildah.walls[i]), short(umoci.walls[i]))
	}
	b.table.add(row{"one line of Python changed, to the registry", "0.6 s", ours.String(), ratio(median(ours.walls), 600*time.Millisecond),
		"the image, as above; a handful of requests"})
	wholeBuildah, wholeUmoci := &series{}, &series{}
	for i := range b.rounds {
		if err := o.scratch(ctx, i, wholeBuildah, wholeUmoci); err != nil {
			return err
		}
	}
	compare := func(name, goal string, s *series, bound string) {
		b.table.add(row{"the same, by " + name, goal, short(median(s.walls)),
			fmt.Sprintf("%.2f of it", median(ours.walls).Seconds()/median(s.walls).Seconds()), bound})
	}
	const whole, told = "every file is read, packed and hashed again", "the processes; somebody must know which layer has changed"
	compare("buildah from checked-out trees", "hewn 0.3 x", wholeBuildah, whole)
	compare("umoci + skopeo from checked-out trees", "hewn 0.3 x", wholeUmoci, whole)
	compare("buildah, given the image of all else", "-", buildah, told)
	compare("umoci + skopeo, given the image of all else", "-", umoci, told)
	return nil
}

// imageFull measures the making of all layers of a gigabyte of trees against zstd alone on one tar of the same bytes.
func (b *bench) imageFull(ctx context.Context) error {
	if err := installed("zstd", "tar"); err != nil {
		return err
	}
	mini, err := b.copyExamples(ctx)
	if err != nil {
		return err
	}
	// The recipe of the miniature, with one image more: its application four times over.
	own, parts := filepath.Join(mini, "recipe"), []string{"a", "b", "c", "d"}
	if _, err := b.build("", "eject", "authentik", own).run(ctx); err != nil {
		return err
	}
	star := "\nPARTS = [\"a\", \"b\", \"c\", \"d\"]\n\ndef full(t):\n" +
		"    files = [t.target(\"assembled\").at(\"/\" + p) for p in PARTS] + [write({\"/\" + p + \"/round\": t.var(\"round\") for p in PARTS})]\n" +
		"    return oci.image(merge(*files), layers = [(p, [\"/\" + p]) for p in PARTS])\n\nimage(\"full\", full)\n"
	if err := appendTo(filepath.Join(own, "recipe.star"), star); err != nil {
		return err
	}
	toml, err := os.ReadFile(filepath.Join(mini, "hewn.toml"))
	if err != nil {
		return err
	}
	round := func(i int) error { // every layer is a new one
		text := strings.Replace(string(toml), `recipe = "authentik"`, `recipe = "./recipe"`, 1) + fmt.Sprintf("\n[vars]\nround = \"%d-%d\"\n", time.Now().UnixNano(), i)
		return os.WriteFile(filepath.Join(mini, "hewn.toml"), []byte(text), 0o644)
	}
	big, archive := b.sub("full"), filepath.Join(b.temp, "full.tar")
	for _, p := range parts {
		if _, err := b.build("", "build", mini+":assembled", "--out", filepath.Join(big, p)).run(ctx); err != nil {
			return err
		}
	}
	if err := all(ctx, []process{{args: []string{"tar", "-C", big, "-cf", archive, "."}}}); err != nil {
		return err
	}
	ours, theirs := &series{}, &series{}
	for i := range b.rounds {
		if err := round(i); err != nil {
			return err
		}
		m, err := b.build("", "image", mini+":full").run(ctx)
		if err != nil {
			return err
		}
		z, err := process{args: []string{"zstd", "-q", "-3", "-T0", "-f", archive, "-o", archive + ".zst"}, env: os.Environ()}.run(ctx)
		if err != nil {
			return err
		}
		ours.add(m)
		theirs.add(z)
		b.say("all layers: hewn %s, %d MB; zstd %s, %d MB", short(m.wall), m.rss>>20, short(z.wall), z.rss>>20)
	}
	st, err := os.Stat(archive)
	if err != nil {
		return err
	}
	b.table.add(row{fmt.Sprintf("all layers of %.2f GB of trees, zstd", float64(st.Size())/1e9), "1.5 x zstd -3 -T0, 200 MB", ours.String() + "; zstd " + theirs.String(),
		fmt.Sprintf("%.2f of zstd", median(ours.walls).Seconds()/median(theirs.walls).Seconds()), "compression; hashing of every byte twice (content and compressed)"})
	return nil
}

func appendTo(file, text string) error {
	f, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

// inMemory gives a directory of a file system in memory where programs can be run from, else one on disk.
func (b *bench) inMemory(name string) (dir string, clean func()) {
	const shm = "/dev/shm"
	var st syscall.Statfs_t
	const tmpfs, noexec = 0x01021994, 0x8
	if err := syscall.Statfs(shm, &st); err == nil && st.Type == tmpfs && st.Flags&noexec == 0 {
		if dir, err := os.MkdirTemp(shm, "hewn-bench-"+name+"-"); err == nil {
			return dir, func() { _ = os.RemoveAll(dir) }
		}
	}
	return b.sub("%s", name), func() {}
}

// imageStart measures a cold start: unpack, and run the application until it has checked itself, from the image as it is
// and from the same files in one layer.
func (b *bench) imageStart(ctx context.Context) error {
	if err := installed("umoci", "runc"); err != nil {
		return err
	}
	mini, err := b.copyExamples(ctx)
	if err != nil {
		return err
	}
	dir, clean := b.inMemory("start")
	defer clean()
	layered, single, first := filepath.Join(dir, "layered"), filepath.Join(dir, "single"), filepath.Join(dir, "first")
	// umoci does not know zstd. The single layer is one that hewn makes as well, so that nothing but the layers differs.
	for _, p := range []process{b.build("", "image", mini, "--compression", "gzip", "--output", "oci:"+layered+"-made"),
		b.build("", "image", mini, "--compression", "gzip", "--plan", "--budget", "1", "--output", "oci:"+single+"-made")} {
		if _, err := p.run(ctx); err != nil {
			return err
		}
	}
	err = all(ctx, []process{{args: []string{"skopeo", "copy", "--quiet", "--insecure-policy", "oci:" + layered + "-made", "oci:" + layered + ":x"}},
		{args: []string{"skopeo", "copy", "--quiet", "--insecure-policy", "oci:" + single + "-made", "oci:" + single + ":x"}},
		{args: []string{"umoci", "unpack", "--image", layered + ":x", first}}})
	if err != nil {
		return err
	}
	config, err := startConfig(filepath.Join(first, "config.json"))
	if err != nil {
		return err
	}
	times := map[string]*series{layered: {}, single: {}}
	for i := range fewRuns {
		for _, image := range []string{layered, single} {
			s := times[image]
			to := filepath.Join(dir, fmt.Sprintf("%s-%d", filepath.Base(image), i))
			began := time.Now()
			if err := all(ctx, []process{{args: []string{"umoci", "unpack", "--image", image + ":x", to}}}); err != nil {
				return err
			}
			unpacked := time.Since(began)
			if err := os.WriteFile(filepath.Join(to, "config.json"), config, 0o644); err != nil {
				return err
			}
			if err := all(ctx, []process{{args: []string{"runc", "--root", dir + "/runc", "run", "--bundle", to, fmt.Sprintf("bench-%d-%s", os.Getpid(), filepath.Base(to))}}}); err != nil {
				return err
			}
			s.add(measured{wall: time.Since(began)})
			if err := os.RemoveAll(to); err != nil {
				return err
			}
			b.say("start from %s: unpacked after %s, done after %s", filepath.Base(image), short(unpacked), short(time.Since(began)))
		}
	}
	l, s := median(times[layered].walls), median(times[single].walls)
	b.table.add(row{"cold start: unpack, and the application has checked itself", "one layer: 1 x", short(l) + "; one layer " + short(s),
		fmt.Sprintf("%.2f of one layer", l.Seconds()/s.Seconds()), "unpacking; files in memory, since a disk that has just lost as many is slow to make new ones"})
	return nil
}

// startConfig is umoci's runtime configuration with a command that needs no database.
func startConfig(file string) ([]byte, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var c map[string]any
	if err := json.Unmarshal(raw, &c); err != nil {
		return nil, err
	}
	p, ok := c["process"].(map[string]any)
	if !ok {
		return nil, fmt.Errorf("%s describes no process", file)
	}
	p["terminal"], p["args"] = false, []string{"python", "-m", "manage", "check"}
	return json.Marshal(c)
}
