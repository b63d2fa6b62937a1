package workflow

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"math/big"
	"strings"
	"time"
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
	return "f" + tokenEncoding.EncodeToString(attemptDigest(nonce, unit, attempt))[:tokenLength-1]
}

func attemptDigest(nonce string, unit UnitRef, attempt int) []byte {
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
	return h.Sum(nil)
}

// ChildID is the id of the run that an attempt starts: a ULID of the instant when
// the attempt began, whose other part follows from what the token follows from.
// So a process that takes the parent over finds the run, and starts no second.
func ChildID(nonce string, unit UnitRef, attempt int, startedAt time.Time) RunID {
	var id [16]byte
	binary.BigEndian.PutUint64(id[:], uint64(startedAt.UnixMilli())<<16)
	digest := sha256.Sum256(append([]byte("child"), attemptDigest(nonce, unit, attempt)...))
	copy(id[6:], digest[:])
	const alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
	text := make([]byte, 26)
	for i, n := len(text)-1, new(big.Int).SetBytes(id[:]); i >= 0; i-- {
		text[i] = alphabet[n.Bit(0)|n.Bit(1)<<1|n.Bit(2)<<2|n.Bit(3)<<3|n.Bit(4)<<4]
		n.Rsh(n, 5)
	}
	return RunID(text)
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
