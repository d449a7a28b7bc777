// Command helper is the whole root of the actions and services of this package's tests: a static program that does a few
// small things, the first argument saying which.
package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	args := os.Args[1:]
	switch args[0] {
	case "write": // write FILE TEXT
		put(args[1], strings.Join(args[2:], " ")+"\n")
	case "concat": // concat OUT FILE...: waits a little, so that something can come in between
		var all strings.Builder
		for _, f := range args[2:] {
			b, err := os.ReadFile(f)
			check(err)
			all.Write(b)
		}
		fmt.Println("concatenating", len(args)-2, "files")
		put(args[1], all.String())
	case "slow": // slow DURATION OUT FILE...
		d, err := time.ParseDuration(args[1])
		check(err)
		put(args[2]+".part", "half")
		time.Sleep(d)
		check(os.Remove(args[2] + ".part"))
		os.Args = append([]string{"helper", "concat"}, args[2:]...)
		main()
	case "facts": // facts OUT: everything that must be the same wherever this runs
		host, _ := os.Hostname()
		dir, _ := os.Getwd()
		mask := syscall.Umask(0)
		put(args[1], fmt.Sprintln(host, dir, mask, os.Getuid(), time.Unix(0, 0), strings.Join(os.Environ(), " ")))
	case "say": // say TEXT... to stdout
		fmt.Println(strings.Join(args[1:], " "))
	case "env":
		fmt.Println(os.Getenv(args[1]))
	case "cat":
		_, err := io.Copy(os.Stdout, os.Stdin)
		check(err)
	case "exit":
		code, err := strconv.Atoi(args[1])
		check(err)
		os.Exit(code)
	case "lines": // lines N CODE
		n, _ := strconv.Atoi(args[1])
		for i := range n {
			fmt.Println("line", i+1)
		}
		code, _ := strconv.Atoi(args[2])
		os.Exit(code)
	case "serve": // serve PORT STATE: a page that says how often this has been started with that state
		serve(args[1], args[2])
	case "-P": // as the interpreter of a Python build: what the file `asks` says, or the wheel that lies ready
		hook, out := args[2], args[4]
		if strings.HasPrefix(hook, "requires-") {
			b, err := os.ReadFile("asks")
			check(err)
			put(out, string(b))
			return
		}
		ready, err := filepath.Glob("*.whl")
		check(err)
		for _, file := range ready {
			b, err := os.ReadFile(file)
			check(err)
			put(filepath.Join(out, file), string(b))
		}
	case "sleep":
		time.Sleep(time.Hour)
	default:
		fmt.Println("no such task:", args[0])
		os.Exit(1)
	}
}

func put(name, text string) {
	check(os.MkdirAll(filepath.Dir(name), 0o755))
	check(os.WriteFile(name, []byte(text), 0o644))
}

func serve(port, state string) {
	f, err := os.OpenFile(filepath.Join(state, "starts"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	check(err)
	_, err = f.WriteString("x")
	check(err)
	b, err := os.ReadFile(f.Name())
	check(err)
	// A child that would outlive this, were it let.
	child := exec.Command("/proc/self/exe", append([]string{"sleep"}, os.Args[4:]...)...)
	child.Args[0] = "helper"
	child.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	check(child.Start())
	done := make(chan os.Signal, 1)
	signal.Notify(done, syscall.SIGTERM)
	go func() {
		<-done
		fmt.Println("asked to end")
		os.Exit(0)
	}()
	fmt.Println("serving")
	check(http.ListenAndServe("127.0.0.1:"+port, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/health" {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		fmt.Fprintf(w, "started %d times, secret %s\n", len(b), os.Getenv("SECRET"))
	})))
}

func check(err error) {
	if err != nil {
		fmt.Println("helper:", err)
		os.Exit(1)
	}
}
