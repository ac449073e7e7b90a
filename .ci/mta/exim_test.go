package mta

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// exim is Debian's Exim, set up to relay to the sink alone, with retries in
// seconds instead of hours. It writes its own log and to syslog.
type exim struct{}

const eximLogs = logDir + "/exim4"

const eximConf = `
primary_hostname = mx1.sender.test
log_file_path = syslog : %s/%%slog
syslog_duplication = false
hostlist relay_from_hosts = 127.0.0.1
acl_smtp_rcpt = acl_rcpt
never_users = root
trusted_users = root
rfc1413_query_timeout = 0s
tls_advertise_hosts =
local_interfaces = 127.0.0.1
daemon_smtp_ports = 25
smtp_accept_max_per_connection = 1000
smtp_accept_queue_per_connection = 1000
timeout_frozen_after = 20s
ignore_bounce_errors_after = 10s
keep_environment =

begin acl
acl_rcpt:
  deny local_parts = refused
       message = 5.7.1 not this one
  accept hosts = : +relay_from_hosts

begin routers
sink:
  driver = manualroute
  transport = sink
  route_data = ${lookup{$domain}lsearch{/etc/exim4/routes}}

begin transports
sink:
  driver = smtp
  port = %d
  hosts_try_dane =
  hosts_try_fastopen =

begin retry
* * F,12s,2s
`

func (e exim) start(t *testing.T) { e.configure(t, eximConf) }

// configure starts Exim with a configuration that names its logs and the port of the
// sink.
func (exim) configure(t *testing.T, config string) {
	if err := os.Mkdir(eximLogs, 0o750); err != nil {
		t.Fatal(err)
	}
	run(t, "chown", "Debian-exim:adm", eximLogs)
	var routes strings.Builder
	for _, s := range sinkServers {
		fmt.Fprintf(&routes, "%s: mx.%s byname\n", s.domain, s.domain)
	}
	write(t, "/etc/exim4/routes", routes.String())
	write(t, "/etc/exim4/exim4.conf", fmt.Sprintf(config, eximLogs, sinkPort))
	daemon := exec.Command("exim4", "-bdf", "-q2s")
	daemon.Stdout, daemon.Stderr = os.Stdout, os.Stderr
	startProcess(t, daemon)
}

func (exim) queued(t *testing.T) bool {
	return strings.TrimSpace(run(t, "exim4", "-bpc")) != "0"
}
