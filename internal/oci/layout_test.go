package oci

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/digest"
	"hewn.example/hewn/internal/engine"
	"hewn.example/hewn/internal/oci/layer"
	"hewn.example/hewn/internal/platform"
	"hewn.example/hewn/internal/spec"
	"hewn.example/hewn/internal/store"
	"hewn.example/hewn/internal/store/memory"
	"hewn.example/hewn/internal/tree"
)

// dir is a layout in the making, as other tools would write it: file -> content.
type dir map[string]string

// add keeps a blob and gives the fields of its descriptor.
func (d dir) add(content string) string {
	hex := digest.Of([]byte(content)).Hex()
	d[blobsDir+"/"+hex] = content
	return fmt.Sprintf(`"digest":"sha256:%s","size":%d`, hex, len(content))
}

// foreign is a layout of a tool that is not hewn, with Docker's media types, tags and fields that hewn has no use for.
// manifests of other platforms may be added to its index.
func foreign(arch, more string) dir {
	d := dir{layoutFile: `{"imageLayoutVersion": "1.0.0", "x": 1}`}
	config := d.add(fmt.Sprintf(`{"architecture":"%s","os":"linux","config":{"Cmd":["sh"]},"rootfs":{"type":"layers","diff_ids":["sha256:%064d"]},
		"history":[{"created_by":"x","empty_layer":true},{"created_by":"y"}]}`, arch, 1))
	layer := d.add("no real layer")
	manifest := d.add(fmt.Sprintf(`{"schemaVersion":2,"mediaType":"%s","config":{"mediaType":"%s",%s},"layers":[{"mediaType":"%s",%s,"annotations":{"a":"b"}}]}`,
		types.DockerManifestSchema2, types.DockerConfigJSON, config, types.DockerLayer, layer))
	d[indexFile] = fmt.Sprintf(`{"schemaVersion":2,"manifests":[{"mediaType":"%s",%s,"annotations":{"org.opencontainers.image.ref.name":"latest"}}%s]}`,
		types.DockerManifestSchema2, manifest, more)
	return d
}

func (d dir) tree(t testing.TB, st *memory.Store) tree.Tree {
	t.Helper()
	return files(t, st, d)
}

// descriptorOf is the first descriptor in the index.json of d.
func (d dir) descriptorOf() string {
	_, rest, _ := strings.Cut(d[indexFile], `"manifests":[`)
	return strings.TrimSuffix(rest, "]}")
}

func TestOpenOfOtherTools(t *testing.T) {
	arm := foreign("arm64", "")
	attestation := `,{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:` + strings.Repeat("1", 64) +
		`","size":3,"platform":{"architecture":"unknown","os":"unknown"}}`
	both := foreign("amd64", ","+arm.descriptorOf()+attestation)
	maps.Copy(both, dropTop(arm))
	nested := foreign("amd64", "")
	inner := both[indexFile]
	maps.Copy(nested, dropTop(both))
	nested[indexFile] = fmt.Sprintf(`{"schemaVersion":2,"mediaType":"%s","manifests":[{"mediaType":"%s",%s}]}`, types.OCIImageIndex,
		types.DockerManifestList, nested.add(inner))
	twice := foreign("amd64", "")
	twice[indexFile] = strings.Replace(twice[indexFile], "]}", ","+strings.Replace(twice.descriptorOf(), "latest", "v1", 1)+"]}", 1)

	for name, c := range map[string]struct {
		dir   dir
		index string // the content of the index
		on    string
	}{
		"one manifest":               {foreign("amd64", ""), "", "linux/amd64"},
		"several without an index":   {both, both[indexFile], "linux/amd64 linux/arm64"},
		"an index":                   {nested, inner, "linux/amd64 linux/arm64"},
		"one image under two names":  {twice, twice[indexFile], "linux/amd64"},
		"one image, and attestation": {foreign("amd64", attestation), foreign("amd64", attestation)[indexFile], "linux/amd64"},
	} {
		st := memory.New()
		l, err := Open(t.Context(), st, c.dir.tree(t, st))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var on []string
		for _, i := range l.Images {
			on = append(on, i.Desc.Platform.String())
		}
		if got := strings.Join(on, " "); got != c.on || string(l.Index) != c.index {
			t.Errorf("%s: got %s, index %s", name, got, l.Index)
		}
		top, err := BlobDigest(l.Top)
		if want := digest.Of([]byte(c.index)); err != nil || c.index != "" && (top != want || !l.Top.MediaType.IsIndex()) {
			t.Errorf("%s: the top is %v, %v", name, l.Top, err)
		}
		if _, err := Describe(t.Context(), st, c.dir.tree(t, st)); !errors.Is(err, tree.ErrNotExist) {
			t.Errorf("%s: described: %v", name, err)
		}
	}
}

