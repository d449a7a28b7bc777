package service

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"syscall"

	"hewn.example/hewn/internal/diag"
)

// State is the directory of an application that survives: its services' data and its secrets. One `hewn up` at a time
// holds it.
type State struct {
	dir     string
	lock    *os.File
	secrets map[string]string
}

const (
	secretsFile = "secrets.json"
	lockFile    = "lock"
)

// OpenState opens or makes the state directory dir and makes what secrets it lacks.
func OpenState(dir string, secrets []string) (*State, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, diag.Environmentf("state-unwritable", "cannot make the state directory `%s`", dir).Because(err)
	}
	lock, err := os.OpenFile(stateFile(dir, lockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, diag.Environmentf("state-unwritable", "cannot use the state directory `%s`", dir).Because(err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		lock.Close()
		return nil, diag.Failf("state-in-use", "another `hewn up` uses the state directory `%s`", dir).
			Hint("stop it, or give this one another with `--state`")
	}
	s := &State{dir: dir, lock: lock, secrets: map[string]string{}}
	if err := s.loadSecrets(secrets); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// NoState is for commands that keep nothing.
func NoState() *State { return &State{secrets: map[string]string{}} }

func (s *State) loadSecrets(want []string) error {
	file := stateFile(s.dir, secretsFile)
	b, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err == nil {
		if err := json.Unmarshal(b, &s.secrets); err != nil {
			return diag.Inputf("state-broken", "malformed secrets").Because(err).At(diag.Position{File: file}).
				Hint("restore the file; the data beside it was made with these secrets")
		}
	}
	made := false
	for _, name := range want {
		if s.secrets[name] == "" {
			raw := make([]byte, 24)
			if _, err := io.ReadFull(rand.Reader, raw); err != nil {
				return err
			}
			s.secrets[name], made = hex.EncodeToString(raw), true
		}
	}
	if !made {
		return nil
	}
	b, err = json.MarshalIndent(s.secrets, "", "  ")
	if err != nil {
		return err
	}
	// Written whole and renamed: secrets that are half there would lock the user out of their data.
	if err := os.WriteFile(file+".new", append(b, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}

// Dir is the directory of that name, made if need be.
func (s *State) Dir(name string) (string, error) {
	if s.dir == "" {
		return "", fmt.Errorf("nothing keeps the state `%s`", name)
	}
	dir := stateFile(s.dir, name)
	return dir, os.MkdirAll(dir, 0o700)
}

// Path is the state directory itself.
func (s *State) Path() string { return s.dir }

// Close lets another process have the state.
func (s *State) Close() {
	if s.lock != nil {
		s.lock.Close()
		s.lock = nil
	}
}

var placeholder = regexp.MustCompile(`\{secret:([A-Za-z0-9_-]+)\}`)

func (s *State) fill(text string) string {
	return placeholder.ReplaceAllStringFunc(text, func(m string) string {
		return s.secrets[placeholder.FindStringSubmatch(m)[1]]
	})
}

func (s *State) fillAll(texts []string) []string {
	out := slices.Clone(texts)
	for i := range out {
		out[i] = s.fill(out[i])
	}
	return out
}
