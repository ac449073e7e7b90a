package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"mailfail/report/alert"
)

func (f *follow) alertFlags() (rules []*alert.Rule, receivers []alert.Receiver, err error) {
	for _, text := range f.flags.alerts {
		r, err := alert.Parse(text)
		if err != nil {
			return nil, nil, usageError("--alert: %v", err)
		}
		rules = append(rules, r)
	}
	for _, path := range f.flags.programs {
		r, err := alert.Program(path)
		if err != nil {
			return nil, nil, usageError("--alert-exec: %v", err)
		}
		receivers = append(receivers, r)
	}
	for _, address := range f.flags.webhooks {
		r, err := alert.Webhook(address)
		if err != nil {
			return nil, nil, usageError("--alert-webhook: %v", err)
		}
		receivers = append(receivers, r)
	}
	if len(receivers) > 0 && len(rules) == 0 {
		return nil, nil, usageError("--alert-exec and --alert-webhook need an --alert")
	}
	return rules, receivers, nil
}

// alerting checks the rules every second until the returned function is called. It
// calls tell for each alert, and checked after each check.
func (f *follow) alerting(rules []*alert.Rule, receivers []alert.Receiver, tell func(alert.Alert),
	checked func()) (stop func()) {
	if len(rules) == 0 {
		return func() {}
	}
	// At the end of the program, alerts on their way get a little more time.
	ctx, cancel := context.WithCancel(context.WithoutCancel(f.cmd.Context()))
	sender := alert.NewSender(ctx, receivers, f.warn)
	f.watch = alert.NewWatch(rules, func(a alert.Alert) {
		a.Example = f.public(a.Example)
		tell(a)
		sender.Send(a)
	})
	ended := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		t := time.NewTicker(time.Second)
		defer t.Stop()
		for {
			select {
			case <-t.C:
				f.check()
				checked()
			case <-ended:
				f.check()
				return
			}
		}
	})
	return func() {
		close(ended)
		running.Wait()
		t := time.AfterFunc(patience, cancel)
		sender.Close()
		t.Stop()
		cancel()
	}
}

func (f *follow) check() {
	f.watch.Check(f.now())
	if age, ok := f.watch.Behind(f.now()); ok {
		f.warn(fmt.Errorf("alerts have not seen new mail: the newest in the logs is %v old (a "+
			"backlog, or a wrong --log-tz?)", age.Round(time.Second)))
	}
}
