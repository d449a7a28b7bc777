// Package action turns a command and its inputs into an Action of the Remote Execution API, and is the only maker of
// cache keys.
//
// A key is the digest of a canonical encoding that Dump can print, so that two keys can be compared by a person. Keys
// contain what can change a result and nothing else: no hewn version, no limits, no timeout, no fact of the host.
package action

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"

	"hewn.example/hewn/internal/digest"
	"hewn.example/hewn/internal/platform"
	"hewn.example/hewn/internal/store"
	"hewn.example/hewn/internal/tree"
)

// Contract is the version of what an action finds around it besides its root: namespaces, devices, fixed host name,
// users, mode of every file. It is part of every key. docs/adr/0004-sandbox-contract.md says what each version promises.
const Contract = "1"

// SourceDateEpoch is the one time that all actions see in SOURCE_DATE_EPOCH: 1980-01-01 00:00:00 UTC, the first that a
// zip file can hold and the mtime of every file in a root.
const SourceDateEpoch = 315532800

// BaseEnv is the environment of every action; an action's own variables come on top.
func BaseEnv() map[string]string {
	return map[string]string{
		"HOME":              "/tmp/home",
		"LC_ALL":            "C.UTF-8",
		"PATH":              "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"SOURCE_DATE_EPOCH": fmt.Sprint(SourceDateEpoch),
		"TMPDIR":            "/tmp",
		"TZ":                "UTC",
	}
}

// Action is a command together with everything that it can see. Two equal Actions have one key.
type Action struct {
	Root     tree.Tree         // the merged input root, which serves as /
	Args     []string          // command and arguments; Args[0] is looked up in the action's PATH
	Env      []string          // `K=V`, sorted by K, complete: New has merged BaseEnv
	Dir      string            // working directory, absolute, clean
	Outputs  []string          // absolute clean paths of files or directories, sorted; must all exist afterwards
	Platform platform.Platform // what the command is run on
	AsRoot   bool              // uid 0 inside instead of 1000
}

// New checks and completes what describes an action: env over BaseEnv, outputs sorted, paths clean.
func New(a Action, env map[string]string) (Action, error) {
	if len(a.Args) == 0 || a.Args[0] == "" {
		return a, fmt.Errorf("action: no command")
	}
	for _, s := range a.Args {
		if strings.ContainsRune(s, 0) {
			return a, fmt.Errorf("action: argument %q contains a zero byte", s)
		}
	}
	merged := BaseEnv()
	for k, v := range env {
		if k == "" || strings.ContainsAny(k, "=\x00") || strings.ContainsRune(v, 0) {
			return a, fmt.Errorf("action: environment variable %q cannot be set to %q", k, v)
		}
		merged[k] = v
	}
	a.Env = make([]string, 0, len(merged))
	for k, v := range merged {
		a.Env = append(a.Env, k+"="+v)
	}
	slices.Sort(a.Env)
	if a.Dir == "" {
		a.Dir = "/"
	}
	outputs := slices.Clone(a.Outputs)
	slices.Sort(outputs)
	for i, o := range outputs {
		if !strings.HasPrefix(o, "/") || o == "/" || path.Clean(o) != o {
			return a, fmt.Errorf("action: output %q is not an absolute clean path below /", o)
		}
		if i > 0 && (o == outputs[i-1] || strings.HasPrefix(o, outputs[i-1]+"/")) {
			return a, fmt.Errorf("action: output %q lies within output %q", o, outputs[i-1])
		}
	}
	a.Outputs = outputs
	if !strings.HasPrefix(a.Dir, "/") || path.Clean(a.Dir) != a.Dir {
		return a, fmt.Errorf("action: working directory %q is not an absolute clean path", a.Dir)
	}
	return a, nil
}

