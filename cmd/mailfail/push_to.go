package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// addPushTo adds the flag of commands that read logs into the database.
func addPushTo(flags *pflag.FlagSet, to *string) {
	flags.StringVar(to, "push-to", "",
		"send what is new also to this ClickHouse, as mailfail push --to does")
}

// checkPushTo returns an error for a wrong value of --push-to, before anything is read.
func checkPushTo(to string) error {
	if to == "" {
		return nil
	}
	_, err := newClient("--push-to", to)
	return err
}

// pushOnce sends all rows that are not sent yet to the URL of --push-to. An unreachable
// server is not a failure of ingest: the rows are sent the next time.
func pushOnce(cmd *cobra.Command, to, path, anonymize string) error {
	p, err := newPusher(cmd, "--push-to", to, path, anonymize)
	if err != nil {
		return err
	}
	if _, err = p.send(cmd.Context()); err != nil {
		warn(cmd, fmt.Errorf("%w (what was read is kept, and sent the next time)", err))
	}
	return p.close()
}

const (
	pushInterval = time.Minute     // how often follow sends
	lastPushTime = 5 * time.Second // how long the last one may take at the end
)

// pushing sends in the background to the URL of --push-to, if given, until the function
// that it returns is called.
func pushing(cmd *cobra.Command, to, path, anonymize string, report func(error)) (stop func(), err error) {
	if to == "" {
		return func() {}, nil
	}
	p, err := newPusher(cmd, "--push-to", to, path, anonymize)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(cmd.Context())
	send := func(ctx context.Context) error {
		_, err := p.send(ctx)
		return err
	}
	var done sync.WaitGroup
	done.Go(func() { pushLoop(ctx, pushInterval, send, report) })
	return func() {
		cancel()
		done.Wait()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(cmd.Context()), lastPushTime)
		defer cancel()
		if err := errors.Join(send(ctx), p.close()); err != nil {
			report(err)
		}
	}, nil
}
