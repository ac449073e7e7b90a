package registry

// Failure describes one failure, with everything on which its reason depends.
type Failure struct {
	Provider  string // of the relay, see Provider; "" when there was no relay
	Reply     uint16 // 0 without a reply code
	Enhanced  Enhanced
	MTAStatus Enhanced // the status that this MTA gave it (Postfix dsn=)
	Stage     Stage
	Source    Source
	Signature string // of the reply text, see AppendSignature
}

// Reason is the class of a failure, one of a fixed list.
type Reason string

// Verdict is the result of Classify: a reason and the evidence for it.
type Verdict struct {
	Reason     Reason
	Rule       string // the name of the rule or code that decided, see Classify
	DecidedBy  DecidedBy
	Confidence Confidence
}

// FailureOf returns the failure that a reply describes, from the reply, the relay that
// gave it and the stage. The reply may be wrapped, see ParseReply.
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
