// Loggen writes a made-up Postfix log to standard output, for tests with logs of any
// size, and the incidents in it to standard error.
package main

import (
	"flag"
	"fmt"
	"os"

	"mailfail/parsers/parserstest/loggen"
)

func main() {
	messages := flag.Int("messages", 10_000, "number of messages, about 7 lines each")
	seed := flag.Uint64("seed", 1, "the same seed gives the same log")
	flag.Parse()
	c, err := loggen.Generate(os.Stdout, loggen.Options{Seed: *seed, Messages: *messages})
	if err != nil {
		fmt.Fprintln(os.Stderr, "loggen:", err)
		os.Exit(1)
	}
	fmt.Fprintf(os.Stderr,
		"%d lines, %d messages, %d recipients: %d delivered, %d bounced, %d expired; %d attempts, %d "+
			"deferrals, %d failures, %d rejected\n",
		c.Lines, c.Messages, c.Recipients, c.Delivered, c.Bounced, c.Expired, c.Attempts,
		c.Deferrals, c.Failures,
		c.Rejected)
}
