// Package dsn reads bounce messages: delivery reports (RFC 3464), and the texts
// that Postfix, Exim, sendmail, qmail and Exchange write for humans.
package dsn
