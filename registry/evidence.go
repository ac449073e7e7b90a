package registry

// DecidedBy is the kind of evidence for a reason.
type DecidedBy uint8

// The kinds of evidence, see Classify. Databases store their numbers.
const (
	ByNothing  DecidedBy = 0 // the reason is unknown
	ByText     DecidedBy = 1 // words of the reply
	ByCode     DecidedBy = 2 // a reply or enhanced code, with its standard meaning
	ByStage    DecidedBy = 3 // the stage or source of the failure
	ByProvider DecidedBy = 4 // a code or tag, with the meaning that its provider gives it
)

var decidedNames = [...]string{"", "text", "code", "stage", "provider"}

// String returns the name as used in JSON, "" for ByNothing.
func (d DecidedBy) String() string { return nameOf(decidedNames[:], uint8(d)) }

// Confidence is how far a reason can be trusted.
type Confidence uint8

// The grades. Databases store their numbers.
const (
	ConfidenceNone Confidence = 0 // not classified
	ConfidenceLow  Confidence = 1 // unknown, a single word, or an unspecific code
	// a code alone, a stage, or a phrase that the code or another phrase contradicts
	ConfidenceMedium Confidence = 2
	ConfidenceHigh   Confidence = 3 // a whole phrase that no other contradicts, or the provider's own code
)

var confidenceNames = [...]string{"", "low", "medium", "high"}

// String returns the grade as used in JSON, "" for ConfidenceNone.
func (c Confidence) String() string { return nameOf(confidenceNames[:], uint8(c)) }
