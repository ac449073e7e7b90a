// Logscale writes a log several times over, as if more mail of the same kind had
// followed: each copy comes after the one before, and has its own queue ids, addresses
// and domains. It makes logs of any size out of a small real one.
//
//	logscale -copies 200 mail.log > large.log
package main

import (
	"bufio"
	"flag"
	"fmt"
	"os"
)

func main() {
	copies := flag.Int("copies", 100, "how often the log is written")
	domains := flag.Int("domains", 125,
		"how many names each domain goes by; the first are the most frequent")
	flag.Parse()
	if flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: logscale [-copies N] [-domains N] FILE > LOG")
		os.Exit(2)
	}
	if err := run(flag.Arg(0), *copies, *domains); err != nil {
		fmt.Fprintln(os.Stderr, "logscale:", err)
		os.Exit(1)
	}
}

func run(path string, copies, domains int) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	out := bufio.NewWriterSize(os.Stdout, 1<<20)
	l := parse(content)
	for n := range copies {
		if err := l.write(out, n, domains); err != nil {
			return err
		}
	}
	return out.Flush()
}
