package ingest

// SetSteps sets after how many lines a batch may end, and after how many it ends, and
// returns what sets them back.
func SetSteps(check, batch int) (undo func()) {
	c, b := checkEvery, batchLines
	checkEvery, batchLines = check, batch
	return func() { checkEvery, batchLines = c, b }
}