// dropTop is the blobs of a layout.
func dropTop(d dir) dir {
	out := maps.Clone(d)
	delete(out, indexFile)
	delete(out, layoutFile)
	return out
}

// blob is the name of the blob that has part in it.
func (d dir) blob(part string) string {
	for name, content := range d {
		if strings.HasPrefix(name, blobsDir) && strings.Contains(content, part) {
			return name
		}
	}
	panic("no blob has " + part)
}

// remake gives the blob with part in it another content; all that name it follow.
func (d dir) remake(part, old, now string) {
	name := d.blob(part)
	for {
		content := d[name]
		was := strings.TrimPrefix(name, blobsDir+"/")
		fields := fmt.Sprintf(`"digest":"sha256:%s","size":%d`, was, len(content))
		delete(d, name)
		old, now = fields, d.add(strings.Replace(content, old, now, 1))
		if strings.Contains(d[indexFile], old) {
			d[indexFile] = strings.Replace(d[indexFile], old, now, 1)
			return
		}
		name = d.blob(was)
	}
}

func TestOpenRefuses(t *testing.T) {
	replace := func(file, old, now string) func(dir) string {
		return func(d dir) string { d[file] = strings.Replace(d[file], old, now, 1); return file }
	}
	remake := func(part, old, now string) func(dir) string {
		return func(d dir) string { d.remake(part, old, now); return "" }
	}
	anywhere := func(spoil func(dir) string) func(dir) string { return func(d dir) string { spoil(d); return "" } }
	deep := func(d dir) string {
		for range maxIndexes {
			d[indexFile] = fmt.Sprintf(`{"schemaVersion":2,"manifests":[{"mediaType":"%s",%s}]}`, types.OCIImageIndex, d.add(d[indexFile]))
		}
		return ""
	}
	for name, c := range map[string]struct {
		spoil func(dir) string // gives the file that is to blame, if that is sure
		says  string
	}{
		"no layout file":        {func(d dir) string { delete(d, layoutFile); return layoutFile }, "no such file"},
		"other version":         {replace(layoutFile, "1.0.0", "2.0.0"), `version "2.0.0"`},
		"malformed layout file": {replace(layoutFile, "{", "["), "malformed"},
		"no index":              {func(d dir) string { delete(d, indexFile); return indexFile }, "no such file"},
		"malformed index":       {replace(indexFile, "]}", "]"), "malformed"},
		"two documents":         {replace(indexFile, "]}", "]}{}"), "malformed"},
		"schema":                {replace(indexFile, `"schemaVersion":2`, `"schemaVersion":1`), "schema version 1"},
		"no images":             {func(d dir) string { d[indexFile] = `{"schemaVersion":2,"manifests":[]}`; return indexFile }, "no image"},
		"no blobs":              {func(d dir) string { maps.DeleteFunc(d, func(k, _ string) bool { return k[0] == 'b' }); return blobsDir }, "no blobs"},
		"type":                  {replace(indexFile, string(types.DockerManifestSchema2), "text/plain"), "`text/plain`"},
		"other type":            {anywhere(replace(indexFile, string(types.DockerManifestSchema2), string(types.OCIManifestSchema1))), "it was named as"},
		"size":                  {func(d dir) string { replace(indexFile, `"size":`, `"size":1`)(d); return d.blob("schemaVersion") }, "says 1"},
		"negative size":         {replace(indexFile, `"size":`, `"size":-`), "negative"},
		"other hash":            {replace(indexFile, "sha256:", "sha512:"), "malformed"},
		"missing manifest":      {func(d dir) string { n := d.blob("schemaVersion"); delete(d, n); return n }, "missing"},
		"missing layer":         {func(d dir) string { n := d.blob("no real"); delete(d, n); return n }, "missing"},
		"a link as a blob":      {func(d dir) string { n := d.blob("no real"); d[n] = "->x"; return n }, "missing"},
		"swapped bytes":         {func(d dir) string { n := d.blob("no real"); d[n] = "other layer!!"; return n }, "not that of the name"},
		"swapped manifest":      {func(d dir) string { n := d.blob("schemaVersion"); d[n] = "{}"; return n }, "not that of the name"},
		"no config":             {remake("schemaVersion", string(types.DockerConfigJSON), "application/vnd.x"), "`application/vnd.x`: this is no image"},
		"malformed config":      {remake("diff_ids", "{", ""), "malformed"},
		"layers do not fit":     {remake("diff_ids", `"diff_ids":[`, `"diff_ids":["sha256:`+strings.Repeat("a", 64)+`",`), "2 layers, the manifest 1"},
		"no platform":           {remake("diff_ids", `"os":"linux",`, ""), "what the image runs on"},
		"other platform": {anywhere(replace(indexFile, `"annotations"`, `"platform":{"os":"linux","architecture":"s390x"},"annotations"`)),
			"for linux/amd64, the index says linux/s390x"},
		"two of a platform": {func(d dir) string {
			first := d.descriptorOf()
			d.remake("diff_ids", "sh", "bash")
			old := foreign("amd64", "")
			maps.Copy(d, dropTop(old))
			d[indexFile] = strings.Replace(d[indexFile], "]}", ","+first+"]}", 1)
			return indexFile
		}, "two images for linux/amd64: `latest` and `latest`"},
		"large":      {replace(indexFile, "]}", "]"+strings.Repeat(" ", maxDocument)+"}"), "at most 4194304"},
		"large blob": {remake("diff_ids", "{", "{"+strings.Repeat(" ", maxDocument)), "at most 4194304"},
		"nested":     {deep, "more than 4 deep"},
		"too many": {func(d dir) string {
			replace(indexFile, "]}", strings.Repeat(","+d.descriptorOf(), maxImages)+"]}")(d)
			return indexFile
		}, "more than 1000"},
		"no such index": {anywhere(replace(indexFile, string(types.DockerManifestSchema2), string(types.OCIImageIndex))), "it was named as"},
	} {
		st, d := memory.New(), foreign("amd64", "")
		file := c.spoil(d)
		_, err := Open(t.Context(), st, d.tree(t, st))
		var p *diag.Problem
		if !errors.As(err, &p) || p.Kind != diag.BadInput || p.Pos.File == "" || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v", name, err)
			continue
		}
		if file != "" && p.Pos.File != file {
			t.Errorf("%s: the problem is said to be in %s, not %s", name, p.Pos.File, file)
		}
	}
}

