package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const leeway = 30 * time.Second

var allowedAlgorithms = []jose.SignatureAlgorithm{
	jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512, jose.ES256, jose.ES384, jose.ES512,
}

// claims of an assertion whose signature is good.
type claims struct {
	issuer, subject, jti string
	audience             []string
	expires              time.Time
	all                  map[string]any
}

// verify checks the signature with the issuer's keys and everything that does not depend on a rule. The error is the
// reason for the history; a caller never sees it.
func (s *Server) verify(ctx context.Context, assertion string) (*claims, error) {
	signed, err := jose.ParseSigned(assertion, allowedAlgorithms)
	if err != nil {
		return nil, fmt.Errorf("malformed_or_algorithm")
	}
	kid := signed.Signatures[0].Protected.KeyID
	if kid == "" {
		return nil, fmt.Errorf("kid_missing")
	}
	key, err := s.issuer.key(ctx, kid)
	if err != nil {
		return nil, fmt.Errorf("issuer_keys: %w", err)
	}
	payload, err := signed.Verify(key)
	if err != nil {
		return nil, fmt.Errorf("signature")
	}
	found := &claims{}
	if err := json.Unmarshal(payload, &found.all); err != nil {
		return nil, fmt.Errorf("claims_malformed")
	}
	return found, s.checkClaims(found)
}

func (s *Server) checkClaims(c *claims) error {
	c.issuer, _ = c.all["iss"].(string)
	c.subject, _ = c.all["sub"].(string)
	c.jti, _ = c.all["jti"].(string)
	c.audience = audienceOf(c.all["aud"])
	expires, hasExpiry := timeOf(c.all["exp"])
	issued, hasIssue := timeOf(c.all["iat"])
	notBefore, hasNotBefore := timeOf(c.all["nbf"])
	c.expires = expires
	now := s.now()
	switch {
	case c.issuer != s.config.Issuer.URL:
		return fmt.Errorf("issuer_mismatch")
	case c.subject == "":
		return fmt.Errorf("sub_missing")
	case !hasExpiry || !hasIssue:
		return fmt.Errorf("exp_or_iat_missing")
	case now.After(expires.Add(leeway)):
		return fmt.Errorf("expired")
	case issued.After(now.Add(leeway)):
		return fmt.Errorf("issued_in_the_future")
	case hasNotBefore && notBefore.After(now.Add(leeway)):
		return fmt.Errorf("not_yet_valid")
	case expires.Sub(issued) > time.Duration(s.config.Issuer.MaxJWTLifetimeSeconds)*time.Second:
		return fmt.Errorf("lifetime_too_long")
	}
	return nil
}

func (r *Rule) matches(c *claims) error {
	if !r.matchesSubject(c.subject) {
		return fmt.Errorf("match_subject_prefix")
	}
	if !slices.Contains(c.audience, r.Audience) {
		return fmt.Errorf("match_audience")
	}
	for name, want := range r.Claims {
		if got, ok := c.all[name].(string); !ok || got != want {
			return fmt.Errorf("match_claims")
		}
	}
	return nil
}

func audienceOf(value any) []string {
	switch audience := value.(type) {
	case string:
		return []string{audience}
	case []any:
		var list []string
		for _, item := range audience {
			text, ok := item.(string)
			if !ok {
				return nil
			}
			list = append(list, text)
		}
		return list
	}
	return nil
}

// timeOf reads a NumericDate that fits a calendar.
func timeOf(value any) (time.Time, bool) {
	seconds, ok := value.(float64)
	if !ok || math.Abs(seconds) > 1e11 {
		return time.Time{}, false
	}
	return time.Unix(int64(seconds), 0), true
}
