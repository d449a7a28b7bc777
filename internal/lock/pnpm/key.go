package pnpm

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path"
	"strings"
)

// SplitKey takes a key apart: the key of the package, and the groups in parentheses behind it: a patch and peers.
func SplitKey(key string) (pkg string, groups []string) {
	end, depth := len(key), 0
	if !strings.HasSuffix(key, ")") {
		return key, nil
	}
	for i := len(key) - 1; i >= 0; i-- {
		switch key[i] {
		case ')':
			depth++
		case '(':
			if depth--; depth == 0 {
				groups = append(groups, key[i+1:end-1])
				end = i
				if i == 0 || key[i-1] != ')' {
					i = 0
				}
			}
		}
	}
	for i, j := 0, len(groups)-1; i < j; i, j = i+1, j-1 {
		groups[i], groups[j] = groups[j], groups[i]
	}
	return key[:end], groups
}

// target is the key of the snapshot that the version of a dependency refers to; empty for a link.
func target(name, version string) string {
	if strings.HasPrefix(version, "link:") {
		return ""
	}
	if strings.HasPrefix(version, "@") {
		return version
	}
	at := strings.IndexByte(version, '@')
	if at < 0 {
		return name + "@" + version
	}
	colon, bracket := strings.IndexByte(version, ':'), strings.IndexByte(version, '(')
	if (colon < 0 || at < colon) && (bracket < 0 || at < bracket) {
		return version
	}
	return name + "@" + version
}

// DirName is the folder below node_modules/.pnpm in which a snapshot lies. Names that are longer than limit, or that
// differ from others only by case, end in a hash.
func DirName(key string, limit int) string {
	name := strings.Map(func(r rune) rune {
		if strings.ContainsRune(`\/:*?"<>|#`, r) {
			return '+'
		}
		return r
	}, key)
	if strings.Contains(name, "(") {
		name = strings.TrimSuffix(name, ")")
		name = strings.NewReplacer(")(", "_", "(", "_", ")", "_").Replace(name)
	}
	if len(name) <= limit && (name == strings.ToLower(name) || strings.HasPrefix(name, "file+")) {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	return name[:min(len(name), max(limit-33, 0))] + "_" + hex.EncodeToString(sum[:])[:32]
}

// validName accepts `name` and `@scope/name`.
func validName(n string) bool {
	if scope, rest, ok := strings.Cut(n, "/"); ok {
		return len(scope) > 1 && scope[0] == '@' && validPart(scope[1:]) && validPart(rest)
	}
	return validPart(n) && n[0] != '@'
}

func validPart(s string) bool {
	return s != "" && s != "." && s != ".." && s != "node_modules" && s != ".bin" && s != ".pnpm" &&
		!strings.ContainsAny(s, "/\\ %?#\x00\n\r\t")
}

// splitName cuts `@scope/name@rest` at the `@` that follows the name.
func splitName(key string) (name, rest string, err error) {
	if key == "" {
		return "", "", fmt.Errorf("the key is empty")
	}
	i := strings.IndexByte(key[1:], '@')
	if i < 0 {
		return "", "", fmt.Errorf("%q is not name@version", key)
	}
	name, rest = key[:i+1], key[i+2:]
	if !validName(name) || rest == "" {
		return "", "", fmt.Errorf("%q is not name@version", key)
	}
	return name, rest, nil
}

// cleanPath accepts relative paths that stay below the lock; "." is the lock's own directory.
func cleanPath(p string) bool {
	return p != "" && !path.IsAbs(p) && path.Clean(p) == p && p != ".." && !strings.HasPrefix(p, "../") &&
		!strings.ContainsAny(p, "\x00\\") && !strings.Contains("/"+p+"/", "/node_modules/")
}