// lying is a store that gives other bytes than it was asked for.
type lying struct{ *memory.Store }

func (s lying) Open(ctx context.Context, d digest.Digest) (io.ReadCloser, error) {
	wrong, err := s.Put(ctx, []byte(strings.Repeat(" ", int(d.Size()))))
	if err != nil {
		return nil, err
	}
	return s.Store.Open(ctx, wrong)
}

func TestOpenBelievesNoStore(t *testing.T) {
	st := memory.New()
	layout := foreign("amd64", "").tree(t, st)
	if _, err := Open(t.Context(), lying{st}, layout); err == nil || !strings.Contains(err.Error(), "not those of the digest") {
		t.Errorf("got %v", err)
	}
}

func TestJoin(t *testing.T) {
	w := newWorld(t)
	arm64 := platform.Platform{OS: "linux", Arch: "arm64", Libc: "glibc"}
	i := image()
	i.Annotations["of.amd64"] = "x"
	first := w.image(t, i, amd64)
	delete(i.Annotations, "of.amd64")
	i.Annotations["of.arm64"] = "x"
	second := w.image(t, i, arm64)
	other := foreign("s390x", "").tree(t, w.Store)

	joined, err := Join(t.Context(), w.Store, second, other, first)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Join(t.Context(), w.Store, first, second, other)
	if err != nil || again != joined {
		t.Errorf("the order of the layouts makes a difference: %v, %v", again, err)
	}
	l, err := Open(t.Context(), w.Store, joined)
	if err != nil {
		t.Fatal(err)
	}
	var on []string
	for _, i := range l.Images {
		on = append(on, i.Desc.Platform.String())
	}
	if got := strings.Join(on, " "); got != "linux/amd64 linux/arm64/v8 linux/s390x" || l.Top.MediaType != types.OCIImageIndex {
		t.Errorf("got %s in a %s", got, l.Top.MediaType)
	}
	var index indexDoc
	if err := json.Unmarshal(l.Index, &index); err != nil || len(index.Annotations) != 0 {
		t.Errorf("annotations that only some images have are on the index: %s, %v", l.Index, err)
	}
	d, err := Describe(t.Context(), w.Store, joined)
	if err != nil || len(d.Platforms) != 2 || d.Platforms[0].Platform != amd64 || d.Platforms[1].Platform != arm64 ||
		d.Platforms[0].Layers[1].Name != "packages" {
		t.Errorf("described as %+v, %v", d, err)
	}
	if blob, err := d.Platforms[0].Layers[0].Blob(); err != nil || len(mustMissing(t, w.Store, blob)) > 0 {
		t.Errorf("a described layer is not in the store: %v", err)
	}
	if missing, err := store.MissingOf(t.Context(), w.Store, joined, nil); err != nil || len(missing) > 0 {
		t.Errorf("missing %v, %v", missing, err)
	}

	two, err := Join(t.Context(), w.Store, first, second)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "index.golden", string(mustOpen(t, w.Store, two).Index)+"\n")
	if three, err := Join(t.Context(), w.Store, other, two); err != nil || three != joined {
		t.Errorf("joined in two steps: %v, %v", three, err)
	}
	if one, err := Join(t.Context(), w.Store, first); err != nil || one != first {
		t.Errorf("one layout: %v, %v", one, err)
	}
	if _, err := Join(t.Context(), w.Store, first, second, first); err == nil || !strings.Contains(err.Error(), "two images for linux/amd64") {
		t.Errorf("twice: %v", err)
	}
	if _, err := Join(t.Context(), w.Store); err == nil {
		t.Error("nothing was joined")
	}
}