// CommandMessage is the canonical build.bazel.remote.execution.v2.Command of the action. Paths are relative to the
// root as the protocol wants them.
func (a Action) CommandMessage() []byte {
	var b []byte
	for _, s := range a.Args {
		b = protowire.AppendTag(b, 1, protowire.BytesType) // arguments
		b = protowire.AppendString(b, s)
	}
	for _, kv := range a.Env {
		k, v, _ := strings.Cut(kv, "=")
		b = appendPair(b, 2, k, v) // environment_variables
	}
	b = append(b, a.platformMessage(5)...)
	if dir := strings.TrimPrefix(a.Dir, "/"); dir != "" {
		b = protowire.AppendTag(b, 6, protowire.BytesType) // working_directory
		b = protowire.AppendString(b, dir)
	}
	for _, o := range a.Outputs {
		b = protowire.AppendTag(b, 7, protowire.BytesType) // output_paths, "relative to the root" as our contract has it
		b = protowire.AppendString(b, strings.TrimPrefix(o, "/"))
	}
	return b
}

// ActionMessage is the canonical build.bazel.remote.execution.v2.Action: its digest is the key.
func (a Action) ActionMessage() []byte {
	b := tree.AppendDigest(nil, 1, digest.Of(a.CommandMessage())) // command_digest
	b = tree.AppendDigest(b, 2, a.Root.Digest())                  // input_root_digest
	return append(b, a.platformMessage(10)...)
}

func (a Action) platformMessage(num protowire.Number) []byte {
	user := "1000"
	if a.AsRoot {
		user = "0"
	}
	var p []byte // properties sorted by name, as the protocol wants
	for _, kv := range [][2]string{{"Arch", a.Platform.Arch}, {"OSFamily", a.Platform.OS}, {"hewn-sandbox", Contract}, {"hewn-user", user}} {
		p = appendPair(p, 1, kv[0], kv[1])
	}
	b := protowire.AppendTag(nil, num, protowire.BytesType)
	return protowire.AppendBytes(b, p)
}

func appendPair(b []byte, num protowire.Number, k, v string) []byte {
	m := protowire.AppendTag(nil, 1, protowire.BytesType)
	m = protowire.AppendString(m, k)
	m = protowire.AppendTag(m, 2, protowire.BytesType)
	m = protowire.AppendString(m, v)
	b = protowire.AppendTag(b, num, protowire.BytesType)
	return protowire.AppendBytes(b, m)
}

// Key is the action's identity in every action cache, local or remote.
func (a Action) Key() store.Key { return store.KeyOf(digest.Of(a.ActionMessage())) }

// Dump is the text of everything that is in the key, one fact a line, for goldens and for `hewn why`.
func (a Action) Dump() string {
	var b strings.Builder
	fmt.Fprintf(&b, "action contract=%s\nplatform %s\nroot %s\ndir %s\nasroot %v\n", Contract, a.Platform, a.Root, a.Dir, a.AsRoot)
	for _, s := range a.Args {
		fmt.Fprintf(&b, "arg %q\n", s)
	}
	for _, s := range a.Env {
		fmt.Fprintf(&b, "env %q\n", s)
	}
	for _, s := range a.Outputs {
		fmt.Fprintf(&b, "output %q\n", s)
	}
	return b.String()
}

// Native is the description of a native step: a Go function with a name and version, its parameters, and the
// identities of its inputs (the digest of a tree, or the integrity of an artifact, each as text).
type Native struct {
	Name   string // "wheel-install/v2"
	Params []byte // canonical JSON
	Inputs []string
}

// Key is the step's identity in the action cache.
func (n Native) Key() store.Key { return store.KeyOf(digest.Of([]byte(n.Dump()))) }

// Dump is the text that Key hashes.
func (n Native) Dump() string {
	var b strings.Builder
	fmt.Fprintf(&b, "native %s\nparams %q\n", n.Name, n.Params)
	for _, s := range n.Inputs {
		fmt.Fprintf(&b, "input %s\n", s)
	}
	return b.String()
}
