package tree

import (
	"bytes"
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"

	"hewn.example/hewn/internal/digest"
)

// The field numbers are those of build.bazel.remote.execution.v2.{Directory,FileNode,DirectoryNode,SymlinkNode,Digest};
// a test compares the bytes with those that the generated messages give. Written by hand because a Directory is
// encoded for every directory of every step, and because this level must not pull in gRPC.
const (
	fieldFiles, fieldDirs, fieldLinks = 1, 2, 3 // Directory
	fieldName                         = 1       // FileNode, DirectoryNode, SymlinkNode
	fieldDigest, fieldTarget          = 2, 2
	fieldExecutable                   = 4 // FileNode
	fieldHash, fieldSize              = 1, 2
)

// Encode is the canonical encoding of d. The digest of these bytes is the directory's Tree.
func (d *Directory) Encode() []byte {
	var out, node []byte
	for _, f := range d.Files {
		node = appendString(node[:0], fieldName, f.Name)
		node = AppendDigest(node, fieldDigest, f.Digest)
		if f.Executable {
			node = protowire.AppendTag(node, fieldExecutable, protowire.VarintType)
			node = protowire.AppendVarint(node, 1)
		}
		out = appendMessage(out, fieldFiles, node)
	}
	for _, s := range d.Dirs {
		node = appendString(node[:0], fieldName, s.Name)
		node = AppendDigest(node, fieldDigest, s.Tree.d)
		out = appendMessage(out, fieldDirs, node)
	}
	for _, l := range d.Links {
		node = appendString(node[:0], fieldName, l.Name)
		node = appendString(node, fieldTarget, l.Target)
		out = appendMessage(out, fieldLinks, node)
	}
	return out
}

func appendString(b []byte, num protowire.Number, s string) []byte {
	b = protowire.AppendTag(b, num, protowire.BytesType)
	return protowire.AppendString(b, s)
}

func appendMessage(b []byte, num protowire.Number, m []byte) []byte {
	b = protowire.AppendTag(b, num, protowire.BytesType)
	return protowire.AppendBytes(b, m)
}

// AppendDigest appends field num holding d as a Digest message.
func AppendDigest(b []byte, num protowire.Number, d digest.Digest) []byte {
	var m [96]byte
	msg := appendString(m[:0], fieldHash, d.Hex())
	if d.Size() != 0 {
		msg = protowire.AppendTag(msg, fieldSize, protowire.VarintType)
		msg = protowire.AppendVarint(msg, uint64(d.Size()))
	}
	return appendMessage(b, num, msg)
}

// Decode reads what Encode wrote and refuses everything else, also what means the same but is encoded otherwise:
// one directory has one digest.
func Decode(b []byte) (*Directory, error) {
	d := &Directory{}
	err := fields(b, func(num protowire.Number, v []byte, _ uint64) error {
		switch num {
		case fieldFiles:
			f, err := decodeFile(v)
			d.Files = append(d.Files, f)
			return err
		case fieldDirs:
			name, dg, _, err := decodeNode(v)
			d.Dirs = append(d.Dirs, Dir{Name: name, Tree: Tree{dg}})
			return err
		case fieldLinks:
			l, err := decodeLink(v)
			d.Links = append(d.Links, l)
			return err
		}
		return fmt.Errorf("unknown field %d", num)
	})
	if err == nil {
		err = d.Check()
	}
	if err == nil && !bytes.Equal(d.Encode(), b) {
		err = errors.New("the encoding is not canonical")
	}
	if err != nil {
		return nil, fmt.Errorf("malformed directory: %w", err)
	}
	return d, nil
}

func decodeFile(b []byte) (File, error) {
	name, dg, exec, err := decodeNode(b)
	return File{Name: name, Digest: dg, Executable: exec}, err
}

func decodeNode(b []byte) (name string, dg digest.Digest, exec bool, err error) {
	err = fields(b, func(num protowire.Number, v []byte, n uint64) (err error) {
		switch num {
		case fieldName:
			name = string(v)
		case fieldDigest:
			dg, err = decodeDigest(v)
		case fieldExecutable:
			exec = n == 1
		default:
			err = fmt.Errorf("unknown field %d", num)
		}
		return err
	})
	return name, dg, exec, err
}

func decodeLink(b []byte) (l Link, err error) {
	err = fields(b, func(num protowire.Number, v []byte, _ uint64) error {
		switch num {
		case fieldName:
			l.Name = string(v)
		case fieldTarget:
			l.Target = string(v)
		default:
			return fmt.Errorf("unknown field %d", num)
		}
		return nil
	})
	return l, err
}

func decodeDigest(b []byte) (digest.Digest, error) {
	var hash string
	var size uint64
	err := fields(b, func(num protowire.Number, v []byte, n uint64) error {
		switch num {
		case fieldHash:
			hash = string(v)
		case fieldSize:
			size = n
		default:
			return fmt.Errorf("unknown field %d", num)
		}
		return nil
	})
	if err != nil {
		return digest.Digest{}, err
	}
	return digest.FromHex(hash, int64(size))
}

// fields calls f for each field of a message: v for bytes, n for varints.
func fields(b []byte, f func(num protowire.Number, v []byte, n uint64) error) error {
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]
		var v []byte
		var u uint64
		switch typ {
		case protowire.BytesType:
			v, n = protowire.ConsumeBytes(b)
		case protowire.VarintType:
			u, n = protowire.ConsumeVarint(b)
		default:
			return fmt.Errorf("field %d has an unexpected type", num)
		}
		if n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]
		if err := f(num, v, u); err != nil {
			return err
		}
	}
	return nil
}
