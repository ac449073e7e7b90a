package mta

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// postfix is Debian's Postfix, set up to relay to the sink alone, with retries
// in seconds instead of hours.
type postfix struct{}

const postfixMain = `
compatibility_level = 3.6
myhostname = mx1.sender.test
mydestination =
mynetworks = 127.0.0.1/32
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_maps =
local_recipient_maps =
smtp_dns_support_level = disabled
smtp_host_lookup = native
smtp_tls_security_level = none
transport_maps = texthash:/etc/postfix/transport
default_transport = error:5.4.4 not in this room
smtpd_recipient_restrictions = check_recipient_access texthash:/etc/postfix/refused, permit_mynetworks, reject
enable_long_queue_ids = yes
# The sink counts connections that are refused; one that is used again after
# it was lost would hide a refusal.
smtp_connection_cache_on_demand = no
queue_run_delay = 2s
minimal_backoff_time = 2s
maximal_backoff_time = 4s
maximal_queue_lifetime = 14s
bounce_queue_lifetime = 14s
`

// No service in a chroot: they need /dev/log and /etc/hosts.
const postfixMaster = `
smtp      inet  n - n - - smtpd
pickup    unix  n - n 1 1 pickup
cleanup   unix  n - n - 0 cleanup
qmgr      unix  n - n 2 1 qmgr
rewrite   unix  - - n - - trivial-rewrite
bounce    unix  - - n - 0 bounce
defer     unix  - - n - 0 bounce
trace     unix  - - n - 0 bounce
verify    unix  - - n - 1 verify
flush     unix  n - n 1000? 0 flush
proxymap  unix  - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp      unix  - - n - - smtp
relay     unix  - - n - - smtp
  -o syslog_name=postfix/relay
showq     unix  n - n - - showq
error     unix  - - n - - error
retry     unix  - - n - - error
discard   unix  - - n - - discard
local     unix  - n n - - local
lmtp      unix  - - n - - lmtp
anvil     unix  - - n - 1 anvil
scache    unix  - - n - 1 scache
`

func (p postfix) start(t *testing.T) { p.configure(t, "", "") }

// configure starts Postfix with more settings and services.
func (postfix) configure(t *testing.T, settings, services string) {
	var routes strings.Builder
	for i, s := range sinkServers {
		service := "smtp"
		if i%2 == 1 {
			service = "relay"
		}
		fmt.Fprintf(&routes, "%s %s:[mx.%s]:%d\n", s.domain, service, s.domain, sinkPort)
	}
	write(t, "/etc/postfix/main.cf", postfixMain+settings)
	write(t, "/etc/postfix/master.cf", postfixMaster+services)
	write(t, "/etc/postfix/transport", routes.String())
	write(t, "/etc/postfix/refused", "refused@oak.test 550 5.7.1 not this one\n")
	run(t, "postfix", "check")
	run(t, "postfix", "start")
	t.Cleanup(func() { run(t, "postfix", "stop") })
}

func (postfix) queued(t *testing.T) bool {
	return !strings.Contains(run(t, "postqueue", "-p"), "Mail queue is empty")
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
