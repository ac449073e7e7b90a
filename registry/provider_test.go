package registry

import "testing"

func TestProvider(t *testing.T) {
	tests := []struct{ relay, want string }{
		{"", ""},
		{"none", ""},
		{"private/dovecot-lmtp", ""},
		{"/var/run/lmtp", ""},
		{"gmail-smtp-in.l.google.com", "Google"},
		{"ASPMX.L.GOOGLE.COM.", "Google"},
		{"aspmx2.googlemail.com", "Google"},
		{"example-com.mail.protection.outlook.com", "Microsoft"},
		{"hotmail-com.olc.protection.outlook.com", "Microsoft"},
		{"mta6.am0.yahoodns.net", "Yahoo"},
		{"mx01.mail.icloud.com", "Apple"},
		{"mxa-001.pphosted.com", "Proofpoint"},
		{"eu-smtp-inbound-1.mimecast.com:25", "Mimecast"},
		{"d1.ess.barracudanetworks.com", "Barracuda"},
		{"mx00.emig.gmx.net", "GMX and WEB.DE"},
		{"inbound-smtp.eu-west-1.amazonaws.com", "Amazon"},
		{"mx.example.co.uk", "example.co.uk"},
		{"deep.mx.Example.COM", "example.com"},
		{"notgoogle.com", "notgoogle.com"},
		{"localhost", "localhost"},
		{"co.uk", "co.uk"},
		{"192.0.2.1", "192.0.2.1"},
		{"[192.0.2.1]:25", "192.0.2.1"},
		{"[IPv6:2001:db8::1]", "2001:db8::1"},
		{"2001:DB8::1", "2001:db8::1"},
		{"mx.example.org[192.0.2.1]:25", "example.org"},
		{"...", ".."},
	}
	for _, test := range tests {
		if got := Provider(test.relay); got != test.want {
			t.Errorf("Provider(%q) = %q, want %q", test.relay, got, test.want)
		}
	}
}

func TestParseProviders(t *testing.T) {
	for _, bad := range []string{"Name", "Name:", "A: x.org\nB: x.org"} {
		if _, err := parseProviders(bad); err == nil {
			t.Errorf("parseProviders(%q) succeeds", bad)
		}
	}
}

func BenchmarkProvider(b *testing.B) {
	for _, relay := range []string{"gmail-smtp-in.l.google.com", "mx.example.co.uk"} {
		b.Run(relay, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Provider(relay)
			}
		})
	}
}
