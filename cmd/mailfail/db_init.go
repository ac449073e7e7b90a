package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"mailfail/store/clickhouse"
	"mailfail/templates"
)

// dbInitCommand makes the tables of a fleet.
func dbInitCommand() *cobra.Command {
	var to, cluster string
	var dry bool
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Make the tables of a ClickHouse that many hosts share",
		Long: `Init shows the SQL that makes the database of a fleet and its tables, and has the
server run it; with --cluster, tables that are replicated and spread over the
shards of a cluster. What is there stays as it is. The user needs to be allowed to
create databases and tables; with --dry-run init does not contact the server,
and the SQL may be given to a user with these rights.`,
		Example: `  mailfail db init --to clickhouse://admin@ch.example.org:8443/mailfail
  mailfail db init --to clickhouse://admin@ch.example.org:8443/mailfail --cluster mail --dry-run`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if to == "" {
				return usageError("--to is required: clickhouse://user@host:8443/database")
			}
			client, err := newClient("--to", to)
			if err != nil {
				return err
			}
			for _, s := range clickhouse.Statements(client.Database(), cluster) {
				for line := range strings.SplitSeq(s+";", "\n") {
					if _, err := fmt.Fprintln(cmd.OutOrStdout(), templates.Printable(line)); err != nil {
						return err
					}
				}
			}
			if dry {
				return nil
			}
			return clickhouse.Init(cmd.Context(), client, cluster)
		},
	}
	cmd.Flags().StringVar(&to, "to", "", "the server and the database: clickhouse://user@host:8443/database")
	cmd.Flags().StringVar(&cluster, "cluster", "", "make replicated tables on this cluster")
	cmd.Flags().BoolVar(&dry, "dry-run", false, "show the SQL, and do nothing")
	return cmd
}
