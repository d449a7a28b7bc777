package sandbox

import (
	"bytes"
	"fmt"
	"regexp"
	"time"

	"hewn.example/hewn/internal/executor"
)

// rules tell from the end of a failure's log what of the sandbox is in the way. They are about what cannot work here
// whatever the machine, not about the program.
var rules = []struct {
	log  *regexp.Regexp
	hint string
}{
	{regexp.MustCompile(`(?i)\b(chown|chgrp|lchown|fchown(at)?|install|tar|cp|rsync)\b.*(operation not permitted|invalid argument)|changing (ownership|group).*(not permitted|invalid argument)|os\.chown`),
		"inside an action there is one user id, so that a `chown` to another fails: keep the owner (`--no-same-owner`, `--no-preserve=ownership`); owners are set where an image asks for them"},
	{regexp.MustCompile(`(?i)(could not resolve|name or service not known|temporary failure in name resolution|network is unreachable|getaddrinfo|EAI_AGAIN|ENOTFOUND|no such host|nodename nor servname)`),
		"an action has no network, ever: what it wants to download must be an input of the step (locked or pinned), or be switched off"},
	{regexp.MustCompile(`(?i)invalid cross-device link|EXDEV`),
		"a directory that came with the inputs cannot be renamed in one piece: copy it (`mv` does so by itself)"},
	{regexp.MustCompile(`(?i)read-only file system.*(/proc|/dev)|(/proc|/dev)/.*read-only file system`),
		"/proc and /dev cannot be written to inside an action"},
	{regexp.MustCompile(`(?i)no space left on device`),
		"the disk that holds the store, or the memory that holds what the action wrote, is full"},
	{regexp.MustCompile(`(?i)\b(sudo|su|setuid|seteuid|setgid|setgroups|initgroups)\b.*(not permitted|invalid argument|effective uid is not 0|no new privileges)`),
		"inside an action there is one user id; a step that needs to be root asks for it, and then is uid 0 of an otherwise empty machine"},
}

// hints are what the sandbox can say about a failure: log is the end of its log.
func hints(log []byte, out *executor.Outcome) []string {
	var list []string
	for _, r := range rules {
		for line := range bytes.Lines(log) {
			if r.log.Match(line) {
				list = append(list, r.hint)
				break
			}
		}
	}
	switch out.Killed {
	case "memory":
		list = append(list, fmt.Sprintf("it was ended at %d MiB of memory; its limit can be raised", out.PeakRSS>>20))
	case "processes":
		list = append(list, "it was ended because it had more processes than its limit allows")
	case "time":
		list = append(list, fmt.Sprintf("it was ended after %s; its limit can be raised", out.Wall.Round(time.Second)))
	}
	if out.Killed == "" && out.ExitCode == 137 {
		list = append(list, "it was killed from outside: probably the machine ran out of memory")
	}
	return list
}
