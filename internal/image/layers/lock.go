package layers

import (
	"bufio"
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/pins"
	"hewn.example/hewn/internal/spec"
)

// LockName is the file's name, beside sources.lock.
const LockName = "layers.lock"

// lockVersion is the format's version. Another number is refused, not guessed at.
const lockVersion = 1

// MaxLock bounds a layers.lock: 100,000 paths of 80 bytes.
const MaxLock = 8 << 20

// lockHead stands above everything.
const lockHead = "# Written by `hewn image --plan`: which paths of an image lie in which layer, the lowest layer first.\n" +
	"# Commit it, and review its diffs: a build cuts the image by it, whatever the store still has.\n"

// File is a layers.lock: the planned layers of a workspace's images. The zero value is none.
type File struct{ images map[string]section }

type section struct {
	budget int
	from   []string
	groups []spec.LayerGroup
}

// Plan gives the layers of the image target called image.
func (f *File) Plan(image string) ([]spec.LayerGroup, bool) {
	s, ok := f.images[image]
	return cloneGroups(s.groups), ok
}

// Plans gives the layers of all images, by target.
func (f *File) Plans() map[string][]spec.LayerGroup {
	out := make(map[string][]spec.LayerGroup, len(f.images))
	for image := range f.images {
		out[image], _ = f.Plan(image)
	}
	return out
}

// Budget is how many layers the plan of an image was made for; 0: there is none.
func (f *File) Budget(image string) int { return f.images[image].budget }

// From is the versions that the plan of an image was made from.
func (f *File) From(image string) []string { return slices.Clone(f.images[image].from) }

// Set replaces the plan of an image. What cannot be read back, such as two layers of one name, is refused.
func (f *File) Set(image string, p *Plan) error {
	if image == "" {
		return fmt.Errorf("an image without a name has no plan")
	}
	if err := checkGroups(p.Groups); err != nil {
		return err
	}
	if n := len(p.Groups); n < 1 || n > p.Budget || p.Budget > spec.MaxLayers {
		return fmt.Errorf("the plan of image `%s` has %d layers with a budget of %d", image, n, p.Budget)
	}
	if f.images == nil {
		f.images = map[string]section{}
	}
	f.images[image] = section{budget: p.Budget, from: slices.Clone(p.From), groups: cloneGroups(p.Groups)}
	return nil
}

// Remove drops the plan of an image, so that the recipe's groups count again. It says whether there was one.
func (f *File) Remove(image string) bool {
	_, ok := f.images[image]
	delete(f.images, image)
	return ok
}

// Images names the images that have a plan, sorted.
func (f *File) Images() []string { return slices.Sorted(maps.Keys(f.images)) }

func cloneGroups(groups []spec.LayerGroup) []spec.LayerGroup {
	var out []spec.LayerGroup
	for _, g := range groups {
		out = append(out, spec.LayerGroup{Name: g.Name, Paths: slices.Clone(g.Paths)})
	}
	return out
}

// Encode is the file's text. Parse reads it back to an equal File.
func (f *File) Encode() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%shewn-layers %d\n", lockHead, lockVersion)
	for _, image := range f.Images() {
		s := f.images[image]
		fmt.Fprintf(&b, "\nimage %s budget=%d\n", field(image), s.budget)
		for _, v := range s.from {
			fmt.Fprintf(&b, "from %s\n", field(v))
		}
		for _, g := range s.groups {
			fmt.Fprintf(&b, "layer %s\n", field(g.Name))
			for _, p := range g.Paths {
				fmt.Fprintf(&b, "  %s\n", field(p))
			}
		}
	}
	return b.Bytes()
}

// field is how s stands in a line.
func field(s string) string { return pins.JoinFields([]string{s}) }

// Parse reads a layers.lock; file is its name in messages.
func Parse(file string, b []byte) (*File, error) {
	if len(b) > MaxLock {
		return nil, diag.Inputf("lock-too-large", "`%s` has %d bytes; at most %d are read", file, len(b), MaxLock)
	}
	p := &lockParser{images: map[string]section{}}
	sc := bufio.NewScanner(bytes.NewReader(b))
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		p.line++
		if err := p.parse(sc.Text()); err != nil {
			return nil, p.problem(file, err)
		}
	}
	p.line++
	if err := sc.Err(); err != nil {
		return nil, p.problem(file, err)
	}
	if !p.version {
		return nil, p.problem(file, fmt.Errorf("the line `hewn-layers %d` is missing", lockVersion))
	}
	if err := p.end(); err != nil {
		return nil, p.problem(file, err)
	}
	return &File{images: p.images}, nil
}

