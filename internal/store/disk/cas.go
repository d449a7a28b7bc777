package disk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"hewn.example/hewn/internal/digest"
	"hewn.example/hewn/internal/store"
)

// flavours says which inodes of a larger blob exist: one that is executable, one that is not, or both. A blob is in the
// store if it has one of them; the other is made when a view needs it.
type flavours uint8

const (
	plain flavours = 1 << iota
	executable
)

func flavourOf(exec bool) flavours {
	if exec {
		return executable
	}
	return plain
}

func (fl flavours) mode() fs.FileMode {
	if fl == executable {
		return 0o755
	}
	return 0o644
}

// casPath is where one inode of a larger blob is.
func (s *Store) casPath(d digest.Digest, fl flavours) string {
	h := d.Hex()
	name := h + "-" + strconv.FormatInt(d.Size(), 10)
	if fl == executable {
		name += ".x"
	}
	return s.root + "/cas/" + h[:2] + "/" + name
}

// flavours gives the inodes of a larger blob that exist; 0 if it is not in the store.
func (s *Store) flavours(d digest.Digest) (flavours, error) {
	s.knownMu.RLock()
	have := s.known[d]
	s.knownMu.RUnlock()
	if have != 0 {
		return have, nil
	}
	for _, fl := range []flavours{plain, executable} {
		switch _, err := os.Lstat(s.casPath(d, fl)); {
		case err == nil:
			return s.learn(d, fl), nil
		case !errors.Is(err, fs.ErrNotExist):
			return 0, err
		}
	}
	return 0, nil
}

func (s *Store) learn(d digest.Digest, fl flavours) flavours {
	s.knownMu.Lock()
	defer s.knownMu.Unlock()
	s.known[d] |= fl
	return s.known[d]
}

// install gives the finished file at tmp its place in the store. tmp is gone afterwards.
func (s *Store) install(tmp string, d digest.Digest, fl flavours) error {
	to := s.casPath(d, fl)
	if _, err := os.Lstat(to); err == nil {
		s.learn(d, fl)
		return os.Remove(tmp)
	}
	err := os.Rename(tmp, to)
	if errors.Is(err, fs.ErrNotExist) {
		if err = os.MkdirAll(filepath.Dir(to), 0o755); err == nil {
			err = os.Rename(tmp, to)
		}
	}
	if err != nil {
		return err
	}
	s.learn(d, fl)
	return nil
}

// inode gives the path of the inode of a larger blob that has the executable bit as wanted, making it if need be.
func (s *Store) inode(d digest.Digest, fl flavours) (string, error) {
	have, err := s.flavours(d)
	if err != nil {
		return "", err
	}
	path := s.casPath(d, fl)
	if have&fl != 0 {
		return path, nil
	}
	if have == 0 {
		return "", notFound(d)
	}
	if _, err := os.Lstat(path); err == nil { // made by another process, or before this one was started
		s.learn(d, fl)
		return path, nil
	}
	tmp, err := s.temp.file()
	if err != nil {
		return "", err
	}
	if err := copyFile(s.casPath(d, have), tmp, fl.mode()); err != nil {
		_ = os.Remove(tmp)
		return "", err
	}
	s.sync.wrote()
	return path, s.install(tmp, d, fl)
}

func notFound(d digest.Digest) error { return fmt.Errorf("blob %s: %w", d, store.ErrNotFound) }

// copyFile makes dst a copy of src with exactly that mode and the constant time. dst must not exist.
func copyFile(src, dst string, mode fs.FileMode) error {
	return copyWith(src, dst, mode, finish)
}

// copyOut is copyFile for users: with the current time, and the umask heeded.
func copyOut(src, dst string, mode fs.FileMode) error {
	return copyWith(src, dst, mode, func(*os.File, fs.FileMode) error { return nil })
}

// copyWith copies by sharing blocks where the file system can, else within the kernel.
func copyWith(src, dst string, mode fs.FileMode, finish func(*os.File, fs.FileMode) error) (err error) {
	in, err := os.Open(src)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(dst, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	defer func() {
		if e := out.Close(); err == nil {
			err = e
		}
	}()
	if clone(out, in) != nil {
		if _, err := io.Copy(out, in); err != nil { // copy_file_range where there is one
			return err
		}
	}
	return finish(out, mode)
}

// finish gives a written file its mode, whatever the umask, and the constant time.
func finish(f *os.File, mode fs.FileMode) error {
	if err := f.Chmod(mode); err != nil {
		return err
	}
	return setEpoch(int(f.Fd()))
}

// bufs are buffers for ingest. 256 KiB: larger ones were not faster.
var bufs = sync.Pool{New: func() any { b := make([]byte, 256<<10); return &b }}

// Ingest implements store.Blobs.
func (s *Store) Ingest(ctx context.Context, r io.Reader) (digest.Digest, error) {
	bp := bufs.Get().(*[]byte)
	defer bufs.Put(bp)
	buf := *bp
	n, err := io.ReadFull(r, buf[:packLimit])
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return s.Put(ctx, buf[:n])
	}
	if err != nil {
		return digest.Digest{}, err
	}
	if f, ok := r.(*os.File); ok {
		if d, ok, err := s.alreadyHere(ctx, f, buf[:n]); ok || err != nil {
			return d, err
		}
	}
	tmp, err := s.temp.file()
	if err != nil {
		return digest.Digest{}, err
	}
	d, err := writeHashed(ctx, tmp, buf, n, r)
	if err == nil {
		var have flavours
		if have, err = s.flavours(d); err == nil && have != 0 {
			return d, os.Remove(tmp)
		}
	}
	if err == nil {
		s.sync.wrote()
		err = s.install(tmp, d, plain)
	}
	if err != nil {
		_ = os.Remove(tmp)
		return digest.Digest{}, err
	}
	return d, nil
}

