// Package wheel chooses wheels by their tags and lays them out as an installer does: scripts, schemes, RECORD. It makes
// trees relative to a virtual environment's prefix and runs nothing.
package wheel

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"unicode"

	"hewn.example/hewn/internal/archive"
	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/digest"
	"hewn.example/hewn/internal/python/pep440"
	"hewn.example/hewn/internal/python/pep508"
	"hewn.example/hewn/internal/store"
	"hewn.example/hewn/internal/tree"
)

// Installer stands in every INSTALLER file.
const Installer = "hewn"

// maxMeta bounds the files of a wheel that are read into memory: WHEEL, RECORD, entry_points.txt, scripts to rewrite.
const maxMeta = 64 << 20

// Install says how a wheel is laid out.
type Install struct {
	Prefix string `json:"prefix"` // where the environment will lie, absolute: "/ak-root/.venv"
	Python string `json:"python"` // the interpreter's minor version: "3.14"
	Name   string `json:"name"`   // the package that is expected, normalised
	// Direct is the text of direct_url.json (PEP 610) for what comes from no index; empty otherwise.
	Direct string `json:"direct,omitempty"`
	// SHA256 is the hash of a wheel that lies in a source, where no fetch has checked it; else empty.
	SHA256 string `json:"sha256,omitempty"`
}

// Site is the directory of modules below the prefix.
func Site(python string) string { return "lib/python" + python + "/site-packages" }

// Tree lays out the one wheel that t holds. The result is relative to the prefix.
func (in Install) Tree(ctx context.Context, st store.Store, t tree.Tree) (tree.Tree, error) {
	file, d, err := find(ctx, st, t)
	if err != nil {
		return tree.Tree{}, err
	}
	out, err := in.unpack(ctx, st, file, d)
	if err != nil {
		p := diag.Failf("wheel-broken", "cannot install `%s`", file).Because(err)
		var inner *diag.Problem
		if errors.As(err, &inner) {
			p.Hints = inner.Hints
		}
		return tree.Tree{}, p
	}
	return out, nil
}

// find gives the one wheel in t, wherever it lies: an artifact's tree has it on top, a build's below /build/dist.
func find(ctx context.Context, st store.Store, t tree.Tree) (file string, d digest.Digest, err error) {
	err = tree.Walk(ctx, st, t, func(p string, e tree.Entry) error {
		if e.Kind != tree.KindFile || !strings.HasSuffix(p, ".whl") {
			return nil
		}
		if file != "" {
			return diag.Failf("wheel-broken", "two wheels where one was expected: `%s` and `%s`", file, path.Base(p))
		}
		file, d = path.Base(p), e.Digest
		return nil
	})
	if err == nil && file == "" {
		err = diag.Failf("wheel-broken", "no wheel where one was expected")
	}
	return file, d, err
}

func (in Install) unpack(ctx context.Context, st store.Store, file string, d digest.Digest) (tree.Tree, error) {
	name, err := ParseFileName(file)
	if err != nil {
		return tree.Tree{}, err
	}
	if name.Name != in.Name {
		return tree.Tree{}, fmt.Errorf("it is a wheel of `%s`, not of `%s`", name.Name, in.Name)
	}
	if in.SHA256 != "" && in.SHA256 != d.Hex() {
		return tree.Tree{}, fmt.Errorf("it does not have the hash that the lock gives: want %s, got %s", in.SHA256, d.Hex())
	}
	ra, size, closeBlob, err := archive.OpenBlob(ctx, st, d)
	if err != nil {
		return tree.Tree{}, err
	}
	content, err := archive.Zip(ctx, ra, size, st, archive.Options{})
	if e := closeBlob(); err == nil {
		err = e
	}
	if err != nil {
		return tree.Tree{}, err
	}
	l := layout{in: in, ctx: ctx, st: st, content: content, out: tree.NewBuilder(), python: in.Prefix + "/bin/python"}
	if err := l.metadata(name); err != nil {
		return tree.Tree{}, err
	}
	if err := l.files(); err != nil {
		return tree.Tree{}, err
	}
	if err := l.scripts(); err != nil {
		return tree.Tree{}, err
	}
	if err := l.record(); err != nil {
		return tree.Tree{}, err
	}
	return l.out.Build(ctx, st)
}

