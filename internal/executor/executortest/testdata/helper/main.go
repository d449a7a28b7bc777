//go:build linux

// Command helper is the whole root of the conformance suite's actions: a static program whose first argument says what
// to try. It prints what happened; where something must not be possible, it fails if it was.
package main

import (
	"fmt"
	"os"
	"strings"
)

func main() {
	if len(os.Args) < 2 {
		fail("no task")
	}
	task, ok := tasks[os.Args[1]]
	if !ok {
		fail("no such task %q", os.Args[1])
	}
	task(os.Args[2:])
}

// tasks are all that the helper can do; each calls fail where the sandbox let through what it must not.
var tasks = map[string]func(args []string){
	"true":   func([]string) {},
	"exit":   exitWith,
	"echo":   echo,
	"print":  func(args []string) { fmt.Print(args[0]) },
	"env":    func([]string) { fmt.Println(strings.Join(os.Environ(), "\n")) },
	"script": script,
	"stdin":  stdin,
	"sleep":  sleep,
	"flood":  flood,

	"network":   network,
	"loopback":  loopback,
	"hostfiles": hostFiles,
	"processes": processes,
	"daemon":    daemon,
	"processor": spawnMany,
	"memory":    memory,
	"forbidden": forbidden,
	"identity":  identity,
	"devices":   devices,
	"signalme":  signalMe,

	"serve": serve,
	"fetch": fetch,
	"tty":   tty,

	"drive":   drive,
	"refuses": refuses,
	"onterm":  onTerm,
}

func fail(format string, args ...any) {
	fmt.Printf("FAIL: "+format+"\n", args...)
	os.Exit(1)
}

func check(err error) {
	if err != nil {
		fail("%v", err)
	}
}

func echo(args []string) {
	for _, a := range args {
		fmt.Println(a)
	}
}
