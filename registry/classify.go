package registry

// Rules decide the reason of a failure.
type Rules struct{}

// DefaultRules returns the rules that come with mailfail.
func DefaultRules() *Rules { return &Rules{} }

// Version changes whenever the same failure might get another reason.
func (*Rules) Version() string { return "0" }

// Classify returns the reason of f and the rule that decided. Equal failures
// have equal reasons.
func (*Rules) Classify(f Failure) Verdict { return Verdict{Reason: "unknown"} }

// AppendSignature appends to dst the reply text with its variable parts
// masked, so that replies that differ only in addresses, hosts, numbers and
// ids have one signature.
func AppendSignature(dst, text []byte) []byte { return append(dst, text...) }

// Provider returns the operator behind a relay host ("Google", "Microsoft"),
// or else the relay's registrable domain in lower case; "" for no relay.
func Provider(relay string) string { return relay }
