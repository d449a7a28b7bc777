package debian

import (
	"bytes"
	"context"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"hewn.example/hewn/internal/archive"
	"hewn.example/hewn/internal/store"
	"hewn.example/hewn/internal/tree"
)

// completion collects what maintainer scripts would have made. It only ever adds: what a package ships stays.
type completion struct {
	ctx   context.Context
	v     view
	p     rootParams
	b     *tree.Builder
	made  map[string]bool
	err   error
	added []string // `path`, `path -> target` or `path/`, for the test that lists them
}

// complete adds to a merged root everything that its packages' scripts would have, as far as programs look at it.
func complete(ctx context.Context, st store.Store, t tree.Tree, p rootParams) (tree.Tree, error) {
	c := &completion{ctx: ctx, v: view{st, t}, p: p, b: tree.NewBuilder(), made: map[string]bool{}}
	c.all()
	if c.err != nil {
		return tree.Tree{}, fmt.Errorf("complete the root: %w", c.err)
	}
	extra, err := c.b.Build(ctx, st)
	if err != nil {
		return tree.Tree{}, err
	}
	return tree.Overlay(ctx, st, tree.Part{Tree: t, At: "/", Origin: "packages"}, tree.Part{Tree: extra, At: "/", Origin: "completion"})
}

func (c *completion) all() {
	c.layout()
	c.accounts()
	c.network()
	c.timezone()
	c.alternatives()
	c.java()
	c.certificates()
}

// absent says whether nothing stands at p yet; after an error it is always false.
func (c *completion) absent(p string) bool {
	if c.err != nil || c.made[p] {
		return false
	}
	has, err := c.v.has(c.ctx, p)
	if err != nil {
		c.err = err
	}
	return !has && err == nil
}

func (c *completion) leads(p string) bool {
	if c.err != nil {
		return false
	}
	ok, err := c.v.leads(c.ctx, p)
	if err != nil {
		c.err = err
	}
	return ok || c.made[p]
}

func (c *completion) read(p string) []byte {
	if c.err != nil {
		return nil
	}
	b, err := c.v.read(c.ctx, p)
	if err != nil {
		c.err = err
	}
	return b
}

func (c *completion) list(p string) []tree.Entry {
	if c.err != nil {
		return nil
	}
	d, err := c.v.dir(c.ctx, p)
	if err != nil {
		c.err = err
	}
	if d == nil {
		return nil
	}
	return d.Entries()
}

func (c *completion) file(p string, content []byte) {
	if !c.absent(p) {
		return
	}
	d, err := c.v.st.Put(c.ctx, content)
	if err == nil {
		err = c.b.File(p, d, false)
	}
	c.note(p, p, err)
}

func (c *completion) link(p, target string) {
	if !c.absent(p) {
		return
	}
	if strings.HasPrefix(target, "/") {
		target = archive.Relative(path.Dir("/"+p), target)
	}
	c.note(p, p+" -> "+target, c.b.Link(p, target))
}

func (c *completion) dir(p string) {
	if c.absent(p) {
		c.note(p, p+"/", c.b.Dir(p))
	}
}

func (c *completion) note(p, line string, err error) {
	if err != nil {
		c.err = err
		return
	}
	c.made[p] = true
	c.added = append(c.added, line)
}

// layout makes the directories and links that base-files and its scripts make.
func (c *completion) layout() {
	for _, dir := range []string{"usr/bin", "usr/sbin", "usr/lib"} {
		c.dir(dir)
		c.link(path.Base(dir), dir)
	}
	for _, name := range []string{"lib64", "lib32", "libx32"} {
		if c.leads("usr/" + name) {
			c.link(name, "usr/"+name)
		}
	}
	for _, dir := range []string{"dev", "etc", "home", "proc", "root", "run/lock", "sys", "tmp", "usr/local/bin", "usr/local/lib", "var/lib", "var/tmp"} {
		c.dir(dir)
	}
	c.link("var/run", "/run")
	c.link("var/lock", "/run/lock")
	c.link("etc/mtab", "../proc/self/mounts")
	if b := c.read("usr/share/base-files/profile"); b != nil {
		c.file("etc/profile", b)
	}
	if c.absent("usr/bin/sh") {
		c.first("usr/bin/sh", "usr/bin/dash", "usr/bin/bash")
	}
}

