package registry

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// TestLexicon checks that every word can be found: folded, long enough, and once.
func TestLexicon(t *testing.T) {
	seen := map[string]string{}
	for line := range strings.Lines(lexiconText) {
		line = strings.TrimSpace(line)
		english, words, ok := strings.Cut(line, ": ")
		if line == "" || line[0] == '#' {
			continue
		}
		if !ok {
			t.Errorf("%q: want \"english: word | word\"", line)
		}
		for word := range strings.SplitSeq(words, "|") {
			word = strings.TrimSpace(word)
			if before, ok := seen[word]; ok {
				t.Errorf("%q is %q and %q", word, before, english)
			}
			seen[word] = english
			if r, _ := utf8.DecodeRuneInString(word); len(word) < 2 || word != folded(word) || r < firstSign && strings.ContainsAny(word, "'-") {
				t.Errorf("%q (%s) is in no folded text", word, english)
			}
			if got := string(defaultLexicon().translate([]byte(strings.ReplaceAll(word, "*", "")))); !strings.Contains(got, english) {
				t.Errorf("%q is translated as %q, want %q", word, got, english)
			}
		}
	}
}

func TestTranslate(t *testing.T) {
	tests := []struct{ text, want string }{
		{"el buzon del usuario esta lleno", "el mailbox del user esta full"},
		{"we don't take letters of insiders, they won't go through", "we not accepted messages of members, they rejected"},
		{"l'utilisateur n'existe pas", "l'user does not exist"},
		{"{dominio} dominio", "{dominio} domain"},
		{"用户不存在", " user  does not exist "},
		{"the message was refused, this mailbox is full; please try again in some minutes", ""},
		{"user unknown, invalid recipient, detected as junk, limited to ten", ""},
		{"", ""},
		{"z", ""},
	}
	for _, test := range tests {
		if got := string(defaultLexicon().translate([]byte(test.text))); got != test.want {
			t.Errorf("%q: got %q, want %q", test.text, got, test.want)
		}
	}
}

// TestOtherLanguages has sentences that no rule knows: their words decide.
func TestOtherLanguages(t *testing.T) {
	tests := []struct {
		stage Stage
		text  string
		want  Reason
	}{
		{StageRcpt, "550 5.7.1 Diese Verteilerliste nimmt nur Beiträge von Mitgliedern an", "restricted"},
		{StageEndOfData, "550 5.7.1 Anlagen dieser Art sind nicht gestattet", "content"},
		{StageMail, "421 4.7.0 Vous envoyez trop vite, ralentissez", "rate-limited"},
		{StageRcpt, "450 4.7.1 Cota de envio por hora ultrapassada", "rate-limited"},
		{StageEndOfData, "550 5.7.1 Mensaje rechazado por considerarse correo basura", "spam-content"},
		{StageMail, "421 4.7.0 Du har skickat för många meddelanden", "rate-limited"},
		{StageRcpt, "550 5.7.1 このドメインへの中継は許可されていません", "relay-denied"},
		{StageBanner, "554 5.7.1 您的地址在黑名單上", "blocklist"},
	}
	for _, test := range tests {
		v := DefaultRules().Classify(FailureOf(test.text, "", test.stage))
		if v.Reason != test.want || v.Confidence > ConfidenceMedium {
			t.Errorf("%q is %s by %s (%v), want %s", test.text, v.Reason, v.Rule, v.Confidence, test.want)
		}
	}
}
