package main

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"
)

const (
	grantType         = "urn:ietf:params:oauth:grant-type:jwt-bearer"
	oauthBeta         = "oauth-2025-04-20"
	federationBeta    = "oidc-federation-2026-04-01"
	maxAssertionBytes = 16 << 10
	maxRequestBytes   = 64 << 10
	tokenPrefix       = "sk-ant-oat01-"
	tokenScope        = "workspace:inference"
)

// badRequest names what is malformed; the caller sees it. Any other error of the exchange is a refusal whose reason
// only the history shows.
type badRequest struct{ message string }

func (b badRequest) Error() string { return b.message }

func (s *Server) handleExchange(w http.ResponseWriter, r *http.Request) {
	attempt := Attempt{Time: s.now().UTC(), RequestID: w.Header().Get("request-id")}
	token, lifetime, err := s.exchange(r, &attempt)
	attempt.Outcome = "granted"
	if err != nil {
		attempt.Outcome = err.Error()
	}
	s.history.add(attempt)
	if bad, ok := err.(badRequest); ok {
		s.refuseMalformed(w, bad.message)
		return
	}
	if err != nil {
		s.refuseOpaquely(w)
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{
		"access_token": token,
		"token_type":   "Bearer",
		"expires_in":   int64(lifetime / time.Second),
		"scope":        tokenScope,
	})
}

func (s *Server) exchange(r *http.Request, attempt *Attempt) (string, time.Duration, error) {
	fields, err := readExchangeRequest(r)
	if err != nil {
		return "", 0, err
	}
	digest := sha256.Sum256([]byte(fields["assertion"]))
	attempt.AssertionSHA256 = hex.EncodeToString(digest[:])
	if err := s.checkFields(fields); err != nil {
		return "", 0, err
	}
	found, err := s.verify(r.Context(), fields["assertion"])
	if found != nil {
		attempt.Subject, attempt.JTI = found.subject, found.jti
	}
	if err != nil {
		return "", 0, err
	}
	rule, err := s.selectRule(fields, found)
	if err != nil {
		return "", 0, err
	}
	return s.mint(rule, found)
}

// readExchangeRequest checks the form of the request: a JSON object of known, non-empty strings and nothing that a
// client must not send.
func readExchangeRequest(r *http.Request) (map[string]string, error) {
	mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || mediaType != "application/json" {
		return nil, badRequest{"content-type: expected application/json"}
	}
	for _, header := range []string{"Authorization", "Cookie", "X-Api-Key"} {
		if r.Header.Get(header) != "" {
			return nil, badRequest{strings.ToLower(header) + ": must not be sent"}
		}
	}
	if !hasBeta(r, oauthBeta) || !hasBeta(r, federationBeta) {
		return nil, badRequest{"anthropic-beta: expected " + oauthBeta + "," + federationBeta}
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxRequestBytes+1))
	if err != nil || len(body) > maxRequestBytes {
		return nil, badRequest{"body: too large or cut short"}
	}
	var raw map[string]any
	if err := json.Unmarshal(body, &raw); err != nil || raw == nil {
		return nil, badRequest{"body: expected a JSON object"}
	}
	known := []string{
		"grant_type", "assertion", "federation_rule_id", "organization_id", "service_account_id", "workspace_id",
	}
	fields := map[string]string{}
	for name, value := range raw {
		text, ok := value.(string)
		if !slices.Contains(known, name) {
			return nil, badRequest{"unknown field"}
		}
		if !ok || text == "" {
			return nil, badRequest{name + ": expected text that is not empty"}
		}
		fields[name] = text
	}
	return fields, nil
}

func (s *Server) checkFields(fields map[string]string) error {
	required := []string{"grant_type", "assertion", "federation_rule_id", "organization_id"}
	if !s.config.ServiceAccountOptional {
		required = append(required, "service_account_id")
	}
	for _, name := range required {
		if fields[name] == "" {
			return badRequest{name + ": is missing"}
		}
	}
	workspace, hasWorkspace := fields["workspace_id"]
	account, hasAccount := fields["service_account_id"]
	switch {
	case fields["grant_type"] != grantType:
		return badRequest{"grant_type: unknown"}
	case len(fields["assertion"]) > maxAssertionBytes:
		return badRequest{"assertion: longer than 16 KiB"}
	case !ruleIDForm.MatchString(fields["federation_rule_id"]):
		return badRequest{"federation_rule_id: malformed"}
	case !uuidForm.MatchString(fields["organization_id"]):
		return badRequest{"organization_id: malformed"}
	case hasAccount && !serviceAccountIDForm.MatchString(account):
		return badRequest{"service_account_id: malformed"}
	case hasWorkspace && !workspaceIDForm.MatchString(workspace):
		return badRequest{"workspace_id: malformed"}
	}
	return nil
}

func (s *Server) selectRule(fields map[string]string, found *claims) (*Rule, error) {
	if !strings.EqualFold(fields["organization_id"], s.config.OrganizationID) {
		return nil, fmt.Errorf("organization_unknown")
	}
	rule := s.rules.find(fields["federation_rule_id"])
	if rule == nil {
		return nil, fmt.Errorf("rule_unknown")
	}
	if rule.Disabled {
		return nil, fmt.Errorf("rule_disabled")
	}
	if account, ok := fields["service_account_id"]; ok && account != rule.ServiceAccountID {
		return nil, fmt.Errorf("service_account_mismatch")
	}
	if err := rule.matches(found); err != nil {
		return nil, err
	}
	return rule, rule.checkWorkspace(fields["workspace_id"])
}

// checkWorkspace applies the rule for an unnamed workspace: the only one, else the default one if it is covered.
func (r *Rule) checkWorkspace(workspace string) error {
	if workspace == "" {
		if len(r.WorkspaceIDs) > 1 && !slices.Contains(r.WorkspaceIDs, "default") {
			return fmt.Errorf("workspace_id_required")
		}
		return nil
	}
	if !slices.Contains(r.WorkspaceIDs, workspace) {
		return fmt.Errorf("workspace_not_enabled")
	}
	return nil
}

func (s *Server) mint(rule *Rule, found *claims) (string, time.Duration, error) {
	if *s.config.Issuer.CheckJTI && found.jti != "" && !s.tokens.spend(found.jti) {
		return "", 0, fmt.Errorf("jti_reused")
	}
	now := s.now()
	lifetime := min(time.Duration(rule.TokenLifetimeSeconds)*time.Second, 2*found.expires.Sub(now))
	lifetime = max(time.Duration(s.config.ShortestTokenSeconds)*time.Second, lifetime).Truncate(time.Second)
	random := make([]byte, 48)
	rand.Read(random)
	token := tokenPrefix + base64.RawURLEncoding.EncodeToString(random)
	s.tokens.add(token, now.Add(lifetime))
	return token, lifetime, nil
}

func hasBeta(r *http.Request, beta string) bool {
	for _, line := range r.Header.Values("anthropic-beta") {
		for item := range strings.SplitSeq(line, ",") {
			if strings.TrimSpace(item) == beta {
				return true
			}
		}
	}
	return false
}
