package workflow

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"strings"
)

// tokenLength is the number of characters of a token.
const tokenLength = 20

// jobNameLength bounds a job name; every scheduler takes that much.
const jobNameLength = 64

var tokenEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// Token is the name of an attempt on a system: 20 characters that follow from
// the run's nonce, the unit and the attempt number, so that a copied or restored
// run directory finds its jobs again, and two state directories never share one.
func Token(nonce string, unit UnitRef, attempt int) string {
	h := sha256.New()
	for _, part := range []string{nonce, unit.Step, unit.Instance} {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(part)))
		h.Write(n[:])
		h.Write([]byte(part))
	}
	var n [8]byte
	binary.BigEndian.PutUint64(n[:], uint64(attempt))
	h.Write(n[:])
	return "f" + tokenEncoding.EncodeToString(h.Sum(nil))[:tokenLength-1]
}

// JobName is the token, first, so that no truncation loses it, and a label for
// people.
func JobName(token, label string) string {
	safe := strings.Map(func(c rune) rune {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '.', c == '_', c == '-':
			return c
		}
		return '-'
	}, label)
	name := token + "-" + safe
	if len(name) > jobNameLength {
		name = name[:jobNameLength]
	}
	return strings.TrimRight(name, "-")
}
