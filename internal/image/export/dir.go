package export

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/digest"
)

// OCIDir makes dir an image layout of this image. dir must be new, empty or a layout that OCIDir wrote: then it is brought
// up to date. Blobs that are there with the right bytes are left alone, index.json is replaced when all of them are
// there, and what nothing names any more goes last. Any other directory is refused.
func OCIDir(ctx context.Context, img Image, dir string) (Summary, error) {
	blobs, err := contents(ctx, img)
	if err != nil {
		return Summary{}, diag.Failf("export-failed", "cannot read the image").Because(err)
	}
	if err := os.MkdirAll(dir, dirMode); err != nil {
		return Summary{}, failed(dir, "", err)
	}
	unlock, err := lockDir(dir)
	if err != nil {
		return Summary{}, err
	}
	defer unlock()
	if err := checkOwned(dir); err != nil {
		return Summary{}, err
	}
	s := Summary{Digest: img.Layout.Top.Digest.String(), Blobs: len(blobs)}
	d := dirWriter{img: img, dir: dir}
	if err := d.write(ctx, blobs, &s); err != nil {
		need := int64(0)
		for _, b := range blobs {
			need += b.digest.Size()
		}
		return Summary{}, failed(filepath.Join(dir, indexFile), "up to "+megabytes(need-s.Bytes)+" more are needed there", err)
	}
	return s, nil
}

// lockDir keeps other runs of hewn from writing to dir at the same time, each removing what the other has just written.
func lockDir(dir string) (unlock func(), err error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, failed(dir, "", err)
	}
	switch err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); {
	case errors.Is(err, syscall.EWOULDBLOCK):
		f.Close()
		return nil, diag.Environmentf("output-busy", "another process is writing to `%s`", dir).Hint("wait for it, or name another directory")
	case err != nil && !errors.Is(err, syscall.ENOTSUP) && !errors.Is(err, syscall.ENOSYS): // file systems without locks
		f.Close()
		return nil, failed(dir, "", err)
	}
	return func() { f.Close() }, nil
}

// checkOwned says that dir may be written to: it is empty, index.json has our mark, or there is no index.json yet and
// nothing else but what an interrupted run leaves.
func checkOwned(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return failed(dir, "", err)
	}
	foreign := ""
	for _, e := range entries {
		name := e.Name()
		if name == indexFile {
			if marked(filepath.Join(dir, indexFile)) {
				return nil
			}
			return notOurs(dir, "its `"+indexFile+"` was not written by hewn")
		}
		if name != layoutFile && name != "blobs" && !strings.HasPrefix(name, tempPrefix) {
			foreign = name
		}
	}
	if foreign != "" {
		return notOurs(dir, "it has `"+foreign+"` in it")
	}
	return nil
}

func notOurs(dir, why string) error {
	return diag.Inputf("output-not-ours", "`%s` is no directory that hewn may change: %s", dir, why).
		Hint("name a new or an empty directory, or remove this one")
}

func marked(name string) bool {
	f, err := os.Open(name)
	if err != nil {
		return false
	}
	defer f.Close()
	var m v1.IndexManifest
	err = json.NewDecoder(io.LimitReader(f, maxDocument)).Decode(&m)
	return err == nil && m.Annotations[ownerKey] == ownerText
}

type dirWriter struct {
	img Image
	dir string
}

func (d dirWriter) write(ctx context.Context, blobs []blob, s *Summary) error {
	top, err := index(d.img, map[string]string{ownerKey: ownerText})
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(d.dir, blobsDir), dirMode); err != nil {
		return err
	}
	if err := d.clean(nil); err != nil {
		return err
	}
	keep := map[string]bool{}
	for _, b := range blobs {
		keep[b.digest.Hex()] = true
		name := filepath.Join(d.dir, blobsDir, b.digest.Hex())
		if same, err := has(ctx, name, b.digest); err != nil {
			return err
		} else if same {
			continue
		}
		if err := replace(name, func(w io.Writer) error { return d.img.copyTo(ctx, w, b) }); err != nil {
			return err
		}
		s.Written++
		s.Bytes += b.digest.Size()
	}
	for _, f := range []struct{ name, text string }{{layoutFile, layoutText}, {indexFile, string(top)}} {
		err := replace(filepath.Join(d.dir, f.name), func(w io.Writer) error { _, err := io.WriteString(w, f.text); return err })
		if err != nil {
			return err
		}
	}
	return d.clean(keep)
}

// has says whether a file has the bytes of d. What has the right size is read, since a copy that somebody else made may
// be broken, and nothing else would find it.
func has(ctx context.Context, name string, d digest.Digest) (bool, error) {
	info, err := os.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if !info.Mode().IsRegular() || info.Size() != d.Size() {
		return false, nil
	}
	f, err := os.Open(name)
	if err != nil {
		return false, nil // it is replaced
	}
	defer f.Close()
	h := digest.NewWriter()
	if _, err := io.CopyBuffer(h, io.LimitReader(reader{ctx, f}, d.Size()+1), make([]byte, copyBuffer)); err != nil {
		return false, err
	}
	return h.Digest() == d, nil
}

// clean removes what an interrupted run left and, if keep is not nil, blobs that are not in it. Other files stay.
func (d dirWriter) clean(keep map[string]bool) error {
	for _, sub := range []string{".", blobsDir} {
		dir := filepath.Join(d.dir, sub)
		entries, err := os.ReadDir(dir)
		if err != nil {
			return err
		}
		for _, e := range entries {
			name := e.Name()
			unused := keep != nil && sub == blobsDir && isHex(name) && !keep[name]
			if !e.Type().IsRegular() || !strings.HasPrefix(name, tempPrefix) && !unused {
				continue
			}
			if err := os.Remove(filepath.Join(dir, name)); err != nil {
				return fmt.Errorf("cannot remove what is no longer needed: %w", err)
			}
		}
	}
	return nil
}

func isHex(name string) bool {
	_, err := digest.FromHex(name, 0)
	return err == nil
}