type lockParser struct {
	images  map[string]section
	line    int
	version bool
	name    string // of the open section
	open    *section
	start   int // its line
}

func (p *lockParser) problem(file string, err error) error {
	return diag.Inputf("malformed-lock", "malformed plan of layers").Because(err).
		At(diag.Position{File: file, Line: p.line}).
		Hint("restore the file from version control, or write it anew with `hewn image --plan`")
}

func (p *lockParser) parse(text string) error {
	trimmed := strings.TrimLeft(text, " ")
	if trimmed == "" || strings.HasPrefix(trimmed, "#") {
		return nil
	}
	f, err := pins.SplitFields(trimmed)
	if err != nil {
		return err
	}
	switch {
	case !p.version:
		if len(f) != 2 || f[0] != "hewn-layers" {
			return fmt.Errorf("want `hewn-layers %d` first", lockVersion)
		}
		if f[1] != strconv.Itoa(lockVersion) {
			return fmt.Errorf("the file has format version `%s`, this hewn reads version %d", f[1], lockVersion)
		}
		p.version = true
		return nil
	case trimmed != text:
		return p.path(f)
	case f[0] == "image":
		return p.image(f[1:])
	case f[0] == "from":
		return p.from(f[1:])
	case f[0] == "layer":
		return p.layer(f[1:])
	}
	return fmt.Errorf("unknown word `%s` at the start of a line", f[0])
}

func (p *lockParser) image(f []string) error {
	if err := p.end(); err != nil {
		return err
	}
	if len(f) != 2 || f[0] == "" {
		return fmt.Errorf("an `image` line needs the name of a target and `budget=<number>`")
	}
	if _, twice := p.images[f[0]]; twice {
		return fmt.Errorf("the image `%s` stands twice", f[0])
	}
	number, ok := strings.CutPrefix(f[1], "budget=")
	n, err := strconv.Atoi(number)
	if !ok || err != nil || n < 1 || n > spec.MaxLayers || strconv.Itoa(n) != number {
		return fmt.Errorf("want `budget=` and a number from 1 to %d, and here is `%s`", spec.MaxLayers, f[1])
	}
	p.name, p.open, p.start = f[0], &section{budget: n}, p.line
	return nil
}

func (p *lockParser) from(f []string) error {
	switch {
	case p.open == nil || len(p.open.groups) > 0:
		return fmt.Errorf("a `from` line stands between `image` and the first `layer`")
	case len(f) != 1:
		return fmt.Errorf("a `from` line needs the name of one version")
	}
	p.open.from = append(p.open.from, f[0])
	return nil
}

func (p *lockParser) layer(f []string) error {
	switch {
	case p.open == nil:
		return fmt.Errorf("a `layer` line stands below an `image`")
	case len(f) != 1 || f[0] == "":
		return fmt.Errorf("a `layer` line needs one name")
	}
	p.open.groups = append(p.open.groups, spec.LayerGroup{Name: f[0]})
	return nil
}

func (p *lockParser) path(f []string) error {
	switch {
	case p.open == nil || len(p.open.groups) == 0:
		return fmt.Errorf("a path stands below a `layer`")
	case len(f) != 1:
		return fmt.Errorf("one path a line; a path with spaces is quoted")
	}
	g := &p.open.groups[len(p.open.groups)-1]
	if n := len(g.Paths); n > 0 && g.Paths[n-1] == f[0] {
		return fmt.Errorf("the path `%s` stands twice", f[0])
	}
	g.Paths = append(g.Paths, f[0])
	return nil
}

// end closes the open section and looks at it as a whole.
func (p *lockParser) end() error {
	if p.open == nil {
		return nil
	}
	switch {
	case len(p.open.groups) == 0:
		return fmt.Errorf("the image `%s` of line %d has no layers", p.name, p.start)
	case len(p.open.groups) > p.open.budget:
		return fmt.Errorf("the image `%s` of line %d has %d layers, over its budget of %d", p.name, p.start, len(p.open.groups), p.open.budget)
	}
	if err := checkGroups(p.open.groups); err != nil {
		return fmt.Errorf("the image `%s` of line %d: %w", p.name, p.start, err)
	}
	p.images[p.name], p.open = *p.open, nil
	return nil
}