// accounts makes passwd and group: Debian's own list, the user as which actions run, and those that the caller adds.
func (c *completion) accounts() {
	passwd := c.read("usr/share/base-passwd/passwd.master")
	group := c.read("usr/share/base-passwd/group.master")
	if passwd == nil || group == nil {
		passwd = []byte("root:*:0:0:root:/root:/bin/sh\nnobody:*:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n")
		group = []byte("root:*:0:\nnogroup:*:65534:\n")
	}
	users := append([]User{{Name: "builder", UID: 1000, GID: 1000, Home: "/tmp/home", Shell: "/bin/sh"}}, c.p.Users...)
	for _, u := range users {
		if u.Name == "" || strings.ContainsAny(u.Name+u.Home+u.Shell, ":\n") {
			c.err = fmt.Errorf("user %q cannot stand in /etc/passwd", u.Name)
			return
		}
		passwd = fmt.Appendf(passwd, "%s:*:%d:%d:%s:%s:%s\n", u.Name, u.UID, u.GID, u.Name, u.Home, u.Shell)
		if !bytes.Contains(group, fmt.Appendf(nil, ":%d:", u.GID)) {
			group = fmt.Appendf(group, "%s:*:%d:\n", u.Name, u.GID)
		}
	}
	c.file("etc/passwd", passwd)
	c.file("etc/group", group)
}

// network makes what name look-ups read. There is no name server: an action has no network, and who runs an image
// mounts a resolv.conf over this one.
func (c *completion) network() {
	c.file("etc/hostname", []byte("hewn\n"))
	c.file("etc/hosts", []byte("127.0.0.1\tlocalhost hewn\n::1\tlocalhost ip6-localhost ip6-loopback\n"))
	c.file("etc/resolv.conf", nil)
	nsswitch := c.read("usr/share/libc-bin/nsswitch.conf") // nothing ships the file itself
	if nsswitch == nil {
		nsswitch = []byte("passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nnetworks: files\nprotocols: db files\nservices: db files\n")
	}
	c.file("etc/nsswitch.conf", nsswitch)
	c.file("etc/machine-id", nil) // empty: "not yet known", which every reader understands
}

func (c *completion) timezone() {
	if c.leads("usr/share/zoneinfo/Etc/UTC") {
		c.link("etc/localtime", "/usr/share/zoneinfo/Etc/UTC")
		c.file("etc/timezone", []byte("Etc/UTC\n"))
	}
}

// first links p to the first of targets that is there.
func (c *completion) first(p string, targets ...string) {
	for _, t := range targets {
		if c.leads(t) {
			c.link(p, "/"+t)
			return
		}
	}
}

// java makes the links of a JRE or JDK: every program of the newest one's bin directory.
func (c *completion) java() {
	best, number := "", -1
	for _, e := range c.list("usr/lib/jvm") {
		rest, ok := strings.CutPrefix(e.Name, "java-")
		if !ok || e.Kind != tree.KindDir {
			continue
		}
		major, _, _ := strings.Cut(rest, "-")
		if n, err := strconv.Atoi(major); err == nil && n > number {
			best, number = e.Name, n
		}
	}
	for _, e := range c.list("usr/lib/jvm/" + best + "/bin") {
		if best != "" && e.Executable {
			c.link("usr/bin/"+e.Name, "/usr/lib/jvm/"+best+"/bin/"+e.Name)
		}
	}
}

// alternatives makes the links that update-alternatives would: straight to the program, not by way of
// /etc/alternatives. Manual pages, editors and browsers are left out: nothing in a build asks for them.
func (c *completion) alternatives() {
	for _, a := range alternatives(Triplet(c.p.Arch)) {
		c.first(a[0], a[1:]...)
	}
	for _, n := range [][2]string{{"automake", "-1."}, {"aclocal", "-1."}, {"php", "8."}, {"lua", "5."}, {"luac", "5."}} { // shipped as automake-1.18
		var found []string
		for _, e := range c.list("usr/bin") {
			if strings.HasPrefix(e.Name, n[0]+n[1]) {
				found = append(found, "usr/bin/"+e.Name)
			}
		}
		slices.Reverse(found)
		c.first("usr/bin/"+n[0], found...)
	}
}

