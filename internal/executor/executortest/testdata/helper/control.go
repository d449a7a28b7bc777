//go:build linux

package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// controlAt is where a driver finds the socket by which it starts processes in further roots.
const controlAt = "/run/hewn/control.sock"

// calls are the processes that this driver has started, by the name that it gave them.
var calls = map[string]*call{}

type call struct {
	net.Conn
	lines *bufio.Reader
}

func dialControl() *call {
	c, err := net.Dial("unix", controlAt)
	check(err)
	return &call{c, bufio.NewReader(c)}
}

func (c *call) say(text string) {
	_, err := io.WriteString(c, text+"\n")
	check(err)
}

// hear prints the next answer.
func (c *call) hear(name string) {
	line, err := c.lines.ReadString('\n')
	check(err)
	var v struct {
		Started bool
		Error   string
		Exit    *int
		Output  string
	}
	check(json.Unmarshal([]byte(line), &v))
	switch {
	case v.Started:
		fmt.Printf("%s: started\n", name)
	case v.Exit != nil:
		fmt.Printf("%s: exit %d, %q\n", name, *v.Exit, v.Output)
	default:
		fmt.Printf("%s: error: %s\n", name, v.Error)
	}
}

// drive is a driver of further roots: it does what its arguments say, one after the other, verb:name:rest.
//
//	start:N:JSON   asks for a process and prints whether it was started
//	wait:N         prints how it ended
//	say:N:JSON     says something about it; hear:N prints an answer
//	run:N:JSON     start and wait
//	long:N:COUNT   a request of so many bytes
//	reach:ADDR     talks to a server as soon as there is one
//	do:SCRIPT      see script
//	close:N        closes the connection
//	sleep:TIME     exit:CODE     print:TEXT
func drive(args []string) {
	for _, a := range args {
		verb, rest, _ := strings.Cut(a, ":")
		name, text, _ := strings.Cut(rest, ":")
		switch verb {
		case "start", "run":
			calls[name] = dialControl()
			calls[name].say(text)
			calls[name].hear(name)
			if verb == "run" {
				calls[name].hear(name)
			}
		case "wait", "hear":
			calls[name].hear(name)
		case "say":
			calls[name].say(text)
		case "long":
			n, err := strconv.Atoi(text)
			check(err)
			calls[name] = dialControl()
			calls[name].say(`{"root":"` + strings.Repeat("x", n) + `"}`)
			calls[name].hear(name)
		case "reach":
			reach(rest)
		case "do":
			script([]string{rest})
		case "close":
			check(calls[name].Close())
		case "sleep":
			d, err := time.ParseDuration(rest)
			check(err)
			time.Sleep(d)
		case "print":
			fmt.Print(rest)
		case "exit":
			exitWith([]string{rest})
		default:
			fail("no such verb %q", verb)
		}
	}
}

// reach talks to a server that may not be there yet.
func reach(addr string) {
	for range 1000 {
		if c, err := net.Dial("tcp", addr); err == nil {
			c.Close()
			fetch([]string{addr, "reached"})
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	fail("nobody listens at %s", addr)
}

// refuses must not be able to write to any of the given paths, in whatever way.
func refuses(args []string) {
	for _, p := range args {
		tries := map[string]func() error{
			"mkdir":  func() error { return os.Mkdir(p+".dir", 0o755) },
			"write":  func() error { return os.WriteFile(p, []byte("x"), 0o644) },
			"chmod":  func() error { return os.Chmod(p, 0o600) },
			"remove": func() error { return os.Remove(p) },
			"rename": func() error { return os.Rename(p, p+".new") },
			"link":   func() error { return os.Symlink("x", p+".link") },
			"times":  func() error { return os.Chtimes(p, time.Now(), time.Now()) },
		}
		if info, err := os.Stat(p); err != nil {
			tries = map[string]func() error{"write": tries["write"], "mkdir": tries["mkdir"], "link": tries["link"]}
		} else if info.IsDir() {
			delete(tries, "write")
			delete(tries, "remove")
		}
		for what, try := range tries {
			if err := try(); err == nil || !strings.Contains(err.Error(), "read-only") {
				fail("%s %s: %v, want that it is read-only", what, p, err)
			}
		}
	}
}

// onTerm prints that it is ready, and ends with the given code when it gets SIGTERM.
func onTerm(args []string) {
	fmt.Println("ready")
	<-terminated()
	fmt.Println("terminated")
	exitWith(args)
}