// readTwice is the size up to which a file is hashed before it is copied. Hashing 10 KB costs 7 µs; a copy that turns
// out to be a duplicate costs 200.
const readTwice = 16 << 20

// alreadyHere says that the store has what f, of which head has been read, goes on to give. If not, f is where it was.
func (s *Store) alreadyHere(ctx context.Context, f *os.File, head []byte) (d digest.Digest, ok bool, err error) {
	st, err := f.Stat()
	if err != nil || !st.Mode().IsRegular() || st.Size() > readTwice {
		return d, false, nil
	}
	here, err := f.Seek(0, io.SeekCurrent)
	if err != nil {
		return d, false, nil
	}
	w := digest.NewWriter()
	_, _ = w.Write(head)
	if err := hashInto(ctx, w, f); err != nil {
		return d, false, err
	}
	d = w.Digest()
	have, err := s.flavours(d)
	if err != nil || have != 0 {
		return d, have != 0, err
	}
	_, err = f.Seek(here, io.SeekStart)
	return d, false, err
}

// writeHashed writes the n bytes that buf begins with and the rest of r to a new file.
func writeHashed(ctx context.Context, path string, buf []byte, n int, r io.Reader) (d digest.Digest, err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return d, err
	}
	defer func() {
		if e := f.Close(); err == nil {
			err = e
		}
	}()
	w := digest.NewWriter()
	for {
		_, _ = w.Write(buf[:n])
		if _, err := f.Write(buf[:n]); err != nil {
			return d, err
		}
		if err := ctxErr(ctx); err != nil {
			return d, err
		}
		var rerr error
		n, rerr = fill(r, buf)
		if n == 0 && rerr == io.EOF {
			return w.Digest(), finish(f, plain.mode())
		}
		if rerr != nil && rerr != io.EOF {
			return d, rerr
		}
	}
}

// fill reads until buf is full or r has an error, which comes together with what was read before it.
func fill(r io.Reader, buf []byte) (n int, err error) {
	for n < len(buf) && err == nil {
		var m int
		m, err = r.Read(buf[n:])
		n += m
	}
	return n, err
}

// IngestFile keeps the file at path, which must not be written to any more, and takes it away from there: a larger
// file becomes the store's by renaming, without a copy, if it lies on the same file system. The inode that is kept has
// the executable bit of the file.
func (s *Store) IngestFile(ctx context.Context, path string) (digest.Digest, error) {
	d, err := s.ingestFile(ctx, path)
	if err != nil {
		return digest.Digest{}, fmt.Errorf("ingest %s: %w", path, err)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return digest.Digest{}, err
	}
	return d, nil
}

func (s *Store) ingestFile(ctx context.Context, path string) (digest.Digest, error) {
	f, err := openUnreadable(path)
	if err != nil {
		return digest.Digest{}, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return digest.Digest{}, err
	}
	if !st.Mode().IsRegular() {
		return digest.Digest{}, errors.New("not a regular file")
	}
	n, owned := links(st)
	if st.Size() < packLimit || n != 1 || !owned || hasForeignAttributes(f) {
		return s.Ingest(ctx, f) // a copy: somebody else may have, or change, this inode
	}
	d, err := hashFile(ctx, f)
	if err != nil {
		return digest.Digest{}, err
	}
	fl := flavourOf(st.Mode()&0o111 != 0)
	have, err := s.flavours(d)
	if err != nil || have != 0 {
		return d, err
	}
	if err := finish(f, fl.mode()); err != nil {
		return digest.Digest{}, err
	}
	s.sync.wrote()
	err = s.install(path, d, fl)
	if crossDevice(err) {
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return digest.Digest{}, err
		}
		return s.Ingest(ctx, f)
	}
	return d, err
}

// openUnreadable opens a file that may lack the permission to read it although it is ours.
func openUnreadable(path string) (*os.File, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrPermission) {
		if e := os.Chmod(path, 0o600); e == nil {
			return os.Open(path)
		}
	}
	return f, err
}

func hashFile(ctx context.Context, f *os.File) (digest.Digest, error) {
	w := digest.NewWriter()
	err := hashInto(ctx, w, f)
	return w.Digest(), err
}

func hashInto(ctx context.Context, w *digest.Writer, f *os.File) error {
	bp := bufs.Get().(*[]byte)
	defer bufs.Put(bp)
	for {
		n, err := f.Read(*bp)
		_, _ = w.Write((*bp)[:n])
		if err == io.EOF {
			return nil
		}
		if err == nil {
			err = ctxErr(ctx)
		}
		if err != nil {
			return err
		}
	}
}
