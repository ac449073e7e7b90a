package exchange

// Members splits recipient-address and recipient-status of a row, for tests
// that write rows in other ways.
func Members(addresses, statuses string) (a, s []string) {
	var c collection
	for _, member := range c.addresses([]byte(addresses)) {
		a = append(a, string(member))
	}
	for _, member := range c.statuses([]byte(statuses), len(a)) {
		s = append(s, string(member))
	}
	return a, s
}

// ServerName is serverName.
var ServerName = serverName
