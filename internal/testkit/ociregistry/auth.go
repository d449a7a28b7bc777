package ociregistry

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// token is what /token gave: good for some requests, in some scopes.
type token struct {
	scopes map[string]string // repository -> actions
	uses   int
}

// authorized checks a request, or answers what it lacks.
func (r *Registry) authorized(w http.ResponseWriter, q *http.Request, repo string) bool {
	switch {
	case r.User == "":
		return true
	case r.Bearer:
		return r.hasToken(w, q, repo)
	case r.isUser(q):
		return true
	}
	w.Header().Set("WWW-Authenticate", `Basic realm="registry"`)
	fail(w, http.StatusUnauthorized, "UNAUTHORIZED", "authentication required")
	return false
}

func (r *Registry) isUser(q *http.Request) bool {
	user, pass, ok := q.BasicAuth()
	return ok && user == r.User && pass == r.Password
}

func (r *Registry) hasToken(w http.ResponseWriter, q *http.Request, repo string) bool {
	need := "pull"
	if q.Method != http.MethodGet && q.Method != http.MethodHead {
		need = "push"
	}
	text, ok := strings.CutPrefix(q.Header.Get("Authorization"), "Bearer ")
	r.mu.Lock()
	t := r.tokens[text]
	why := ""
	switch from := q.URL.Query().Get("from"); {
	case !ok, t == nil:
		why = "invalid_token"
	case r.TokenUses > 0 && t.uses >= r.TokenUses:
		why = "invalid_token"
	case repo != "" && !strings.Contains(t.scopes[repo], need),
		from != "" && !strings.Contains(t.scopes[from], "pull"):
		why = "insufficient_scope"
	default:
		t.uses++
	}
	r.mu.Unlock()
	if why == "" {
		return true
	}
	challenge := fmt.Sprintf(`Bearer realm="%s/token",service="tests"`, r.URL())
	if repo != "" {
		challenge += fmt.Sprintf(`,scope="repository:%s:pull,push",error="%s"`, repo, why)
	}
	w.Header().Set("WWW-Authenticate", challenge)
	fail(w, http.StatusUnauthorized, "UNAUTHORIZED", "authentication required")
	return false
}

func (r *Registry) giveToken(w http.ResponseWriter, q *http.Request) {
	if !r.isUser(q) {
		fail(w, http.StatusUnauthorized, "UNAUTHORIZED", "incorrect username or password")
		return
	}
	t := &token{scopes: map[string]string{}}
	for _, s := range q.URL.Query()["scope"] {
		if p := strings.Split(s, ":"); len(p) == 3 && p[0] == "repository" {
			t.scopes[p[1]] += p[2]
		}
	}
	r.mu.Lock()
	r.next++
	text := "token-" + strconv.Itoa(r.next)
	r.tokens[text] = t
	r.mu.Unlock()
	answer := map[string]any{"token": text}
	if r.ExpiresIn > 0 {
		answer["expires_in"] = r.ExpiresIn
	}
	_ = json.NewEncoder(w).Encode(answer)
}