// alternatives is the table: a link, then what it may lead to, best first (as the packages' priorities have it).
func alternatives(triplet string) [][]string {
	lib := "usr/lib/" + triplet + "/"
	table := [][]string{
		{"usr/bin/awk", "usr/bin/gawk", "usr/bin/mawk", "usr/bin/original-awk"},
		{"usr/bin/nawk", "usr/bin/gawk", "usr/bin/mawk", "usr/bin/original-awk"},
		{"usr/bin/cc", "usr/bin/gcc", "usr/bin/clang"},
		{"usr/bin/c++", "usr/bin/g++", "usr/bin/clang++"},
		{"usr/bin/c89", "usr/bin/c89-gcc"},
		{"usr/bin/c99", "usr/bin/c99-gcc"},
		{"usr/lib/cpp", "usr/bin/cpp"},
		{"usr/bin/f77", "usr/bin/gfortran"},
		{"usr/bin/f95", "usr/bin/gfortran"},
		{"usr/bin/yacc", "usr/bin/bison.yacc", "usr/bin/byacc"},
		{"usr/bin/which", "usr/bin/which.debianutils", "usr/bin/which.gnu"},
		{"usr/bin/pager", "usr/bin/less", "usr/bin/more"},
		{"usr/bin/vi", "usr/bin/vim.basic", "usr/bin/vim.tiny"},
		{"usr/bin/nc", "usr/bin/nc.openbsd", "usr/bin/nc.traditional"},
		{"usr/bin/fakeroot", "usr/bin/fakeroot-sysv", "usr/bin/fakeroot-tcp"},
		{"usr/bin/faked", "usr/bin/faked-sysv", "usr/bin/faked-tcp"},
		{"usr/bin/rename", "usr/bin/file-rename"},
		{"usr/bin/mvn", "usr/share/maven/bin/mvn"},
		{"usr/sbin/rmt", "usr/sbin/rmt-tar"},
		{"usr/sbin/iptables", "usr/sbin/iptables-nft", "usr/sbin/iptables-legacy"},
		{"usr/sbin/ip6tables", "usr/sbin/ip6tables-nft", "usr/sbin/ip6tables-legacy"},
	}
	for _, l := range [][2]string{{"lzma", "xz"}, {"unlzma", "unxz"}, {"lzcat", "xzcat"}, {"lzgrep", "xzgrep"}, {"lzless", "xzless"}, {"lzmore", "xzmore"}, {"lzdiff", "xzdiff"}, {"lzcmp", "xzcmp"}} {
		table = append(table, []string{"usr/bin/" + l[0], "usr/bin/" + l[1]})
	}
	for _, tool := range []string{"animate", "compare", "composite", "conjure", "convert", "display", "identify", "import", "magick", "mogrify", "montage", "stream"} {
		table = append(table, []string{"usr/bin/" + tool, "usr/bin/" + tool + "-im7.q16", "usr/bin/" + tool + "-im6.q16"})
	}
	for _, so := range []string{"libblas.so.3", "libblas.so", "libblas.a"} {
		table = append(table, []string{lib + so, lib + "openblas-pthread/" + so, lib + "openblas-serial/" + so, lib + "blas/" + so})
	}
	for _, so := range []string{"liblapack.so.3", "liblapack.so", "liblapack.a"} {
		table = append(table, []string{lib + so, lib + "openblas-pthread/" + so, lib + "openblas-serial/" + so, lib + "lapack/" + so})
	}
	for _, so := range []string{"libopenblas.so.0", "libopenblas.so", "libopenblas.a"} {
		table = append(table, []string{lib + so, lib + "openblas-pthread/" + so, lib + "openblas-serial/" + so})
	}
	return table
}
