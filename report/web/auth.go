package web

import (
	"bufio"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"

	"golang.org/x/crypto/bcrypt"
)

// Users are the users who may read, by name, with the bcrypt hash of their password.
type Users map[string]*user

type user struct {
	hash []byte

	mu    sync.Mutex
	known [sha256.Size]byte // of the last correct password: bcrypt is slow on purpose
}

// nobody is checked for a name that does not exist, so that the answer takes as long.
var nobody = sync.OnceValue(func() *user {
	hash, err := bcrypt.GenerateFromPassword([]byte("nobody"), bcrypt.DefaultCost)
	if err != nil {
		panic(err)
	}
	return &user{hash: hash}
})

// ReadUsers reads lines "name:hash", as htpasswd -B writes them.
func ReadUsers(r io.Reader) (Users, error) {
	users := Users{}
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		name, hash, ok := strings.Cut(line, ":")
		if !ok || name == "" {
			return nil, fmt.Errorf("line %d: want name:hash, as `htpasswd -B` writes it", n)
		}
		if _, err := bcrypt.Cost([]byte(hash)); err != nil {
			return nil, fmt.Errorf("line %d: the password of %q is not a bcrypt hash: use `htpasswd -B`", n,
				name)
		}
		users[name] = &user{hash: []byte(hash)}
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if len(users) == 0 {
		return nil, fmt.Errorf("the file contains no users; add lines name:hash with `htpasswd -B`")
	}
	return users, nil
}

// admit reports whether a request contains the password of a user.
func (u Users) admit(r *http.Request) bool {
	name, password, ok := r.BasicAuth()
	if !ok {
		return false
	}
	who, known := u[name]
	if !known {
		who = nobody()
	}
	return who.has(password) && known
}

func (u *user) has(password string) bool {
	sum := sha256.Sum256([]byte(password))
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.known != [sha256.Size]byte{} && sum == u.known {
		return true
	}
	if bcrypt.CompareHashAndPassword(u.hash, []byte(password)) != nil {
		return false
	}
	u.known = sum
	return true
}

// knows reports whether a request is for a name of this server. A stranger's page whose
// name leads to this host (DNS rebinding) uses another name.
func (s *server) knows(host string) bool {
	if s.Hosts == nil {
		return true
	}
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = host
	}
	name = strings.TrimSuffix(strings.TrimPrefix(name, "["), "]")
	return net.ParseIP(name) != nil || slices.Contains(s.Hosts, strings.ToLower(name))
}