func mustMissing(t *testing.T, st store.Blobs, d digest.Digest) []digest.Digest {
	t.Helper()
	missing, err := st.Missing(t.Context(), []digest.Digest{d})
	if err != nil {
		t.Fatal(err)
	}
	return missing
}

func mustOpen(t *testing.T, st Store, layout tree.Tree) *Layout {
	t.Helper()
	l, err := Open(t.Context(), st, layout)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func (w *world) unpack(layout tree.Tree, p platform.Platform) (tree.Tree, error) {
	return w.Build(func(context.Context, *engine.Ask) (engine.Step, error) {
		return Unpack(engine.Tree(layout).Step, p), nil
	})
}

// What is unpacked is what was packed.
func TestUnpack(t *testing.T) {
	for _, compression := range []string{"zstd", "gzip", "none"} {
		w, i := newWorld(t), image()
		i.Compression = compression
		layout := w.image(t, i, amd64)
		out, err := w.unpack(layout, amd64)
		if err != nil {
			t.Fatal(err)
		}
		d, err := Describe(t.Context(), w.Store, layout)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := tree.Sub(t.Context(), w.Store, out, rootDir); err != nil || got != d.Platforms[0].Root {
			t.Errorf("%s: got\n%v, %v", compression, paths(t, w.Store, got), err)
		}
		config := mustOpen(t, w.Store, layout).Images[0].Manifest.Config.Digest.Hex
		if got := w.text(t, out, configFile); got != w.text(t, layout, blobsDir+"/"+config) {
			t.Errorf("%s: the configuration is %s", compression, got)
		}
		attrs, err := layer.ParseAttrs([]byte(w.text(t, out, attrsFile)))
		if err != nil {
			t.Fatal(err)
		}
		if uid, gid := attrs.Owner("app/data/keep"); uid != 1000 || gid != 33 {
			t.Errorf("%s: app/data/keep is of %d:%d", compression, uid, gid)
		}
		if got := attrs.Mode("usr/bin/sudo", tree.Entry{Kind: tree.KindFile}); got != 0o4755 {
			t.Errorf("%s: sudo has the mode %o", compression, got)
		}
	}
}

func TestUnpackChoosesThePlatform(t *testing.T) {
	w := newWorld(t)
	var layouts []tree.Tree
	for _, arch := range []string{"amd64", "arm64"} {
		layouts = append(layouts, w.image(t, spec.Image{Labels: one(arch)}, platform.Platform{OS: "linux", Arch: arch, Libc: "glibc"}))
	}
	joined, err := Join(t.Context(), w.Store, layouts...)
	if err != nil {
		t.Fatal(err)
	}
	for _, arch := range []string{"amd64", "arm64"} {
		out, err := w.unpack(joined, platform.Platform{OS: "linux", Arch: arch, Libc: "glibc"})
		if err != nil {
			t.Fatal(err)
		}
		if got := w.text(t, out, configFile); !strings.Contains(got, `"Labels":{"`+arch+`"`) {
			t.Errorf("%s: got %s", arch, got)
		}
	}
	_, err = w.unpack(joined, platform.Platform{OS: "linux", Arch: "riscv64", Libc: "glibc"})
	if err == nil || !strings.Contains(err.Error(), "not for linux/riscv64, but for linux/amd64, linux/arm64/v8") {
		t.Errorf("got %v", err)
	}
}

func one(k string) map[string]string { return map[string]string{k: ""} }

func TestUnpackRefusesOtherLayers(t *testing.T) {
	w, i := newWorld(t), image()
	i.Compression = "zstd"
	layout := w.image(t, i, amd64)
	good := dir{}
	err := tree.Walk(t.Context(), w.Store, layout, func(p string, e tree.Entry) error {
		if e.Kind == tree.KindFile {
			good[p] = w.text(t, layout, p)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	diffID := mustOpen(t, w.Store, layout).Images[0].Config.RootFS.DiffIDs[1].Hex
	wrongID, wrongType, noLayer := maps.Clone(good), maps.Clone(good), foreign("amd64", "")
	wrongID.remake("diff_ids", diffID, strings.Repeat("a", 64))
	wrongType.remake(`"layers":`, string(types.OCILayerZStd), string(types.OCILayer))
	for name, c := range map[string]struct {
		dir  dir
		says string // empty: it can be unpacked
	}{
		"as it was":    {good, ""},
		"other DiffID": {wrongID, diffID},
		"other type":   {wrongType, "gzip"},
		"no layer":     {noLayer, "gzip"},
	} {
		_, err := w.unpack(c.dir.tree(t, w.Store), amd64)
		if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// FuzzOpen takes documents in which `$MANIFEST` and `$CONFIG` stand for the fields of the descriptor.
func FuzzOpen(f *testing.F) {
	d := foreign("amd64", "")
	var manifest, config string
	for _, content := range d {
		if strings.Contains(content, "diff_ids") {
			config = content
		} else if strings.Contains(content, `"layers"`) {
			manifest = content
		}
	}
	add := func(index, manifest, config string) { f.Add([]byte(index), []byte(manifest), []byte(config)) }
	add(d[indexFile], manifest, config)
	add(`{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json",$MANIFEST}]}`,
		`{"schemaVersion":2,"config":{"mediaType":"application/vnd.oci.image.config.v1+json",$CONFIG},"layers":[]}`,
		`{"os":"linux","architecture":"amd64","rootfs":{"type":"layers","diff_ids":[]}}`)
	add(`{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.index.v1+json",$MANIFEST}]}`,
		`{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json",$CONFIG}]}`, `{}`)
	f.Fuzz(func(t *testing.T, rawIndex, rawManifest, rawConfig []byte) {
		index, manifest, config := string(rawIndex), string(rawManifest), string(rawConfig)
		st, d := memory.New(), dir{layoutFile: `{"imageLayoutVersion":"1.0.0"}`}
		d.add("no real layer")
		manifest = strings.ReplaceAll(manifest, "$CONFIG", d.add(config))
		d[indexFile] = strings.ReplaceAll(index, "$MANIFEST", d.add(manifest))
		for name, content := range d {
			if strings.HasPrefix(content, "->") { // which a test's tree would take for a link
				d[name] = " " + content
			}
		}
		l, err := Open(t.Context(), st, d.tree(t, st))
		if err != nil {
			var p *diag.Problem
			if !errors.As(err, &p) {
				t.Errorf("no problem of the layout: %v", err)
			}
			return
		}
		for _, i := range l.Images {
			if i.Desc.Platform == nil || len(i.Manifest.Layers) != len(i.Config.RootFS.DiffIDs) {
				t.Errorf("an image that cannot be used: %+v", i)
			}
			if _, err := BlobDigest(i.Manifest.Config); err != nil {
				t.Error(err)
			}
		}
		if _, err := Join(t.Context(), st, d.tree(t, st), foreign("mips", "").tree(t, st)); err != nil {
			var p *diag.Problem
			if !errors.As(err, &p) {
				t.Errorf("cannot be joined: %v", err)
			}
		}
	})
}

func TestImageOfVariants(t *testing.T) {
	of := func(variants ...string) *Layout {
		l := &Layout{}
		for _, v := range variants {
			l.Images = append(l.Images, Image{Desc: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "arm", Variant: v}}})
		}
		return l
	}
	for _, c := range []struct {
		have []string
		want string
	}{
		{[]string{"v6", "v7", ""}, "v7"}, {[]string{"", "v7"}, "v7"}, {[]string{"v7", ""}, "v7"}, {[]string{"v5", "", "v6"}, ""}, {[]string{"v6"}, "v6"},
	} {
		i, err := of(c.have...).Image(platform.Platform{OS: "linux", Arch: "arm", Libc: "glibc"})
		if err != nil || i.Desc.Platform.Variant != c.want {
			t.Errorf("%q: got %+v, %v", c.have, i, err)
		}
	}
	if _, err := of("v7").Image(amd64); err == nil {
		t.Error("an image for arm was taken for one for amd64")
	}
}

func TestDescribeRefuses(t *testing.T) {
	for content, says := range map[string]string{
		"{":                                "malformed",
		`{"platforms":[{"root":"x"}]}`:     "malformed",
		strings.Repeat(" ", maxDocument):   "malformed",
		strings.Repeat(" ", maxDocument+1): "at most",
	} {
		st := memory.New()
		_, err := Describe(t.Context(), st, dir{describeFile: content}.tree(t, st))
		var p *diag.Problem
		if !errors.As(err, &p) || p.Pos.File != describeFile || !strings.Contains(err.Error(), says) || errors.Is(err, tree.ErrNotExist) {
			t.Errorf("%.30q: got %v", content, err)
		}
	}
	if _, err := (DescribedLayer{Digest: "sha512:00", Size: 1}).Blob(); err == nil {
		t.Error("a blob was found by its SHA-512")
	}
}
