package golang

import (
	"context"
	"go/version"
	"strings"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/engine"
	"hewn.example/hewn/internal/lock/gosum"
)

const vendorList = "vendor/modules.txt"

// readVendor finds out whether the go command would take the source's vendor directory, and compares it with go.mod. A
// directory of a workspace is for builds in that workspace, any other for builds without one.
func (p *goProject) readVendor(ctx context.Context, ask *engine.Ask, dir engine.Static) error {
	oldest, lines := "go1.14", p.mods[0].Lines
	if p.work != nil {
		oldest, lines = "go1.22", p.work.Lines // earlier go commands know no vendor directory of a workspace
		if version.Compare(lines.Toolchain, "go"+lines.Go) > 0 {
			lines.Go = strings.TrimPrefix(lines.Toolchain, "go")
		}
	}
	if version.Compare("go"+lines.Go, oldest) < 0 {
		return nil
	}
	ok, err := ask.Exists(ctx, dir, vendorList)
	if err != nil {
		return err
	}
	if !ok {
		return p.unlisted(ctx, ask, dir)
	}
	b, err := ask.Read(ctx, dir, vendorList)
	if err != nil {
		return err
	}
	v := gosum.ParseVendor(vendorList, b)
	if v.Workspace != (p.work != nil) {
		return nil
	}
	p.vendor = v
	return v.Check(p.work, p.mods)
}

// unlisted refuses a vendor directory without a list of what is in it, which go would take and not find anything in.
func (p *goProject) unlisted(ctx context.Context, ask *engine.Ask, dir engine.Static) error {
	ok, err := ask.Exists(ctx, dir, "vendor")
	if err != nil || !ok || p.work != nil || len(p.mods[0].Require) == 0 {
		return err
	}
	return diag.Inputf("go-vendor", "there is a directory `vendor`, but no `%s`", vendorList).At(diag.Position{File: "vendor"}).
		Hint("run `go mod vendor`, and commit the result").
		Hint("or have the directory passed over: env = {\"GOFLAGS\": \"-mod=readonly\"}")
}

// vendorCommand makes the vendor directory anew.
func (p *goProject) vendorCommand() string {
	if p.work != nil {
		return "go work vendor"
	}
	return "go mod vendor"
}
