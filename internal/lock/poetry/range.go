package poetry

import (
	"strconv"
	"strings"
)

// Ranges translates a range in Poetry's notation (`^3.11`, `~3.11`, `3.11.*`, `>=3.9,<3.11 || ^3.12`) into PEP 440: lists
// of specifiers of which one must hold.
func Ranges(text string) []string {
	var out []string
	for _, alternative := range strings.Split(strings.ReplaceAll(text, "||", "|"), "|") {
		var list []string
		for _, clause := range clauses(alternative) {
			if clause = translate(clause); clause != "" {
				list = append(list, clause)
			}
		}
		out = append(out, strings.Join(list, ","))
	}
	return out
}

const operators = "<>=!~^"

// clauses splits at commas and spaces, but not between an operator and its version.
func clauses(s string) []string {
	var out []string
	for _, w := range strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' }) {
		if n := len(out) - 1; n >= 0 && strings.Trim(out[n], operators) == "" {
			out[n] += w
			continue
		}
		out = append(out, w)
	}
	return out
}

// translate gives one clause in PEP 440; empty: any version.
func translate(clause string) string {
	version := strings.TrimLeft(clause, operators)
	switch op := clause[:len(clause)-len(version)]; {
	case version == "*" || version == "":
		return ""
	case op == "^":
		return ">=" + version + ",<" + bump(version, firstNonZero)
	case op == "~":
		return ">=" + version + ",<" + bump(version, func(parts []string) int { return min(1, len(parts)-1) })
	case op == "" || op == "=":
		return "==" + version
	}
	return clause
}

func firstNonZero(parts []string) int {
	for i, p := range parts {
		if strings.Trim(p, "0") != "" {
			return i
		}
	}
	return len(parts) - 1
}

// bump counts up the number that at chooses and drops what comes after it.
func bump(version string, at func([]string) int) string {
	parts := strings.Split(version, ".")
	i := at(parts)
	digits := len(parts[i]) - len(strings.TrimLeft(parts[i], "0123456789"))
	n, _ := strconv.Atoi(parts[i][:digits]) // what is no number is refused as a version by who compares
	return strings.Join(append(parts[:i:i], strconv.Itoa(n+1)), ".")
}
