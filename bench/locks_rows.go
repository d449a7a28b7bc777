package main

import (
	"context"
	"errors"
)

var errTodo = errors.New("not yet")

func (l *locks) pythonRows(ctx context.Context) error { return errTodo }
func (l *locks) unpackRow(ctx context.Context) error  { return errTodo }
func (l *locks) noopRow(ctx context.Context) error    { return errTodo }
func (l *locks) editRows(ctx context.Context) error   { return errTodo }
