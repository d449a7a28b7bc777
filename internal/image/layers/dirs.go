package layers

import (
	"context"

	"hewn.example/hewn/internal/tree"
)

// cachedDirs keeps what it has read: a plan walks the same directories several times. It is used from one goroutine.
type cachedDirs struct {
	dirs tree.Dirs
	read map[tree.Tree]*tree.Directory
	all  map[tree.Tree]error // what readAll gave
}

func newCachedDirs(dirs tree.Dirs) *cachedDirs {
	return &cachedDirs{dirs: dirs, read: map[tree.Tree]*tree.Directory{}, all: map[tree.Tree]error{}}
}

// Directory implements tree.Dirs.
func (c *cachedDirs) Directory(ctx context.Context, t tree.Tree) (*tree.Directory, error) {
	if d := c.read[t]; d != nil {
		return d, nil
	}
	d, err := c.dirs.Directory(ctx, t)
	if err == nil {
		c.read[t] = d
	}
	return d, err
}

// PutDirectory implements tree.Dirs. Planning writes nothing.
func (c *cachedDirs) PutDirectory(ctx context.Context, d *tree.Directory) (tree.Tree, error) {
	return c.dirs.PutDirectory(ctx, d)
}

// readAll reads t and everything below it.
func (c *cachedDirs) readAll(ctx context.Context, t tree.Tree) error {
	if err, done := c.all[t]; done {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	d, err := c.Directory(ctx, t)
	if err == nil {
		for _, sub := range d.Dirs {
			if err = c.readAll(ctx, sub.Tree); err != nil {
				break
			}
		}
	}
	c.all[t] = err
	return err
}
