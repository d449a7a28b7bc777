// Package web holds the files of the web interface that the server carries in itself.
package web

import _ "embed"

// RobotsTxt is what /robots.txt answers with.
//
//go:embed robots.txt
var RobotsTxt []byte

// SecurityTxt is what /.well-known/security.txt answers with.
//
//go:embed security.txt
var SecurityTxt []byte
