package main

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"mailfail/store"
	"mailfail/store/anonymous"
)

// addAnonymize adds --anonymize, for commands whose output users may show to others.
func addAnonymize(flags *pflag.FlagSet, value *string) {
	flags.StringVar(value, "anonymize", "",
		"pseudonyms for persons: before the @ of addresses, accounts, in replies; \"all\": for domains "+
			"and hosts too")
	flags.Lookup("anonymize").NoOptDefVal = "persons"
}

// anonymizer returns the pseudonyms for a value of --anonymize, nil for "". The key is
// stored beside the database, so that the same person has the same pseudonym in every
// report; without a database, or when the key cannot be stored, it is valid for this
// run only.
func anonymizer(value, path string) (*anonymous.Names, error) {
	switch value {
	case "":
		return nil, nil
	case "persons", "all":
	default:
		return nil, unknownValue("--anonymize", value, []string{"persons", "all"})
	}
	key := make([]byte, 32)
	if _, err := rand.Read(key); err != nil {
		return nil, err
	}
	if path != "" {
		var err error
		if key, err = keyBeside(path+".key", key); err != nil {
			return nil, err
		}
	}
	return anonymous.NewNames(key, value == "all"), nil
}

// keyBeside returns the key in a file. When there is no file, it stores fresh as the
// key.
func keyBeside(path string, fresh []byte) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o640) // as the database
	if err == nil {
		_, err = f.WriteString(hex.EncodeToString(fresh) + "\n")
		if err = errors.Join(err, f.Close()); err != nil {
			os.Remove(path)
		}
		return fresh, err
	}
	text, readErr := os.ReadFile(path)
	if errors.Is(readErr, fs.ErrNotExist) {
		return nil, fmt.Errorf(
			"make the key of pseudonyms: %w: run this once as a user who may write there", err)
	}
	if readErr != nil {
		return nil, fmt.Errorf("read the key of pseudonyms: %w", readErr)
	}
	key, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(key) < 16 {
		return nil, fmt.Errorf(
			"read the key of pseudonyms %s: want 32 bytes in hexadecimal digits; remove it for a new one",
			path)
	}
	return key, nil
}

// anonymized returns db, or a view of it with pseudonyms.
func anonymized(db store.Database, names *anonymous.Names) store.Database {
	if names == nil {
		return db
	}
	return anonymous.New(db, names)
}
