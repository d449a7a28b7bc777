package debian

import (
	"bytes"
	"context"
	"debug/elf"
	"encoding/binary"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/engine"
	"hewn.example/hewn/internal/store/memory"
	"hewn.example/hewn/internal/tree"
)

// makeElf writes the smallest ELF file that has an interpreter and a dynamic section. Fields: `interp=`, `needed=`,
// `rpath=`, `runpath=`.
func makeElf(fields ...string) []byte {
	tags := map[string]elf.DynTag{"needed": elf.DT_NEEDED, "rpath": elf.DT_RPATH, "runpath": elf.DT_RUNPATH}
	strs, interp := []byte{0}, ""
	var dyn bytes.Buffer
	put := func(w *bytes.Buffer, v any) { _ = binary.Write(w, binary.LittleEndian, v) }
	for _, f := range fields {
		k, v, _ := strings.Cut(f, "=")
		if k == "interp" {
			interp = v + "\x00"
			continue
		}
		put(&dyn, elf.Dyn64{Tag: int64(tags[k]), Val: uint64(len(strs))})
		strs = append(append(strs, v...), 0)
	}
	put(&dyn, elf.Dyn64{})
	names := "\x00.dynstr\x00.dynamic\x00.shstrtab\x00"
	const ehdr, phdr = 64, 56
	at := uint64(ehdr + phdr)
	offInterp, offStr := at, at+uint64(len(interp))
	offDyn := offStr + uint64(len(strs))
	offNames := offDyn + uint64(dyn.Len())
	var b bytes.Buffer
	h := elf.Header64{Type: uint16(elf.ET_DYN), Machine: uint16(elf.EM_X86_64), Version: 1, Phoff: ehdr, Shoff: offNames + uint64(len(names)),
		Ehsize: ehdr, Phentsize: phdr, Shentsize: 64, Shnum: 4, Shstrndx: 3}
	copy(h.Ident[:], "\x7fELF\x02\x01\x01")
	if interp != "" {
		h.Phnum = 1
	}
	put(&b, h)
	put(&b, elf.Prog64{Type: uint32(elf.PT_INTERP), Off: offInterp, Filesz: uint64(len(interp)), Memsz: uint64(len(interp))})
	b.WriteString(interp)
	b.Write(strs)
	b.Write(dyn.Bytes())
	b.WriteString(names)
	put(&b, elf.Section64{})
	put(&b, elf.Section64{Name: 1, Type: uint32(elf.SHT_STRTAB), Off: offStr, Size: uint64(len(strs))})
	put(&b, elf.Section64{Name: 9, Type: uint32(elf.SHT_DYNAMIC), Off: offDyn, Size: uint64(dyn.Len()), Link: 1, Entsize: 16})
	put(&b, elf.Section64{Name: 18, Type: uint32(elf.SHT_STRTAB), Off: offNames, Size: uint64(len(names))})
	return b.Bytes()
}

// elfRoot builds a tree of lines: `path -> target`, `path = text`, or `path field…` for an ELF file.
func elfRoot(t *testing.T, st *memory.Store, lines ...string) tree.Tree {
	t.Helper()
	ctx, b := context.Background(), tree.NewBuilder()
	for _, line := range lines {
		if p, target, ok := strings.Cut(line, " -> "); ok {
			_ = b.Link(p, target)
			continue
		}
		p, content, ok := strings.Cut(line, " = ")
		raw := []byte(content)
		if !ok {
			f := strings.Fields(line)
			p, raw = f[0], makeElf(f[1:]...)
		}
		d, _ := st.Put(ctx, raw)
		if err := b.File(p, d, true); err != nil {
			t.Fatal(err)
		}
	}
	tr, err := b.Build(ctx, st)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

func TestCheckElf(t *testing.T) {
	st := memory.New()
	root := elfRoot(t, st, "lib -> usr/lib", "lib64 -> usr/lib64", "usr/lib64/ld.so needed=libc.so.6",
		"etc/ld.so.conf = include ld.so.conf.d/*.conf\n# comment\n", "etc/ld.so.conf.d/x.conf = /opt/x/lib # here\n", "opt/x/lib/libx.so.1 needed=libc.so.6",
		"usr/lib/x86_64-linux-gnu/libc.so.6 = \x7fELF rubbish, which is passed over, and long enough to be looked at by the checker",
		"usr/bin/good interp=/lib64/ld.so needed=libc.so.6 needed=libx.so.1",
		"usr/bin/script = #!/bin/sh\n# a script that is as long as an ELF header, and none for all that",
		"app/bin/origin needed=liborigin.so runpath=$ORIGIN/../lib:${ORIGIN}/x", "app/lib/liborigin.so needed=libc.so.6",
		"app/lib/abs.so needed=/app/lib/liborigin.so needed=/app/lib/nope.so", "app/bin/rpath needed=liborigin.so rpath=/app/$LIB:/app/lib",
		"jvm/libjava.so needed=libjvm.so", "jvm/server/libjvm.so needed=libc.so.6", "elsewhere/libj.so needed=libjvm.so",
		"bad/interp interp=/lib64/none needed=libc.so.6", "bad/lib.so.1 needed=libmissing.so.2 needed=libgone.so", "bad/addon.node needed=libmissing.so.2")
	for _, c := range []struct {
		name string
		o    ElfOptions
		want []string
	}{
		{"all", ElfOptions{}, []string{"/app/lib/abs.so needs /app/lib/nope.so", "/bad/addon.node needs libmissing.so.2", "/bad/interp needs the interpreter /lib64/none",
			"/bad/lib.so.1 needs libmissing.so.2", "/bad/lib.so.1 needs libgone.so", "/elsewhere/libj.so needs libjvm.so"}},
		{"below", ElfOptions{Below: []string{"/app", "usr/"}}, []string{"/app/lib/abs.so needs /app/lib/nope.so"}},
		{"ignore", ElfOptions{Below: []string{"bad"}, Ignore: []string{"lib*.so.*", "interp"}}, []string{"/bad/addon.node needs libmissing.so.2"}},
		{"fine", ElfOptions{Below: []string{"usr", "jvm", "opt"}}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := CheckElf(context.Background(), st, root, c.o)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, m := range r.Missing {
				got = append(got, m.String())
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
			params, _ := json.Marshal(c.o)
			tr, err := runElfCheck(context.Background(), engine.NativeCall{Params: params, Inputs: []tree.Tree{root}, Store: st})
			var p *diag.Problem
			if (err == nil) != (c.want == nil) || err != nil && (!errors.As(err, &p) || len(p.Detail) != len(c.want)) {
				t.Errorf("step: %v", err)
			}
			if err == nil && !strings.Contains(show(t, st, tr), "ELF files find all their libraries") {
				t.Error(show(t, st, tr))
			}
		})
	}
}

func FuzzElf(f *testing.F) {
	f.Add(makeElf("interp=/lib64/ld.so", "needed=libc.so.6", "runpath=$ORIGIN"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		st, ctx := memory.New(), context.Background()
		d, _ := st.Put(ctx, raw)
		if _, err := readElf(ctx, st, "x", d); err != nil && len(raw) >= 4 {
			t.Error(err)
		}
	})
}
