//go:build linux

package main

import (
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// script does several small things to files, one an argument: verb:path[:value].
func script(args []string) {
	for _, a := range args {
		verb, rest, _ := strings.Cut(a, ":")
		path, value, _ := strings.Cut(rest, ":")
		path = strings.ReplaceAll(path, "%ff", "\xff")
		var err error
		switch verb {
		case "write":
			err = os.WriteFile(path, []byte(value), 0o644)
		case "exec":
			if err = os.WriteFile(path, []byte(value), 0o755); err == nil {
				err = os.Chmod(path, 0o755)
			}
		case "read":
			var b []byte
			b, err = os.ReadFile(path)
			fmt.Printf("%s: %s\n", path, b)
		case "mkdir":
			err = os.MkdirAll(path, 0o755)
		case "rm":
			if _, err = os.Lstat(path); err == nil {
				err = os.RemoveAll(path)
			}
		case "link":
			err = os.Symlink(value, path)
		case "hardlink":
			err = os.Link(value, path)
		case "chmod":
			mode, _ := strconv.ParseUint(value, 8, 32)
			err = os.Chmod(path, os.FileMode(mode))
		case "rename":
			err = os.Rename(path, value)
		case "socket":
			_, err = net.Listen("unix", path)
			if err == nil { // the listener removes it when it is closed, but not when the process ends
				_, err = os.Lstat(path)
			}
		case "fifo":
			err = syscall.Mkfifo(path, 0o644)
		case "chown":
			id, _ := strconv.Atoi(value)
			err = os.Chown(path, id, id)
		case "mode":
			var info fs.FileInfo
			if info, err = os.Lstat(path); err == nil {
				st := info.Sys().(*syscall.Stat_t)
				fmt.Printf("%s: %v %d:%d\n", path, info.Mode(), st.Uid, st.Gid)
			}
		case "list":
			var entries []fs.DirEntry
			entries, err = os.ReadDir(path)
			for _, e := range entries {
				fmt.Println(filepath.Join(path, e.Name()))
			}
		case "absent":
			if _, err = os.Lstat(path); err == nil {
				fail("%s is there", path)
			}
			err = nil
		default:
			fail("no such verb %q", verb)
		}
		check(err)
	}
}

// hostFiles must not find any of the given paths, nor anything in / but what is expected.
func hostFiles(args []string) {
	for _, p := range args {
		if _, err := os.Lstat(p); err == nil {
			fail("the host's %s is visible", p)
		}
		for _, via := range []string{"/proc/1/root", "/proc/self/root", "/proc/1/cwd"} {
			if _, err := os.Lstat(via + p); err == nil {
				fail("the host's %s is visible through %s", p, via)
			}
		}
	}
	entries, err := os.ReadDir("/")
	check(err)
	for _, e := range entries {
		fmt.Println(e.Name())
	}
	for _, p := range []string{"/sys/kernel", "/sys/class", "/run", "/var/run"} {
		if _, err := os.Lstat(p); err == nil {
			fail("%s is there", p)
		}
	}
	b, err := os.ReadFile("/proc/self/mountinfo")
	check(err)
	for _, p := range args {
		if dir := filepath.Dir(p); dir != "/" && strings.Contains(string(b), dir+" ") {
			fail("%s is mounted:\n%s", filepath.Dir(p), b)
		}
	}
}

// devices uses each device for what it is there for.
func devices([]string) {
	check(os.WriteFile("/dev/null", []byte("x"), 0))
	for _, d := range []string{"zero", "random", "urandom"} {
		f, err := os.Open("/dev/" + d)
		check(err)
		_, err = f.Read(make([]byte, 8))
		check(err)
	}
	if err := os.WriteFile("/dev/full", []byte("x"), 0); err == nil {
		fail("/dev/full has room")
	}
	check(os.WriteFile("/dev/shm/x", []byte("x"), 0o600))
	check(os.WriteFile("/tmp/x", []byte("x"), 0o600))
	check(os.WriteFile(os.Getenv("HOME")+"/x", []byte("x"), 0o600))
	if err := os.WriteFile("/dev/new", nil, 0o600); err == nil {
		fail("/dev can be written to")
	}
	for _, d := range []string{"null", "zero", "full", "random", "urandom", "tty"} {
		if err := os.Chmod("/dev/"+d, 0o666); err == nil {
			fail("the mode of /dev/%s can be changed", d)
		}
		if err := os.Chtimes("/dev/"+d, time.Now(), time.Now()); err == nil {
			fail("the times of /dev/%s can be changed", d)
		}
	}
	for _, l := range []string{"fd", "stdin", "stdout", "stderr", "ptmx"} {
		_, err := os.Readlink("/dev/" + l)
		check(err)
	}
	m, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	check(err)
	m.Close()
	if _, err := os.OpenFile("/dev/tty", os.O_RDWR, 0); err == nil {
		fail("there is a controlling terminal")
	}
}
