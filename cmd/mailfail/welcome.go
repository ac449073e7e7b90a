package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"mailfail/ingest/source"
	"mailfail/registry"
)

// welcome prints what the program does, which logs it found, and which command to begin
// with.
func welcome(cmd *cobra.Command) error {
	var b strings.Builder
	b.WriteString(cmd.Long + "\n\n")
	families := source.Usual()
	if len(families) == 0 {
		fmt.Fprintf(&b, "No log was found in the usual places (%s).\n",
			strings.Join(source.UsualPlaces(), ", "))
	}
	denied := false
	for _, f := range families {
		state := "can be read"
		if file, err := os.Open(f.Name); err != nil {
			state, denied = "cannot be read", true
		} else {
			file.Close()
		}
		fmt.Fprintf(&b, "Found %s (%d %s): %s.\n", registry.Foreign(f.Name), len(f.Files),
			plural(len(f.Files), "file"), state)
	}
	if denied {
		b.WriteString("To read them, run mailfail as root, or as a member of the group that owns them " +
			"(often adm).\n")
	}
	if path, err := databasePath(""); err == nil {
		if _, err := os.Stat(path); err == nil {
			fmt.Fprintf(&b, "The database is %s.\n", registry.Foreign(path))
		} else {
			b.WriteString("There is no database yet: mailfail ingest makes one, and report works without.\n")
		}
	}
	b.WriteString(`
  mailfail report                  what failed in the last 24 hours, why, and who waits
  mailfail follow                  the same as it happens
  mailfail explain 550 5.7.26      what a code or a reply means, and what to do
  mailfail report -d yesterday --mail-to root    every morning, by cron

mailfail --help lists all commands.
`)
	_, err := fmt.Fprint(cmd.OutOrStdout(), b.String())
	return err
}

func plural(n int, word string) string {
	if n == 1 {
		return word
	}
	return word + "s"
}
