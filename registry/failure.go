package registry

// Failure is what is known of one failure, as far as its reason depends on it.
type Failure struct {
	Provider  string // of the relay, see Provider; "" when there was no relay
	Reply     uint16 // 0 when none was given
	Enhanced  Enhanced
	MTAStatus Enhanced // the status this MTA gave it (Postfix dsn=)
	Stage     Stage
	Source    Source
	Signature string // of the reply text, see Signature
}

// Reason is the class a failure is filed under, one of a fixed list.
type Reason string

// Verdict is a reason together with the name of the rule that decided.
type Verdict struct {
	Reason Reason
	Rule   string
}
