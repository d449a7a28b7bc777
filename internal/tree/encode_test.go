package tree_test

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/protobuf/proto"

	"hewn.example/hewn/internal/digest"
	"hewn.example/hewn/internal/tree"
)

// message is d as the generated type of the Remote Execution API.
func message(d *tree.Directory) *repb.Directory {
	dg := func(d digest.Digest) *repb.Digest { return &repb.Digest{Hash: d.Hex(), SizeBytes: d.Size()} }
	m := &repb.Directory{}
	for _, f := range d.Files {
		m.Files = append(m.Files, &repb.FileNode{Name: f.Name, Digest: dg(f.Digest), IsExecutable: f.Executable})
	}
	for _, s := range d.Dirs {
		m.Directories = append(m.Directories, &repb.DirectoryNode{Name: s.Name, Digest: dg(s.Tree.Digest())})
	}
	for _, l := range d.Links {
		m.Symlinks = append(m.Symlinks, &repb.SymlinkNode{Name: l.Name, Target: l.Target})
	}
	return m
}

func randomDirectory(r *rand.Rand) *tree.Directory {
	b := map[string]int{}
	for range r.IntN(20) {
		name := make([]byte, 1+r.IntN(12))
		for i := range name {
			name[i] = "abcxyz.-_09"[r.IntN(11)]
		}
		if tree.CheckName(string(name)) == nil {
			b[string(name)] = r.IntN(3)
		}
	}
	d := &tree.Directory{}
	for _, name := range sortedKeys(b) {
		content := make([]byte, r.IntN(3)*r.IntN(300))
		switch b[name] {
		case 0:
			d.Files = append(d.Files, tree.File{Name: name, Digest: digest.Of(content), Executable: r.IntN(2) == 0})
		case 1:
			d.Dirs = append(d.Dirs, tree.Dir{Name: name, Tree: tree.Of(digest.Of(content))})
		case 2:
			d.Links = append(d.Links, tree.Link{Name: name, Target: "../" + name})
		}
	}
	return d
}

// The generated code is the oracle of the hand-written one.
func TestEncodeAsGenerated(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		d := randomDirectory(r)
		want, err := proto.MarshalOptions{Deterministic: true}.Marshal(message(d))
		if err != nil {
			t.Fatal(err)
		}
		got := d.Encode()
		if !bytes.Equal(got, want) {
			t.Fatalf("%+v\ngot  %x\nwant %x", d, got, want)
		}
		back, err := tree.Decode(got)
		if err != nil || !bytes.Equal(back.Encode(), got) {
			t.Fatalf("decode: %v", err)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	f := func(name string) *repb.FileNode {
		return &repb.FileNode{Name: name, Digest: &repb.Digest{Hash: digest.Empty.Hex()}}
	}
	for name, m := range map[string]*repb.Directory{
		"order":        {Files: []*repb.FileNode{f("b"), f("a")}},
		"twice":        {Files: []*repb.FileNode{f("a"), f("a")}},
		"twice across": {Files: []*repb.FileNode{f("a"), f("b")}, Symlinks: []*repb.SymlinkNode{{Name: "b", Target: "x"}}},
		"slash":        {Files: []*repb.FileNode{f("a/b")}},
		"parent":       {Files: []*repb.FileNode{f("..")}},
		"no digest":    {Files: []*repb.FileNode{{Name: "a"}}},
		"no target":    {Symlinks: []*repb.SymlinkNode{{Name: "b"}}},
		"bad hash":     {Files: []*repb.FileNode{{Name: "a", Digest: &repb.Digest{Hash: "AB"}}}},
		"negative":     {Files: []*repb.FileNode{{Name: "a", Digest: &repb.Digest{Hash: digest.Empty.Hex(), SizeBytes: -1}}}},
		"properties":   {Files: []*repb.FileNode{{Name: "a", Digest: &repb.Digest{Hash: digest.Empty.Hex()}, NodeProperties: &repb.NodeProperties{}}}},
	} {
		b, err := proto.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tree.Decode(b); err == nil {
			t.Errorf("%s: was decoded", name)
		}
	}
}

func FuzzDecode(f *testing.F) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 20 {
		f.Add(randomDirectory(r).Encode())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := tree.Decode(b)
		if err != nil {
			return
		}
		if !bytes.Equal(d.Encode(), b) {
			t.Errorf("decoded and encoded again to other bytes")
		}
		if d.Check() != nil || len(d.Entries()) != len(d.Files)+len(d.Dirs)+len(d.Links) {
			t.Errorf("decoded to a malformed directory")
		}
	})
}

func sortedKeys(m map[string]int) []string {
	var out []string
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
