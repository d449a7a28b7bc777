package python

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"hewn.example/hewn/internal/fetch"
	"hewn.example/hewn/internal/python/index"
	"hewn.example/hewn/internal/python/pep440"
	"hewn.example/hewn/internal/python/pep508"
	"hewn.example/hewn/internal/python/resolver"
)

// released is the day on which the final release of each Python came out, from their schedules: PEP 569, 596, 619, 664,
// 693, 719 and 745. A Python that is not here has no cut-off: no date is guessed.
var released = map[string]time.Time{
	"3.8":  time.Date(2019, time.October, 14, 0, 0, 0, 0, time.UTC),
	"3.9":  time.Date(2020, time.October, 5, 0, 0, 0, 0, time.UTC),
	"3.10": time.Date(2021, time.October, 4, 0, 0, 0, 0, time.UTC),
	"3.11": time.Date(2022, time.October, 24, 0, 0, 0, 0, time.UTC),
	"3.12": time.Date(2023, time.October, 2, 0, 0, 0, 0, time.UTC),
	"3.13": time.Date(2024, time.October, 7, 0, 0, 0, 0, time.UTC),
	"3.14": time.Date(2025, time.October, 7, 0, 0, 0, 0, time.UTC),
}

// parseCutoff reads the rest of a line `cutoff`: a time, or the project and version whose sdist's upload is meant.
func (s *spec) parseCutoff(text string) error {
	t, err := time.Parse(time.RFC3339, text)
	if err == nil {
		s.cutoff = t
		return nil
	}
	of, reqErr := pep508.Parse(text)
	if _, pinned := of.Specifiers.Pinned(); reqErr != nil || !pinned {
		return err
	}
	s.cutoffOf = of
	return nil
}

// cutOff finds out the time after which nothing is taken for the build of p.spec.cutoffOf: when its sdist was uploaded,
// or, if that is later, when back ends knew the target's Python. An sdist of 2019 cannot be built for Python 3.14 with
// the setuptools of 2019. Where it is not known there is none, and why is noted.
func (p *provider) cutOff(ctx context.Context) (time.Time, error) {
	of := p.spec.cutoffOf
	version, _ := of.Specifiers.Pinned()
	python := fmt.Sprintf("%d.%d", p.spec.python.Release(0), p.spec.python.Release(1))
	from := released[python]
	if from.IsZero() {
		p.note("it is not known when Python %s came out, so that build requirements are the newest, not those of an sdist's day", python)
		return time.Time{}, nil
	}
	for _, e := range p.endpoints {
		files, err := p.project(ctx, e, of.Name)
		if errors.Is(err, fetch.ErrGone) {
			continue
		}
		if err != nil {
			return time.Time{}, err
		}
		uploaded := firstUpload(files, of)
		switch {
		case uploaded.After(from):
			return uploaded, nil
		case !uploaded.IsZero():
			return from, nil
		case !slices.ContainsFunc(files, func(f index.File) bool { return f.UploadTime != "" }):
			p.note("the index of %s does not say when files were uploaded, so that build requirements are the newest, not those of an sdist's day", e.From)
			return time.Time{}, nil
		}
	}
	p.note("it is not known when the sdist of %s %s was uploaded, so that its build requirements are the newest", of.Name, version)
	return time.Time{}, nil
}

// firstUpload is when the first sdist of a version was uploaded; zero where that is not known.
func firstUpload(files []index.File, of pep508.Requirement) (first time.Time) {
	for _, f := range files {
		project, text, ok := fileName(f.Name)
		version, err := pep440.Parse(text)
		if !ok || err != nil || project != of.Name || strings.HasSuffix(f.Name, ".whl") || !of.Specifiers.Match(version) {
			continue
		}
		if t, err := time.Parse(time.RFC3339, f.UploadTime); err == nil && (first.IsZero() || t.Before(first)) {
			first = t
		}
	}
	return first
}

// solve resolves within the cut-off, or without it where nothing of that time fits.
func (p *provider) solve(ctx context.Context) ([]resolver.Chosen, error) {
	resolve := func() ([]resolver.Chosen, error) {
		return resolver.Resolve(ctx, p, p.spec.env, p.spec.requirements, p.spec.constraints)
	}
	if p.spec.cutoffOf.Name == "" {
		return resolve()
	}
	var err error
	if p.spec.cutoff, err = p.cutOff(ctx); err != nil {
		return nil, err
	}
	chosen, err := resolve()
	var none *resolver.NoSolutionError
	if p.spec.cutoff.IsZero() || !errors.As(err, &none) {
		return chosen, err
	}
	day := p.spec.cutoff
	p.spec.cutoff, p.known = time.Time{}, map[string]*known{}
	if chosen, err = resolve(); err != nil {
		return nil, err
	}
	var newer []string
	for _, c := range chosen {
		if t, err := time.Parse(time.RFC3339, c.File.(located).UploadTime); err == nil && t.After(day) {
			newer = append(newer, c.Name+" "+c.Version.String())
		}
	}
	slices.Sort(newer)
	version, _ := p.spec.cutoffOf.Specifiers.Pinned()
	p.note("nothing from before %s can build %s %s for Python %s: taken are %s", day.Format(time.DateOnly), p.spec.cutoffOf.Name, version,
		p.spec.target.Python, cmp.Or(strings.Join(newer, ", "), "others"))
	return chosen, nil
}

func (p *provider) note(format string, args ...any) {
	if p.notes != nil {
		p.notes(fmt.Sprintf(format, args...))
	}
}