// layout is one installation while it goes on.
type layout struct {
	in      Install
	ctx     context.Context
	st      store.Store
	content tree.Tree // of the archive
	out     *tree.Builder
	rows    []row
	info    string // name of the .dist-info directory
	data    string // name of the .data directory
	python  string
	want    map[string]string // path in the archive -> hash that RECORD gives
}

// metadata finds the .dist-info directory, checks WHEEL and reads RECORD.
func (l *layout) metadata(name FileName) error {
	root, err := l.st.Directory(l.ctx, l.content)
	if err != nil {
		return err
	}
	for _, d := range root.Dirs {
		base, ok := strings.CutSuffix(d.Name, ".dist-info")
		if !ok {
			continue
		}
		if l.info != "" {
			return fmt.Errorf("it has two metadata directories, `%s` and `%s`", l.info, d.Name)
		}
		dist, version, _ := strings.Cut(base, "-")
		if pep508.Normalise(dist) != name.Name || !sameVersion(version, name.Version) {
			return fmt.Errorf("its metadata directory `%s` belongs to another package or version", d.Name)
		}
		l.info, l.data = d.Name, base+".data"
	}
	if l.info == "" {
		return errors.New("it has no .dist-info directory")
	}
	head, err := l.read("WHEEL")
	if err != nil {
		return err
	}
	if v := header(head, "Wheel-Version"); !strings.HasPrefix(v, "1.") {
		return fmt.Errorf("its wheel format version is %q, only 1.x is known", v)
	}
	record, err := l.read("RECORD")
	if err != nil {
		return err
	}
	rows, err := parseRecord(record)
	if err != nil {
		return fmt.Errorf("RECORD: %w", err)
	}
	l.want = make(map[string]string, len(rows))
	for _, r := range rows {
		l.want[path.Clean(r.path)] = r.hash
	}
	return nil
}

func sameVersion(a, b string) bool {
	va, errA := pep440.Parse(strings.ReplaceAll(a, "_", "-"))
	vb, errB := pep440.Parse(strings.ReplaceAll(b, "_", "-"))
	return a == b || errA == nil && errB == nil && pep440.Compare(va, vb) == 0
}

