package main

import (
	"encoding/csv"
	"errors"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"mailfail/registry"
	"mailfail/store"
	"mailfail/store/anonymous"
	"mailfail/store/sqlite"
	"mailfail/templates"
)

func dbExportCommand(open opener) *cobra.Command {
	var window windowFlags
	var output outputFlags
	var zone, anonymize string
	cmd := &cobra.Command{
		Use:   "export",
		Short: "The counts of deliveries as CSV, by minute",
		Long: `Export prints what is only counted: deliveries by minute, host, sender's domain,
recipient's domain and relay. Failures, recipients and rejections are tables that
SQL reads (the views failures, recipients and rejections), or "mailfail events".`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := output.check(); err != nil {
				return err
			}
			loc, err := location("--tz", zone)
			if err != nil {
				return err
			}
			w, err := window.window(time.Now(), loc)
			if err != nil {
				return err
			}
			db, err := open()
			if err != nil {
				return err
			}
			defer db.Close()
			names, err := anonymizer(anonymize, db.Path())
			if err != nil {
				return err
			}
			return output.write(cmd, func(out io.Writer) error {
				return exportCounts(cmd, db, names, w, out)
			})
		},
	}
	window.add(cmd.Flags())
	output.add(cmd.Flags(), "csv")
	addAnonymize(cmd.Flags(), &anonymize)
	cmd.Flags().StringVar(&zone, "tz", "", "time zone of days (else the local one); times are UTC")
	return cmd
}

// exportCounts writes the counts of a window. They contain no persons; names, which may
// be nil, replaces domains and hosts.
func exportCounts(cmd *cobra.Command, db *sqlite.DB, names *anonymous.Names, w store.Window,
	out io.Writer) error {
	table := csv.NewWriter(out)
	err := table.Write([]string{
		"minute", "format", "host", "instance", "sender", "domain", "relay", "provider", "direction", "own",
		"delivered", "recipients", "suspended", "handed_over", "messages", "accepted",
	})
	if err != nil {
		return err
	}
	err = db.EachCount(cmd.Context(), w, func(r *store.CountRow) error {
		row := []string{r.Time.UTC().Format("2006-01-02T15:04Z"), r.Format}
		for _, name := range []registry.Foreign{r.Host, r.Instance, r.Sender, r.Domain, r.Relay,
			r.Provider} {
			if names != nil {
				name = registry.Foreign(names.Name(name.Raw()))
			}
			row = append(row, templates.CSV(name))
		}
		row = append(row, r.Direction.String(), strconv.FormatBool(r.Own))
		for _, n := range []int64{r.Delivered, r.Recipients, r.Suspended, r.Handed, r.Messages, r.Accepted} {
			row = append(row, strconv.FormatInt(n, 10))
		}
		return table.Write(row)
	})
	table.Flush()
	return errors.Join(err, table.Error())
}
