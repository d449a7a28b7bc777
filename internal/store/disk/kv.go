package disk

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"hewn.example/hewn/internal/digest"
)

// What hewn remembers between runs lies in one small file for each key, so that the run in which nothing changed opens
// that file and no pack. A file is `hewnkv1 <sha256 of key and content>\n<key>\n<content>`: what a power failure left
// of it is told from a whole one.
const kvMagic = "hewnkv1 "

func (s *Store) kvPath(kind, key string) string {
	h := sha256.Sum256([]byte(key))
	x := hex.EncodeToString(h[:])
	return s.path("kv", kind, x[:2], x[2:])
}

func kvSum(key string, b []byte) string {
	h := sha256.New()
	_, _ = h.Write([]byte(key))
	_, _ = h.Write([]byte{'\n'})
	_, _ = h.Write(b)
	return hex.EncodeToString(h.Sum(nil))
}

func (s *Store) loadKV(kind, key string) ([]byte, bool) {
	b, err := os.ReadFile(s.kvPath(kind, key))
	if err != nil {
		return nil, false
	}
	head, rest, ok := bytes.Cut(b, []byte{'\n'})
	if !ok || len(rest) <= len(key) || string(rest[:len(key)]) != key {
		return nil, false
	}
	content := rest[len(key)+1:]
	if string(head) != kvMagic+kvSum(key, content) {
		return nil, false
	}
	return content, true
}

func (s *Store) saveKV(kind, key string, b []byte) error {
	tmp, err := s.temp.file()
	if err != nil {
		return err
	}
	out := append([]byte(kvMagic+kvSum(key, b)+"\n"+key+"\n"), b...)
	if err = os.WriteFile(tmp, out, 0o644); err == nil {
		to := s.kvPath(kind, key)
		err = os.Rename(tmp, to)
		if errors.Is(err, fs.ErrNotExist) {
			if err = os.MkdirAll(filepath.Dir(to), 0o755); err == nil {
				err = os.Rename(tmp, to)
			}
		}
	}
	if err != nil {
		_ = os.Remove(tmp)
	}
	return err
}

// LoadTrace gives the trace of a plan.
func (s *Store) LoadTrace(key string) ([]byte, bool) { return s.loadKV("trace", key) }

// SaveTrace keeps the trace of a plan.
func (s *Store) SaveTrace(key string, b []byte) error { return s.saveKV("trace", key, b) }

// LoadRecord gives a build record, or whatever else was saved under key. It opens one file.
func (s *Store) LoadRecord(key string) ([]byte, bool) { return s.loadKV("record", key) }

// SaveRecord keeps a build record.
func (s *Store) SaveRecord(key string, b []byte) error { return s.saveKV("record", key, b) }

// LoadLog gives the log of the last run of the step called label.
func (s *Store) LoadLog(label string) (digest.Digest, bool) {
	b, ok := s.loadKV("log", label)
	if !ok {
		return digest.Digest{}, false
	}
	d, err := digest.Parse(string(b))
	return d, err == nil
}

// SaveLog remembers the log, a blob, of a step's last run.
func (s *Store) SaveLog(label string, log digest.Digest) error {
	return s.saveKV("log", label, []byte(log.String()))
}
