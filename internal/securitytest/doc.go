// Package securitytest holds the security bar: what fcflow protects, as a list of
// claims with the tests that show each, and those of the tests that look at the
// program or its sources as a whole.
package securitytest
