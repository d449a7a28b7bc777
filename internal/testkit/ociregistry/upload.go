package ociregistry

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
)

func (r *Registry) serveUpload(w http.ResponseWriter, q *http.Request, repo, id string) {
	r.mu.Lock()
	f := r.faults
	if f.Failing > 0 {
		r.faults.Failing--
	}
	s := r.sessions[id]
	r.mu.Unlock()
	switch {
	case f.ReadOnly:
		fail(w, http.StatusMethodNotAllowed, "UNSUPPORTED", "the registry is read-only")
	case f.Denied:
		fail(w, http.StatusForbidden, "DENIED", "requested access to the resource is denied")
	case f.Failing > 0:
		w.WriteHeader(http.StatusServiceUnavailable)
	case q.Method == http.MethodPost && id == "":
		r.startUpload(w, q, repo, f)
	case s == nil || s.repo != repo:
		fail(w, http.StatusNotFound, "BLOB_UPLOAD_UNKNOWN", "upload unknown to registry")
	default:
		r.continueUpload(w, q, id, s)
	}
}

func (r *Registry) startUpload(w http.ResponseWriter, q *http.Request, repo string, f Faults) {
	digest, from := q.URL.Query().Get("mount"), q.URL.Query().Get("from")
	r.mu.Lock()
	defer r.mu.Unlock()
	if b, ok := r.repo(from).blobs[digest]; ok && !f.IgnoreMount {
		r.repo(repo).blobs[digest] = b
		w.Header().Set("Location", "/v2/"+repo+"/blobs/"+digest)
		w.Header().Set("Docker-Content-Digest", digest)
		w.WriteHeader(http.StatusCreated)
		return
	}
	r.next++
	id := "session-" + strconv.Itoa(r.next)
	s := &session{repo: repo}
	r.sessions[id] = s
	if r.MinChunk > 0 {
		w.Header().Set("OCI-Chunk-Min-Length", strconv.FormatInt(r.MinChunk, 10))
	}
	s.answer(w, id, http.StatusAccepted)
}

// answer gives the session's next address, and how much it has.
func (s *session) answer(w http.ResponseWriter, id string, status int) {
	s.state++
	s.header(w, id)
	w.WriteHeader(status)
}

func (s *session) header(w http.ResponseWriter, id string) {
	w.Header().Set("Location", fmt.Sprintf("/v2/%s/blobs/uploads/%s?state=%d", s.repo, id, s.state))
	w.Header().Set("Range", fmt.Sprintf("0-%d", max(len(s.data)-1, 0)))
}

func (r *Registry) continueUpload(w http.ResponseWriter, q *http.Request, id string, s *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if q.URL.Query().Get("state") != strconv.Itoa(s.state) {
		fail(w, http.StatusBadRequest, "BLOB_UPLOAD_INVALID", "this is not the session's last address")
		return
	}
	r.mu.Lock()
	f := r.faults
	if q.Method == http.MethodPatch && f.LoseSessions > 0 {
		r.faults.LoseSessions--
		delete(r.sessions, id)
	}
	r.mu.Unlock()
	switch q.Method {
	case http.MethodGet:
		s.answer(w, id, http.StatusNoContent)
	case http.MethodDelete:
		r.end(id)
		w.WriteHeader(http.StatusNoContent)
	case http.MethodPatch:
		switch {
		case f.LoseSessions > 0:
			fail(w, http.StatusNotFound, "BLOB_UPLOAD_UNKNOWN", "upload unknown to registry")
		case f.NoChunks:
			fail(w, http.StatusMethodNotAllowed, "UNSUPPORTED", "not allowed")
		case r.take(w, q, id, s):
			s.answer(w, id, http.StatusAccepted)
		}
	case http.MethodPut:
		if q.ContentLength == 0 || r.take(w, q, id, s) {
			r.finish(w, q, id, s)
		}
	default:
		fail(w, http.StatusMethodNotAllowed, "UNSUPPORTED", "not allowed")
	}
}

func (r *Registry) end(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.sessions, id)
}

// take adds a body to the session, or answers why not. What came before a break is kept, as in a real registry.
func (r *Registry) take(w http.ResponseWriter, q *http.Request, id string, s *session) bool {
	r.mu.Lock()
	f := r.faults
	cut := f.Cuts > 0 && q.ContentLength > f.CutAfter
	if cut {
		r.faults.Cuts--
	}
	r.mu.Unlock()
	if f.BodyLimit > 0 && q.ContentLength > f.BodyLimit {
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(http.StatusRequestEntityTooLarge) // as a proxy answers, in its own words
		return false
	}
	if v := q.Header.Get("Content-Range"); v != "" {
		var first, last int
		if _, err := fmt.Sscanf(v, "%d-%d", &first, &last); err != nil || first != len(s.data) || int64(last-first+1) != q.ContentLength {
			s.header(w, id)
			fail(w, http.StatusRequestedRangeNotSatisfiable, "BLOB_UPLOAD_INVALID", "the chunk does not continue the upload")
			return false
		}
	} else if len(s.data) > 0 && q.Method == http.MethodPatch {
		fail(w, http.StatusBadRequest, "BLOB_UPLOAD_INVALID", "a further chunk without Content-Range")
		return false
	}
	buf := make([]byte, 32<<10)
	var got int64
	for {
		n, err := q.Body.Read(buf)
		if cut && got+int64(n) >= f.CutAfter {
			n, err = int(f.CutAfter-got), errCut
		}
		s.data = append(s.data, buf[:n]...)
		got += int64(n)
		r.mu.Lock()
		r.received += int64(n)
		r.mu.Unlock()
		switch {
		case errors.Is(err, io.EOF):
			return true
		case err != nil:
			if f.CutsEnd {
				r.end(id)
			}
			panic(http.ErrAbortHandler)
		}
	}
}

// finish compares the digest and keeps the blob.
func (r *Registry) finish(w http.ResponseWriter, q *http.Request, id string, s *session) {
	want := q.URL.Query().Get("digest")
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.sessions, id)
	if !goodID.MatchString(want) || sum(s.data) != want || r.faults.Corrupt > 0 {
		r.faults.Corrupt = max(r.faults.Corrupt-1, 0)
		fail(w, http.StatusBadRequest, "DIGEST_INVALID", "the content is "+sum(s.data))
		return
	}
	r.repo(s.repo).blobs[want] = s.data
	if r.faults.CutAnswers > 0 {
		r.faults.CutAnswers--
		panic(http.ErrAbortHandler)
	}
	w.Header().Set("Location", "/v2/"+s.repo+"/blobs/"+want)
	w.Header().Set("Docker-Content-Digest", want)
	w.WriteHeader(http.StatusCreated)
}
