package parsers

import "strings"

// The fields of a Record by subject. Kind, Format, Time, Host, Instance, Service and
// Delay may be set in every record.
const (
	ofMessage = "ID HasSender Sender Account Login Client ClientIP MessageID Size Recipients " +
		"Reinjected BounceOf Own QueueIDs"
	ofRecipient = "Address Original Direction"
	ofContact   = "Outcome Relay RelayIP Stage Source Reply Then MTAStatus NextID TLS Nth"
	ofTwin      = "Copy LineHash"
)

// Fields are the fields of the records of a kind, by name.
type Fields struct {
	Must []string // the test kit refuses a record of the kind that lacks one
	May  []string // further fields that it may contain
}

// KindFields is the contract between the formats and the consumers of their records. The
// test kit checks that every record keeps it.
var KindFields = map[Kind]Fields{
	Arrival:    fieldsOf("ID", ofMessage, "TLS"),
	Expected:   fieldsOf("ID Address", ofMessage, ofRecipient, "Kept"),
	Attempt:    fieldsOf("ID Address Outcome", ofMessage, ofRecipient, ofContact, "Final FromBounce"),
	Suspended:  fieldsOf("ID Address", ofMessage, ofRecipient, ofContact),
	Settled:    fieldsOf("ID Final", ofMessage, ofRecipient, ofContact),
	End:        fieldsOf("ID"),
	Rejection:  fieldsOf("", ofMessage, ofRecipient, "Outcome Relay RelayIP Stage Source Reply", ofTwin),
	Connection: fieldsOf("Outcome", "Relay RelayIP Stage Source Reply Messages Session"),
	Placed:     fieldsOf("Address Place", "ID MessageID Final"),
	Noted:      fieldsOf("", "Direction TLS"),
	Trouble:    fieldsOf("Problem", "Severity Domain Relay RelayIP Stage Source Reply", ofTwin),
	Complaint:  fieldsOf("ID", ofMessage, ofRecipient, "Relay RelayIP Reply"),
}

func fieldsOf(must string, may ...string) Fields {
	return Fields{strings.Fields(must), strings.Fields(strings.Join(may, " "))}
}
