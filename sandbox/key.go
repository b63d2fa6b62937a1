package sandbox

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"strings"
)

// signingKey signs the tokens the sandbox issues and verifies those it gets.
type signingKey struct {
	alg, kid string
	private  any // *ecdsa.PrivateKey, *rsa.PrivateKey or []byte
}

// keyFile is the stored form: PKCS #8, or the bare secret for HS256.
type keyFile struct {
	Alg string `json:"alg"`
	Kid string `json:"kid"`
	Key []byte `json:"key"`
}

func openKey(file, alg string) (*signingKey, error) {
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return newKey(file, alg)
	}
	if err != nil {
		return nil, fmt.Errorf("sandbox: %w", err)
	}
	var kf keyFile
	if err := json.Unmarshal(data, &kf); err != nil {
		return nil, fmt.Errorf("sandbox: read %s: %w", file, err)
	}
	k := &signingKey{alg: kf.Alg, kid: kf.Kid, private: kf.Key}
	if kf.Alg != "HS256" {
		if k.private, err = x509.ParsePKCS8PrivateKey(kf.Key); err != nil {
			return nil, fmt.Errorf("sandbox: read %s: %w", file, err)
		}
	}
	return k, nil
}

func newKey(file, alg string) (*signingKey, error) {
	k := &signingKey{alg: alg, kid: "sandbox-" + rand.Text()[:8]}
	var err error
	switch alg {
	case "ES256":
		k.private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "RS256":
		k.private, err = rsa.GenerateKey(rand.Reader, 2048)
	case "HS256":
		k.private = []byte(rand.Text())
	default:
		return nil, fmt.Errorf("sandbox: token algorithm %q: want ES256, RS256 or HS256", alg)
	}
	if err != nil {
		return nil, fmt.Errorf("sandbox: make key: %w", err)
	}
	kf := keyFile{Alg: alg, Kid: k.kid}
	if secret, ok := k.private.([]byte); ok {
		kf.Key = secret
	} else if kf.Key, err = x509.MarshalPKCS8PrivateKey(k.private); err != nil {
		return nil, fmt.Errorf("sandbox: encode key: %w", err)
	}
	return k, writeJSON(file, kf)
}

// sign returns claims as a compact JSON web token.
func (k *signingKey) sign(claims map[string]any) (string, error) {
	header, err := json.Marshal(map[string]string{"alg": k.alg, "kid": k.kid, "typ": "JWT"})
	if err != nil {
		return "", err
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	text := base64.RawURLEncoding.EncodeToString(header) + "." + base64.RawURLEncoding.EncodeToString(payload)
	sum := sha256.Sum256([]byte(text))
	var sig []byte
	switch key := k.private.(type) {
	case *ecdsa.PrivateKey:
		r, s, err := ecdsa.Sign(rand.Reader, key, sum[:])
		if err != nil {
			return "", err
		}
		sig = append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
	case *rsa.PrivateKey:
		if sig, err = rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:]); err != nil {
			return "", err
		}
	case []byte:
		sig = hmacSHA256(key, text)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(sig), nil
}

// What the API says about a token it does not accept.
const (
	badToken   = "Access token is invalid."
	unknownKey = "Token's public key not found."
)

// verify checks form, key id and signature, in that order. It returns the claims
// or the API's text of refusal; times are the caller's business.
func (k *signingKey) verify(token string) (claims map[string]any, refusal string) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, badToken
	}
	var header struct{ Alg, Kid, X5t string }
	if !decodePart(parts[0], &header) {
		return nil, badToken
	}
	if header.Kid != k.kid && header.X5t != k.kid {
		return nil, unknownKey
	}
	sig, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil || header.Alg != k.alg || !k.verifies(parts[0]+"."+parts[1], sig) {
		return nil, badToken
	}
	if !decodePart(parts[1], &claims) {
		return nil, badToken
	}
	return claims, ""
}

func (k *signingKey) verifies(text string, sig []byte) bool {
	sum := sha256.Sum256([]byte(text))
	switch key := k.private.(type) {
	case *ecdsa.PrivateKey:
		return len(sig) == 64 &&
			ecdsa.Verify(&key.PublicKey, sum[:], new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:]))
	case *rsa.PrivateKey:
		return rsa.VerifyPKCS1v15(&key.PublicKey, crypto.SHA256, sum[:], sig) == nil
	case []byte:
		return hmac.Equal(sig, hmacSHA256(key, text))
	}
	return false
}

func hmacSHA256(secret []byte, text string) []byte {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(text))
	return mac.Sum(nil)
}

func decodePart(part string, into any) bool {
	data, err := base64.RawURLEncoding.DecodeString(part)
	return err == nil && json.Unmarshal(data, into) == nil
}
