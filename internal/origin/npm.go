package origin

import (
	"encoding/base64"
	"maps"
	"path"
	"slices"
	"strings"
)

// npm: the variable, then .npmrc from the nearest to the farthest, then npm itself.
func (f *finder) npm() {
	for _, v := range []string{"npm_config_registry", "NPM_CONFIG_REGISTRY"} {
		f.fromEnv(v, one)
	}
	for _, name := range f.npmrcs() {
		f.addIf(f.expand(parseINI(f.read(name))["registry"], name), name)
	}
	if len(f.eps) == 0 {
		f.addIf(lastLine(f.ask("npm", "config", "get", "registry")), "answer of `npm config get registry`")
	}
}

// npmrcs are npm's configuration files, from that which counts most: of the workspace, the user, the machine.
func (f *finder) npmrcs() []string {
	user := path.Join(f.env.Home, ".npmrc")
	for _, v := range []string{"npm_config_userconfig", "NPM_CONFIG_USERCONFIG"} {
		if file := f.env.Getenv(v); path.IsAbs(file) {
			user = path.Clean(file)
		}
	}
	return []string{path.Join(f.env.Dir, ".npmrc"), user, "/etc/npmrc"}
}

// npmScopes finds registries for the names in one scope. Where there is one, no other is asked for these names, but for
// what hewn.toml names for all, unless it names the scope as well: whoever asked everywhere could be given a stranger's
// package of that name.
func (f *finder) npmScopes(cfg Config) {
	scopes, from := maps.Clone(cfg.NPMScopes), map[string]string{}
	if scopes == nil {
		scopes = map[string]string{}
	}
	for scope := range scopes {
		from[scope] = "hewn.toml: mirror.npm.scopes"
	}
	if !cfg.MirrorsOnly {
		for _, name := range f.npmrcs() {
			for key, u := range parseINI(f.read(name)) {
				scope, ok := strings.CutSuffix(key, ":registry")
				if _, has := scopes[scope]; ok && !has && strings.HasPrefix(scope, "@") && !strings.ContainsAny(scope, "/,") {
					scopes[scope], from[scope] = f.expand(u, name), name
				}
			}
		}
	}
	var own, all []string
	for _, scope := range slices.Sorted(maps.Keys(scopes)) {
		all = append(all, scope)
		if cfg.NPMScopes[scope] != "" {
			own = append(own, scope)
		}
	}
	for i, e := range f.eps {
		f.eps[i].Not = strings.Join(all, ",")
		if strings.HasPrefix(e.From, "hewn.toml") {
			f.eps[i].Not = strings.Join(own, ",")
		}
	}
	general := f.eps
	f.eps = nil
	for _, scope := range all {
		before := len(f.eps)
		f.add(scopes[scope], from[scope]+" ("+scope+")")
		if len(f.eps) > before {
			f.eps[before].Only = scope
		} else if i := slices.IndexFunc(f.eps, func(e Endpoint) bool { return e.URL == strings.TrimRight(scopes[scope], "/") }); i >= 0 {
			f.eps[i].Only += "," + scope
		}
	}
	f.eps = append(f.eps, general...)
}

// npmCredentials gives each registry, mirrors of hewn.toml included, what .npmrc has for its address.
func (f *finder) npmCredentials() {
	for i := range f.eps {
		e := &f.eps[i]
		if e.User != "" || e.Pass != "" {
			continue
		}
		_, at, _ := strings.Cut(e.URL, "://")
		for at = "//" + at + "/"; len(at) > 2; at = cutLast(at) {
			if f.npmAuth(e, at) {
				break
			}
		}
	}
}

// cutLast takes the slash at the end of an address away, or what stands behind the last one: npm looks for
// `//host/path/:_authToken` in this way.
func cutLast(at string) string {
	if rest, ok := strings.CutSuffix(at, "/"); ok {
		return rest
	}
	return at[:strings.LastIndexByte(at, '/')+1]
}

// npmAuth reads the credentials for one address: a token, `user:password` in base 64, or both apart.
func (f *finder) npmAuth(e *Endpoint, at string) bool {
	get := func(what string) string {
		if v := f.env.Getenv("npm_config_" + at + ":" + what); v != "" {
			return v
		}
		for _, name := range f.npmrcs() {
			if v := f.expand(parseINI(f.read(name))[at+":"+what], name); v != "" {
				return v
			}
		}
		return ""
	}
	if e.Token = get("_authToken"); e.Token != "" {
		return true
	}
	if both, err := base64.StdEncoding.DecodeString(get("_auth")); err == nil && len(both) > 0 {
		e.User, e.Pass, _ = strings.Cut(string(both), ":")
		return true
	}
	pass, err := base64.StdEncoding.DecodeString(get("_password"))
	if user := get("username"); user != "" && err == nil && len(pass) > 0 {
		e.User, e.Pass = user, string(pass)
		return true
	}
	return false
}

// expand puts the values of variables in the place of `${NAME}`, as npm does. Where one is not set there is no value at
// all: what npm would send then is the text itself. file is where s stands.
func (f *finder) expand(s, file string) string {
	var b strings.Builder
	for {
		before, rest, ok := strings.Cut(s, "${")
		name, after, closed := strings.Cut(rest, "}")
		if !ok || !closed {
			return b.String() + s
		}
		name, may := strings.CutSuffix(name, "?")
		value := f.env.Getenv(name)
		if value == "" && !may {
			if line := file + ": the variable " + name + " is not set, what it stands in is left out"; !slices.Contains(f.logs, line) {
				f.logs = append(f.logs, line)
			}
			return ""
		}
		b.WriteString(before + value)
		s = after
	}
}
