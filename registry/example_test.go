package registry_test

import (
	"fmt"

	"mailfail/registry"
)

// A reply is taken apart, and its reason found from provider, text and codes
// together.
func Example() {
	f := registry.FailureOf(
		"550-5.7.26 This mail has been blocked because the sender is unauthenticated. Gmail requires all senders to authenticate with either SPF or DKIM.",
		"gmail-smtp-in.l.google.com", registry.StageEndOfData)
	v := registry.DefaultRules().Classify(f)
	fmt.Println(f.Provider, f.Reply, f.Enhanced)
	fmt.Println(v.Reason, "-", v.Reason.Info().Name)
	// Output:
	// Google 550 5.7.26
	// authentication - SPF, DKIM or DMARC failed
}

func ExampleLookupEnhanced() {
	e, _ := registry.ParseEnhanced("4.2.2")
	entry, exact := registry.LookupEnhanced(e)
	fmt.Println(entry.Name, exact)
	// Output: Mailbox full true
}

func ExampleParseReply() {
	r := registry.ParseReply([]byte("host mx.example.org[192.0.2.1] said: 552 4.2.2 mailbox full (in reply to RCPT TO command)"))
	fmt.Println(r.Code, r.Enhanced)
	// Output: 552 4.2.2
}

func ExampleProvider() {
	fmt.Println(registry.Provider("example-org.mail.protection.outlook.com"))
	fmt.Println(registry.Provider("mx1.mail.example.co.uk"))
	// Output:
	// Microsoft
	// example.co.uk
}

// Replies that differ in their variable parts have the same signature.
func ExampleAppendSignature() {
	fmt.Printf("%s\n", registry.AppendSignature(nil, []byte("550 5.1.1 <joe@example.org>: Recipient address rejected")))
	fmt.Printf("%s\n", registry.AppendSignature(nil, []byte("550 5.1.1 <eve@example.org>: Recipient address rejected")))
	// Output:
	// 550 5.1.1 <{email}>: Recipient address rejected
	// 550 5.1.1 <{email}>: Recipient address rejected
}

func ExampleAdvice() {
	fmt.Println(registry.Advice("mailbox-full", registry.Situation{State: registry.StateBounced}))
	fmt.Println(registry.Advice("mailbox-full", registry.Situation{State: registry.StateBounced, Direction: registry.DirectionLocal}))
	// Output:
	// Tell the recipient by another way; drop the address if it stays full.
	// Raise the quota or ask the owner to delete mail; the sender must send again.
}
