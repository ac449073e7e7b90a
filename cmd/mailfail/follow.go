package main

import (
	"strings"
	"time"

	"github.com/spf13/cobra"

	"mailfail/store"
)

// followFlags are the flags of follow that no other command has.
type followFlags struct {
	fromStart          bool
	plain              bool
	outcomes           []string
	rejections         bool
	alerts             []string
	programs, webhooks []string
	pushTo             string
}

func followCommand() *cobra.Command {
	var logs logFlags
	var filter filterFlags
	var output outputFlags
	var flags followFlags
	var old keepFlags
	var dbPath string
	cmd := &cobra.Command{
		Use:   "follow [FILE...]",
		Short: "Read logs as they grow and show failures as they happen",
		Long: `Follow reads what is new in the logs into the database, as ingest does, and goes
on as they grow, whatever happens to them: rotation, truncation, compression,
files that do not exist yet. Of a log that is new to the database it reads what
is written from now on, with --from-start all. It may run beside ingest and
report. FILE is a log,
a directory, a pattern, or - for standard input; without FILE the logs in the
usual places are followed.

On a terminal it shows the rates of the last minutes against the usual ones,
what fails where and why, and the newest failures; ? explains the keys. Anywhere
else, or with --plain, it prints one line a failure: time, outcome, provider,
domain, recipient, code, reason, sender, account, text; with --format json one
object a line, as mailfail events does. SIGINT and SIGTERM end it: what was read is kept.

An alert is a rule such as

  provider=google failure-rate>20% for 5m min 50

with any of provider= domain= code= reason= sender= host= mta=, one of
failure-rate, deferral-rate, failures, deferrals, rejected with > or >=, the
span of time that is looked at (5m), and how many attempts there must be in it
(20 for a rate). Follow reports an alert when it starts and when it ends: when
the rule has not held for as long as the span. The span ends now, and mail counts
by the time in the log, so that a backlog raises no alert. Follow does not report
the end of alerts that are on when it stops.`,
		Example: `  mailfail follow /var/log/mail.log
  journalctl -f -o json -u postfix@- | mailfail follow -
  mailfail follow --plain --provider Google | grep rate-limited
  mailfail follow --alert 'failure-rate>20% for 5m min 50' --alert-exec /usr/local/bin/page`,
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if logs.keep, err = old.keep(); err != nil {
				return err
			}
			f := &follow{cmd: cmd, flags: &flags, now: time.Now}
			return f.run(args, &logs, &filter, &output, dbPath)
		},
	}
	set := cmd.Flags()
	logs.add(set)
	old.add(set, "7d")
	addAnonymize(set, &logs.anonymize)
	addPushTo(set, &flags.pushTo)
	filter.add(set)
	set.StringVar(&dbPath, "db", "",
		"the database (else $MAILFAIL_DB, else /var/lib/mailfail/mailfail.db or your state directory)")
	set.StringVar(&logs.zone, "tz", "",
		"time zone of the times shown (else the local one; --log-tz is that of logs)")
	set.BoolVar(&flags.fromStart, "from-start", false,
		"read logs that are new to the database from their beginning, not from their end")
	set.BoolVar(&flags.plain, "plain", false, "one line a failure, also on a terminal")
	set.StringSliceVar(&flags.outcomes, "outcome", nil,
		"print only failures with this outcome: "+strings.Join(store.OutcomeNames,
			", ")+" (else deferred and failed)")
	set.BoolVar(&flags.rejections, "rejections", false, "print also mail that was refused on its way in")
	set.StringArrayVar(&flags.alerts, "alert", nil, "report when a rule holds; may be given several times")
	set.StringArrayVar(&flags.programs, "alert-exec", nil,
		"run this program, without arguments, for every alert, with JSON on its standard input")
	set.StringArrayVar(&flags.webhooks, "alert-webhook", nil,
		"post every alert as JSON to this http or https URL")
	set.StringVar(&output.format, "format", "text", "form of what is printed: text, json")
	set.BoolVar(&output.noColor, "no-color", false, "no colours on the screen")
	output.formats = []string{"text", "json"}
	return cmd
}