// header is a field of an RFC 822-like file.
func header(b []byte, key string) string {
	for line := range bytes.Lines(b) {
		k, v, ok := strings.Cut(string(line), ":")
		if ok && strings.EqualFold(strings.TrimSpace(k), key) {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// read reads a file of the .dist-info directory.
func (l *layout) read(name string) ([]byte, error) {
	e, err := tree.Lookup(l.ctx, l.st, l.content, l.info+"/"+name)
	if err != nil {
		return nil, err
	}
	return store.ReadBlob(l.ctx, l.st, e.Digest, maxMeta)
}

// files puts every file of the archive at its place, checked against RECORD.
func (l *layout) files() error {
	return tree.Walk(l.ctx, l.st, l.content, func(p string, e tree.Entry) error {
		p = strings.TrimPrefix(p, "/")
		switch {
		case e.Kind == tree.KindDir:
			return nil
		case strings.ContainsFunc(p, unicode.IsControl):
			return fmt.Errorf("%q is no name for a file: it has control characters", p)
		case e.Kind != tree.KindFile:
			return diag.Failf("wheel-broken", "`%s` is a symbolic link, which a wheel cannot have", p).
				Hint("its author must build it anew, with a copy of the file; other installers write the link's target into a file")
		case path.Dir(p) == l.info && ownFile(path.Base(p)):
			return nil
		}
		if err := l.verify(p, e.Digest); err != nil {
			return err
		}
		to, script, err := l.place(p)
		if err != nil {
			return err
		}
		if script {
			return l.script(to, e.Digest)
		}
		return l.add(to, e.Digest, e.Executable)
	})
}

// ownFile says that an installer writes this file of .dist-info itself. Signatures of RECORD end with the RECORD that
// they signed.
func ownFile(name string) bool {
	switch name {
	case "RECORD", "RECORD.jws", "RECORD.p7s", "INSTALLER", "REQUESTED", "direct_url.json":
		return true
	}
	return false
}

// verify compares a file with RECORD. A file that RECORD does not name is let through: the archive as a whole was
// verified before, and other installers take it.
func (l *layout) verify(p string, d digest.Digest) error {
	text := l.want[p]
	if text == "" {
		return nil
	}
	want, err := parseSum(text)
	if err != nil {
		return fmt.Errorf("RECORD: `%s`: %w", p, err)
	}
	got := d.Hash()
	have := got[:]
	if want.alg != "sha256" {
		h := newHash(want.alg)
		r, err := l.st.Open(l.ctx, d)
		if err != nil {
			return err
		}
		_, err = io.Copy(h, r)
		if e := r.Close(); err == nil {
			err = e
		}
		if err != nil {
			return err
		}
		have = h.Sum(nil)
	}
	if !bytes.Equal(have, want.raw) {
		return fmt.Errorf("`%s` does not have the hash that RECORD gives: want %s %x, got %x", p, want.alg, want.raw, have)
	}
	return nil
}

// place gives the place of a file relative to the prefix, and says whether it is a script.
func (l *layout) place(p string) (to string, script bool, err error) {
	rest, ok := strings.CutPrefix(p, l.data+"/")
	if !ok {
		return Site(l.in.Python) + "/" + p, false, nil
	}
	scheme, rest, _ := strings.Cut(rest, "/")
	switch scheme {
	case "purelib", "platlib":
		return Site(l.in.Python) + "/" + rest, false, nil
	case "scripts":
		return "bin/" + rest, true, nil
	case "headers":
		return "include/site/python" + l.in.Python + "/" + l.in.Name + "/" + rest, false, nil
	case "data":
		return rest, false, nil
	}
	return "", false, fmt.Errorf("`%s` belongs to the scheme %q, which is not known", p, scheme)
}

func (l *layout) add(to string, d digest.Digest, executable bool) error {
	l.rows = append(l.rows, ours(relative(l.in.Python, to), d))
	return l.out.File(to, d, executable)
}

// relative gives the path as RECORD writes it: relative to the directory of modules.
func relative(python, to string) string {
	if rest, ok := strings.CutPrefix(to, Site(python)+"/"); ok {
		return rest
	}
	return "../../../" + to
}

func (l *layout) put(to string, b []byte, executable bool) error {
	d, err := l.st.Put(l.ctx, b)
	if err != nil {
		return err
	}
	return l.add(to, d, executable)
}

// script installs a file of the scripts scheme: always executable, with the environment's interpreter if it asks.
func (l *layout) script(to string, d digest.Digest) error {
	r, err := l.st.Open(l.ctx, d)
	if err != nil {
		return err
	}
	head := make([]byte, len("#!python"))
	n, err := io.ReadFull(r, head)
	if e := r.Close(); err == nil {
		err = e
	}
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return err
	}
	if string(head[:n]) != "#!python" {
		return l.add(to, d, true)
	}
	b, err := store.ReadBlob(l.ctx, l.st, d, maxMeta)
	if err != nil {
		return err
	}
	return l.put(to, retarget(b, l.python), true)
}

// scripts writes what entry_points.txt asks for.
func (l *layout) scripts() error {
	b, err := l.read("entry_points.txt")
	if errors.Is(err, tree.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	points, err := entryPoints(b)
	if err != nil {
		return err
	}
	for _, e := range points {
		if err := l.put("bin/"+e.name, e.text(l.python), true); err != nil {
			return err
		}
	}
	return nil
}

// record writes INSTALLER, direct_url.json and RECORD.
func (l *layout) record() error {
	info := Site(l.in.Python) + "/" + l.info + "/"
	if err := l.put(info+"INSTALLER", []byte(Installer), false); err != nil {
		return err
	}
	if l.in.Direct != "" {
		if err := l.put(info+"direct_url.json", []byte(l.in.Direct), false); err != nil {
			return err
		}
	}
	l.rows = append(l.rows, row{path: l.info + "/RECORD"})
	d, err := l.st.Put(l.ctx, formatRecord(l.rows))
	if err != nil {
		return err
	}
	return l.out.File(info+"RECORD", d, false)
}
