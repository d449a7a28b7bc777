package workspace

import (
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"

	"hewn.example/hewn/internal/diag"
)

// Locate finds a dotted key in a TOML file that has been decoded without an error: the position of the key, or of the
// nearest table around it that the file spells out. file is the file's name in messages.
func Locate(file string, raw []byte, key string) diag.Position {
	pos := diag.Position{File: file, Key: key}
	best := 0
	note := func(path string, n *unstable.Node, p *unstable.Parser) {
		if len(path) > best && (path == key || strings.HasPrefix(key, path+".")) {
			start := p.Shape(n.Raw).Start
			best, pos.Line, pos.Col = len(path), start.Line, start.Column
		}
	}
	var p unstable.Parser
	p.Reset(raw)
	table := ""
	for p.NextExpression() {
		e := p.Expression()
		switch e.Kind {
		case unstable.Table, unstable.ArrayTable:
			table = walkKey("", e, &p, note)
		case unstable.KeyValue:
			walkKeyValue(table, e, &p, note)
		}
	}
	return pos
}

// walkKey notes each part of the key of e, below the path that it is relative to, and gives the whole path.
func walkKey(path string, e *unstable.Node, p *unstable.Parser, note func(string, *unstable.Node, *unstable.Parser)) string {
	for it := e.Key(); it.Next(); {
		n := it.Node()
		if path != "" {
			path += "."
		}
		path += string(n.Data)
		note(path, n, p)
	}
	return path
}

func walkKeyValue(table string, e *unstable.Node, p *unstable.Parser, note func(string, *unstable.Node, *unstable.Parser)) {
	path := walkKey(table, e, p, note)
	if v := e.Value(); v.Kind == unstable.InlineTable {
		for it := v.Children(); it.Next(); {
			walkKeyValue(path, it.Node(), p, note)
		}
	}
}
