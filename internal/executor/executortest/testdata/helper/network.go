//go:build linux

package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"time"
)

// network must reach nothing: not the addresses given (listeners of the host), no other host, no other machine.
func network(args []string) {
	interfaces, err := net.Interfaces()
	check(err)
	if len(interfaces) != 1 || interfaces[0].Name != "lo" {
		fail("interfaces: %v", interfaces)
	}
	for _, a := range append(args, "tcp 192.0.2.1:80", "udp 192.0.2.1:53", "tcp [2001:db8::1]:80") {
		network, addr, _ := strings.Cut(a, " ")
		c, err := net.DialTimeout(network, addr, time.Second)
		if err == nil {
			fail("%s: connected to %s", a, c.RemoteAddr())
		}
	}
	for _, family := range []int{40 /* AF_VSOCK */, 38 /* AF_ALG */, syscall.AF_PACKET, 44 /* AF_XDP */} {
		if fd, err := syscall.Socket(family, syscall.SOCK_STREAM, 0); err == nil {
			fail("made a socket of family %d (%d)", family, fd)
		}
	}
	if fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_RAW, syscall.IPPROTO_ICMP); err == nil {
		fail("made a raw socket (%d)", fd)
	}
}

// loopback must work, for tests that talk to themselves.
func loopback([]string) {
	for _, addr := range []string{"127.0.0.1:8080", "[::1]:8080"} {
		l, err := net.Listen("tcp", addr)
		check(err)
		go func() {
			c, err := l.Accept()
			if err == nil {
				io.WriteString(c, "hello\n")
				c.Close()
			}
		}()
		c, err := net.Dial("tcp", addr)
		check(err)
		b, err := io.ReadAll(c)
		check(err)
		fmt.Printf("%s", b)
	}
}

// serve answers each line with the same in capitals: addr, or unix:path.
func serve(args []string) {
	network, addr := "tcp", args[0]
	if p, ok := strings.CutPrefix(addr, "unix:"); ok {
		network, addr = "unix", p
	}
	l, err := net.Listen(network, addr)
	check(err)
	fmt.Println("ready")
	for {
		c, err := l.Accept()
		check(err)
		go func() {
			defer c.Close()
			s := bufio.NewScanner(c)
			for s.Scan() {
				fmt.Fprintln(c, strings.ToUpper(s.Text()))
			}
		}()
	}
}

// fetch says something to a server and prints its answer.
func fetch(args []string) {
	network, addr := "tcp", args[0]
	if p, ok := strings.CutPrefix(addr, "unix:"); ok {
		network, addr = "unix", p
	}
	c, err := net.Dial(network, addr)
	check(err)
	fmt.Fprintln(c, args[1])
	line, err := bufio.NewReader(c).ReadString('\n')
	check(err)
	fmt.Print(line)
	os.Stdout.Sync()
}
