package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"mailfail/templates"
)

const unixPrefix = "unix:"

// local reports whether only this host reaches the address.
func (f *serveFlags) local() (bool, error) {
	if strings.HasPrefix(f.listen, unixPrefix) {
		return true, nil
	}
	host, _, err := net.SplitHostPort(f.listen)
	if err != nil {
		return false, usageError(
			"cannot read --listen %q (try localhost:8525, :8525 or unix:/run/mailfail/serve.sock)", f.listen)
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback(), nil
}

// listenAt opens the address. A socket of a server that has ended is replaced.
func (f *serveFlags) listenAt() (net.Listener, error) {
	path, isSocket := strings.CutPrefix(f.listen, unixPrefix)
	if !isSocket {
		l, err := net.Listen("tcp", f.listen)
		if err != nil || f.certificate == "" {
			return l, err
		}
		certificate, err := tls.LoadX509KeyPair(f.certificate, f.key)
		if err != nil {
			l.Close()
			return nil, fmt.Errorf("cannot read the certificate: %w", err)
		}
		return tls.NewListener(l, &tls.Config{
			Certificates: []tls.Certificate{certificate},
			MinVersion:   tls.VersionTLS12,
			NextProtos:   []string{"http/1.1"},
		}), nil
	}
	if info, err := os.Lstat(path); err == nil && info.Mode()&os.ModeSocket != 0 {
		if c, err := net.Dial("unix", path); err == nil {
			c.Close()
			return nil, fmt.Errorf("another program listens on %s", templates.Printable(path))
		}
		os.Remove(path)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	return l, os.Chmod(path, 0o660)
}

// address returns the address of the pages.
func (f *serveFlags) address(l net.Listener) string {
	switch {
	case strings.HasPrefix(f.listen, unixPrefix):
		return f.listen
	case f.certificate != "":
		return "https://" + l.Addr().String() + "/"
	}
	return "http://" + l.Addr().String() + "/"
}

// serve answers requests until the context ends. That also ends requests under way.
func serve(ctx context.Context, handler http.Handler, l net.Listener) error {
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      2 * time.Minute,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
		BaseContext:       func(net.Listener) context.Context { return ctx },
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	err := server.Shutdown(grace)
	if errors.Is(err, context.DeadlineExceeded) {
		err = server.Close()
	}
	return err
}
