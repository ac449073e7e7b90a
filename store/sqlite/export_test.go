package sqlite

// UpgradeInterrupted brings a database of an older schema up to date in small
// batches, and stops after n of them as if it had been killed.
func UpgradeInterrupted(path string, batch int64, n int) error {
	defer func(old int64) { upgradeBatch = old }(upgradeBatch)
	upgradeBatch = batch
	rw, err := connect(path, "_txlock=immediate&_journal_mode=WAL&_synchronous=NORMAL", 1)
	if err != nil {
		return err
	}
	defer rw.Close()
	db := newDB(path)
	db.rw = rw
	if err := db.migrate(); err != nil {
		return err
	}
	w, err := db.writer()
	if err != nil {
		return err
	}
	defer w.Close()
	for range n {
		if done, err := w.upgradeSome(nil); err != nil || done {
			return err
		}
	}
	return nil
}
