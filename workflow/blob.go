package workflow

import (
	"crypto/sha256"
	"encoding/hex"
)

// NewBlob names bytes by their digest.
func NewBlob(b []byte) Blob {
	sum := sha256.Sum256(b)
	return Blob{Digest: hex.EncodeToString(sum[:]), Bytes: b}
}
