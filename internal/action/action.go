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

const sourceDateEpoch = "315532800"

// baseEnv is the environment of every action, sorted by name.
var baseEnv = [...]string{
	"HOME=/tmp/home",
	"LC_ALL=C.UTF-8",
	"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
	"SOURCE_DATE_EPOCH=" + sourceDateEpoch,
	"TMPDIR=/tmp",
	"TZ=UTC",
}

// BaseEnv is the environment of every action; an action's own variables come on top.
func BaseEnv() map[string]string {
	env := make(map[string]string, len(baseEnv))
	for _, kv := range baseEnv {
		k, v, _ := strings.Cut(kv, "=")
		env[k] = v
	}
	return env
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
	Roots    []Root            // further roots, sorted by name; the command is then their driver
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
	var err error
	if a.Env, err = mergeEnv(env); err != nil {
		return a, err
	}
	if a.Dir == "" {
		a.Dir = "/"
	}
	if a.Outputs, err = sortOutputs(a.Outputs); err != nil {
		return a, err
	}
	if a.Roots, err = checkRoots(a.Roots); err != nil {
		return a, err
	}
	for _, o := range a.Outputs {
		if len(a.Roots) > 0 && (within(o, ControlDir) || within(ControlDir, o)) {
			return a, fmt.Errorf("action: output %q is where the driver of further roots finds its socket", o)
		}
	}
	if !strings.HasPrefix(a.Dir, "/") || path.Clean(a.Dir) != a.Dir {
		return a, fmt.Errorf("action: working directory %q is not an absolute clean path", a.Dir)
	}
	return a, nil
}

// mergeEnv lays env over baseEnv and sorts by name, as the protocol wants (which is not the order of the texts `K=V`:
// `A=` comes before `A1=`).
func mergeEnv(env map[string]string) ([]string, error) {
	merged := make([]string, 0, len(baseEnv)+len(env))
	for _, kv := range baseEnv {
		if _, over := env[name(kv)]; !over {
			merged = append(merged, kv)
		}
	}
	for k, v := range env {
		if k == "" || strings.ContainsAny(k, "=\x00") || strings.ContainsRune(v, 0) {
			return nil, fmt.Errorf("action: environment variable %q cannot be set to %q", k, v)
		}
		merged = append(merged, k+"="+v)
	}
	slices.SortFunc(merged, func(a, b string) int { return strings.Compare(name(a), name(b)) })
	return merged, nil
}

func name(kv string) string { return kv[:strings.IndexByte(kv, '=')] }

// sortOutputs sorts outputs and refuses those that are no place for an output or lie within another one.
func sortOutputs(given []string) ([]string, error) {
	outputs := slices.Clone(given)
	slices.Sort(outputs)
	for i, o := range outputs {
		if !strings.HasPrefix(o, "/") || o == "/" || path.Clean(o) != o {
			return nil, fmt.Errorf("action: output %q is not an absolute clean path below /", o)
		}
		if i > 0 && o == outputs[i-1] {
			return nil, fmt.Errorf("action: output %q lies within output %q", o, o)
		}
		for dir := path.Dir(o); dir != "/"; dir = path.Dir(dir) {
			if _, within := slices.BinarySearch(outputs, dir); within {
				return nil, fmt.Errorf("action: output %q lies within output %q", o, dir)
			}
		}
	}
	return outputs, nil
}

// CommandMessage is the canonical build.bazel.remote.execution.v2.Command of the action. Paths are relative to the
// root as the protocol wants them.
func (a Action) CommandMessage() []byte {
	size := 128
	for _, list := range [...][]string{a.Args, a.Env, a.Outputs} {
		for _, s := range list {
			size += len(s) + 16
		}
	}
	b := make([]byte, 0, size)
	for _, s := range a.Args {
		b = appendText(b, 1, s) // arguments
	}
	for _, kv := range a.Env {
		k, v, _ := strings.Cut(kv, "=")
		b = appendPair(b, 2, k, v) // environment_variables
	}
	b = a.appendPlatform(b, 5)
	if dir := strings.TrimPrefix(a.Dir, "/"); dir != "" {
		b = appendText(b, 6, dir) // working_directory
	}
	for _, o := range a.Outputs {
		b = appendText(b, 7, strings.TrimPrefix(o, "/")) // output_paths, relative to the root as our contract has it
	}
	return b
}

// ActionMessage is the canonical build.bazel.remote.execution.v2.Action: its digest is the key.
func (a Action) ActionMessage() []byte {
	b := make([]byte, 0, 256)
	b = tree.AppendDigest(b, 1, digest.Of(a.CommandMessage())) // command_digest
	b = tree.AppendDigest(b, 2, a.Root.Digest())               // input_root_digest
	return a.appendPlatform(b, 10)
}

// appendPlatform appends field num holding the platform's properties, sorted by name and value as the protocol wants.
func (a Action) appendPlatform(b []byte, num protowire.Number) []byte {
	user := "1000"
	if a.AsRoot {
		user = "0"
	}
	var room [8][2]string
	props := append(room[:0], [2]string{"Arch", a.Platform.Arch}, [2]string{"OSFamily", a.Platform.OS})
	for i := range a.Roots {
		props = append(props, [2]string{"hewn-root", a.Roots[i].property()})
	}
	if len(a.Roots) > 0 {
		props = append(props, [2]string{"hewn-roots", RootsContract})
	}
	props = append(props, [2]string{"hewn-sandbox", Contract}, [2]string{"hewn-user", user})
	size := 0
	for _, p := range props {
		size += protowire.SizeTag(1) + protowire.SizeBytes(sizePair(p[0], p[1]))
	}
	b = protowire.AppendTag(b, num, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(size))
	for _, p := range props {
		b = appendPair(b, 1, p[0], p[1])
	}
	return b
}

// appendPair appends field num holding a message of two texts; as in the protocol's own encoding, an empty text is
// left out.
func appendPair(b []byte, num protowire.Number, k, v string) []byte {
	b = protowire.AppendTag(b, num, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(sizePair(k, v)))
	b = appendText(b, 1, k)
	if v != "" {
		b = appendText(b, 2, v)
	}
	return b
}

func sizePair(k, v string) int {
	size := protowire.SizeTag(1) + protowire.SizeBytes(len(k))
	if v != "" {
		size += protowire.SizeTag(2) + protowire.SizeBytes(len(v))
	}
	return size
}

func appendText(b []byte, num protowire.Number, s string) []byte {
	return protowire.AppendString(protowire.AppendTag(b, num, protowire.BytesType), s)
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
	a.dumpRoots(&b)
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

// Memo describes a whole step, with everything that it depends on, by its description: commands, native steps,
// artifacts and trees stand in that, and what the sources hold is added. With such a key a graph is found in the cache by
// one look-up instead of one for each of its steps.
type Memo struct {
	Step     digest.Digest     // identity of the description
	Sources  []string          // name and tree of each source that the description refers to, sorted
	Platform platform.Platform // of actions that name none
}

// Key is the step's second identity in the action cache.
func (m Memo) Key() store.Key { return store.KeyOf(digest.Of([]byte(m.Dump()))) }

// Dump is the text that Key hashes. What keys of actions hold besides their description is in it as well.
func (m Memo) Dump() string {
	var b strings.Builder
	fmt.Fprintf(&b, "memo v1 contract=%s\nplatform %s\nenv %q\nstep %s\n", Contract, m.Platform, baseEnv, m.Step)
	for _, s := range m.Sources {
		fmt.Fprintf(&b, "source %q\n", s)
	}
	return b.String()
}
