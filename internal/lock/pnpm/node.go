package pnpm

import (
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// node is a piece of YAML, from whichever parser. Lines are those of the file.
type node struct {
	kind  nodeKind
	line  int32
	text  string // of a scalar, as it is written where it is no string; of something else, what it is
	pairs []pair // of a list without keys
}

type nodeKind uint8

const (
	nothing nodeKind = iota // no value: an empty mapping, if one is wanted
	scalar
	truth // a scalar that is true or false
	mapping
	list
	other
)

type pair struct {
	key   string
	line  int32
	value node
}

func (n node) isText() bool { return n.kind == scalar || n.kind == truth }

// String says what a node is, for errors.
func (n node) String() string {
	switch n.kind {
	case nothing:
		return "nothing"
	case scalar, truth:
		return "a text"
	case mapping:
		return "a mapping"
	case list:
		return "a list"
	}
	return "a " + n.text
}

// value is a node as encoding/json would have it.
func (n node) value() any {
	switch n.kind {
	case scalar:
		return n.text
	case truth:
		return n.text == "true"
	case mapping:
		out := map[string]any{}
		for _, p := range n.pairs {
			out[p.key] = p.value.value()
		}
		return out
	case list:
		out := []any{}
		for _, p := range n.pairs {
			out = append(out, p.value.value())
		}
		return out
	}
	return nil
}

// fromAST takes over what the YAML library read, whose first line is line base+1 of the file. A key that is no text makes
// a mapping into something else.
func fromAST(n ast.Node, base int) node {
	out := node{line: int32(base + lineOf(n))}
	var values []*ast.MappingValueNode
	switch n := n.(type) {
	case nil:
		return out
	case *ast.NullNode:
		out.text = "null"
		if t := n.GetToken(); t != nil {
			out.text = t.Value
		}
		return out
	case *ast.StringNode:
		out.kind, out.text = scalar, n.Value
		return out
	case *ast.LiteralNode:
		if out.kind = scalar; n.Value != nil {
			out.text = n.Value.Value
		}
		return out
	case *ast.BoolNode:
		out.kind, out.text = truth, "false"
		if n.Value {
			out.text = "true"
		}
		return out
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		if t := n.GetToken(); t != nil {
			out.kind, out.text = scalar, t.Value
			return out
		}
	case *ast.SequenceNode:
		out.kind = list
		for _, v := range n.Values {
			out.pairs = append(out.pairs, pair{value: fromAST(v, base)})
		}
		return out
	case *ast.MappingNode:
		values = n.Values
	case *ast.MappingValueNode:
		values = []*ast.MappingValueNode{n}
	default:
		out.kind, out.text = other, strings.ToLower(n.Type().String())
		return out
	}
	out.kind = mapping
	for _, v := range values {
		k := fromAST(v.Key, base)
		if !k.isText() && k.text != "null" {
			return node{kind: other, line: k.line, text: "mapping whose keys are no texts"}
		}
		out.pairs = append(out.pairs, pair{k.text, k.line, fromAST(v.Value, base)})
	}
	return out
}

func lineOf(n ast.Node) int {
	if n == nil {
		return 0
	}
	if t := n.GetToken(); t != nil && t.Position != nil {
		return t.Position.Line
	}
	return 0
}
