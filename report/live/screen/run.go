package screen

import (
	"context"
	"errors"
	"fmt"
	"io"

	tea "charm.land/bubbletea/v2"
)

// The terminal may count some characters of a stranger as wider than this program does.
// Such lines must not continue on the next one, so automatic margins (DECAWM) are off
// while the screen is shown.
const (
	marginsOff = "\x1b[?7l"
	marginsOn  = "\x1b[?7h"
)

// Run shows the screen until the user quits or ctx is done. Keys come from in,
// or from the terminal itself when in is nil.
func Run(ctx context.Context, m *Model, in io.Reader, out io.Writer) error {
	if in == nil {
		tty, other, err := tea.OpenTTY()
		if err != nil {
			return fmt.Errorf("show the screen (try --plain): %w", err)
		}
		defer tty.Close()
		defer other.Close()
		in = tty
	}
	fmt.Fprint(out, marginsOff)
	defer fmt.Fprint(out, marginsOn)
	_, err := tea.NewProgram(m, tea.WithContext(ctx), tea.WithInput(in), tea.WithOutput(out),
		tea.WithoutSignalHandler(), tea.WithFPS(10)).Run()
	if errors.Is(err, tea.ErrProgramKilled) && ctx.Err() != nil {
		return nil
	}
	if err != nil {
		return fmt.Errorf("show the screen (try --plain): %w", err)
	}
	return nil
}
