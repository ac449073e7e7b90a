package store

import (
	"testing"
	"time"
)

func TestDelayValue(t *testing.T) {
	for d, want := range map[time.Duration]int64{
		-1: 0, 0: 1, 999 * time.Millisecond: 1, time.Second: 2, 59 * time.Second: 3, time.Minute: 4, time.Hour: 7, 23 * time.Hour: 8, 24 * time.Hour: 9, 999 * time.Hour: 9,
	} {
		if got := DelayValue(d); got != want {
			t.Errorf("%v: %d, want %d", d, got, want)
		}
	}
}

func TestTLSValue(t *testing.T) {
	for protocol, want := range map[string]int64{
		"TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits)": 4, "TLS1.2:ECDHE_RSA_AES_256_GCM_SHA384:256": 3, "TLS1.3:TLS_AES_256_GCM_SHA384:256": 4,
		"TLSv1_2": 3, "TLSv1.1": 2, "TLSv1 with cipher AES": 1, "TLSv1": 1, "TLS1.0:RSA": 1, "TLSv1.9": 5, "SSLv3": 5, "TLS": 5, "": 5, "TLSv2": 5,
	} {
		if got := TLSValue([]byte(protocol)); got != want {
			t.Errorf("%q: %d, want %d", protocol, got, want)
		}
	}
}
