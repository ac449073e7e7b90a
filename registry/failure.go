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

// Verdict is what Classify found: a reason, and what it rests on.
type Verdict struct {
	Reason     Reason
	Rule       string // the name of the rule or code that decided, see Classify
	DecidedBy  DecidedBy
	Confidence Confidence
}

// FailureOf returns the failure that a reply makes, as far as the reply, the
// relay that gave it and the stage decide. The reply may be wrapped, see
// ParseReply.
func FailureOf(text, relay string, stage Stage) Failure {
	r := ParseReply([]byte(text))
	text = string(Unwrap([]byte(text)))
	return Failure{
		Provider:  Provider(relay),
		Reply:     r.Code,
		Enhanced:  r.Enhanced,
		Stage:     stage,
		Signature: string(AppendSignature(nil, []byte(text))),
	}
}
