package recipe

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"go.starlark.net/starlark"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/oci"
	"hewn.example/hewn/internal/spec"
)

// ImageSettings is what a person decides about images beside the recipe.
type ImageSettings struct {
	Compression string                       // in place of the recipe's: "zstd", "gzip", "none"; empty leaves it to the recipe
	Layers      map[string][]spec.LayerGroup // by image target: the plan of layers.lock, in place of the recipe's groups
}

// identity is what the settings contribute to the identity of an image target.
func (s ImageSettings) identity(target string) string {
	b, err := json.Marshal(s.Layers[target])
	if err != nil {
		return err.Error()
	}
	return s.Compression + string(b)
}

// declImage is image(name, function, doc="", default=False).
func (l *loader) declImage(th *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	t := &Target{Image: true, pos: caller(th)}
	var def bool
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "name", &t.Name, "function", &t.fn, "doc?", &t.Doc, "default?", &def); err != nil {
		return nil, err
	}
	if def {
		l.r.defImage = t.Name
	}
	return starlark.None, l.declare(t)
}

// Image gives an image target by name; no name means the default one.
func (r *Recipe) Image(name string) (*Target, error) {
	var names []string
	for _, t := range r.targets {
		if t.Image {
			names = append(names, t.Name)
		}
	}
	if len(names) == 0 {
		return nil, diag.Inputf("image-missing", "the recipe `%s` declares no image", r.Name).
			Hint("declare one with `image(name, function)` in `%s`", MainFile)
	}
	if name == "" {
		name = r.defImage
	}
	if name == "" {
		name = names[0]
	}
	t, err := r.Target(name)
	if err != nil {
		return nil, err
	}
	if !t.Image {
		return nil, diag.Inputf("image-missing", "the target `%s` is no image", name).Hint("the images are: %s", strings.Join(names, ", "))
	}
	return t, nil
}

// ociImage is oci.image(root, layers=[], entrypoint=[], cmd=[], env={}, workdir="", user="", ports=[], volumes=[],
// healthcheck=None, stop_signal="", labels={}, annotations={}, owners={}, modes={}, created=0, author="",
// compression="").
func ociImage(th *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	p, err := plan(th, b.Name())
	if err != nil {
		return nil, err
	}
	var im spec.Image
	var root treeArg
	var layers, entrypoint, cmd, ports, volumes *starlark.List
	var env, health, labels, annotations, owners, modes *starlark.Dict
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "root", &root, "layers?", &layers, "entrypoint?", &entrypoint,
		"cmd?", &cmd, "env?", &env, "workdir?", &im.WorkDir, "user?", &im.User, "ports?", &ports, "volumes?", &volumes,
		"healthcheck??", &health, "stop_signal?", &im.StopSignal, "labels?", &labels, "annotations?", &annotations,
		"owners?", &owners, "modes?", &modes, "created?", &im.Created, "author?", &im.Author, "compression?", &im.Compression); err != nil {
		return nil, err
	}
	r := reader{}
	r.list(&im.Entrypoint, "entrypoint", entrypoint)
	r.list(&im.Cmd, "cmd", cmd)
	r.list(&im.Ports, "ports", ports)
	r.list(&im.Volumes, "volumes", volumes)
	r.dict(&im.Env, "env", env)
	r.dict(&im.Labels, "labels", labels)
	r.dict(&im.Annotations, "annotations", annotations)
	r.dict(&im.Owners, "owners", owners)
	r.dict(&im.Modes, "modes", modes)
	if r.err == nil {
		im.Layers, r.err = layerGroups(layers)
	}
	if r.err == nil && health != nil {
		im.Healthcheck, r.err = healthcheck(health)
	}
	if r.err != nil {
		return nil, r.err
	}
	set := p.r.images
	if groups, ok := set.Layers[p.target]; ok {
		im.Layers = groups
	}
	if set.Compression != "" {
		im.Compression = set.Compression
	}
	if err := im.Validate(); err != nil {
		return nil, err
	}
	return newTree(oci.Make(oci.ImageOptions{Name: p.target, Root: root.v.rooted(), Image: im, Platform: p.ask.Platform()}), "/"), nil
}

// ociUnpack is oci.unpack(layout): the image's file system below root/, and its config.json.
func ociUnpack(th *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	p, err := plan(th, b.Name())
	if err != nil {
		return nil, err
	}
	var layout treeArg
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "layout", &layout); err != nil {
		return nil, err
	}
	return newTree(oci.Unpack(layout.v.step, p.ask.Platform()), "/"), nil
}

// reader reads several arguments and keeps the first error.
type reader struct{ err error }

func (r *reader) list(into *[]string, what string, l *starlark.List) {
	if r.err == nil {
		*into, r.err = strs(what, l)
	}
}

func (r *reader) dict(into *map[string]string, what string, d *starlark.Dict) {
	if r.err == nil && d != nil {
		*into, r.err = strDict(what, d)
	}
}

// layerGroups reads [("system", ["/"]), ("python", ["/ak-root/.venv"])].
func layerGroups(l *starlark.List) ([]spec.LayerGroup, error) {
	if l == nil {
		return nil, nil
	}
	var out []spec.LayerGroup
	for i := range l.Len() {
		pair, ok := l.Index(i).(starlark.Tuple)
		if !ok || len(pair) != 2 {
			return nil, fmt.Errorf("layers: element %d is not a pair of a name and a list of paths", i+1)
		}
		name, ok1 := starlark.AsString(pair[0])
		paths, ok2 := pair[1].(*starlark.List)
		if !ok1 || !ok2 {
			return nil, fmt.Errorf("layers: element %d is not a pair of a name and a list of paths", i+1)
		}
		ps, err := strs("layers: "+name, paths)
		if err != nil {
			return nil, err
		}
		out = append(out, spec.LayerGroup{Name: name, Paths: ps})
	}
	return out, nil
}

// healthcheck reads {"command": [...], "interval": 30, "timeout": 0, "start_period": 60, "retries": 0}; times in seconds.
func healthcheck(d *starlark.Dict) (*spec.Healthcheck, error) {
	h := &spec.Healthcheck{}
	for _, item := range d.Items() {
		key, _ := starlark.AsString(item[0])
		if key == "command" {
			l, ok := item[1].(*starlark.List)
			if !ok {
				return nil, fmt.Errorf("healthcheck: command is %s, want a list", item[1].Type())
			}
			var err error
			if h.Command, err = strs("healthcheck: command", l); err != nil {
				return nil, err
			}
			continue
		}
		fields := map[string]*time.Duration{"interval": &h.Interval, "timeout": &h.Timeout, "start_period": &h.StartPeriod}
		n, err := starlark.AsInt32(item[1])
		if err != nil || fields[key] == nil && key != "retries" {
			return nil, fmt.Errorf("healthcheck: %s = %s: it takes command, and as whole numbers interval, timeout, start_period and retries", item[0], item[1])
		}
		if key == "retries" {
			h.Retries = n
			continue
		}
		*fields[key] = time.Duration(n) * time.Second
	}
	return h, nil
}
